//! HPACK stories: every block of a story is decoded with one decoder and gives the fields that the encoder was given.

use std::path::{Path, PathBuf};

use sensor_tests::crates;
use sensor_user::protocol::http2::hpack::{Block, Decoder, Limits};
use serde_json::Value;

use crate::suite::{Suite, corpora};

/// Beyond what any story holds.
const LIMITS: Limits = Limits {
    bytes: 1 << 20,
    fields: 4096,
};

pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .filter_map(|digit| digit.to_digit(16))
        .filter_map(|digit| u8::try_from(digit).ok())
        .collect();
    digits
        .chunks_exact(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}

fn story(story: &Value) -> Result<(), String> {
    let mut decoder = Decoder::new(LIMITS);
    let cases = story["cases"].as_array().ok_or("no cases")?;
    for (nth, case) in cases.iter().enumerate() {
        if let Some(size) = case["header_table_size"].as_u64() {
            decoder.allow_table(u32::try_from(size).map_err(|error| error.to_string())?);
        }
        let mut block = Block::default();
        let wire = hex(case["wire"].as_str().ok_or("no wire")?);
        decoder
            .decode(&wire, &mut block)
            .map_err(|fault| format!("{nth}: {fault:?}"))?;
        let text = |span: Option<_>| span.map(|span| String::from_utf8_lossy(block.bytes(span)).into_owned());
        let decoded: Vec<_> = block
            .fields
            .iter()
            .map(|field| (text(field.name), text(field.value)))
            .collect();
        let expected: Vec<_> = case["headers"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_object)
            .flatten()
            .map(|(name, value)| (Some(name.clone()), value.as_str().map(str::to_owned)))
            .collect();
        if decoded != expected {
            return Err(format!(
                "{nth}: {} fields, expected {}",
                decoded.len(),
                expected.len()
            ));
        }
    }
    Ok(())
}

fn run(mut suite: Suite, root: &Path) {
    let folders = std::fs::read_dir(root)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()));
    let mut files: Vec<PathBuf> = folders
        .filter_map(|folder| std::fs::read_dir(folder).ok())
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    files.sort_unstable();
    if files.is_empty() {
        return suite.absent("no stories there");
    }
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let id = file.strip_prefix(root).unwrap().to_string_lossy().into_owned();
        let outcome = serde_json::from_str(&text)
            .map_err(|error| error.to_string())
            .and_then(|value| story(&value));
        suite.case(&id, outcome);
    }
    suite.finish();
}

#[test]
fn hpack_stories() {
    run(Suite::open("hpack"), &corpora().join("hpack"));
}

/// The stories of fourteen encoders.
#[test]
fn hpack_all_stories() {
    let suite = Suite::open("hpack-all");
    match crates::source("httlib-hpack") {
        Ok(source) => run(suite, &source.join("fixtures")),
        Err(error) => suite.absent(&format!("{error:#}")),
    }
}
