//! GraphQL documents of three parsers' own tests: what they mark valid is read whole, what they mark invalid is refused.

use std::path::{Path, PathBuf};

use sensor_tests::crates;
use sensor_user::protocol::graphql;

use crate::suite::Suite;

/// How a document is marked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    Valid,
    Invalid,
}

#[test]
fn graphql_apollo_parser() {
    let folders = [
        ("test_data/parser/ok", "graphql", Mark::Valid),
        ("test_data/parser/err", "graphql", Mark::Invalid),
        ("test_data/lexer/ok", "graphql", Mark::Valid),
        ("test_data/lexer/err", "graphql", Mark::Invalid),
    ];
    run("graphql-apollo-parser", "apollo-parser", &folders);
}

#[test]
fn graphql_parser() {
    let folders = [
        ("tests/queries", "graphql", Mark::Valid),
        ("tests/schemas", "graphql", Mark::Valid),
        ("tests/query_errors", "txt", Mark::Invalid),
    ];
    run("graphql-parser", "graphql-parser", &folders);
}

#[test]
fn graphql_async_parser() {
    let folders = [
        ("tests/executables", "graphql", Mark::Valid),
        ("tests/services", "graphql", Mark::Valid),
    ];
    run("graphql-async-parser", "async-graphql-parser", &folders);
}

fn run(name: &'static str, source: &str, folders: &[(&str, &str, Mark)]) {
    let mut suite = Suite::open(name);
    let directory = match crates::source(source) {
        Ok(directory) => directory,
        Err(why) => return suite.absent(&why.to_string()),
    };
    for (folder, ending, mark) in folders {
        for file in files(&directory.join(folder), ending) {
            let text = std::fs::read_to_string(&file).unwrap();
            // In the one folder of text files, what should be said about the document follows it.
            let document = text.split("\n---\n").next().unwrap_or_default();
            let read = graphql::read(document, usize::MAX);
            let valid = read.faults.is_readable();
            let outcome = if valid == (*mark == Mark::Valid) {
                Ok(())
            } else {
                Err(format!("{:?}", read.faults))
            };
            let id = format!("{folder}/{}", file.file_name().unwrap().display());
            suite.case(&id, outcome);
        }
    }
    suite.finish();
}

fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut files: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == ending))
        .collect();
    files.sort_unstable();
    files
}
