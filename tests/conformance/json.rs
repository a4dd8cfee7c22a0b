//! `JSONTestSuite`: `y_` is accepted, `n_` is refused or reported, `i_` is either.

use sensor_user::protocol::json::Walker;
use sensor_user::protocol::walk::{Container, Ending, Scalar, Text, Visitor};

use crate::suite::{self, Suite};

struct Nobody;

impl Visitor for Nobody {
    fn open(&mut self, _container: Container) {}
    fn close(&mut self) {}
    fn key(&mut self, _text: Text<'_>) {}
    fn scalar(&mut self, _kind: Scalar, _text: Text<'_>) {}
}

#[test]
fn json_test_suite() {
    let Some((mut suite, files)) = suite::files(Suite::open("json"), "json/test_parsing") else {
        return;
    };
    for file in files {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let document = std::fs::read(&file).unwrap();
        let mut walker = Walker::new(1024);
        let refused = walker.feed(&document, &mut Nobody).is_err();
        let ending = walker.finish(&mut Nobody);
        let accepted = !refused && ending == Ending::Complete;
        let expected = match name.get(..2) {
            Some("y_") => accepted,
            Some("n_") => !accepted,
            _ => true,
        };
        let outcome = if expected {
            Ok(())
        } else {
            Err(format!("{ending:?}"))
        };
        suite.case(&name, outcome);
    }
    suite.finish();
}
