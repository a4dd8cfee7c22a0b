//! Zstandard (RFC 8878).

#![expect(clippy::disallowed_types, reason = "this is the door")]

use std::io::Read as _;

use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::meter::Meter;
use super::{Ended, MAX_MEMBERS, MAX_WINDOW};

/// Longest frame header with its magic number (RFC 8878, 3.1.1.1).
const LONGEST_HEADER: usize = 18;
/// A last block without content (RFC 8878, 3.1.1.2), and room for a checksum, which is not read.
const END: [u8; 7] = [1, 0, 0, 0, 0, 0, 0];

/// Frames one after the other (RFC 8878, 3.1).
pub(super) fn decode(input: &[u8], meter: &mut Meter<'_>) -> Ended {
    let mut decoder = FrameDecoder::new();
    decoder.set_max_window_size(MAX_WINDOW);
    let mut rest = input;
    for _ in 0..MAX_MEMBERS {
        let ended = match begin(&mut decoder, &mut rest) {
            Ok(Begun::Frame) => frame(&mut decoder, &mut rest, input.len(), meter),
            Ok(Begun::Skipped) => Ended::Whole,
            Err(ended) => return ended,
        };
        if ended != Ended::Whole || rest.is_empty() {
            return ended;
        }
    }
    Ended::Bomb
}

enum Begun {
    Frame,
    Skipped,
}

/// Reads a frame's header, or skips a frame that is to be skipped (RFC 8878, 3.1.2).
fn begin(decoder: &mut FrameDecoder, rest: &mut &[u8]) -> Result<Begun, Ended> {
    let before = *rest;
    match decoder.reset(&mut *rest) {
        Ok(()) => Ok(Begun::Frame),
        Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
            let after = usize::try_from(length).ok().and_then(|length| rest.get(length..));
            *rest = after.ok_or(Ended::Cut)?;
            Ok(Begun::Skipped)
        }
        Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::BadMagicNumber(_))) => {
            Err(Ended::Broken)
        }
        // Whatever else is wrong with a header that is short may be that it is short.
        Err(FrameDecoderError::ReadFrameHeaderError(_)) if before.len() < LONGEST_HEADER => Err(Ended::Cut),
        Err(FrameDecoderError::WindowSizeTooBig { .. }) => Err(Ended::Bomb),
        Err(_) => Err(Ended::Broken),
    }
}

/// The blocks of a frame, one by one, so that a cut loses no more than the block it is in.
fn frame(decoder: &mut FrameDecoder, rest: &mut &[u8], total: usize, meter: &mut Meter<'_>) -> Ended {
    let ended = loop {
        if decoder.is_finished() {
            break Ended::Whole;
        }
        let Some(whole) = Block::of(rest).map(|block| block.length) else {
            break Ended::Cut;
        };
        if whole > rest.len() {
            break Ended::Cut;
        }
        if decoder
            .decode_blocks(&mut *rest, BlockDecodingStrategy::UptoBlocks(1))
            .is_err()
        {
            // Of a last block that was whole, the checksum may be missing.
            break if decoder.is_finished() {
                Ended::Cut
            } else {
                Ended::Broken
            };
        }
        collect(decoder, meter);
        let consumed = total.saturating_sub(rest.len());
        if let Err(ended) = meter.check(consumed) {
            break ended;
        }
    };
    if !decoder.is_finished() {
        finish(decoder, rest, ended);
    }
    collect(decoder, meter);
    let consumed = total.saturating_sub(rest.len());
    match ended {
        Ended::Whole | Ended::Cut | Ended::Broken => meter.check(consumed).err().unwrap_or(ended),
        ended => ended,
    }
}

/// Ends a frame early: the decoder keeps back a window of what it decoded until then.
fn finish(decoder: &mut FrameDecoder, rest: &[u8], ended: Ended) {
    let all = BlockDecodingStrategy::All;
    // Of a block that is sent as it is, what is there can be told.
    let raw = Block::of(rest).filter(|block| block.raw && ended == Ended::Cut);
    let content = raw.and_then(|_| rest.get(Block::HEADER..)).unwrap_or_default();
    let header = u32::try_from(content.len()).unwrap_or(0) << 3 | 1;
    let [low, middle, high, _] = header.to_le_bytes();
    let header = [low, middle, high];
    let mut last = header.as_slice().chain(content).chain(END.as_slice());
    // A decoder that takes no end gives what it gave before.
    decoder.decode_blocks(&mut last, all).ok();
}

fn collect(decoder: &mut FrameDecoder, meter: &mut Meter<'_>) {
    // Writing to a vector cannot fail.
    decoder.collect_to_writer(&mut *meter.out).ok();
}

/// A block's header (RFC 8878, 3.1.1.2).
struct Block {
    raw: bool,
    /// Header and content.
    length: usize,
}

impl Block {
    const HEADER: usize = 3;

    fn of(input: &[u8]) -> Option<Self> {
        let [low, middle, high] = *input.first_chunk::<{ Self::HEADER }>()?;
        let header = u32::from_le_bytes([low, middle, high, 0]);
        let size = usize::try_from(header >> 3).ok()?;
        // 0 is raw, 1 one byte many times, 2 compressed.
        let (raw, content) = match header >> 1 & 3 {
            0 => (true, size),
            1 => (false, 1),
            _ => (false, size),
        };
        Some(Self {
            raw,
            length: Self::HEADER + content,
        })
    }
}
