//! What mutation begins with: small inputs of every kind, and files of the corpora where they are there.

use std::path::{Path, PathBuf};

use sensor_user::capture::Direction;

use super::targets::http2;

#[path = "seeds_files.rs"]
mod made;

/// Seeds of a target; `tests` is the folder of that name. A new target without seeds of its own begins with those of
/// every kind.
pub(crate) fn of(target: &str, tests: &Path) -> Vec<Vec<u8>> {
    let corpora = |folder: &str| tests.join("../../shared/corpora").join(folder);
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
        "pcapng" => files(&tests.join("fixtures/pcap"), "", 6000),
        "ring_record" => records(),
        "http2_frames" => http2_frames(&corpora("http2-frames")),
        "http2_header_tables" => header_tables(&corpora("hpack")),
        "http2_connection" => http2_scripts(0, 1),
        "http2_lawful" => choices().collect(),
        "documents" => documents(),
        "xml" | "soap" => owned(XML),
        "graphql" => with_cut(GRAPHQL),
        "envelope" => with_cut(CALLS),
        "multipart" => owned(PARTS),
        "decompress" | "inflate_flow" => compressed(),
        "caller" => with_cut(CREDENTIALS),
        "message" => messages(),
        "elf" => made::programs(),
        "btf" => vec![made::types()],
        "probe_sites" => made::functions_of_x86(),
        "tracepoint_format" => owned(FORMATS),
        "process" => owned(PROCESSES),
        "config" => {
            let mut seeds = files(&tests.join("../deploy"), "toml", 20_000);
            seeds.extend(files(&tests.join("fixtures/config/bad"), "toml", 4000));
            seeds.push(b"API_SENSOR_CAPTURE_RING_BYTES=1MiB\nOTEL_RESOURCE_ATTRIBUTES=a=b,c".to_vec());
            seeds
        }
        "pipeline" => {
            let mut seeds = scripts();
            seeds.extend(http2_scripts(8 << 3, 4));
            seeds
        }
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

/// A field's name, and the format that the kernel writes.
const FORMATS: &[&[u8]] = &[
    b"ret\nname: sys_exit_read\nID: 735\nformat:\n\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\
      \tfield:int __syscall_nr;\toffset:8;\tsize:4;\tsigned:1;\n\tfield:long ret;\toffset:16;\tsize:8;\tsigned:1;\n\n\
      print fmt: \"0x%lx\", REC->ret\n",
    b"buf\n\tfield:char * buf;\toffset:24;\tsize:8;\tsigned:0;\n\tfield:char comm[16];\toffset:8;\t\n",
];

const XML: &[&[u8]] = &[
    b"<?xml version=\"1.0\"?><!DOCTYPE a [<!ENTITY b \"c\">]><a d='1'>&b;<e/>f<![CDATA[g]]><!-- h --></a>",
    b"<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"><s:Header/><s:Body><m:Get xmlns:m=\"urn:a\">\
      <id>1</id></m:Get></s:Body></s:Envelope>",
    b"<s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\"><s:Body><s:Fault><s:Code><s:Value>s:Sender\
      </s:Value></s:Code></s:Fault></s:Body></s:Envelope>",
    b"<methodCall><methodName>a.b</methodName><params><param><value><i4>4</i4></value></param></params></methodCall>",
    b"<methodResponse><fault><value><struct><member><name>faultCode</name><value><int>4</int></value></member></struct>\
      </value></fault></methodResponse>",
];

const GRAPHQL: &[&[u8]] = &[
    b"query Q($id: ID! = 1) @d { user(id: $id, in: {a: [1, \"x\"]}) { n: name ...F ... on T { b } } } fragment F on T { c }",
    b"{ __schema { types { name } } } # end",
    b"mutation { a } subscription S { b } type T { c: Int }",
    b"query { a ...F } fragment F on T { b ...G } fragment G on T { c ...F }",
];

const CALLS: &[&[u8]] = &[
    br#"{"query":"query Q{a}","operationName":"Q","variables":{"a":{"b":[1,{"c":2}]}}}"#,
    br#"[{"jsonrpc":"2.0","method":"a.b","params":[1],"id":1},{"jsonrpc":"2.0","error":{"code":-32600},"id":"x"},4]"#,
    br#"{"type":"subscribe","id":"1","payload":{"query":"{a}","extensions":{"persistedQuery":{"sha256Hash":"0"}}}}"#,
    br#"{"data":{"a":1},"errors":[{"message":"x"}],"documentId":"d"}"#,
];

const PARTS: &[&[u8]] = &[
    b"--b\r\nContent-Disposition: form-data; name=\"a\"; filename=\"b.json\"\r\nContent-Type: application/json\r\n\r\n\
      {\"c\":1}\r\n--b \r\nContent-Disposition: form-data; name=d\r\n\r\ne\r\n--b--\r\n",
    b"before\r\n--b\n\nno header\n--b\r\n\r\n",
    b"form-data; a=b; name=\"c\\\"d\"",
];

/// In order of what decides: JSON lines, `MessagePack`, CBOR, protobuf, server-sent events.
const OTHERS: &[(u8, &[u8])] = &[
    (1, b"{\"a\":1}\n[2]\nnot JSON\n"),
    (2, b"\x1e{\"a\":1}\n\x1e[2]\n"),
    (7, b"event: a\ndata: {\"b\":\ndata: 1}\n\ndata: [DONE]\n\n"),
    (
        8,
        b"\x83\xa1a\x01\xa1b\x93\xc0\xc3\xcb\x40\x09\x21\xfb\x54\x44\x2d\x18\xa1c\xc4\x02\x01\x02",
    ),
    (
        9,
        b"\xa3\x61a\x01\x61b\x9f\xf6\xf5\xfb\x40\x09\x21\xfb\x54\x44\x2d\x18\xff\x61c\xc1\x42\x01\x02",
    ),
    (10, b"\x0a\x05hello\x10\x96\x01\x1a\x04\x0a\x02hi\x25\0\0\x80\x3f"),
];

const CREDENTIALS: &[&[u8]] = &[
    b"Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0Iiwic2NvcGUiOiJhIn0.c2lnbmF0dXJl",
    b"Basic dXNlcjpwYXNzd29yZA==",
    b"session=0123456789abcdef; theme=dark; JSESSIONID=\"x\"",
    b"AWS4-HMAC-SHA256 Credential=a/b/c, SignedHeaders=host, Signature=d",
];

const PROCESSES: &[&[u8]] = &[
    b"7f00-7f10 r-xp 00001000 08:01 1234                       /usr/lib/a\\012b.so (deleted)\n7f10-7f20 rw-p 0 00:00 0",
    b"42 (a) b) S 1 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 12345 1 1 1",
    b"0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod01234567_89ab_cdef_0123_456789abcdef.slice/\
      cri-containerd-5c2bf1f0a9d04e0c8f8c1d3f4f5c6a7b8c9d0e1f2a3b4c5d6e7f8091a2b3c4d5.scope\n1:name=systemd:/a:b",
    br#"{"annotations":{"a":"b","io.kubernetes.cri-o.Labels":"{\"c\":\"d\"}"},"Config":{"Labels":{"e":"f"}}}"#,
    b"socket:[12345]",
    b"_RNvXs_NtNtCs1_6rustls6client4connNtB4_10ConnectionNtB6_4Read4read",
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

/// What the lawful connection chooses: some hundred bytes without order.
fn choices() -> impl Iterator<Item = Vec<u8>> {
    (1..24_u32).map(|seed| {
        let mut state = seed.wrapping_mul(0x9e37_79b9) | 1;
        let bytes = (0..120 + 8 * seed).map(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state.to_le_bytes()[3]
        });
        bytes.collect()
    })
}

/// Lawful connections, and each direction of them.
fn http2_frames(corpus: &Path) -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for wire in choices().map(|choices| http2::wire(&choices)) {
        for way in [Direction::Read, Direction::Write] {
            let frames = wire.iter().filter(|(direction, _)| *direction == way);
            let bytes: Vec<u8> = frames.flat_map(|(_, bytes)| bytes.clone()).collect();
            seeds.extend(with_cut(&[&bytes]));
        }
    }
    for text in texts(corpus) {
        for frame in hex_members(&text, "\"wire\"") {
            let settings = b"\0\0\0\x04\0\0\0\0\0";
            seeds.extend(with_cut(&[&[&settings[..], &frame[..]].concat()]));
        }
    }
    seeds
}

