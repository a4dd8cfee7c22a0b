//! Brotli (RFC 7932).

#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "this is the door"
)]

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};

use super::Ended;
use super::meter::Meter;

/// Bytes handed over at a time where a stream is broken.
const SLICE: usize = 16;

/// Decodes one stream.
pub(super) fn decode(input: &[u8], meter: &mut Meter<'_>) -> Ended {
    let start = meter.out.len();
    let ended = run(input, input.len(), meter);
    if ended != Ended::Broken {
        return ended;
    }
    // At a mistake the decoder keeps back what it decoded since it last wanted input: small slices leave little to keep.
    meter.out.truncate(start);
    run(input, SLICE, meter)
}

/// Decodes one stream that is handed over in slices.
fn run(input: &[u8], slice: usize, meter: &mut Meter<'_>) -> Ended {
    let alloc = StandardAlloc::default;
    // Strict: windows of RFC 7932 only, not the gigabyte that an extension allows.
    let mut state = BrotliState::new_strict(alloc(), alloc(), alloc());
    let (mut given, mut used, mut total) = (slice.min(input.len()), 0_usize, 0);
    loop {
        if let Err(ended) = meter.check(used) {
            return ended;
        }
        let start = meter.out.len();
        let mut room = meter.step();
        meter.out.resize(start.saturating_add(room), 0);
        let (mut written, mut left) = (0, given.saturating_sub(used));
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
            BrotliResult::NeedsMoreInput if given < input.len() => {
                given = given.saturating_add(slice).min(input.len());
                continue;
            }
            BrotliResult::ResultSuccess if used < input.len() => Ended::Broken,
            BrotliResult::ResultSuccess => Ended::Whole,
            BrotliResult::NeedsMoreInput => Ended::Cut,
            BrotliResult::ResultFailure => Ended::Broken,
        };
        return meter.check(used).err().unwrap_or(ended);
    }
}
