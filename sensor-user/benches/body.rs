//! Bodies: the JSON walk beside its floors, walks of other formats, and the decompression door, all in one run.

use std::fmt::Write as _;
use std::hint::black_box;
use std::io::Write as _;

use common::{JSON, Layout, Nothing, document, ignored, tape};
use criterion::{
    BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime,
};
use sensor_user::protocol::document::{Document, Documents, Format};
use sensor_user::protocol::inflate::{self, Coding, Ended, Limits};
use sensor_user::protocol::walk::Ending;

#[path = "common/documents.rs"]
mod common;

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
        bencher.iter(|| ignored(black_box(&text)));
    });
    let mut buffers = Default::default();
    group.bench_function("simd_json_tape", |bencher| {
        bencher.iter(|| tape(black_box(&text), &mut buffers));
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
