use proptest::prelude::*;

use super::*;
use crate::protocol::walk::Coding;

/// Writes what it is told as paths: `a.b[]=value`, `~` behind a cut one.
#[derive(Default)]
pub(in crate::protocol) struct Paths {
    containers: Vec<(Container, usize)>,
    path: String,
    name: Option<String>,
    pub(in crate::protocol) lines: Vec<String>,
}

impl Paths {
    fn place(&self) -> String {
        let name = self.name.as_deref().unwrap_or_default();
        let dot = if self.path.is_empty() || name.is_empty() {
            ""
        } else {
            "."
        };
        format!("{}{dot}{name}", self.path)
    }

    fn text(text: Text<'_>) -> String {
        assert!(
            text.coding == Coding::Plain
                || text.coding == Coding::Json
                || !text.raw.is_empty()
                || text.coding == Coding::Form
        );
        String::from_utf8_lossy(text.decode(&mut Vec::new())).into_owned()
    }
}

impl Visitor for Paths {
    fn open(&mut self, container: Container) {
        let outer = self.path.len();
        self.path = self.place();
        if container == Container::Array {
            self.path.push_str("[]");
        }
        self.containers.push((container, outer));
        self.name = None;
    }

    fn close(&mut self) {
        let (_, outer) = self.containers.pop().expect("nothing is closed that is not open");
        self.path.truncate(outer);
        self.name = None;
    }

    fn key(&mut self, text: Text<'_>) {
        let (container, _) = self.containers.last().expect("a name is in something");
        assert_eq!(*container, Container::Object);
        self.name = Some(Self::text(text));
    }

    fn scalar(&mut self, kind: Scalar, text: Text<'_>) {
        let in_object = self
            .containers
            .last()
            .is_some_and(|(container, _)| *container == Container::Object);
        assert!(!in_object || self.name.is_some(), "a member has a name");
        let kind = match kind {
            Scalar::String => "",
            Scalar::Number => "#",
            Scalar::Bool | Scalar::Null => "!",
            Scalar::Bytes => "$",
        };
        let cut = if text.cut { "~" } else { "" };
        self.lines
            .push(format!("{}={kind}{}{cut}", self.place(), Self::text(text)));
    }
}

fn walk(format: Format, media: &str, bytes: &[u8], cut: bool) -> (Vec<String>, Walked) {
    let mut paths = Paths::default();
    let document = Document {
        format,
        media: media.as_bytes(),
        bytes,
        cut,
    };
    let walked = Documents::new(1024).walk(document, &mut paths);
    if walked.ending == Ending::Complete {
        assert!(paths.containers.is_empty(), "{format:?}");
    }
    (paths.lines, walked)
}

fn lines(format: Format, bytes: &[u8]) -> Vec<String> {
    let (lines, walked) = walk(format, "", bytes, false);
    assert_eq!(walked.ending, Ending::Complete, "{lines:?}");
    lines
}

const FORM_DATA: &str = "multipart/form-data; boundary=XX";
const PARTS: &[u8] = b"--XX\r\nContent-Disposition: form-data; name=\"user\"\r\n\r\nbob@example.org\r\n--XX\r\n\
    Content-Disposition: form-data; name=\"meta\"\r\nContent-Type: application/json\r\n\r\n{\"card\":{\"n\":[41]}}\r\n--XX\r\n\
    Content-Disposition: form-data; name=\"file\"; filename=\"a b.xml\"\r\nContent-Type: text/xml\r\n\r\n<r><m>x</m></r>\r\n\
    --XX--\r\n";

