//! An estate of services and who calls them: several hosts with the same kinds of things, callers who are known by a
//! token that says who they are, a session, an opaque token or a key, and objects that each caller comes back to.
//!
//! Takes numbers. Gives the text of calls, the same for the same numbers, and records of them. Bodies have about 1 KB.

use std::fmt::Write as _;
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use sensor_user::capture::{
    Data, Direction, Evidence, Origin, ProcessKey, Record, Role, SocketAddress, Source, StreamKey,
};

/// What the services keep.
pub(crate) const NOUNS: [&str; 42] = [
    "orders",
    "invoices",
    "customers",
    "products",
    "payments",
    "shipments",
    "carts",
    "reviews",
    "refunds",
    "coupons",
    "accounts",
    "cards",
    "transfers",
    "statements",
    "documents",
    "messages",
    "tickets",
    "projects",
    "tasks",
    "members",
    "teams",
    "groups",
    "devices",
    "sensors",
    "reports",
    "events",
    "bookings",
    "rooms",
    "flights",
    "vehicles",
    "claims",
    "policies",
    "contracts",
    "suppliers",
    "warehouses",
    "deliveries",
    "returns",
    "subscriptions",
    "campaigns",
    "articles",
    "comments",
    "notifications",
];
/// What can be done with each: so many endpoints has a noun.
pub(crate) const OPERATIONS: usize = 6;
/// Objects of each noun that a caller has.
pub(crate) const OBJECTS: usize = 4;

/// One call: who sends what, and what comes back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Call {
    pub(crate) host: usize,
    pub(crate) noun: usize,
    pub(crate) operation: usize,
    pub(crate) caller: usize,
    /// Whose object, and which of them.
    pub(crate) owner: usize,
    pub(crate) object: usize,
}

/// A number that follows from another (the finaliser of `SplitMix64`).
pub(crate) const fn mixed(number: u64) -> u64 {
    let z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

impl Call {
    /// The id of the object: by noun a UUID or a number.
    fn id(&self, object: usize) -> String {
        let of = (self.host * NOUNS.len() + self.noun) as u64;
        let seed = mixed(mixed(of) ^ (self.owner * OBJECTS + object) as u64);
        if self.noun.is_multiple_of(2) {
            let more = mixed(seed);
            format!(
                "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
                seed >> 32,
                seed >> 16 & 0xffff,
                seed & 0xfff,
                more >> 52,
                more & 0xffff_ffff_ffff
            )
        } else {
            (1_000_000_000 + seed % 9_000_000_000).to_string()
        }
    }

    /// The credential that the host asks for.
    fn credential(&self) -> String {
        match self.host % 4 {
            0 => format!("Authorization: Bearer {}\r\n", jwt(self.host, self.caller)),
            1 => format!(
                "Cookie: theme=dark; session={}\r\n",
                opaque(self.host, self.caller)
            ),
            2 => format!("Authorization: Bearer {}\r\n", opaque(self.host, self.caller)),
            _ => format!("X-Api-Key: {}\r\n", opaque(self.host, self.caller)),
        }
    }

    /// Request and answer as they are on the wire.
    pub(crate) fn messages(&self) -> [String; 2] {
        let noun = NOUNS[self.noun];
        let (id, one) = (self.id(self.object), |object| self.object_json(object, 5));
        let (line, sent, status, got) = match self.operation {
            0 => (
                format!("GET /api/v1/{noun}?page=1&limit=20"),
                String::new(),
                "200 OK",
                self.list_json(),
            ),
            1 => (
                format!("GET /api/v1/{noun}/{id}"),
                String::new(),
                "200 OK",
                one(self.object),
            ),
            2 => (
                format!("POST /api/v1/{noun}"),
                one(self.object),
                "201 Created",
                format!("{{\"id\":\"{id}\",\"status\":\"open\"}}"),
            ),
            3 => (
                format!("PUT /api/v1/{noun}/{id}"),
                one(self.object),
                "200 OK",
                one(self.object),
            ),
            4 => (
                format!("GET /api/v1/{noun}/{id}/history"),
                String::new(),
                "200 OK",
                history_json(&id),
            ),
            _ => (
                format!("POST /api/v1/{noun}/{id}/close"),
                "{\"reason\":\"done\"}".to_owned(),
                "200 OK",
                format!("{{\"id\":\"{id}\",\"status\":\"closed\"}}"),
            ),
        };
        let fields = self.credential();
        let request = request(&line, self.host, &fields, &sent);
        [request, answer(status, &got)]
    }

    fn object_json(&self, object: usize, lines: usize) -> String {
        let mut text = format!(
            "{{\"id\":\"{}\",\"owner\":\"user-{:06}\",\"status\":\"open\",\"created_at\":\"2026-03-01T10:11:12Z\",\
             \"total\":{}.90,\"currency\":\"EUR\",\"contact\":{{\"name\":\"Alice Johnson\",\"email\":\"user{}@example.com\",\
             \"verified\":true}},\"address\":{{\"street\":\"12 Market Street\",\"city\":\"Springfield\",\"country\":\"DE\"}},\
             \"note\":\"Please leave the parcel with the neighbours, thank you very much.\",\"lines\":[",
            self.id(object),
            self.owner,
            object * 17 + 12,
            self.owner
        );
        for line in 0..lines {
            let comma = if line == 0 { "" } else { "," };
            write!(
                text,
                "{comma}{{\"sku\":\"SKU-{:06}\",\"name\":\"desk lamp\",\"quantity\":{},\"price\":{}.99,\"taxed\":true}}",
                mixed((object * 7 + line) as u64) % 500,
                line + 1,
                line * 3 + 4
            )
            .unwrap();
        }
        text.push_str("]}");
        text
    }

    fn list_json(&self) -> String {
        let mut text = "{\"page\":1,\"items\":[".to_owned();
        for object in 0..OBJECTS {
            let comma = if object == 0 { "" } else { "," };
            write!(
                text,
                "{comma}{{\"id\":\"{}\",\"owner\":\"user-{:06}\",\"status\":\"open\",\"created_at\":\"2026-03-01T10:11:12Z\",\
                 \"total\":{}.90,\"currency\":\"EUR\",\"title\":\"as discussed by telephone\",\"archived\":false}}",
                self.id(object),
                self.owner,
                object * 17 + 12
            )
            .unwrap();
        }
        text.push_str("]}");
        text
    }
}

fn history_json(id: &str) -> String {
    let mut text = format!("{{\"id\":\"{id}\",\"entries\":[");
    for entry in 0..8 {
        let comma = if entry == 0 { "" } else { "," };
        write!(
            text,
            "{comma}{{\"at\":\"2026-03-0{}T10:11:12Z\",\"what\":\"changed\",\"from\":\"open\",\"to\":\"packed\",\"seconds\":{}}}",
            entry + 1,
            entry * 61
        )
        .unwrap();
    }
    text.push_str("]}");
    text
}

/// A request of a client as browsers and programs send them.
pub(crate) fn request(line: &str, host: usize, fields: &str, body: &str) -> String {
    let media = if body.is_empty() {
        String::new()
    } else {
        format!(
            "Content-Type: application/json\r\nContent-Length: {}\r\n",
            body.len()
        )
    };
    format!(
        "{line} HTTP/1.1\r\nHost: {}\r\nUser-Agent: shop-frontend/5.12.0\r\nAccept: application/json\r\n\
         Accept-Encoding: gzip, deflate, br\r\n{fields}{media}Connection: keep-alive\r\n\r\n{body}",
        host_name(host)
    )
}

/// An answer with a JSON body.
pub(crate) fn answer(status: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nServer: nginx\r\nDate: Sun, 01 Mar 2026 10:11:12 GMT\r\n\
         Content-Type: application/json; charset=utf-8\r\nContent-Length: {}\r\nConnection: keep-alive\r\n\
         Cache-Control: no-store\r\n\r\n{body}",
        body.len()
    )
}

