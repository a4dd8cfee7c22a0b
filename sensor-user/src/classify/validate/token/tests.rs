use super::*;

fn judge(text: &str) -> Option<(DataKind, u8, usize)> {
    FAMILIES.iter().find_map(|family| {
        let start = text.find(family.prefix)?;
        let (kind, confidence, length) = family.judge(text.as_bytes(), start)?;
        Some((kind, confidence.0, length))
    })
}

/// A token with a right checksum, made here.
fn checked(prefix: &str) -> String {
    let random = "abcdefghijKLMNOPQRST0123456789";
    let check = base62(crc32(random.as_bytes()));
    format!("{prefix}{random}{}", std::str::from_utf8(&check).unwrap())
}

#[test]
fn checksums_follow_the_standards() {
    assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    assert_eq!(&base62(61 + 62), b"00001z");
}

#[test]
fn a_right_checksum_raises_confidence() {
    let good = checked("ghp_");
    assert_eq!(judge(&good), Some((CodeHostToken, 99, 40)));
    let bad = good.replace("abc", "cba");
    assert_eq!(judge(&bad), Some((CodeHostToken, 75, 40)));
    assert_eq!(judge(&checked("npm_")).map(|found| found.1), Some(99));
}

#[test]
fn each_family_is_found() {
    let alnum = "a1B2c3D4e5F6g7H8i9J0";
    let long = alnum.repeat(5);
    for (text, kind) in [
        ("AKIAQ2W3E4R5T6Y7UUIP".to_owned(), CloudToken),
        (format!("AIza{}", &long[..35]), CloudToken),
        (format!("AccountKey={}==;End", &long[..86]), CloudToken),
        (format!("sk_live_{alnum}"), CloudToken),
        (format!("GOCSPX-{}", &long[..28]), CloudToken),
        (format!("github_pat_{}", &long[..82]), CodeHostToken),
        (format!("glpat-{alnum}"), CodeHostToken),
        (format!("pypi-AgEIcHlwaS5vcmc{long}"), CodeHostToken),
        (format!("xoxb-123456789012-{alnum}"), CodeHostToken),
        (
            format!("-----BEGIN RSA PRIVATE KEY-----\n{long}\n-----END RSA PRIVATE KEY-----"),
            PrivateKey,
        ),
        (format!("-----BEGIN PRIVATE KEY-----\n{long}"), PrivateKey),
    ] {
        assert_eq!(judge(&text).map(|found| found.0), Some(kind), "{text}");
    }
}

#[test]
fn near_misses_are_none() {
    for text in [
        "AKIAQ2W3E4R5T6Y7UUIPX",
        "AKIAQ2W3E4R5T6Y1",
        "XAKIAQ2W3E4R5T6Y7UUIP",
        "ghp_short",
        "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "glpat-example",
        "sk_live_xxxxxxxxxxxxxxxxxxxx",
        "npm_install_packages_in_a_folder_now",
        "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA",
        "-----BEGIN PRIVATE KEY-----",
        "pypi-AgEshort",
        "AccountKey=abc==",
    ] {
        assert_eq!(judge(text), None, "{text}");
    }
}

#[test]
fn manuals_keys_count_less() {
    assert_eq!(judge("AKIAIOSFODNN7EXAMPLE"), Some((CloudToken, 60, 20)));
}
