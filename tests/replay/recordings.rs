//! The recordings in `fixtures/pcap`, and how they come to be. Every person, number and secret in them is made up or
//! published as an example.

use bytes::Bytes;
use etherparse::PacketBuilder;
use sensor_user::capture::{
    CloseReason, Comm, Data, Direction, Evidence, Gap, GapReason, Origin, ProcessEvent, ProcessKey, Record,
    Role, SocketAddress, Source, StreamKey,
};

use super::source::file_of;

/// The networks' test number.
const CARD: &str = "4111111111111111";
/// The registry's example.
const IBAN: &str = "DE89370400440532013000";
const EMAIL: &str = "alice.example@example.com";
/// Signed by nobody: the last part says so.
const JWT: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJ1c2VyLTEwMDEiLCJleHAiOjE3MDAwMDAwMDB9.\
                   dGhpcy1pcy1ub3QtYS1yZWFsLXNpZ25hdHVyZS0wMTIz";
const PASSWORD: &str = "not-a-real-password";
const TOKEN: &str = "FAKE-TOKEN-0123456789abcdef-FAKE";
/// `alice:not-a-real-password`.
const BASIC: &str = "YWxpY2U6bm90LWEtcmVhbC1wYXNzd29yZA==";

/// What no output may contain.
pub(crate) const PLANTED: &[&str] = &[CARD, IBAN, EMAIL, JWT, PASSWORD, TOKEN, BASIC];

/// File names and contents.
pub(crate) fn all() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("json_api.pcapng", file_of(&json_api())),
        ("keep_alive.pcapng", file_of(&keep_alive())),
        ("hole_in_response.pcapng", file_of(&hole_in_response())),
        ("limit_in_request.pcapng", file_of(&limit_in_request())),
        ("chunked.pcapng", file_of(&chunked())),
        ("token_in_url.pcapng", file_of(&token_in_url())),
        ("basic_over_cleartext.pcapng", file_of(&basic_over_cleartext())),
        ("tls_client.pcapng", file_of(&tls_client())),
        ("both_ends.pcapng", file_of(&both_ends())),
        ("mid_stream.pcap", mid_stream()),
    ]
}

