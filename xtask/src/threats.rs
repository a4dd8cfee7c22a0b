//! `docs/THREAT-MODEL.md` names what shows each promise; every name is there.

use std::path::Path;

use crate::shell;

/// Names that stand in no file, as `path: name`. Within a row's last column, a word with a slash is a file, and those
/// behind it are tests or fuzz targets in it.
fn absent(page: &str, root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for row in page.lines().filter(|line| line.starts_with("| ")) {
        let Some(cell) = row.trim_end_matches(['|', ' ']).rsplit(" | ").next() else {
            continue;
        };
        let (mut file, mut text) = (String::new(), String::new());
        for word in cell.split('`').skip(1).step_by(2) {
            if word.contains('/') {
                word.clone_into(&mut file);
                text = std::fs::read_to_string(root.join(word)).unwrap_or_default();
                continue;
            }
            let is_there = text.contains(&format!("fn {word}(")) || text.contains(&format!("(\"{word}\", "));
            if !is_there {
                found.push(format!("{file}: {word}"));
            }
        }
    }
    found
}

#[test]
fn every_name_of_the_threat_model_is_there() {
    let root = shell::root();
    let page = std::fs::read_to_string(root.join("docs/THREAT-MODEL.md")).unwrap();
    assert_eq!(absent(&page, &root), Vec::<String>::new());
    assert!(
        page.matches("fn ").count() == 0 && page.matches(".rs`: `").count() > 40,
        "names are read"
    );
}

#[test]
fn a_name_that_is_not_there_is_found() {
    let page =
        "| a | b | `xtask/src/threats.rs`: `a_name_that_is_not_there_is_found`, `other`; `no/file.rs`: `x` |";
    assert_eq!(
        absent(page, &shell::root()),
        ["xtask/src/threats.rs: other", "no/file.rs: x"]
    );
}
