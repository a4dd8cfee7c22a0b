//! The latest coverage report, for the pages and metrics that show it.
//!
//! Takes the report as its maker serialised it and its states counted. Gives both back. Holds one report.

use std::sync::{Arc, Mutex, PoisonError};

/// Where the report is put up.
#[derive(Debug, Default)]
pub struct Board(Mutex<Shown>);

#[derive(Debug, Default, Clone)]
struct Shown {
    json: Arc<str>,
    states: Vec<(&'static str, u64)>,
}

impl Board {
    /// Replaces what is shown: the report as one JSON object, and how many processes are in each state.
    pub fn show(&self, json: String, states: Vec<(&'static str, u64)>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Shown {
            json: json.into(),
            states,
        };
    }

    /// The report; `None` before the first.
    pub fn json(&self) -> Option<Arc<str>> {
        let shown = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (!shown.json.is_empty()).then(|| Arc::clone(&shown.json))
    }

    /// Processes by state.
    pub fn states(&self) -> Vec<(&'static str, u64)> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .states
            .clone()
    }
}
