//! What the pipeline is measured with: API calls on keep-alive connections, as ring records, and the floor that any
//! parser of the same bytes pays.

use std::fmt::Write as _;
use std::hint::black_box;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use sensor_common::CHUNK_BYTES;
use sensor_user::capture::decode::decode;
use sensor_user::capture::encode::encode;
use sensor_user::capture::{
    Data, Direction, Evidence, Origin, ProcessKey, Record, Role, SocketAddress, Source, StreamKey,
};
use sensor_user::exchange::secret::HashKey;
use sensor_user::export::Event;
use sensor_user::pipeline::{Pipeline, Settings};
use sensor_user::telemetry::Counters;
use serde::de::IgnoredAny;

/// Connections that take turns, so that each record finds another stream than the last.
const CONNECTIONS: u32 = 32;

/// A message on the wire: its head and its JSON body, which may be empty.
struct Message {
    head: Vec<u8>,
    body: Vec<u8>,
    is_request: bool,
}

/// Calls as the kernel object would record them.
pub(crate) struct Workload {
    records: Vec<Vec<u8>>,
    messages: Vec<Message>,
    /// Calls in it.
    pub(crate) exchanges: usize,
    /// Bytes on the wire.
    pub(crate) bytes: usize,
}

impl Workload {
    /// So many calls whose JSON body has about so many bytes: by turns a GET that is answered with it and a POST that
    /// sends it.
    pub(crate) fn new(exchanges: usize, body_bytes: usize) -> Self {
        let mut workload = Self {
            records: Vec::new(),
            messages: Vec::new(),
            exchanges,
            bytes: 0,
        };
        for connection in 0..CONNECTIONS {
            workload.bind(connection);
        }
        let mut positions = vec![[0_u64; 2]; CONNECTIONS as usize];
        for number in 0..exchanges {
            let connection = number % CONNECTIONS as usize;
            let call = if (number / CONNECTIONS as usize).is_multiple_of(2) {
                get
            } else {
                post
            };
            for message in call(number, connection, body_bytes) {
                let wire = [&message.head[..], &message.body[..]].concat();
                let direction = if message.is_request {
                    Direction::Read
                } else {
                    Direction::Write
                };
                let position = &mut positions[connection][usize::from(!message.is_request)];
                for piece in wire.chunks(CHUNK_BYTES) {
                    workload.record(number, connection, direction, *position, piece);
                    *position += piece.len() as u64;
                }
                workload.bytes += wire.len();
                workload.messages.push(message);
            }
        }
        workload
    }

    /// The socket of a connection, as its handshake shows it before the first call. Calls of a stream without one wait
    /// for it, which is a matter of patience and not of cost.
    fn bind(&mut self, connection: u32) {
        let port = 40_000 + u16::try_from(connection).unwrap();
        self.add(&Record::Bind {
            origin: origin(0),
            stream: stream(connection as usize),
            socket: SocketAddress {
                inode: 70_000 + u64::from(connection),
                local: Some((IpAddr::from([192, 0, 2, 1]), 8443)),
                remote: Some((IpAddr::from([198, 51, 100, 7]), port)),
                role: Role::Server,
            },
            evidence: Evidence::SetFd,
            ambiguous: false,
        });
    }

    fn record(
        &mut self,
        number: usize,
        connection: usize,
        direction: Direction,
        position: u64,
        piece: &[u8],
    ) {
        self.add(&Record::Data(Data {
            origin: origin(number),
            stream: stream(connection),
            direction,
            position,
            socket: 0,
            early: false,
            bytes: Bytes::copy_from_slice(piece),
        }));
    }

    fn add(&mut self, record: &Record) {
        let mut raw = Vec::new();
        encode(record, &mut raw).unwrap();
        self.records.push(raw);
    }

    /// A pipeline to measure, built before the clock starts.
    pub(crate) fn pipeline() -> Pipeline {
        Pipeline::new(&Settings::new(
            HashKey::new([7; 32]),
            Arc::new(Counters::default()),
        ))
    }

    /// Everything the sensor does in user space, from ring bytes to events. Returns the exchanges told.
    pub(crate) fn run_pipeline(&self, pipeline: &mut Pipeline) -> usize {
        let mut told = 0;
        let mut sink = |event: Event| told += usize::from(matches!(black_box(event), Event::Exchange(_)));
        for raw in &self.records {
            let record = decode(raw, Bytes::copy_from_slice).unwrap();
            pipeline.push(record, &mut sink);
        }
        // Calls of a stream whose socket nobody named wait for it.
        pipeline.finish(&mut sink);
        told
    }

