//! Is every byte of every body there, at both ends, in both directions, for each server, client and transport?

use std::path::Path;
use std::process::Command;

use sensor_tests::PrivateTls;
use sensor_tests::clients::Call;
use sensor_tests::held::{Held, Running};
use sensor_tests::payload::{LENGTHS, body};
use sensor_tests::programs::{self, Program};
use sensor_tests::servers::{Nginx, OneShot, PythonApi, Site, Transport};

use crate::watch::{Watch, able, assert_same, describe, options};

const NEEDED: [Program; 4] = [Program::Nginx, Program::Curl, Program::Openssl, Program::Python];

/// A client program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Client {
    Curl,
    Requests,
}

impl Client {
    /// Those of this machine; what is missing is said.
    fn all(what: &str) -> Vec<Self> {
        if programs::has_requests() {
            return vec![Self::Curl, Self::Requests];
        }
        programs::skipped(&format!("{what} with requests"), &programs::REQUESTS_PACKAGE);
        vec![Self::Curl]
    }

    fn command(self, call: &Call, tls: &PrivateTls) -> Command {
        match self {
            Self::Curl => call.curl(tls).unwrap(),
            Self::Requests => call.requests(tls).unwrap(),
        }
    }
}

/// What one call should look like.
pub(crate) struct Expected<'a> {
    pub(crate) transport: Transport,
    pub(crate) target: &'a str,
    pub(crate) sent: &'a [u8],
    /// `None`: the server's own words, which are not compared.
    pub(crate) answered: Option<&'a [u8]>,
}

/// Starts the client under the sensor's eyes and lets it run to its end; gives its process id.
pub(crate) fn perform(watch: &mut Watch, command: &Command) -> u32 {
    let held = Held::new(command).unwrap();
    let pid = held.pid();
    watch.also(pid);
    finish(watch, held.release().unwrap());
    pid
}

/// The same for a client that goes on when the file `go` is there, which is made once the sensor is `ready`.
pub(crate) fn perform_once(
    watch: &mut Watch,
    command: &Command,
    go: &Path,
    ready: impl FnMut(&Watch) -> bool,
) -> u32 {
    let held = Held::new(command).unwrap();
    let pid = held.pid();
    watch.also(pid);
    let running = held.release().unwrap();
    watch.until("the sensor to be ready for the client", ready);
    std::fs::write(go, "").unwrap();
    finish(watch, running);
    pid
}

fn finish(watch: &mut Watch, client: Running) {
    let output = watch.follow(client);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the client failed: {errors}");
}

/// Exactly one exchange at that process, with those bytes.
pub(crate) fn check(watch: &mut Watch, what: &str, pid: u32, expected: &Expected<'_>) {
    watch.until(what, |watch| !watch.exchanges(pid, expected.target).is_empty());
    let seen = watch.exchanges(pid, expected.target);
    assert_eq!(
        seen.len(),
        1,
        "{what}: {:#?}",
        seen.iter().map(|one| describe(one)).collect::<Vec<_>>()
    );
    let exchange = &seen[0].exchange;
    assert_eq!(
        exchange.connection.tls,
        expected.transport == Transport::Tls,
        "{what}"
    );
    assert_same(&format!("{what}, request"), &exchange.request.body, expected.sent);
    let response = exchange
        .outcome
        .response()
        .unwrap_or_else(|| panic!("{what}: {:?}", exchange.outcome));
    if let Some(answered) = expected.answered {
        assert_same(&format!("{what}, response"), &response.body, answered);
    }
}

/// A server with a file `f<length>` of each length.
pub(crate) fn with_files(tls: &PrivateTls, lengths: &[usize]) -> Nginx {
    let contents: Vec<_> = lengths
        .iter()
        .map(|&length| (format!("f{length}"), body(1, length)))
        .collect();
    let files: Vec<_> = contents
        .iter()
        .map(|(name, content)| (name.as_str(), content.as_slice()))
        .collect();
    let site = Site {
        files: &files,
        ..Site::default()
    };
    Nginx::start(tls, &site).unwrap()
}