#[test]
fn media_types_name_formats() {
    for (media, format) in [
        ("application/json; charset=utf-8", Some(Format::Json)),
        ("Application/Problem+JSON", Some(Format::Json)),
        ("text/json", Some(Format::Json)),
        ("application/x-ndjson", Some(Format::JsonLines)),
        ("application/geo+json-seq", Some(Format::JsonLines)),
        ("application/x-www-form-urlencoded", Some(Format::Form)),
        ("multipart/form-data; boundary=x", Some(Format::Multipart)),
        ("text/xml", Some(Format::Xml)),
        ("application/soap+xml; action=\"a\"", Some(Format::Xml)),
        ("application/xhtml+xml", Some(Format::Text)),
        ("image/svg+xml", Some(Format::Text)),
        ("text/event-stream", Some(Format::EventStream)),
        ("application/msgpack", Some(Format::MessagePack)),
        ("application/cose+cbor", Some(Format::Cbor)),
        ("text/html", Some(Format::Text)),
        ("image/png", Some(Format::Binary)),
        ("application/octet-stream", None),
        ("nonsense", None),
        ("", None),
    ] {
        assert_eq!(Format::of_media(media.as_bytes()), format, "{media}");
    }
    assert_eq!(Format::sniff(b" \n[1]"), Format::Json);
    assert_eq!(Format::sniff(b"<?xml version='1.0'?>"), Format::Xml);
    assert_eq!(Format::sniff(b"<!doctype html>"), Format::Text);
    assert_eq!(Format::sniff(b"\x00\x01"), Format::Binary);
}

#[test]
fn forms_are_objects() {
    let told = lines(
        Format::Form,
        b"a=1&b%20c=x%40y+z&&flag&user[name][first]=n&tags%5B%5D=t&odd[=1&[x]=2&a[0]=i",
    );
    assert_eq!(
        told,
        [
            "a=1",
            "b c=x@y z",
            "flag=",
            "user.name.first=n",
            "tags[]=t",
            "odd[=1",
            "[x]=2",
            "a[]=i"
        ]
    );
    let (told, walked) = walk(Format::Form, "", b"a=1&b=cu", true);
    assert_eq!(told, ["a=1", "b=cu~"]);
    assert_eq!(walked.ending, Ending::Cut);
    let deep = format!("a{}=1", "[b]".repeat(500));
    assert!(lines(Format::Form, deep.as_bytes())[0].len() < 40);
}

#[test]
fn parts_are_members_in_their_own_format() {
    let (told, walked) = walk(Format::Multipart, FORM_DATA, PARTS, false);
    assert_eq!(walked.ending, Ending::Complete);
    assert_eq!(
        told,
        [
            "user=bob@example.org",
            "meta.card.n[]=#41",
            "file.filename=a b.xml",
            "file.content.r.m=x"
        ]
    );
}

#[test]
fn a_part_that_is_not_what_it_says_is_told_as_text() {
    let body = b"--XX\r\nContent-Disposition: form-data; name=a\r\nContent-Type: application/json\r\n\r\n{\"x\":[1,?]}\r\n\
        --XX\r\nContent-Disposition: form-data; name=b\r\n\r\nv\r\n--XX--";
    let (told, walked) = walk(Format::Multipart, FORM_DATA, body, false);
    assert_eq!(told, ["a.x[]=#1", "a=?]}", "b=v"]);
    assert_eq!(walked.ending, Ending::Refused(Refusal::Malformed));
}

#[test]
fn lines_and_sequences_are_arrays_of_texts() {
    let told = lines(Format::JsonLines, b"{\"a\":1}\n\r\n[2]\r\n\"x\"\n3\n");
    assert_eq!(told, ["[].a=#1", "[][]=#2", "[]=x", "[]=#3"]);
    let told = lines(Format::JsonLines, b"\x1e{\"a\":\n1}\n\x1e{\"b\":2}\n");
    assert_eq!(told, ["[].a=#1", "[].b=#2"]);
}

