//! The estate through the real pipeline, from bytes to findings.

use std::sync::Arc;

use sensor_user::capture::Record;
use sensor_user::exchange::secret::HashKey;
use sensor_user::export::Event;
use sensor_user::pipeline::{Pipeline, Settings};
use sensor_user::telemetry::Counters;

use super::attacks;
use super::clock::{HOUR, MINUTE};
use super::lives::Lives;
use super::lives::machines::{Batch, Crawler, Dispatcher, Integration, Over, Probe};
use super::lives::person::{Person, Visitor};
use super::people::{Role, is_gone};
use super::services::Service;
use super::world::World;

/// How large an estate is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Size {
    /// A million exchanges and more; every design at every speed.
    Whole,
    /// Some thirty thousand; every design at one speed.
    Small,
}

impl Size {
    const fn scale(self) -> f64 {
        match self {
            Self::Whole => 1.0,
            Self::Small => 0.02,
        }
    }

    /// Exchanges that there are at least.
    pub(crate) const fn least(self) -> u64 {
        match self {
            Self::Whole => 1_000_000,
            Self::Small => 25_000,
        }
    }
}

/// An estate and everybody in it.
pub(crate) struct Estate {
    pub(crate) world: World,
    lives: Lives,
}

impl Estate {
    pub(crate) fn new(seed: u64, size: Size) -> Self {
        let mut world = World::new(seed, size.scale());
        let mut lives = Lives::default();
        populate(&mut world, &mut lives);
        attacks::plan(&mut world, &mut lives, size == Size::Small);
        Self { world, lives }
    }

    /// Lets the next thing happen, and hands over the records that are due. `false` when all is over.
    pub(crate) fn step(&mut self, take: &mut dyn FnMut(Record)) -> bool {
        let until = self.lives.step(&mut self.world);
        while let Some(record) = self.world.record(until.unwrap_or(u64::MAX)) {
            take(record);
        }
        until.is_some()
    }
}

fn populate(w: &mut World, lives: &mut Lives) {
    for user in 0..w.people.users.len() as u32 {
        if is_gone(user) && matches!(w.user(user).role, Role::Shopper | Role::Mobile) {
            continue;
        }
        let first = Person::first(w, user);
        let person = Person::new(w, user);
        lives.add(first, person);
    }
    for (number, over) in [Over::Invoices, Over::Orders].into_iter().enumerate() {
        let batch = Batch::new(w, over);
        lives.add(Batch::START + number as u64 * 20 * MINUTE, batch);
    }
    let dispatcher = Dispatcher::new(w);
    lives.add(MINUTE, dispatcher);
    for tenant in (0..w.people.tenants.len() as u16).step_by(3) {
        let first = w.people.tenants[usize::from(tenant)].joined + HOUR;
        let integration = Integration::new(w, tenant);
        lives.add(first, integration);
    }
    (0..2).for_each(|number| lives.add(u64::from(number) * MINUTE, Crawler::new(number)));
    lives.add(0, Probe::new());
    lives.add(
        HOUR,
        Visitor {
            per_day: (w.scale * 600.0).max(12.0),
        },
    );
}

/// A pipeline as a sensor has one; any key will do.
pub(crate) fn pipeline() -> Pipeline {
    Pipeline::new(&Settings {
        alerts: sensor_user::incident::Settings {
            budget: sensor_user::incident::budget::Limits::UNLIMITED,
            ..sensor_user::incident::Settings::default()
        },
        trusted_proxies: vec![format!("{}/32", Service::PROXY).parse().expect("a network")],
        ..Settings::new(HashKey::new([7; 32]), Arc::new(Counters::default()))
    })
}

/// Lets the whole estate pass through the pipeline; `tell` gets every event, and the truth as it is then.
pub(crate) fn run(estate: &mut Estate, tell: &mut dyn FnMut(&World, Event)) {
    let (mut pipeline, mut records, mut goes_on) = (pipeline(), Vec::new(), true);
    while goes_on {
        goes_on = estate.step(&mut |record| records.push(record));
        for record in records.drain(..) {
            pipeline.push(record, &mut |event| tell(&estate.world, event));
        }
    }
    pipeline.finish(&mut |event| tell(&estate.world, event));
}
