//! gRPC on HTTP/2 (RFC 9113): frames and header blocks that use no dynamic table, which is a sender's choice.

use super::super::world::Draft;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// What a client sends first (RFC 9113, 3.4), with its settings.
pub(crate) fn preface(out: &mut Vec<u8>) {
    out.extend(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    settings(out);
}

pub(crate) fn settings(out: &mut Vec<u8>) {
    frame(SETTINGS, 0, 0, &[], out);
}

pub(crate) fn request(stream: u32, draft: &Draft, host: &str, auth: &str, out: &mut Vec<u8>) {
    // Static table (RFC 7541, A): 3 is `:method: POST`, 7 `:scheme: https`.
    let mut block = vec![0x83, 0x87];
    field(":path", &draft.target, &mut block);
    field(":authority", host, &mut block);
    field("te", "trailers", &mut block);
    field("content-type", "application/grpc", &mut block);
    field("user-agent", "grpc-go/1.71.0", &mut block);
    for line in auth
        .split_terminator("\r\n")
        .chain(draft.fields.split_terminator("\r\n"))
    {
        if let Some((name, value)) = line.split_once(": ") {
            field(&name.to_ascii_lowercase(), value, &mut block);
        }
    }
    frame(HEADERS, END_HEADERS, stream, &block, out);
    message(END_STREAM, stream, &draft.body, out);
}

/// A status other than 0 comes without a message.
pub(crate) fn response(stream: u32, draft: &Draft, out: &mut Vec<u8>) {
    // 8 is `:status: 200`.
    let mut block = vec![0x88];
    field("content-type", "application/grpc", &mut block);
    let status = grpc_status(draft.status);
    if status == "0" {
        frame(HEADERS, END_HEADERS, stream, &block, out);
        message(0, stream, &draft.answer, out);
        block.clear();
    }
    field("grpc-status", status, &mut block);
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &block, out);
}

/// The code for what a web service would have answered (google.rpc.Code).
const fn grpc_status(status: u16) -> &'static str {
    match status {
        200..=299 => "0",
        400 | 422 => "3",
        401 => "16",
        403 => "7",
        404 => "5",
        409 => "10",
        503 => "14",
        _ => "13",
    }
}

fn message(flags: u8, stream: u32, body: &[u8], out: &mut Vec<u8>) {
    let mut framed = Vec::with_capacity(body.len() + 5);
    framed.push(0);
    framed.extend((body.len() as u32).to_be_bytes());
    framed.extend(body);
    let pieces = framed.chunks(16_384).count();
    for (number, piece) in framed.chunks(16_384).enumerate() {
        let last = number + 1 == pieces;
        frame(DATA, if last { flags } else { 0 }, stream, piece, out);
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8], out: &mut Vec<u8>) {
    out.extend(&(payload.len() as u32).to_be_bytes()[1..]);
    out.extend([kind, flags]);
    out.extend(stream.to_be_bytes());
    out.extend(payload);
}

/// A literal without indexing, its name written out (RFC 7541, 6.2.2).
fn field(name: &str, value: &str, block: &mut Vec<u8>) {
    block.push(0);
    for text in [name, value] {
        length(text.len(), block);
        block.extend(text.as_bytes());
    }
}

/// With a prefix of seven bits (RFC 7541, 5.1), not Huffman coded.
fn length(len: usize, block: &mut Vec<u8>) {
    if len < 127 {
        return block.push(len as u8);
    }
    block.push(127);
    let mut rest = len - 127;
    while rest >= 128 {
        block.push((rest % 128) as u8 | 128);
        rest /= 128;
    }
    block.push(rest as u8);
}