#[test]
fn a_bad_line_does_not_hide_the_next() {
    let (told, walked) = walk(
        Format::JsonLines,
        "",
        b"{\"a\":[1,oops}\n{\"b\":\n{\"c\":3}\n",
        false,
    );
    assert_eq!(told, ["[].a[]=#1", "[]=oops}", "[].c=#3"]);
    assert_eq!(walked.ending, Ending::Refused(Refusal::Malformed));
    let (told, walked) = walk(Format::JsonLines, "", b"{\"a\":1}\n{\"b\":\"cu", true);
    assert_eq!(told, ["[].a=#1", "[].b=cu~"]);
    assert_eq!(walked.ending, Ending::Cut);
}

#[test]
fn data_of_events_is_walked() {
    let stream =
        b"event: x\r\ndata: {\"a\":\r\ndata: 1}\r\nid: 7\r\n\r\n: note\n\ndata:{\"b\":2}\n\ndata: [DONE]\n\n";
    let (told, _) = walk(Format::EventStream, "", stream, false);
    assert_eq!(told, ["[].a=#1", "[].b=#2", "[]=DONE]"]);
    let (told, walked) = walk(
        Format::EventStream,
        "",
        b"data: {\"a\":\"x\"}\n\ndata: {\"b\":\"cu",
        true,
    );
    assert_eq!(told, ["[].a=x", "[].b=cu~"]);
    assert_eq!(walked.ending, Ending::Cut);
}

#[test]
fn messagepack_is_walked() {
    let bytes = [
        &[
            0x87, 0xa1, b'a', 0x01, 0xa1, b'b', 0x92, 0xc3, 0xc0, 0xa1, b'c', 0xd1, 0xff, 0x38,
        ][..],
        &[
            0xa1, b'd', 0xcb, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0, 0xa1, b'e', 0xc4, 2, 0, 1, 0x05, 0xd9, 2, b'h',
            b'i',
        ],
        &[0xa1, b'f', 0xde, 0, 1, 0xa1, b'g', 0xe0],
    ]
    .concat();
    assert_eq!(
        lines(Format::MessagePack, &bytes),
        [
            "a=#1",
            "b[]=!true",
            "b[]=!null",
            "c=#-200",
            "d=#1.5e0",
            "e=$\u{0}\u{1}",
            "5=hi",
            "f.g=#-32"
        ]
    );
    let (told, walked) = walk(
        Format::MessagePack,
        "",
        &[0x81, 0xa1, b'a', 0xa5, b'c', b'u'],
        true,
    );
    assert_eq!((told, walked.ending), (vec!["a=cu~".to_owned()], Ending::Cut));
    assert_eq!(
        walk(Format::MessagePack, "", &[0xc1], false).1.ending,
        Ending::Refused(Refusal::Malformed)
    );
    let deep = walk(Format::MessagePack, "", &[0x91; 200], false).1;
    assert_eq!(deep.ending, Ending::Refused(Refusal::TooDeep));
    assert_eq!(deep.notes.all(), [Anomaly::BodyTooDeep]);
}