/// A server hands out a customer with card, e-mail address and token.
fn json_api() -> Vec<Record> {
    let mut talk = Talk::server(1);
    talk.read(&get(
        "/api/v1/customers/1001",
        &format!("Authorization: Bearer {JWT}\r\n"),
    ));
    let body = format!(r#"{{"id":1001,"email":"{EMAIL}","payment":{{"card":"{CARD}"}},"token":"{JWT}"}}"#);
    talk.write(&ok(&body));
    talk.end()
}

/// Three calls on one connection, one of them in two pieces.
fn keep_alive() -> Vec<Record> {
    let mut talk = Talk::server(2);
    for id in [1, 2, 3] {
        let request = get(&format!("/api/v1/orders/{id}"), "");
        let (front, rest) = request.split_at(if id == 2 { 20 } else { request.len() });
        talk.read(front);
        talk.read(rest);
        talk.write(&ok(&format!(r#"{{"order":{id},"items":[]}}"#)));
    }
    talk.end()
}

/// Bytes of the answer are lost; the next exchange is whole.
fn hole_in_response() -> Vec<Record> {
    let mut talk = Talk::server(3);
    talk.read(&get("/api/v1/export", ""));
    let answer = ok(&format!(
        r#"{{"email":"{EMAIL}","text":"{}","card":"{CARD}"}}"#,
        "x".repeat(3_000)
    ));
    let (front, rest) = answer.split_at(1_000);
    talk.write(front);
    talk.lose(Direction::Write, 1_500, None);
    talk.write(rest.get(1_500..).unwrap_or_default());
    talk.read(&get("/api/v1/health", ""));
    talk.write(&ok(r#"{"ok":true}"#));
    talk.end()
}

/// The policy's limit cut a request body.
fn limit_in_request() -> Vec<Record> {
    let mut talk = Talk::server(4);
    let body = format!(r#"{{"iban":"{IBAN}","note":"{}"}}"#, "y".repeat(5_000));
    let request = post("/api/v1/payments", &body);
    let (front, rest) = request.split_at(2_000);
    talk.read(front);
    talk.lose(Direction::Read, rest.len() as u64, Some(GapReason::Limit));
    talk.write(&ok(r#"{"accepted":true}"#));
    talk.end()
}

/// The account number is split between two chunks.
fn chunked() -> Vec<Record> {
    let mut talk = Talk::server(5);
    talk.read(&get("/api/v1/accounts/7", ""));
    let (front, rest) = IBAN.split_at(9);
    let (front, rest) = (format!(r#"{{"iban":"{front}"#), format!(r#"{rest}"}}"#));
    talk.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n");
    for chunk in [front, rest, String::new()] {
        talk.write(format!("{:x}\r\n{chunk}\r\n", chunk.len()).as_bytes());
    }
    talk.end()
}

fn token_in_url() -> Vec<Record> {
    let mut talk = Talk::server(6);
    talk.read(&get(&format!("/download/report?access_token={TOKEN}&page=2"), ""));
    talk.write(&ok(r#"{"url":"/files/1"}"#));
    talk.end()
}

fn basic_over_cleartext() -> Vec<Record> {
    let mut talk = Talk::server(7);
    talk.read(&get(
        "/admin/status",
        &format!("Authorization: Basic {BASIC}\r\n"),
    ));
    talk.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
    talk.end()
}

/// A client logs in over TLS; its socket becomes known after its first bytes.
fn tls_client() -> Vec<Record> {
    let mut talk = Talk::client(8);
    let body = format!(r#"{{"user":"alice","password":"{PASSWORD}"}}"#);
    talk.write(&post("/login", &body));
    talk.bind("192.0.2.10:50123", "192.0.2.20:443");
    talk.read(&ok(&format!(r#"{{"session_token":"{TOKEN}"}}"#)));
    talk.end()
}

/// Client and server of one connection are both watched.
fn both_ends() -> Vec<Record> {
    let (request, answer) = (get("/api/v1/version", ""), ok(r#"{"version":3}"#));
    let mut server = Talk::server(9);
    server.read(&request);
    server.write(&answer);
    let mut client = Talk::server(10);
    client.socket(Role::Client, "127.0.0.1:50009", "127.0.0.1:8080");
    client.write(&request);
    client.read(&answer);
    let (server, client) = (server.end(), client.end());
    server
        .into_iter()
        .zip(client)
        .flat_map(|(one, other)| [other, one])
        .collect()
}

/// Somebody else's capture, begun in the middle of an answer: Ethernet with a VLAN tag, classic file.
fn mid_stream() -> Vec<u8> {
    const CLIENT: ([u8; 4], u16) = ([192, 0, 2, 2], 50_000);
    const SERVER: ([u8; 4], u16) = ([192, 0, 2, 1], 8080);
    let (request, answer) = (
        get("/api/v1/items/5", ""),
        ok(&format!(r#"{{"owner":"{EMAIL}"}}"#)),
    );
    let mut file: Vec<u8> = [0xa1b2_c3d4, 0x0002_0004, 0, 0, 65_535, 1]
        .into_iter()
        .flat_map(u32::to_be_bytes)
        .collect();
    let mut seqs = [70_000_u32, 900_u32];
    let packets: [(bool, &[u8]); 4] = [
        (false, b"\"the rest of an earlier answer\"}"),
        (true, &request),
        (false, &answer),
        (true, &request),
    ];
    for (second, (to_server, payload)) in (1_700_000_000_u32..).zip(packets) {
        let (from, to) = if to_server {
            (CLIENT, SERVER)
        } else {
            (SERVER, CLIENT)
        };
        let [own, other] = if to_server { [0, 1] } else { [1, 0] };
        let mut packet = Vec::new();
        PacketBuilder::ethernet2([2; 6], [4; 6])
            .single_vlan(7.try_into().expect("a VLAN id has 12 bits"))
            .ipv4(from.0, to.0, 64)
            .tcp(from.1, to.1, seqs[own], 1_000)
            .ack(seqs[other])
            .psh()
            .write(&mut packet, payload)
            .expect("memory takes everything");
        let len = u32::try_from(packet.len()).expect("small");
        seqs[own] += u32::try_from(payload.len()).expect("small");
        file.extend([second, 0, len, len].into_iter().flat_map(u32::to_be_bytes));
        file.extend(packet);
    }
    file
}

fn get(target: &str, fields: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: shop.example.test\r\n{fields}Accept: application/json\r\n\r\n")
        .into_bytes()
}

fn post(target: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {target} HTTP/1.1\r\nHost: shop.example.test\r\nContent-Type: application/json\r\nContent-Length: \
         {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn ok(body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// One stream of a made-up process.
pub(crate) struct Talk {
    records: Vec<Record>,
    stream: StreamKey,
    time_ns: u64,
    positions: [u64; 2],
}

impl Talk {
    /// A server on a plain socket.
    pub(crate) fn server(id: u16) -> Self {
        let mut talk = Self::new(id, Source::Socket, *b"shop-api\0\0\0\0\0\0\0\0");
        talk.socket(
            Role::Server,
            "127.0.0.1:8080",
            &format!("127.0.0.1:{}", 50_000 + id),
        );
        talk
    }

    /// A client inside TLS.
    fn client(id: u16) -> Self {
        Self::new(id, Source::Tls, *b"curl\0\0\0\0\0\0\0\0\0\0\0\0")
    }

    fn new(id: u16, source: Source, comm: [u8; 16]) -> Self {
        let process = ProcessKey {
            pid: 1_000 + u32::from(id),
            start_ns: 42,
        };
        let stream = StreamKey {
            process,
            source,
            id: 0x1_0000 + u64::from(id),
            generation: 0,
        };
        let mut talk = Self {
            records: Vec::new(),
            stream,
            time_ns: 1_700_000_000_000_000_000,
            positions: [0; 2],
        };
        let origin = talk.origin();
        talk.records.push(Record::Exec(ProcessEvent {
            origin,
            comm: Comm(comm),
        }));
        talk
    }

    fn socket(&mut self, role: Role, local: &str, remote: &str) {
        let (origin, stream) = (self.origin(), self.stream);
        let socket = SocketAddress {
            inode: stream.id,
            local: Some(end(local)),
            remote: Some(end(remote)),
            role,
        };
        self.records.push(Record::Open {
            origin,
            stream,
            socket,
        });
    }

    fn bind(&mut self, local: &str, remote: &str) {
        let (origin, stream) = (self.origin(), self.stream);
        let socket = SocketAddress {
            inode: 77,
            local: Some(end(local)),
            remote: Some(end(remote)),
            role: Role::Client,
        };
        let evidence = Evidence::NestedSyscall;
        self.records.push(Record::Bind {
            origin,
            stream,
            socket,
            evidence,
            ambiguous: false,
        });
    }

    fn read(&mut self, bytes: &[u8]) {
        self.carry(Direction::Read, bytes);
    }

    fn write(&mut self, bytes: &[u8]) {
        self.carry(Direction::Write, bytes);
    }

    pub(crate) fn carry(&mut self, direction: Direction, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let (origin, stream) = (self.origin(), self.stream);
        let position = self.advance(direction, bytes.len() as u64);
        let bytes = Bytes::copy_from_slice(bytes);
        self.records.push(Record::Data(Data {
            origin,
            stream,
            direction,
            position,
            socket: 0,
            early: false,
            bytes,
        }));
    }

    /// Bytes that were not captured; without a reason, nothing but the next position tells.
    pub(crate) fn lose(&mut self, direction: Direction, missing: u64, reason: Option<GapReason>) {
        let (origin, stream) = (self.origin(), self.stream);
        let position = self.advance(direction, missing);
        if let Some(reason) = reason {
            self.records.push(Record::Gap(Gap {
                origin,
                stream,
                direction,
                position,
                missing,
                reason,
            }));
        }
    }

    pub(crate) fn end(mut self) -> Vec<Record> {
        let (origin, stream) = (self.origin(), self.stream);
        self.records.push(Record::Close {
            origin,
            stream,
            reason: CloseReason::Socket,
            ends: None,
        });
        self.records
    }

    fn advance(&mut self, direction: Direction, by: u64) -> u64 {
        let [read, written] = &mut self.positions;
        let position = if direction == Direction::Read {
            read
        } else {
            written
        };
        *position += by;
        *position - by
    }

    /// Each record is a millisecond after the one before.
    fn origin(&mut self) -> Origin {
        self.time_ns += 1_000_000;
        let process = self.stream.process;
        Origin {
            time_ns: self.time_ns,
            process,
            tid: process.pid,
            cgroup: 0,
        }
    }
}

fn end(text: &str) -> (std::net::IpAddr, u16) {
    let address: std::net::SocketAddr = text.parse().expect("an address");
    (address.ip(), address.port())
}
