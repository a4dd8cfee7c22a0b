//! Bodies: the JSON walk beside its floors, walks of other formats, and the decompression door, all in one run.

use std::fmt::Write as _;
use std::hint::black_box;
use std::io::Write as _;

use criterion::{
    BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime,
};
use sensor_user::protocol::document::{Document, Documents, Format};
use sensor_user::protocol::inflate::{self, Coding, Ended, Limits};
use sensor_user::protocol::walk::{Container, Ending, Scalar, Text, Visitor};

/// Sees everything, does nothing.
struct Nothing(usize);

impl Visitor for Nothing {
    fn open(&mut self, _container: Container) {}
    fn close(&mut self) {}
    fn key(&mut self, text: Text<'_>) {
        self.0 += text.raw.len();
    }
    fn scalar(&mut self, _kind: Scalar, text: Text<'_>) {
        self.0 += text.raw.len();
    }
}

/// What a record is made of: text before its number, and between and behind its values.
struct Layout {
    begin: &'static str,
    record: fn(&mut String, u32),
    end: &'static str,
}

fn document(layout: &Layout, bytes: usize) -> String {
    let mut text = String::from(layout.begin);
    for number in 0.. {
        if text.len() >= bytes {
            break;
        }
        (layout.record)(&mut text, number);
    }
    text.push_str(layout.end);
    text
}

const JSON: Layout = Layout {
    begin: "[{}",
    record: |text, number| {
        write!(
            text,
            ",{{\"id\":{},\"uuid\":\"550e8400-e29b-41d4-a716-4466554{:05}\",\"status\":\"shipped\",\"total\":{}.99,\
             \"customer\":{{\"name\":\"Alice Johnson\",\"email\":\"user{number}@example.com\",\"verified\":true}},\
             \"note\":\"Please leave the parcel with the neighbours, thank you very much.\",\"tags\":[\"a\",\"gift\"]}}",
            1_000_000 + number,
            number % 100_000,
            number % 500
        )
        .unwrap_or_default();
    },
    end: "]",
};

const XML: Layout = Layout {
    begin: "<?xml version=\"1.0\"?><orders>",
    record: |text, number| {
        writeln!(
            text,
            "<order id=\"{}\"><status>shipped</status><total>{}.99</total><customer><name>Alice &amp; Bob</name>\
             <email>user{number}@example.com</email></customer>\
             <note>Please leave the parcel with the neighbours, thank you very much.</note></order>",
            1_000_000 + number,
            number % 500
        )
        .unwrap_or_default();
    },
    end: "</orders>",
};

const FORM: Layout = Layout {
    begin: "a=1",
    record: |text, number| {
        write!(
            text,
            "&user[name]=Alice+Johnson&user[email]=user{number}%40example.com&note=Please+leave+the+parcel+there"
        )
        .unwrap_or_default();
    },
    end: "",
};

fn walk(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, format: Format, text: &str) {
    let mut documents = Documents::new(16 * 1024);
    let document = Document {
        format,
        media: b"",
        bytes: text.as_bytes(),
        cut: false,
    };
    group.throughput(Throughput::Bytes(text.len() as u64));
    group.bench_function(name, |bencher| {
        bencher.iter(|| {
            let mut seen = Nothing(0);
            let walked = documents.walk(black_box(document), &mut seen);
            assert!(walked.ending == Ending::Complete);
            seen.0
        });
    });
}

fn walks(criterion: &mut Criterion) {
    let text = document(&JSON, 64 * 1024);
    let mut group = criterion.benchmark_group("json_64k");
    group.throughput(Throughput::Bytes(text.len() as u64));
    group.bench_function("serde_ignored", |bencher| {
        bencher.iter(|| serde_json::from_slice::<serde::de::IgnoredAny>(black_box(text.as_bytes())).is_ok());
    });
    // It parses in place, so the copy that a sensor would have to make is a part of its cost.
    let (mut copy, mut buffers) = (Vec::new(), simd_json::Buffers::default());
    group.bench_function("simd_json_tape", |bencher| {
        bencher.iter(|| {
            copy.clear();
            copy.extend_from_slice(black_box(text.as_bytes()));
            simd_json::to_tape_with_buffers(&mut copy, &mut buffers).is_ok()
        });
    });
    walk(&mut group, "walk", Format::Json, &text);
    group.finish();
    let mut group = criterion.benchmark_group("walk_64k");
    walk(&mut group, "xml", Format::Xml, &document(&XML, 64 * 1024));
    walk(&mut group, "form", Format::Form, &document(&FORM, 64 * 1024));
    group.finish();
}

fn pack(coding: Coding, content: &[u8]) -> Vec<u8> {
    match coding {
        Coding::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
            encoder.write_all(content).ok();
            encoder.finish().unwrap_or_default()
        }
        Coding::Brotli => {
            let mut out = Vec::new();
            let quality = brotli::enc::BrotliEncoderParams {
                quality: 5,
                ..Default::default()
            };
            brotli::BrotliCompress(&mut &*content, &mut out, &quality).unwrap_or_default();
            out
        }
        Coding::Zstd => {
            ruzstd::encoding::compress_to_vec(content, ruzstd::encoding::CompressionLevel::Fastest)
        }
        Coding::Deflate => Vec::new(),
    }
}

/// Figures are of what comes out.
fn door(criterion: &mut Criterion) {
    for (name, size) in [("inflate_4k", 4 * 1024), ("inflate_256k", 256 * 1024)] {
        let text = document(&JSON, size);
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Bytes(text.len() as u64));
        for (name, coding) in [
            ("gzip", Coding::Gzip),
            ("br", Coding::Brotli),
            ("zstd", Coding::Zstd),
        ] {
            let packed = pack(coding, text.as_bytes());
            let mut out = Vec::new();
            group.bench_function(name, |bencher| {
                bencher.iter(|| {
                    let ended = inflate::decode(&[coding], black_box(&packed), Limits::default(), &mut out);
                    assert!(ended == Ended::Whole);
                    out.len()
                });
            });
        }
        group.finish();
    }
}

criterion_group!(benches, walks, door);
criterion_main!(benches);