/// Stories: the first blocks of each.
fn header_tables(corpus: &Path) -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for text in texts(corpus) {
        let mut seed = vec![2, 64];
        for block in hex_members(&text, "\"wire\"").into_iter().take(6) {
            if let Ok(length) = u8::try_from(block.len()) {
                seed.push(length);
                seed.extend(block);
            }
        }
        seeds.push(seed);
    }
    seeds
}

/// Lawful connections as scripts of two bytes and so many more; `way` is the bit of a direction that is written.
fn http2_scripts(operation: u8, way: u8) -> Vec<Vec<u8>> {
    let script = |wire: Vec<(Direction, Vec<u8>)>| {
        let mut script = Vec::new();
        for (direction, bytes) in wire {
            for piece in bytes.chunks(255) {
                let bit = if direction == Direction::Write { way } else { 0 };
                script.extend([operation | bit, u8::try_from(piece.len()).unwrap_or(0)]);
                script.extend_from_slice(piece);
            }
        }
        script
    };
    choices().map(|choices| script(http2::wire(&choices))).collect()
}

fn documents() -> Vec<Vec<u8>> {
    let of = |media: u8, bytes: &[u8]| [&[media << 1][..], bytes].concat();
    let mut seeds: Vec<_> = OTHERS.iter().map(|(media, bytes)| of(*media, bytes)).collect();
    for (media, kinds) in [
        (0, DOCUMENTS),
        (3, FORMS),
        (4, PARTS),
        (6, XML),
        (12, GRAPHQL),
        (13, DOCUMENTS),
    ] {
        seeds.extend(kinds.iter().map(|bytes| of(media, bytes)));
    }
    seeds
}

