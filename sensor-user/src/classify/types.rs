//! Types of gRPC messages, as a running sensor has them: they may be replaced while messages are read.

use std::sync::{Arc, PoisonError, RwLock};

use crate::protocol::protobuf::Schema;

/// The types that are in force. A body that is being read is read to its end by those it began with.
#[derive(Default, Debug)]
pub struct Types(RwLock<Arc<Schema>>);

impl Types {
    /// These, until others replace them.
    pub fn new(schema: Schema) -> Self {
        Self(RwLock::new(Arc::new(schema)))
    }

    /// Those in force.
    pub fn current(&self) -> Arc<Schema> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// From the next body on.
    pub fn replace(&self, schema: Schema) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(schema);
    }
}
