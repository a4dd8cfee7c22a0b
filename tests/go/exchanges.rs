//! Are bodies byte-exact and peers right, for each release, stripped and not, at both ends?

use std::net::{IpAddr, Ipv4Addr};

use sensor_common::counter::Counter;
use sensor_tests::golang::{GoApi, Release, Symbols};
use sensor_tests::payload;
use sensor_user::capture::attach::Backend;
use sensor_user::capture::discover::Cache;
use sensor_user::capture::discover::process::open_regular;
use sensor_user::capture::kernel::Options;
use sensor_user::capture::{Evidence, Role};
use sensor_user::pipeline::Observed;

use crate::setup::{End, client, observe, options, program};
use crate::watch::{assert_same, describe};

/// One byte to one mebibyte; a body of no bytes has no write of its own.
const LENGTHS: [usize; 7] = [1, 4095, 16_383, 16_384, 16_385, 100_000, 1_048_576];

#[test]
fn a_program_of_debian_12_at_both_ends() {
    both_ends(Release::Debian, Symbols::Kept, Backend::Auto);
}

#[test]
fn a_stripped_program_of_debian_12_at_both_ends() {
    both_ends(Release::Debian, Symbols::Stripped, Backend::Auto);
}

#[test]
fn a_program_of_a_new_release_at_both_ends() {
    both_ends(Release::Newest, Symbols::Kept, Backend::Auto);
}

/// LESSONS.md 7.
#[test]
fn a_stripped_go_binary_of_a_new_release_is_seen() {
    both_ends(Release::Newest, Symbols::Stripped, Backend::Multi);
}

/// C code stands in front of Go's, and nothing says by how much but the runtime's own tables.
#[test]
fn a_stripped_position_independent_program_with_c_in_it_is_seen() {
    both_ends(Release::Newest, Symbols::StrippedExternalPie, Backend::Auto);
    both_ends(Release::Debian, Symbols::StrippedExternalPie, Backend::Auto);
}

#[test]
fn the_same_by_perf_events_and_without_cookies() {
    both_ends(Release::Newest, Symbols::Stripped, Backend::Perf);
    both_ends(Release::Debian, Symbols::Stripped, Backend::Copies);
}

#[test]
#[ignore = "a third release; needs a download of 60 MB"]
fn a_program_of_go_1_23_at_both_ends() {
    both_ends(Release::Middle, Symbols::Kept, Backend::Auto);
    both_ends(Release::Middle, Symbols::Stripped, Backend::Auto);
}

fn both_ends(release: Release, symbols: Symbols, backend: Backend) {
    let what = format!("{release:?} {symbols:?} {backend:?}");
    let Some(binary) = program(&what, release, symbols) else {
        return;
    };
    let (_, inspected) = Cache::default().inspect(&open_regular(&binary).unwrap()).unwrap();
    let [found] = inspected.stacks.as_slice() else {
        panic!("{what}: {:?}", inspected.stacks);
    };
    assert_eq!(
        (found.stack.name, found.functions.len()),
        ("go", 3),
        "{what}: {found:?}"
    );
    let version = found.version.as_deref().unwrap_or_default();
    assert!(version.starts_with(release.version()), "{what}: {version}");

    let server = GoApi::start(&binary, &[]).unwrap();
    let with = |pids: &[u32]| Options {
        backend,
        ..options(&binary, pids)
    };
    for end in [End::Server, End::Client] {
        let port = server.port().to_string();
        let lengths = LENGTHS.map(|length| length.to_string());
        let mut arguments = vec!["exchange", &port, "http/1.1"];
        arguments.extend(lengths.iter().map(String::as_str));
        let held = client(&binary, &arguments, &[]);
        let Some((watch, pid)) = observe(&what, end, with, &server, held) else {
            return;
        };
        assert_eq!(watch.counter(Counter::MissedReturns), 0, "{what} {end:?}");
        assert_eq!(watch.counter(Counter::NestedCalls), 0, "{what} {end:?}");
        let tally = watch.tally.of_process(pid);
        assert_eq!(
            (tally.gaps, tally.jumps, tally.repeated),
            (0, 0, 0),
            "{what} {end:?}"
        );
        let observed = watch.stop();
        assert_eq!(observed.len(), LENGTHS.len(), "{what} {end:?}");
        for (index, length) in (0..).zip(LENGTHS) {
            let target = format!("/echo?seed={}&length={length}", 2 + 2 * index);
            let is_wanted = |one: &&Observed| one.exchange.request.target().expose() == target.as_bytes();
            let Some(one) = observed.iter().find(is_wanted) else {
                panic!(
                    "{what} {end:?}: no {target} among {:#?}",
                    observed.iter().map(describe).collect::<Vec<_>>()
                );
            };
            check(&format!("{what} {end:?} {length}"), one, end, server.port());
            let (sent, answered) = (1 + 2 * index, 2 + 2 * index);
            assert_same(&what, &one.exchange.request.body, &payload::body(sent, length));
            let response = one.exchange.outcome.response().unwrap();
            assert_same(&what, &response.body, &payload::body(answered, length));
        }
    }
}

/// The connection is what it is, and known for the right reason.
fn check(what: &str, observed: &Observed, end: End, port: u16) {
    let connection = &observed.exchange.connection;
    let what = format!("{what}: {}", describe(observed));
    let (role, listener) = match end {
        End::Server => (Role::Server, connection.local),
        End::Client => (Role::Client, connection.remote),
    };
    assert_eq!(
        listener,
        Some((IpAddr::from(Ipv4Addr::LOCALHOST), port)),
        "{what}"
    );
    assert_eq!(connection.role, role, "{what}");
    assert_eq!(connection.evidence, Some(Evidence::RuntimeConn), "{what}");
    assert!(connection.tls && !connection.ambiguous, "{what}");
}