/// The same text in each coding, and one over the other.
fn compressed() -> Vec<Vec<u8>> {
    const CODED: [(u8, &str); 6] = [
        (
            0,
            "1f8b0800000000000003ab564a54b252ca48cdc9c95740229574949294aca20d758c748c63759492616a946a01772c303b31000000",
        ),
        (
            1,
            "789cab564a54b252ca48cdc9c95740229574949294aca20d758c748c63759492616a946a0177d00eaf",
        ),
        (
            1,
            "ab564a54b252ca48cdc9c95740229574949294aca20d758c748c63759492616a946a01",
        ),
        (
            2,
            "0b18807b2261223a2268656c6c6f2068656c6c6f2068656c6c6f222c2262223a5b312c322c335d2c2263223a2268656c6c6f227d03",
        ),
        (
            3,
            "28b52ffd04583d0100f07b2261223a2268656c6c6f20222c2262223a5b312c322c335d2c2263227d02008e222b464902657bfb2f",
        ),
        (4, "gzip, deflate"),
    ];
    let seed = |(choice, hex): &(u8, &str)| [&[*choice, 9, 0][..], &from_hex(hex)].concat();
    CODED.iter().map(seed).collect()
}

fn messages() -> Vec<Vec<u8>> {
    let documents = documents().into_iter().map(|seed| {
        let (media, body) = seed
            .split_first()
            .map_or((0, &[][..]), |(media, body)| (media >> 1, body));
        [&[media, 4, 20, 0][..], b"/v1/users/1001?a=b&c", body].concat()
    });
    let compressed = compressed().into_iter().map(|seed| {
        let (coding, body) = (
            seed.first().copied().unwrap_or(0),
            seed.get(3..).unwrap_or_default(),
        );
        [&[0, coding, 20, 0][..], b"/v1/users/1001?a=b&c", body].concat()
    });
    documents.chain(compressed).collect()
}

/// Texts of the files below a folder.
fn texts(folder: &Path) -> Vec<String> {
    let mut folders = vec![folder.to_owned()];
    let mut texts = Vec::new();
    while let Some(folder) = folders.pop() {
        let found = files(&folder, "json", 40_000).into_iter();
        texts.extend(found.filter_map(|bytes| String::from_utf8(bytes).ok()));
        let inside = std::fs::read_dir(&folder).into_iter().flatten();
        folders.extend(
            inside
                .filter_map(|entry| Some(entry.ok()?.path()))
                .filter(|path| path.is_dir()),
        );
        folders.sort_unstable();
    }
    texts
}

/// Values of members of that name that are hexadecimal.
fn hex_members(text: &str, name: &str) -> Vec<Vec<u8>> {
    let values = text
        .split(name)
        .skip(1)
        .filter_map(|behind| behind.split('"').nth(1));
    values.map(from_hex).collect()
}

fn from_hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .filter_map(|digit| u8::try_from(digit.to_digit(16)?).ok())
        .collect();
    digits
        .chunks_exact(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
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