    /// The floor: both heads by `httparse`, and one pass over each JSON body that builds nothing.
    pub(crate) fn run_floor(&self) -> usize {
        for message in &self.messages {
            let mut fields = [httparse::EMPTY_HEADER; 32];
            if message.is_request {
                let mut request = httparse::Request::new(&mut fields);
                black_box(request.parse(&message.head).unwrap());
                black_box(&request);
            } else {
                let mut response = httparse::Response::new(&mut fields);
                black_box(response.parse(&message.head).unwrap());
                black_box(&response);
            }
            if !message.body.is_empty() {
                black_box(serde_json::from_slice::<IgnoredAny>(&message.body).unwrap());
            }
        }
        self.messages.len() / 2
    }
}

const PROCESS: ProcessKey = ProcessKey {
    pid: 4242,
    start_ns: 77_000_000,
};

fn origin(number: usize) -> Origin {
    Origin {
        time_ns: 1_000_000 + number as u64 * 1000,
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

fn get(number: usize, connection: usize, body_bytes: usize) -> [Message; 2] {
    let head = format!(
        "GET /api/v2/customers/{}/orders?page={}&per_page=50&sort=created_at HTTP/1.1\r\n{}\r\n",
        1000 + number,
        number % 7,
        request_fields(connection)
    );
    let body = json(number, body_bytes);
    [
        Message {
            head: head.into_bytes(),
            body: Vec::new(),
            is_request: true,
        },
        Message {
            head: response_head("200 OK", body.len()),
            body,
            is_request: false,
        },
    ]
}

fn post(number: usize, connection: usize, body_bytes: usize) -> [Message; 2] {
    let body = json(number, body_bytes);
    let head = format!(
        "POST /api/v2/customers/{}/orders HTTP/1.1\r\n{}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        1000 + number,
        request_fields(connection),
        body.len()
    );
    let answer = format!(
        "{{\"id\":{},\"status\":\"accepted\",\"created_at\":\"2026-03-01T10:11:12Z\"}}",
        500_000 + number
    );
    [
        Message {
            head: head.into_bytes(),
            body,
            is_request: true,
        },
        Message {
            head: response_head("201 Created", answer.len()),
            body: answer.into_bytes(),
            is_request: false,
        },
    ]
}

fn request_fields(connection: usize) -> String {
    format!(
        "Host: api.shop.example\r\nUser-Agent: shop-frontend/5.12.0\r\nAccept: application/json\r\n\
         Accept-Encoding: gzip, deflate, br\r\nAuthorization: Bearer tok_{connection:04}aGVsbG8td29ybGQtdGhpcy1pcy1hLXRva2Vu\r\n\
         X-Request-Id: 0af7651916cd43dd8448eb211c80319c\r\nConnection: keep-alive\r\n"
    )
}

fn response_head(status: &str, len: usize) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status}\r\nServer: nginx/1.27.3\r\nDate: Sun, 01 Mar 2026 10:11:12 GMT\r\n\
         Content-Type: application/json; charset=utf-8\r\nContent-Length: {len}\r\nConnection: keep-alive\r\n\
         Cache-Control: no-store\r\nStrict-Transport-Security: max-age=31536000\r\n\
         X-Request-Id: 0af7651916cd43dd8448eb211c80319c\r\n\r\n"
    )
    .into_bytes()
}

/// Orders as an API lists them, of about `len` bytes.
fn json(seed: usize, len: usize) -> Vec<u8> {
    const GOODS: [&str; 5] = [
        "desk lamp",
        "office chair",
        "notebook, ruled",
        "fountain pen",
        "shelf 80 cm",
    ];
    let mut text = format!("{{\"page\":{},\"orders\":[", seed % 7);
    for item in 0.. {
        let number = seed.wrapping_mul(7919) + item * 104_729;
        let separator = if item == 0 { "" } else { "," };
        write!(
            text,
            "{separator}{{\"id\":{},\"sku\":\"SKU-{:06}\",\"name\":\"{}\",\"quantity\":{},\"price\":{}.{:02},\
             \"currency\":\"EUR\",\"created_at\":\"2026-02-{:02}T{:02}:{:02}:00Z\",\"shipped\":{},\"note\":null}}",
            number % 1_000_000,
            number % 999_983,
            GOODS[number % GOODS.len()],
            number % 9 + 1,
            number % 500,
            number % 100,
            number % 28 + 1,
            number % 24,
            number % 60,
            number.is_multiple_of(2)
        )
        .unwrap();
        if text.len() + 2 >= len {
            break;
        }
    }
    text.push_str("]}");
    text.into_bytes()
}