fn host_name(host: usize) -> String {
    format!("service{host}.example.com")
}

/// What a host gives to whom it does not tell more.
pub(crate) fn opaque(host: usize, caller: usize) -> String {
    let seed = mixed((host as u64) << 40 | caller as u64);
    format!("{:016x}{:016x}", seed, mixed(seed))
}

/// A token that says who the caller is.
pub(crate) fn jwt(host: usize, caller: usize) -> String {
    let head = URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256","kid":"2026-01","typ":"JWT"}"#);
    let claims = URL_SAFE_NO_PAD.encode(format!(
        "{{\"iss\":\"https://login{host}.example.com\",\"sub\":\"user-{caller:06}\",\"aud\":[\"shop\"],\"azp\":\"web\",\
         \"iat\":1700000000,\"exp\":4102444800,\"scope\":\"openid profile\",\"roles\":[\"customer\"]}}"
    ));
    format!("{head}.{claims}.{}", "c2lnbmF0dXJl".repeat(28))
}

/// Calls on keep-alive connections, as the kernel object tells them.
pub(crate) struct Wire {
    positions: Vec<[u64; 2]>,
    pub(crate) time_ns: u64,
}

impl Wire {
    /// So many connections; the records of their sockets come first.
    pub(crate) fn new(connections: usize, out: &mut Vec<Record>) -> Self {
        let wire = Self {
            positions: vec![[0; 2]; connections],
            time_ns: 1_700_000_000_000_000_000,
        };
        for connection in 0..connections {
            let bytes = u32::try_from(connection).unwrap().to_be_bytes();
            out.push(Record::Bind {
                origin: origin(wire.time_ns),
                stream: stream(connection),
                socket: SocketAddress {
                    inode: 70_000 + connection as u64,
                    local: Some((IpAddr::from([192, 0, 2, 1]), 8443)),
                    remote: Some((IpAddr::from([10, bytes[1], bytes[2], bytes[3]]), 40_000)),
                    role: Role::Server,
                },
                evidence: Evidence::SetFd,
                ambiguous: false,
            });
        }
        wire
    }

    /// One call, answered a millisecond later.
    pub(crate) fn call(&mut self, connection: usize, messages: &[String; 2], out: &mut Vec<Record>) {
        for (side, message) in messages.iter().enumerate() {
            self.time_ns += 1_000_000;
            let direction = [Direction::Read, Direction::Write][side];
            for piece in message.as_bytes().chunks(sensor_common::CHUNK_BYTES) {
                out.push(Record::Data(Data {
                    origin: origin(self.time_ns),
                    stream: stream(connection),
                    direction,
                    position: self.positions[connection][side],
                    socket: 0,
                    early: false,
                    bytes: Bytes::copy_from_slice(piece),
                }));
                self.positions[connection][side] += piece.len() as u64;
            }
        }
    }
}

const PROCESS: ProcessKey = ProcessKey {
    pid: 4242,
    start_ns: 77_000_000,
};

fn origin(time_ns: u64) -> Origin {
    Origin {
        time_ns,
        process: PROCESS,
        tid: 4243,
        cgroup: 1,
    }
}

fn stream(connection: usize) -> StreamKey {
    StreamKey {
        process: PROCESS,
        source: Source::Tls,
        id: 0x7f00_0000_0000 + connection as u64 * 0x1b40,
        generation: 0,
    }
}
