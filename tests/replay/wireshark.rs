//! What Wireshark makes of what the sensor writes. Without `tshark` these tests print SKIPPED.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::recordings;

/// Rows of fields that tshark shows of a file, or `None` when it is not installed.
pub(crate) fn tshark(path: &Path, filter: &str, fields: &[&str]) -> Option<Vec<Vec<String>>> {
    let mut command = Command::new("tshark");
    // Checksums of real captures are often left to the network card. Names would be looked up on the network.
    command.args([
        "-n",
        "-o",
        "tcp.check_checksum:FALSE",
        "-o",
        "ip.defragment:FALSE",
        "-o",
        "ipv6.defragment:FALSE",
    ]);
    command.arg("-r").arg(path).args(["-Y", filter, "-T", "fields"]);
    for field in fields {
        command.args(["-e", field]);
    }
    let Ok(output) = command.output() else {
        println!("SKIPPED comparison with tshark: it is not installed (apt-get install tshark)");
        return None;
    };
    let text = String::from_utf8_lossy(&output.stdout);
    Some(
        text.lines()
            .map(|line| line.split('\t').map(str::to_owned).collect())
            .collect(),
    )
}

#[test]
fn wireshark_shows_the_http_of_our_recordings() {
    for (name, requests, answers) in [
        ("json_api.pcapng", vec!["GET /api/v1/customers/1001"], vec!["200"]),
        (
            "keep_alive.pcapng",
            vec![
                "GET /api/v1/orders/1",
                "GET /api/v1/orders/2",
                "GET /api/v1/orders/3",
            ],
            vec!["200"; 3],
        ),
        ("chunked.pcapng", vec!["GET /api/v1/accounts/7"], vec!["200"]),
        ("tls_client.pcapng", vec!["POST /login"], vec!["200"]),
        ("both_ends.pcapng", vec!["GET /api/v1/version"; 2], vec!["200"; 2]),
    ] {
        let scratch = tempfile::tempdir().expect("a temporary folder");
        let path = scratch.path().join(name);
        let (_, bytes) = recordings::all()
            .into_iter()
            .find(|(made, _)| *made == name)
            .expect("it is made");
        fs::write(&path, bytes).expect("written");
        let Some(rows) = tshark(
            &path,
            "http.request",
            &["http.request.method", "http.request.uri"],
        ) else {
            return;
        };
        let shown: Vec<String> = rows.iter().map(|row| row.join(" ")).collect();
        assert_eq!(shown, requests, "{name}");
        let rows = tshark(&path, "http.response", &["http.response.code"]).unwrap_or_default();
        assert_eq!(rows.concat(), answers, "{name}");
        let complaints = tshark(
            &path,
            "_ws.malformed || tcp.analysis.flags",
            &["frame.number", "_ws.col.Info"],
        );
        assert_eq!(complaints, Some(vec![]), "{name}");
    }
}

#[test]
fn wireshark_shows_a_hole_as_a_missing_segment() {
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let path = scratch.path().join("hole.pcapng");
    let (_, bytes) = recordings::all()
        .into_iter()
        .find(|(name, _)| *name == "hole_in_response.pcapng")
        .expect("it is made");
    fs::write(&path, bytes).expect("written");
    let Some(lost) = tshark(&path, "tcp.analysis.lost_segment", &["frame.number"]) else {
        return;
    };
    assert_eq!(lost.len(), 1);
    let notes = tshark(
        &path,
        "frame.comment contains \"comm=shop-api\"",
        &["frame.number"],
    );
    assert_eq!(notes.map(|rows| rows.len()), Some(1));
}