#[test]
fn cbor_is_walked() {
    // RFC 8949, appendix A.
    for (bytes, told) in [
        (&[0x18, 0x64][..], "=#100"),
        (
            &[0x3b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            "=#-18446744073709551616",
        ),
        (&[0xf9, 0x3e, 0x00], "=#1.5e0"),
        (&[0xf9, 0x00, 0x01], "=#5.960464477539063e-8"),
        (&[0xfa, 0x47, 0xc3, 0x50, 0x00], "=#1e5"),
        (&[0xf5], "=!true"),
        (&[0xc1, 0x1a, 0x51, 0x4b, 0x67, 0xb0], "=#1363896240"),
        (&[0x62, 0xc3, 0xbc], "=\u{fc}"),
        (&[0xa1, 0x61, b'a', 0x9f, 0x01, 0xff], "a[]=#1"),
        (&[0xbf, 0x63, b'F', b'u', b'n', 0xf5, 0xff], "Fun=!true"),
        (&[0x7f, 0x62, b'a', b'b', 0xff], "[]=ab"),
    ] {
        assert_eq!(lines(Format::Cbor, bytes), [told], "{bytes:x?}");
    }
    assert_eq!(
        walk(Format::Cbor, "", &[0xff], false).1.ending,
        Ending::Refused(Refusal::Malformed)
    );
    assert_eq!(
        walk(Format::Cbor, "", &[0xbf, 0x61, b'a', 0xff], false).1.ending,
        Ending::Refused(Refusal::Malformed)
    );
    assert_eq!(walk(Format::Cbor, "", &[0x82, 0x01], false).1.ending, Ending::Cut);
}

const STRUCTURED: [Format; 8] = [
    Format::Json,
    Format::JsonLines,
    Format::Form,
    Format::Multipart,
    Format::Xml,
    Format::EventStream,
    Format::MessagePack,
    Format::Cbor,
];

fn example(format: Format) -> &'static [u8] {
    match format {
        Format::Json => b"{\"a\":[1,{\"b\":\"x\"}],\"c\":null}",
        Format::JsonLines => b"{\"a\":1}\n[2,3]\n\"x\"\n",
        Format::Form => b"a=1&b[c]=x%40y&d=+",
        Format::Multipart => PARTS,
        Format::Xml => b"<?xml version='1.0'?><a x='1' y=\"2\"><b>t &amp; u</b><![CDATA[c]]> d<e/></a>",
        Format::EventStream => b"data: {\"a\":1}\n\ndata: x\n\n",
        Format::MessagePack => &[
            0x82, 0xa1, b'a', 0x93, 1, 0xa2, b'x', b'y', 0xc0, 0xa1, b'b', 0xcc, 200,
        ],
        Format::Cbor => &[
            0xa2, 0x61, b'a', 0x83, 1, 0x62, b'x', b'y', 0xf6, 0x61, b'b', 0x18, 200,
        ],
        Format::Text | Format::Binary => b"",
    }
}

/// A document that was cut tells the same as the whole one up to the cut; only the last value may differ.
#[test]
fn a_cut_at_any_byte_tells_everything_before_it() {
    for format in STRUCTURED {
        let whole = example(format);
        let (all, walked) = walk(format, FORM_DATA, whole, false);
        assert!(walked.ending != Ending::Cut && all.len() >= 2, "{format:?}");
        let mut most = 0;
        for end in 0..whole.len() {
            let (told, walked) = walk(format, FORM_DATA, &whole[..end], true);
            let sure = told.len().saturating_sub(1);
            assert_eq!(told[..sure], all[..sure.min(all.len())], "{format:?} at {end}");
            assert!(
                told.len() + 1 >= most,
                "{format:?} at {end}: fewer values than in less of it"
            );
            assert!(
                !matches!(walked.ending, Ending::Refused(_)) || format == Format::EventStream || end < 8,
                "{format:?} at {end}"
            );
            most = most.max(told.len());
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_break_a_walk(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<bool>(),
    ) {
        for format in STRUCTURED {
            let (_, walked) = walk(format, FORM_DATA, &bytes, cut);
            prop_assert!(walked.accepted <= bytes.len());
            let mut near = example(format).to_vec();
            for (at, value) in &flips {
                let at = at.index(near.len());
                near[at] = *value;
            }
            let (_, walked) = walk(format, FORM_DATA, &near, cut);
            prop_assert!(walked.accepted <= near.len());
        }
    }

    #[test]
    fn pieces_of_json_tell_the_same(at in prop::collection::vec(0..30_usize, 0..3)) {
        let whole = example(Format::Json);
        let mut at = at;
        at.sort_unstable();
        let mut pieces = Vec::new();
        let mut start = 0;
        for cut in at {
            let cut = cut.min(whole.len());
            pieces.push(&whole[start..cut]);
            start = cut;
        }
        pieces.push(&whole[start..]);
        let mut paths = Paths::default();
        let walked = Documents::new(64).json(pieces, &mut paths);
        prop_assert_eq!(walked.ending, Ending::Complete);
        prop_assert_eq!(paths.lines, walk(Format::Json, "", whole, false).0);
    }
}
