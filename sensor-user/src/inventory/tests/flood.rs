//! Random paths: what they may hold, and that they push nothing out.

use super::*;

/// Letters and digits from a number, as a scanner's random paths have them.
fn random_path(number: u64) -> String {
    let mut mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut text = String::new();
    for _ in 0..=(mixed % 4) {
        text.push('/');
        for _ in 0..3 + mixed % 7 {
            mixed = mixed.rotate_left(7).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            text.push(char::from(b'a' + u8::try_from(mixed >> 59).unwrap() % 26));
        }
    }
    text
}

/// Floods an inventory with random paths that are answered so, beside and below what it knows, and looks at what is left.
fn flood(paths: u64, status: u16) {
    let (mut inventory, _) = inventory(1000);
    for number in 0..20 {
        observed(&mut inventory, &format!("/users/{number}/orders"));
        observed(&mut inventory, "/users/me");
    }
    let mut exchange = Builder::get("/").status(status).build();
    let (mut nodes, mut bytes) = (0, 0);
    for number in 0..paths {
        let front = ["", "/users", "/users/7/orders", "/api"][usize::try_from(number % 4).unwrap()];
        let path = format!("{front}{}", random_path(number));
        let raw = format!("GET {path} HTTP/1.1\r\nHost: api.example.com\r\n\r\n");
        let span = |start: usize, len: usize| crate::protocol::Span {
            start: u32::try_from(start).unwrap(),
            len: u32::try_from(len).unwrap(),
        };
        exchange.request.target = span(4, path.len());
        exchange.request.head.headers = vec![(span(path.len() + 15, 4), span(path.len() + 21, 15))];
        exchange.request.head.raw = raw.into();
        inventory.observe(&exchange, &[]);
        inventory.take_changes().for_each(drop);
        if number == paths / 4 {
            (nodes, bytes) = (inventory.tree.len(), inventory.held_bytes());
        }
    }
    let (nodes_after, bytes_after) = (inventory.tree.len(), inventory.held_bytes());
    println!(
        "{status}: {nodes} nodes in {bytes} bytes after a quarter, {nodes_after} in {bytes_after} at the end"
    );
    assert!(
        nodes_after <= nodes + nodes / 4 + 50,
        "{nodes_after} after {nodes} with {status}"
    );
    assert!(
        bytes_after <= bytes + bytes / 4 + 20_000,
        "{bytes_after} after {bytes} with {status}"
    );
    assert!(inventory.known.len() <= 1000 && nodes_after <= 1000 * NODES_PER_ENDPOINT + hosts::MAX_HOSTS);
    assert!(bytes_after <= FLOODED_BYTES, "{bytes_after} with {status}");
    for (target, template) in [
        ("/users/7/orders", "/users/{id}/orders"),
        ("/users/me", "/users/me"),
    ] {
        let seen = inventory.observe(&Builder::get(target).build(), &[]);
        assert_eq!(&*seen.endpoint.template, template, "{status}");
        assert!(seen.history.exchanges >= 20, "{status}: {:?}", seen.history);
    }
}

/// 1,000 endpoints, 4,000 nodes and 1,024 hosts at most: 256 bytes a node, and as much for names.
const FLOODED_BYTES: usize = 4 << 20;

#[test]
fn a_million_random_paths_push_nothing_out() {
    for status in [404, 403, 200, 500] {
        flood(if status == 200 { 700_000 } else { 100_000 }, status);
    }
}

#[test]
#[ignore = "ten million random paths take minutes; cargo xtask test --long runs it"]
fn ten_million_random_paths_push_nothing_out() {
    for status in [404, 200] {
        flood(5_000_000, status);
    }
}
