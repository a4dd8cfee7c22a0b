//! What mutation begins with: small inputs of every kind, and files of the corpora where they are there.

use std::path::{Path, PathBuf};

/// Seeds of a target. A new target without seeds of its own begins with those of every kind.
pub(crate) fn of(target: &str) -> Vec<Vec<u8>> {
    match target {
        "http1_request" => with_cut(REQUESTS),
        "http1_response" => with_cut(RESPONSES),
        "json" => {
            let mut seeds = with_cut(DOCUMENTS);
            seeds.extend(files(&corpora("json/test_parsing"), "json", 2000));
            seeds
        }
        "form" => owned(FORMS),
        "proxy" => owned(PROXY),
        "pcapng" => files(&fixtures("fixtures/pcap"), "", 6000),
        "ring_record" => records(),
        "pipeline" => scripts(),
        _ => [REQUESTS, RESPONSES, DOCUMENTS, FORMS, PROXY]
            .into_iter()
            .flat_map(owned)
            .collect(),
    }
}

const REQUESTS: &[&[u8]] = &[
    b"GET /a?b=c HTTP/1.1\r\nHost: a\r\n\r\nGET /d HTTP/1.1\r\n\r\n",
    b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhelloPUT /b HTTP/1.0\r\n\r\n",
    b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n3;a=\"b\"\r\nabc\r\n0\r\nX-T: 1\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\nA : b\r\n folded\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nab",
    b"CONNECT a.example:443 HTTP/1.1\r\nConnection: close\r\n\r\n",
    b"GET /chat HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x81\x05hello",
];

const RESPONSES: &[&[u8]] = &[
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 204 No\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nA: b\r\nC: d\r\n\r\nHTTP/1.1 304 No\r\n\r\n",
    b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nuntil the end",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n\0\x01\x02",
];

const DOCUMENTS: &[&[u8]] = &[
    br#"{"a":[1,-2.5e3,true,false,null],"b":{"c":"d\u00e9\n","":[[[]]]}}"#,
    br#"[{"id":"1001","email":"a@b.example"},"\ud83d\ude00"]"#,
];

const FORMS: &[&[u8]] = &[b"a=b&c=%41+d&&e&=f&%zz=%", b"session=\"abc\"; theme=dark; x"];

const PROXY: &[&[u8]] = &[
    b"PROXY TCP4 192.0.2.1 192.0.2.2 50000 443\r\nGET / HTTP/1.1\r\n\r\n",
    b"PROXY UNKNOWN\r\n",
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x01\xc0\0\x02\x02\xc3\x50\x01\xbb",
];

fn owned(seeds: &[&[u8]]) -> Vec<Vec<u8>> {
    seeds.iter().map(|seed| seed.to_vec()).collect()
}

/// With the two bytes in front that say where to cut.
fn with_cut(seeds: &[&[u8]]) -> Vec<Vec<u8>> {
    seeds.iter().map(|seed| [&[17, 0], *seed].concat()).collect()
}

/// The front of a ring record of each kind, with something behind it.
fn records() -> Vec<Vec<u8>> {
    use sensor_user::capture::{Data, Direction, Origin, ProcessKey, Record, Source, StreamKey, encode};
    let process = ProcessKey { pid: 9, start_ns: 3 };
    let record = Record::Data(Data {
        origin: Origin {
            time_ns: 5,
            process,
            tid: 9,
            cgroup: 0,
        },
        stream: StreamKey {
            process,
            source: Source::Tls,
            id: 1,
            generation: 0,
        },
        direction: Direction::Read,
        position: 0,
        socket: 0,
        early: false,
        bytes: bytes::Bytes::from_static(REQUESTS[0]),
    });
    let mut encoded = Vec::new();
    encode::encode(&record, &mut encoded).expect("the record is of a kind that rings carry");
    vec![encoded]
}

/// Conversations as scripts of the pipeline: on each connection requests one way and answers the other.
fn scripts() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (number, request) in REQUESTS.iter().enumerate() {
        for response in RESPONSES {
            let connection = u8::try_from(number % 4).unwrap_or(0);
            let mut script = Vec::new();
            for (direction, bytes) in [(0, request), (4, response), (0, request), (4, response)] {
                for piece in bytes.chunks(40) {
                    script.push(connection | direction | 8 << 3);
                    script.push(u8::try_from(piece.len()).unwrap_or(0));
                    script.extend_from_slice(piece);
                }
            }
            script.extend_from_slice(&[connection | 2 << 3, 0]);
            seeds.push(script);
        }
    }
    seeds
}

fn fixtures(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)
}

fn corpora(folder: &str) -> PathBuf {
    fixtures("../../shared/corpora").join(folder)
}

/// Files with that ending, up to a length.
fn files(folder: &Path, end: &str, most: usize) -> Vec<Vec<u8>> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.is_file() && path.to_string_lossy().ends_with(end))
        .collect();
    paths.sort_unstable();
    let read = paths.into_iter().filter_map(|path| std::fs::read(path).ok());
    read.filter(|bytes| bytes.len() <= most).collect()
}
