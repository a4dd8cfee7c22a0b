//! Protobuf with and without its schema: one message told to a [`Visitor`](super::walk::Visitor) as typed paths.
//!
//! Takes one whole message, or the front of one. Gives members named by field number, or by name when a [`Schema`]
//! knows the message's type. Never builds a tree or copies a value; without a schema what a length-delimited field
//! holds is guessed, and how surely is told ([`Guess`]). Bounded by [`MAX_DEPTH`](super::walk::MAX_DEPTH), the token
//! limit and the input: each byte is looked at a bounded number of times per level.
//!
//! Encoding: <https://protobuf.dev/programming-guides/encoding/>.

mod guess;
mod schema;
mod walker;
mod wire;

pub use guess::{Guess, Guessed, guess};
pub use schema::{Message, Method, Schema, SchemaError};
pub use walker::{Guesses, Walker};

/// Fuzz entry: whatever the bytes are, the walk ends and opens as often as it closes.
pub fn fuzz(bytes: &[u8]) {
    struct Depth(i64);
    impl super::walk::Visitor for Depth {
        fn open(&mut self, _container: super::walk::Container) {
            self.0 += 1;
        }
        fn close(&mut self) {
            self.0 -= 1;
            assert!(self.0 >= 0, "closed more than was opened");
        }
        fn key(&mut self, _text: super::walk::Text<'_>) {}
        fn scalar(&mut self, _kind: super::walk::Scalar, text: super::walk::Text<'_>) {
            assert!(text.raw.len() <= 1024, "token limit");
        }
    }
    for whole in [true, false] {
        let mut depth = Depth(0);
        let _ending = Walker::new(1024).walk(bytes, whole, None, &mut depth);
        assert_eq!(depth.0, 0, "not everything was closed");
    }
    let _schema = Schema::parse(bytes);
}

#[cfg(test)]
mod tests;
