use super::*;

type Told = (Option<String>, Option<String>, String, bool);

fn told(boundary: &str, body: &[u8]) -> (Vec<Told>, End, Notes) {
    let (mut all, mut notes) = (Vec::new(), Notes::default());
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let end = parts(boundary.as_bytes(), body, &mut notes, |part, _| {
        all.push((
            part.name.map(text),
            part.filename.map(text),
            text(part.content),
            part.cut,
        ));
    });
    (all, end, notes)
}

fn field(name: &str, content: &str) -> Told {
    (Some(name.to_owned()), None, content.to_owned(), false)
}

#[test]
fn preamble_and_epilogue_are_skipped() {
    let body = b"for people\r\n--B \r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--B\nContent-disposition:form-data;x=y;NAME=\"b\"\n\n\
        2\n--Bx\n--B--\r\nafter --B\r\n";
    let (all, end, notes) = told("B", body);
    assert_eq!(all, [field("a", "1"), field("b", "2\n--Bx")]);
    assert!(end == End::Closed && notes.all().is_empty());
}

#[test]
fn a_part_may_have_no_header() {
    let (all, end, _) = told("B", b"--B\r\n\r\ntext\r\n--B\r\n--B--");
    assert_eq!(end, End::Closed);
    assert_eq!(
        all,
        [
            (None, None, "text".to_owned(), false),
            (None, None, String::new(), false)
        ]
    );
}

#[test]
fn parameters_are_found_wherever_they_are() {
    let value = b"form-data; filename=\"a;b=\\\"c\\\"\"; flag; name = plain ; z=1";
    assert_eq!(parameter(value, b"filename"), Some(&b"a;b=\\\"c\\\""[..]));
    assert_eq!(parameter(value, b"name"), Some(&b"plain"[..]));
    assert_eq!(parameter(value, b"none"), None);
    assert_eq!(parameter(b"multipart/mixed", b"boundary"), None);
    assert_eq!(parameter(b"x; boundary=\"open", b"boundary"), Some(&b"open"[..]));
}

#[test]
fn a_missing_boundary_is_told_and_looked_for() {
    let mut notes = Notes::default();
    assert_eq!(
        boundary(b"multipart/form-data; boundary=\"b c\"", b"", &mut notes),
        Some(&b"b c"[..])
    );
    assert!(notes.all().is_empty());
    assert_eq!(
        boundary(b"multipart/form-data", b"--found\r\n", &mut notes),
        Some(&b"found"[..])
    );
    assert_eq!(notes.all(), [Anomaly::BadBoundary]);
    let long = format!("x; boundary={}", "b".repeat(71));
    assert_eq!(boundary(long.as_bytes(), b"nothing", &mut notes), None);
    let (all, end, notes) = told("B", b"no boundary here");
    assert!(all.is_empty() && end == End::Refused);
    assert_eq!(notes.all(), [Anomaly::BadBoundary]);
}

#[test]
fn limits_are_told() {
    let many = b"--B\r\n\r\nx\r\n".repeat(MAX_PARTS + 1);
    let (all, end, notes) = told("B", &many);
    assert_eq!((all.len(), end), (MAX_PARTS, End::Refused));
    assert_eq!(notes.all(), [Anomaly::TooManyParts]);
    let mut exact = b"--B\r\n\r\nx\r\n".repeat(MAX_PARTS);
    exact.extend_from_slice(b"--B--");
    assert_eq!(told("B", &exact).1, End::Closed);
    let long = format!(
        "--B\r\nX: {}\r\n\r\nx\r\n--B\r\n\r\nnext\r\n--B--",
        "y".repeat(MAX_HEADER)
    );
    let (all, _, notes) = told("B", long.as_bytes());
    assert_eq!(all, [(None, None, "next".to_owned(), false)]);
    assert_eq!(notes.all(), [Anomaly::BadPartHeader]);
}

#[test]
fn a_cut_part_is_told_as_far_as_it_is() {
    let (all, end, _) = told(
        "B",
        b"--B\r\nContent-Disposition: form-data; name=\"a\"; filename=\"f\"\r\n\r\nhal",
    );
    assert_eq!(end, End::Open);
    assert_eq!(
        all,
        [(Some("a".to_owned()), Some("f".to_owned()), "hal".to_owned(), true)]
    );
    let (all, end, notes) = told("B", b"--B\r\nContent-Dispo");
    assert!(all.is_empty() && end == End::Open && notes.all().is_empty());
}
