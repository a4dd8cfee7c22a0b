//! Which client sent a request, through proxies that are trusted.
//!
//! Takes a connection and a request's head. Gives the client's address and its keyed hash. What a field says counts only
//! as far as whoever appended it is trusted: read from the right, the first address that is no trusted proxy's is the
//! client (RFC 7239, 8.1). Never trusts anybody by default. Bounded by [`MAX_HOPS`] and [`REMEMBERED`].

use std::net::{IpAddr, Ipv6Addr};

use smallvec::SmallVec;

use super::Desk;
use crate::capture::Role;
use crate::config::network::{Network, number};
use crate::exchange::secret::{CallerHash, HashKey};
use crate::exchange::{Connection, Exchange, Head};

/// Proxies that are followed back.
const MAX_HOPS: usize = 32;
/// Addresses whose hash is remembered: a place each, found by the address itself.
const REMEMBERED: usize = 1024;

/// The client of an exchange, as far as it is known.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Client {
    /// Keyed hash of its address; of IPv6 its /64, which is one subscriber's (RFC 6177). `None` while it is unknown.
    pub hash: Option<CallerHash>,
    /// A trusted proxy named it.
    pub forwarded: bool,
}

/// Names the clients of exchanges.
#[derive(Debug)]
pub struct Clients {
    desk: Desk,
    trusted: Box<[Network]>,
    /// Invariant: [`REMEMBERED`] places.
    known: Box<[(u128, CallerHash)]>,
}

impl Clients {
    /// Trusts these proxies.
    pub fn new(key: HashKey, trusted: &[Network]) -> Self {
        let desk = Desk::new(key);
        let none = desk.address(&0_u128.to_be_bytes());
        Self {
            desk,
            trusted: trusted.into(),
            known: vec![(0, none); REMEMBERED].into_boxed_slice(),
        }
    }

    /// The client of an exchange.
    pub fn client(&mut self, exchange: &Exchange) -> Client {
        let Some(peer) = peer(&exchange.connection) else {
            return Client::default();
        };
        let proxied = exchange
            .connection
            .proxied_for
            .map(|(address, _)| number(address));
        let is_trusted = |address: u128| self.trusted.iter().any(|network| network.has(address));
        let mut client = peer;
        if is_trusted(client) {
            client = proxied.unwrap_or(client);
        }
        if is_trusted(client) {
            client = forwarded(&exchange.request.head, client, is_trusted);
        }
        Client {
            hash: Some(self.hash(client)),
            forwarded: client != peer,
        }
    }

    fn hash(&mut self, address: u128) -> CallerHash {
        let address = subscriber(address);
        // Both halves of the address end in what differs between neighbours.
        let mixed = (address ^ address >> 64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let place = usize::try_from(mixed >> 32 & 0xffff_ffff).unwrap_or_default() % REMEMBERED;
        let Some(slot) = self.known.get_mut(place) else {
            return self.desk.address(&address.to_be_bytes());
        };
        if slot.0 != address {
            *slot = (address, self.desk.address(&address.to_be_bytes()));
        }
        slot.1
    }
}

/// An address of IPv4 itself; of IPv6 its /64.
fn subscriber(address: u128) -> u128 {
    let is_four = Ipv6Addr::from_bits(address).to_ipv4_mapped().is_some();
    if is_four { address } else { address >> 64 << 64 }
}

/// The end of the connection that sends requests.
fn peer(connection: &Connection) -> Option<u128> {
    let end = match connection.role {
        Role::Server => connection.remote,
        Role::Client => connection.local,
        Role::Unknown => None,
    };
    end.filter(|_| !connection.ambiguous)
        .map(|(address, _)| number(address))
}

/// The client that trusted proxies name: what each appended, from the right. `X-Forwarded-For` is what proxies write;
/// where there is none, `Forwarded` (RFC 7239) or `X-Real-IP`. The first of them that is there is the one, also when it
/// cannot be read: a proxy that writes one of them passes the others on as the client made them up.
fn forwarded(head: &Head, proxy: u128, is_trusted: impl Fn(u128) -> bool) -> u128 {
    for (name, read) in [
        ("x-forwarded-for", plain as fn(&[u8]) -> Option<IpAddr>),
        ("forwarded", named),
        ("x-real-ip", plain),
    ] {
        // Fields of one name are one list (RFC 9110, 5.3).
        let fields: SmallVec<[&[u8]; 4]> = head
            .fields()
            .filter(|(known, _)| known.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value.expose())
            .collect();
        if fields.is_empty() {
            continue;
        }
        let mut client = proxy;
        let backwards = fields
            .iter()
            .rev()
            .flat_map(|field| field.rsplit(|byte| *byte == b','));
        for hop in backwards.take(MAX_HOPS) {
            // What is no address, and all before it, somebody made up; the last one that is stands.
            let Some(address) = read(hop.trim_ascii()).map(number) else {
                break;
            };
            client = address;
            if !is_trusted(address) {
                break;
            }
        }
        return client;
    }
    proxy
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]:80`.
fn plain(hop: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(hop).ok()?.trim_matches('"');
    if let Some(rest) = text.strip_prefix('[') {
        return rest.split(']').next()?.parse().ok();
    }
    let without_port = || {
        text.rsplit_once(':')
            .and_then(|(address, _)| address.parse().ok())
    };
    text.parse().ok().or_else(without_port)
}

/// `for=192.0.2.60;proto=http` (RFC 7239, 4).
fn named(hop: &[u8]) -> Option<IpAddr> {
    hop.split(|byte| *byte == b';').find_map(|pair| {
        let (name, value) = pair.trim_ascii().split_at_checked(4)?;
        name.eq_ignore_ascii_case(b"for=").then(|| plain(value))?
    })
}

#[cfg(test)]
mod tests;
