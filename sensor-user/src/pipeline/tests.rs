mod left_out;

use super::*;
use crate::capture::Container;
use crate::classify;
use crate::config::WatchedPods;
use crate::exchange::secret::HashKey;
use crate::exchange::test_support::{Builder, identify};
use crate::incident::Stage;
use crate::kubernetes::{Pod, directory};
use crate::store::{self, Bounds, FILE, Pace, Whose};

const SECOND: u64 = 1_000_000_000;
const DAY: u64 = 86_400;
/// A day in November 2026.
const BOOT: u64 = 1_794_999_600;
/// Thirty days after boot.
const LATE: u64 = 30 * DAY;

/// A sensor from one start to the next, and what it told.
struct Run {
    judge: Judge,
    classifier: Classifier,
    key: HashKey,
    told: Vec<Event>,
}

impl Run {
    /// On a host that booted at a time of the calendar.
    fn new(path: Option<&std::path::Path>, boot_s: u64) -> Self {
        let key = HashKey::new([7; 32]);
        let settings = Settings {
            clock: ClockOffset::between(0, boot_s * SECOND),
            ..Settings::new(key.clone(), Arc::default())
        };
        let how = store::Settings {
            interval_ns: 10 * SECOND,
            bounds: Bounds {
                retention_ns: 0,
                max_bytes: 64 << 20,
            },
            pace: Pace::Replay,
            whose: Whose::Own,
            clock: ClockOffset::RECORDED,
            key: key.print(),
        };
        let store = path.map(|path| Store::open(path, how, &settings.counters).unwrap());
        Self {
            judge: Judge::new(&settings).with_store(store),
            classifier: Classifier::new(classify::Limits::default()).keyed(key.clone()),
            key,
            told: Vec::new(),
        }
    }

    /// A login that fails so many seconds after boot.
    fn fails(&mut self, name: &str, uptime_s: u64) {
        let body = format!(r#"{{"username":"{name}","password":"correct horse"}}"#);
        let attempt = Builder::post("/login").json(&body).at_s(uptime_s);
        let mut exchange = attempt.status(401).answer(r#"{"error":"no"}"#).build();
        identify(&mut exchange, &self.key);
        let labels = self.classifier.classify(&exchange);
        exchange.handover = self.classifier.take_handover();
        let told = &mut self.told;
        self.judge
            .take(Observed { exchange, labels }, uptime_s * SECOND, &mut |event| {
                told.push(event);
            });
    }

    fn tick(&mut self, uptime_s: u64) {
        let told = &mut self.told;
        self.judge.tick(uptime_s * SECOND, &mut |event| told.push(event));
    }

    fn stages(&self) -> Vec<Stage> {
        let incidents = self.told.iter().filter_map(|event| match event {
            Event::Incident(incident) => Some(incident.stage),
            _ => None,
        });
        incidents.collect()
    }

    fn guessed(&self) -> usize {
        let is_guessed = |event: &&Event| matches!(event, Event::Finding(one) if one.rule.id.0 == "API2-006");
        self.told.iter().filter(is_guessed).count()
    }
}

/// Logins of so many names fail at one address on a host that is up for thirty days, and of four more so much later, ten
/// seconds after a boot.
fn reboot(names: u64, later_s: u64) -> (Run, Run) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(FILE);
    let mut before = Run::new(Some(&path), BOOT);
    for at in 0..names {
        before.fails(&format!("u{at}@example.org"), LATE + at);
    }
    before.judge.finish(&mut |_| {});
    let mut after = Run::new(Some(&path), BOOT + LATE + later_s - 10);
    for at in 0..4 {
        after.fails(&format!("v{at}@example.org"), 10 + at);
    }
    (before, after)
}

#[test]
fn windows_go_on_by_the_calendar_after_a_boot() {
    // Ten names that fail at one address within ten minutes are told: a minute later they are twelve, two days later four.
    assert_eq!(reboot(8, 60).1.guessed(), 1);
    assert_eq!(reboot(8, 2 * DAY).1.guessed(), 0);
}

#[test]
fn incidents_of_before_a_boot_close_when_they_were_quiet_for_an_hour() {
    let (before, mut after) = reboot(12, 2 * DAY);
    assert_eq!(before.stages(), [Stage::Opened]);
    assert_eq!(after.stages(), [Stage::Closed]);
    // Nor does one need traffic to end.
    let mut now = Run::new(None, BOOT);
    (0..12).for_each(|at| now.fails(&format!("u{at}@example.org"), at));
    now.tick(3500);
    assert_eq!(now.stages(), [Stage::Opened]);
    now.tick(3700);
    assert_eq!(now.stages(), [Stage::Opened, Stage::Closed]);
    after.tick(60);
    assert_eq!(after.stages(), [Stage::Closed]);
}

#[test]
fn what_is_told_has_the_calendars_time() {
    let (before, _) = reboot(12, 60);
    let times = before.told.iter().map(crate::export::field::time_ns);
    assert_eq!(times.min(), Some((BOOT + LATE) * SECOND));
}

#[test]
fn pods_at_both_ends_are_told_where_they_are_known() {
    let (container, peer) = (Some("own"), [10, 1, 0, 8]);
    let directory = Directory::new(
        &[],
        WatchedPods::Regardless,
        directory::Limits::default(),
        Arc::default(),
        Arc::default(),
    );
    for (uid, address) in [("own", "10.1.0.7"), ("peer", "10.1.0.8")] {
        let object = serde_json::json!({"metadata": {"name": uid, "uid": uid}, "status": {"podIP": address}});
        directory.pod(directory::Step::Apply(serde_json::from_value(object).unwrap()));
    }
    let settings = Settings {
        pods: Some(Arc::new(directory)),
        ..Settings::new(HashKey::new([7; 32]), Arc::default())
    };
    let told = |container: Option<&str>, peer: [u8; 4], ambiguous| {
        let mut exchange = Builder::get("/carts").remote(peer.into()).build();
        let connection = Arc::make_mut(&mut exchange.connection);
        connection.ambiguous = ambiguous;
        connection.container = container.map(|uid| {
            Arc::new(Container {
                id: "c".into(),
                pod: Some(uid.into()),
                runtime: None,
            })
        });
        let labels = Labels::default();
        let (mut judge, mut names) = (Judge::new(&settings), None);
        judge.judge(&Observed { exchange, labels }, &mut |event| {
            if let Event::Exchange(call) = event {
                let name = |pod: Option<Arc<Pod>>| pod.map(|pod| pod.name.to_string());
                names = Some((name(call.pods.own), name(call.pods.peer)));
            }
        });
        names.unwrap()
    };
    let own = || Some("own".to_owned());
    assert_eq!(told(container, peer, false), (own(), Some("peer".to_owned())));
    assert_eq!(
        told(container, peer, true),
        (own(), None),
        "its address is not to be trusted"
    );
    assert_eq!(told(Some("gone"), [10, 1, 0, 9], false), (None, None));
    assert_eq!(told(None, [10, 1, 0, 9], false), (None, None));
}
