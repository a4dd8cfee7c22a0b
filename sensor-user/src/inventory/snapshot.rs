//! What the inventory knows, as plain values: for the next run.
//!
//! Takes an inventory. Gives every endpoint with its history in the order in which they were first seen, and the
//! inventory back. Holds what [`Endpoint`](super::Endpoint) holds: no observed value. Bounded by
//! [`Limits`](super::Limits), also where more was saved.

use serde::{Deserialize, Serialize};

use super::{History, Inventory};
use crate::exchange::Method;

/// Every endpoint.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Snapshot {
    endpoints: Vec<Saved>,
}

/// Method, host, template, and exchanges, successes with credentials and without.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Saved(String, String, String, [u64; 3]);

impl Inventory {
    /// What it knows.
    pub fn snapshot(&self) -> Snapshot {
        let endpoints = self.endpoints().map(|(endpoint, history)| {
            Saved(
                endpoint.method.name().to_owned(),
                endpoint.host.to_string(),
                endpoint.template.to_string(),
                [
                    history.exchanges,
                    history.success_known,
                    history.success_anonymous,
                ],
            )
        });
        Snapshot {
            endpoints: endpoints.collect(),
        }
    }

    /// Adds what another run knew. What this one knows already stays as it is; what does not fit is left out.
    pub fn restore(&mut self, snapshot: Snapshot) {
        for Saved(method, host, template, [exchanges, success_known, success_anonymous]) in snapshot.endpoints
        {
            // An unusual method has a name that is no method: `_OTHER`.
            let method = Method::of(method.as_bytes());
            let Some(node) = self.templates.plant(&template) else {
                continue;
            };
            self.host = host;
            if self.known(method, node).is_some() {
                continue;
            }
            let history = History {
                exchanges,
                success_known,
                success_anonymous,
            };
            let number = self.remember(method, node);
            if let Some((_, slot)) = number.and_then(|number| self.endpoints.get_mut(number)) {
                *slot = history;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::exchange::test_support::Builder;
    use crate::inventory::Limits;

    fn inventory() -> Inventory {
        Inventory::new(Limits::default(), Arc::default())
    }

    #[test]
    fn a_restored_inventory_goes_on_as_if_it_had_not_stopped() {
        let targets = [
            "/users/42",
            "/users/me",
            "/users/",
            "/",
            "/o/01ARZ3NDEKTSV4RRFFQ69G5FAV/x",
            "/blog/my-first-post-about-rust?a=1",
            "/files/a%2Fb",
            "/pkg.v1.UserService/GetUser",
            "*",
        ];
        let mut before = inventory();
        for target in targets {
            before.observe(&Builder::get(target).known().build());
            before.observe(&Builder::post(target).build());
        }
        let text = serde_json::to_string(&before.snapshot()).unwrap();
        let mut after = inventory();
        after.restore(serde_json::from_str(&text).unwrap());
        assert_eq!(after.snapshot(), before.snapshot());
        for target in targets {
            let exchange = Builder::get(target).known().build();
            assert_eq!(after.observe(&exchange), before.observe(&exchange), "{target}");
        }
        let new = Builder::get("/users/new/43").build();
        assert_eq!(after.observe(&new), before.observe(&new));
    }

    #[test]
    fn crowded_parents_stay_crowded() {
        let mut before = inventory();
        for number in 0..70_u8 {
            let name = format!(
                "{}{}",
                char::from(b'a' + number % 26),
                ["x", "y", "z"][usize::from(number / 26)]
            );
            before.observe(&Builder::get(&format!("/users/{name}")).build());
        }
        let mut after = inventory();
        after.restore(before.snapshot());
        let another = Builder::get("/users/another").build();
        assert_eq!(after.observe(&another), before.observe(&another));
        assert_eq!(&*after.observe(&another).0.template, "/users/{param}");
    }
}
