use std::net::{IpAddr, Ipv4Addr};

use super::*;
use crate::exchange::test_support::Builder;

const PROXY: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));

fn client_of(trusted: &[&str], builder: Builder) -> Client {
    let trusted: Vec<Network> = trusted.iter().map(|text| text.parse().unwrap()).collect();
    Clients::new(HashKey::new([7; 32]), &trusted).client(&builder.build())
}

fn direct(address: &str) -> Option<CallerHash> {
    let builder = Builder::get("/").remote(address.parse().unwrap());
    client_of(&[], builder).hash
}

#[test]
fn nobody_is_believed_unless_trusted() {
    let sent = || {
        Builder::get("/")
            .remote(PROXY)
            .field("X-Forwarded-For", "203.0.113.9")
    };
    assert_eq!(client_of(&[], sent()).hash, direct("10.0.0.1"));
    let trusted = client_of(&["10.0.0.0/8"], sent());
    assert_eq!((trusted.hash, trusted.forwarded), (direct("203.0.113.9"), true));
}

#[test]
fn the_right_most_address_that_is_no_proxy_is_the_client() {
    for (name, value, client) in [
        ("X-Forwarded-For", "198.51.100.1, 203.0.113.9", "203.0.113.9"),
        (
            "X-Forwarded-For",
            "198.51.100.1, 203.0.113.9, 10.0.0.3",
            "203.0.113.9",
        ),
        ("X-Forwarded-For", "10.0.0.9, 10.0.0.3", "10.0.0.9"),
        ("X-Forwarded-For", "unknown, 10.0.0.3", "10.0.0.3"),
        ("X-Forwarded-For", "203.0.113.9:4711", "203.0.113.9"),
        ("X-Forwarded-For", "", "10.0.0.1"),
        ("X-Forwarded-For", "garbage", "10.0.0.1"),
        (
            "Forwarded",
            "for=192.0.2.60;proto=http;by=203.0.113.43",
            "192.0.2.60",
        ),
        (
            "Forwarded",
            "for=192.0.2.43, For=\"[2001:db8:cafe::17]:4711\"",
            "2001:db8:cafe::17",
        ),
        ("Forwarded", "for=_hidden", "10.0.0.1"),
        ("X-Real-IP", "203.0.113.9", "203.0.113.9"),
    ] {
        let sent = Builder::get("/").remote(PROXY).field(name, value);
        let found = client_of(&["10.0.0.0/8"], sent).hash;
        assert_eq!(found, direct(client), "{name}: {value}");
    }
}

#[test]
fn a_field_that_cannot_be_read_is_not_replaced_by_one_that_the_client_made_up() {
    for unreadable in ["unknown", "", "_hidden, garbage"] {
        let sent = Builder::get("/")
            .remote(PROXY)
            .field("X-Forwarded-For", unreadable)
            .field("Forwarded", "for=203.0.113.66")
            .field("X-Real-IP", "203.0.113.66");
        assert_eq!(
            client_of(&["10.0.0.0/8"], sent).hash,
            direct("10.0.0.1"),
            "{unreadable}"
        );
    }
}

#[test]
fn several_fields_are_one_list() {
    let sent = Builder::get("/")
        .remote(PROXY)
        .field("X-Forwarded-For", "198.51.100.1")
        .field("X-Forwarded-For", "203.0.113.9");
    assert_eq!(client_of(&["10.0.0.0/8"], sent).hash, direct("203.0.113.9"));
}

#[test]
fn a_subscriber_of_ipv6_is_one_client() {
    assert_eq!(direct("2001:db8:1:2:3::1"), direct("2001:db8:1:2:ffff::9"));
    assert_ne!(direct("2001:db8:1:2::1"), direct("2001:db8:1:3::1"));
}

#[test]
fn a_thousand_hops_end() {
    let hops = vec!["10.0.0.3"; 1000].join(",");
    let sent = Builder::get("/").remote(PROXY).field("X-Forwarded-For", &hops);
    assert_eq!(client_of(&["10.0.0.0/8"], sent).hash, direct("10.0.0.3"));
}
