//! Brotli (RFC 7932).

#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "this is the door"
)]

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};

use super::Ended;
use super::meter::Meter;

/// Decodes one stream.
pub(super) fn decode(input: &[u8], meter: &mut Meter<'_>) -> Ended {
    let alloc = StandardAlloc::default;
    // Strict: windows of RFC 7932 only, not the gigabyte that an extension allows.
    let mut state = BrotliState::new_strict(alloc(), alloc(), alloc());
    let (mut left, mut used, mut total) = (input.len(), 0, 0);
    loop {
        if let Err(ended) = meter.check(used) {
            return ended;
        }
        let start = meter.out.len();
        let mut room = meter.step();
        meter.out.resize(start.saturating_add(room), 0);
        let mut written = 0;
        let result = BrotliDecompressStream(
            &mut left,
            &mut used,
            input,
            &mut room,
            &mut written,
            meter.out.get_mut(start..).unwrap_or_default(),
            &mut total,
            &mut state,
        );
        meter.out.truncate(start.saturating_add(written));
        let ended = match result {
            BrotliResult::NeedsMoreOutput => continue,
            // It may hold back more than there was room for.
            BrotliResult::NeedsMoreInput if room == 0 => continue,
            BrotliResult::ResultSuccess if left > 0 => Ended::Broken,
            BrotliResult::ResultSuccess => Ended::Whole,
            BrotliResult::NeedsMoreInput => Ended::Cut,
            BrotliResult::ResultFailure => Ended::Broken,
        };
        return meter.check(used).err().unwrap_or(ended);
    }
}