#[test]
fn nginx_downloads_and_uploads() {
    let what = "bodies through nginx";
    if !able(what, &NEEDED) {
        return;
    }
    let tls = PrivateTls::new().unwrap();
    let nginx = with_files(&tls, &LENGTHS);
    let worker = nginx.workers().unwrap()[0];
    tls.assert_mapped(worker).unwrap();
    let Some(mut watch) = Watch::start(what, &options(&tls, &[nginx.pid(), worker])) else {
        return;
    };
    for client in Client::all(what) {
        for transport in Transport::ALL {
            for length in LENGTHS {
                let mut one = One {
                    watch: &mut watch,
                    tls: &tls,
                    nginx: &nginx,
                    worker,
                    client,
                    transport,
                };
                one.download(length);
                one.upload(length);
            }
        }
    }
    watch.stop();
}

/// One combination of nginx's test.
struct One<'a> {
    watch: &'a mut Watch,
    tls: &'a PrivateTls,
    nginx: &'a Nginx,
    worker: u32,
    client: Client,
    transport: Transport,
}

impl One<'_> {
    fn download(&mut self, length: usize) {
        let expected = Expected {
            transport: self.transport,
            target: &format!("/f{length}?{:?}", self.client),
            sent: b"",
            answered: Some(&body(1, length)),
        };
        self.both_ends("GET", length, &expected);
    }

    fn upload(&mut self, length: usize) {
        let expected = Expected {
            transport: self.transport,
            target: &format!("/put/{:?}-{:?}-{length}", self.client, self.transport),
            sent: &body(2, length),
            answered: None,
        };
        self.both_ends("PUT", length, &expected);
    }

    fn both_ends(&mut self, method: &str, length: usize, expected: &Expected<'_>) {
        let (client, transport) = (self.client, self.transport);
        let what = format!("nginx, {method}, {client:?}, {transport:?}, {length} bytes");
        let url = transport.url(self.nginx.port(transport), expected.target);
        let call = Call::new(method, &url, expected.sent).unwrap();
        let pid = perform(self.watch, &client.command(&call, self.tls));
        check(self.watch, &format!("{what}, client's end"), pid, expected);
        check(
            self.watch,
            &format!("{what}, server's end"),
            self.worker,
            expected,
        );
        // The same path is asked for over both transports, so what was checked is forgotten.
        self.watch.observed.clear();
    }
}

#[test]
fn python_ssl_echoes_in_both_directions() {
    let what = "bodies through Python";
    if !able(what, &NEEDED) {
        return;
    }
    let tls = PrivateTls::new().unwrap();
    for transport in Transport::ALL {
        let api = PythonApi::start(&tls, transport).unwrap();
        let Some(mut watch) = Watch::start(what, &options(&tls, &[api.pid()])) else {
            return;
        };
        for client in Client::all(what) {
            for length in LENGTHS {
                let what = format!("{what}, {client:?}, {transport:?}, {length} bytes");
                let (sent, answered) = (body(3, length), body(4, length));
                let target = format!("/echo?seed=4&length={length}&client={client:?}");
                let call = Call::new("POST", &transport.url(api.port(), &target), &sent).unwrap();
                let pid = perform(&mut watch, &client.command(&call, &tls));
                let expected = Expected {
                    transport,
                    target: &target,
                    sent: &sent,
                    answered: Some(&answered),
                };
                check(&mut watch, &format!("{what}, client's end"), pid, &expected);
                check(&mut watch, &format!("{what}, server's end"), api.pid(), &expected);
                watch.observed.clear();
            }
        }
        watch.stop();
    }
}

#[test]
fn s_server_in_both_directions() {
    let what = "bodies through s_server";
    if !able(what, &NEEDED) {
        return;
    }
    let tls = PrivateTls::new().unwrap();
    let Some(mut watch) = Watch::start(what, &options(&tls, &[])) else {
        return;
    };
    for client in Client::all(what) {
        for length in LENGTHS {
            let what = format!("{what}, {client:?}, {length} bytes");
            let (sent, answered) = (body(5, length), body(6, length));
            let server = OneShot::start(&tls, answered.clone()).unwrap();
            watch.also(server.pid());
            let target = format!("/one?{client:?}-{length}");
            let call = Call::new("POST", &Transport::Tls.url(server.port(), &target), &sent).unwrap();
            let pid = perform(&mut watch, &client.command(&call, &tls));
            let expected = Expected {
                transport: Transport::Tls,
                target: &target,
                sent: &sent,
                answered: Some(&answered),
            };
            check(&mut watch, &format!("{what}, client's end"), pid, &expected);
            check(
                &mut watch,
                &format!("{what}, server's end"),
                server.pid(),
                &expected,
            );
            assert!(
                server.received().unwrap() == sent,
                "{what}: the server received something else"
            );
            watch.observed.clear();
        }
    }
    watch.stop();
}
