use super::*;
use crate::config::HeaderSource;
use crate::export::sample;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
}

/// A port at which nobody listens.
fn closed_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

#[test]
fn what_a_receiver_does_not_take_is_counted_over_both_transports() {
    for protocol in [config::Protocol::Grpc, config::Protocol::HttpProtobuf] {
        let runtime = runtime();
        let accounts = Accounts::default();
        let otlp = config::Otlp {
            protocol,
            ..config::Otlp::default()
        };
        let endpoint = format!("http://127.0.0.1:{}", closed_port());
        let mut exporter = Otlp::start(
            &endpoint,
            &otlp,
            4,
            &accounts,
            ClockOffset::RECORDED,
            runtime.handle(),
        )
        .unwrap();
        let [finding, ..] = sample::findings();
        for _ in 0..1_000 {
            exporter
                .export(&Event::Finding(Box::new(finding.clone())))
                .unwrap();
        }
        assert!(
            accounts.sensor.value(Metric::ExportDropped) > 0,
            "more than four cannot wait"
        );
        exporter.finish();
        assert_eq!(
            accounts.sensor.value(Metric::ExportDropped),
            1_000,
            "{protocol:?}"
        );
    }
}

#[test]
fn a_header_that_cannot_be_read_is_named_without_its_value() {
    let mut otlp = config::Otlp::default();
    let source = HeaderSource::File("/nonexistent/token".into());
    otlp.headers.insert("authorization".to_owned(), source);
    let error = client::headers(&otlp).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot read OTLP header `authorization` from /nonexistent/token"
    );
}

#[test]
fn the_value_of_a_header_is_read_from_its_file() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "Bearer x\n").unwrap();
    let mut otlp = config::Otlp::default();
    otlp.headers.insert(
        "Authorization".to_owned(),
        HeaderSource::File(file.path().to_owned()),
    );
    assert_eq!(
        client::headers(&otlp)
            .unwrap()
            .get("authorization")
            .map(String::as_str),
        Some("Bearer x")
    );
}
