use proptest::prelude::*;

use super::*;

#[test]
fn media_are_told_apart() {
    let of = |text: &str| Media::of(text.as_bytes()).map(|media| (media.carrier, media.format));
    for (text, expected) in [
        ("application/grpc", Some((Carrier::Grpc, Format::Protobuf))),
        ("Application/gRPC+Proto", Some((Carrier::Grpc, Format::Protobuf))),
        (
            "application/grpc+json; charset=utf-8",
            Some((Carrier::Grpc, Format::Json)),
        ),
        ("application/grpc+thrift", Some((Carrier::Grpc, Format::Other))),
        ("application/grpc-web", Some((Carrier::Web, Format::Protobuf))),
        (
            "application/grpc-web+proto",
            Some((Carrier::Web, Format::Protobuf)),
        ),
        (
            "application/grpc-web-text+proto",
            Some((Carrier::WebText, Format::Protobuf)),
        ),
        ("application/grpcx", None),
        ("application/grpc-webx", None),
        ("application/json", None),
        ("", None),
    ] {
        assert_eq!(of(text), expected, "{text}");
    }
}

#[test]
fn a_method_is_a_path_of_two() {
    for (target, expected) in [
        ("/pkg.Service/Method", Some("pkg.Service/Method")),
        ("/Service/Method?x=1", Some("Service/Method")),
        ("/prefix/pkg.Service/Method", Some("prefix/pkg.Service/Method")),
        ("/Method", None),
        ("//Method", None),
        ("/Service/", None),
        ("*", None),
        ("/Service/Me thod", None),
        ("", None),
    ] {
        assert_eq!(method(target.as_bytes()), expected.map(str::as_bytes), "{target}");
    }
}

#[test]
fn statuses_are_codes() {
    for (text, expected) in [
        ("0", Status::Ok),
        ("16", Status::Failed(16)),
        ("05", Status::Failed(5)),
        ("17", Status::Bad),
        ("-1", Status::Bad),
        ("", Status::Bad),
        ("4294967296", Status::Bad),
    ] {
        assert_eq!(Status::of(text.as_bytes()), expected, "{text}");
    }
}

#[test]
fn frames_are_divided() {
    let body = b"\x00\x00\x00\x00\x02hi\x01\x00\x00\x00\x00\x80\x00\x00\x00\x03a:b\x00\x00\x00\x00\x09cut";
    let (frames, ending) = framing::told(body, 3);
    let shown: Vec<_> = frames
        .iter()
        .map(|(frame, content, ended)| (frame.compressed, frame.trailers, &content[..], *ended))
        .collect();
    let expected: [(bool, bool, &[u8], bool); 4] = [
        (false, false, b"hi", true),
        (true, false, b"", true),
        (false, true, b"a:b", true),
        (false, false, b"cut", false),
    ];
    assert_eq!((shown.as_slice(), ending), (&expected[..], Ok(false)));
    assert_eq!(framing::told(b"\x02\0\0\0\0", 5).1, Err(framing::BadFrame));
    assert_eq!(framing::told(b"", 1).1, Ok(true));
}

#[test]
fn base64_may_be_padded_in_the_middle() {
    let decoded = |text: &str| {
        let (mut decoder, mut out) = (Decoder::default(), Vec::new());
        decoder.feed(text.as_bytes(), &mut out).ok()?;
        decoder.finish().ok()?;
        Some(out)
    };
    assert_eq!(decoded("aGk=AAAAAA==Zm9v").unwrap(), b"hi\0\0\0\0foo");
    for bad in ["a", "aGk", "a===", "aG=k", "aGk=====", "-_-_", "aG k"] {
        assert_eq!(decoded(bad), None, "{bad}");
    }
}

#[test]
fn trailers_of_a_body_are_lines() {
    let all: Vec<_> = trailers(b"grpc-status:0\r\ngrpc-message: a%20b \r\nodd\r\n:x\r\n").collect();
    let expected: [(&[u8], &[u8]); 2] = [(b"grpc-status", b"0"), (b"grpc-message", b"a%20b")];
    assert_eq!(all, expected);
}

proptest! {
    #[test]
    fn division_changes_nothing(bytes in prop::collection::vec(
        prop_oneof![Just(0_u8), Just(1), Just(0x80), 0..4_u8, any::<u8>(), Just(b'A'), Just(b'=')], 0..120)) {
        fuzz(&bytes);
    }

    #[test]
    fn messages_are_found_again_in_any_division(
        messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..6), step in 1..20_usize,
    ) {
        let mut body = Vec::new();
        for message in &messages {
            body.push(0);
            body.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
            body.extend(message);
        }
        let (frames, ending) = framing::told(&body, step);
        let found: Vec<_> = frames.into_iter().map(|(_, content, _)| content).collect();
        prop_assert_eq!((found, ending), (messages, Ok(true)));
    }
}
