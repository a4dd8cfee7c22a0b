//! Holes, and the way back.

use super::*;

fn parser_after(wire: &str) -> ResponseParser {
    let mut parser = ResponseParser::new(LIMITS);
    parser.answering(Answering::Other);
    let mut rest = wire.as_bytes();
    while let Step::Advance { consumed, .. } = parser.step(rest) {
        rest = &rest[consumed.get()..];
        if rest.is_empty() {
            break;
        }
    }
    assert!(rest.is_empty());
    parser
}

#[test]
fn a_hole_in_a_known_length_is_exact() {
    let wire = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nab";
    assert_eq!(parser_after(wire).on_gap(7), Resync::Exact(None));
    let mut parser = parser_after(wire);
    assert_eq!(parser.on_gap(8), Resync::Exact(Some(Message::End { lost: 8 })));
    assert!(matches!(
        parser.step(b"HTTP/1.1 200 OK\r\n\r\n"),
        Step::Advance {
            message: Some(Message::Head(_)),
            ..
        }
    ));
    let mut parser = parser_after(wire);
    assert_eq!(
        parser.on_gap(9),
        Resync::Searching(Some(Message::End { lost: 8 }))
    );
    assert!(parser.is_searching());
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab";
    assert_eq!(parser_after(chunked).on_gap(2), Resync::Exact(None));
    assert_eq!(
        parser_after(chunked).on_gap(4),
        Resync::Searching(Some(Message::Cut))
    );
    let mut parser = parser_after(chunked);
    assert_eq!(parser.on_gap(3), Resync::Exact(None));
    assert!(matches!(
        parser.step(b"\r\n0\r\n\r\n"),
        Step::Advance { message: None, .. }
    ));
    assert_eq!(
        parser_after("HTTP/1.0 200 OK\r\n\r\nx").on_gap(1 << 40),
        Resync::Exact(None)
    );
}

#[test]
fn a_lost_place_is_found_again_at_a_start_line() {
    let lost = || {
        let mut parser = ResponseParser::new(LIMITS);
        assert_eq!(parser.on_gap(100), Resync::Searching(None));
        parser
    };
    let name = |head: &ResponseHead, _: &[u8]| head.status.to_string();
    let next = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
    let after_line = format!("{{\"a\": \"HTTP/1.1 200 OK\"}}\r\n{next}");
    assert_eq!(run(lost(), &[after_line.as_bytes()], name), [head("404")]);
    for cut in 0..after_line.len() {
        let (front, back) = after_line.as_bytes().split_at(cut);
        // A cut before the words inside the body makes them the start of an input.
        if cut != 7 {
            assert_eq!(run(lost(), &[front, back], name), [head("404")], "{cut}");
        }
    }
    let at_chunk_start: &[&[u8]] = &[b"the end of a body without a line end", next.as_bytes()];
    assert_eq!(run(lost(), at_chunk_start, name), [head("404")]);
}
