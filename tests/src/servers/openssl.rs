//! `openssl s_server` for one request: what it received is its output, what it answers is its input.

use std::io::{Read, Write};
use std::process::{ChildStdout, Command, Stdio};
use std::thread::JoinHandle;

use anyhow::{Context, Result, anyhow};
use tempfile::TempDir;

use super::Certificate;
use crate::guard::Guard;
use crate::private::PrivateTls;
use crate::programs::Program;
use crate::wait::{self, DEADLINE, Deadline};

/// An `openssl s_server` that takes one connection and answers one request with `body`.
#[derive(Debug)]
pub struct OneShot {
    guard: Guard,
    port: u16,
    conversation: JoinHandle<Result<Vec<u8>>>,
    _directory: TempDir,
}

impl OneShot {
    /// Starts one and waits until it listens.
    pub fn start(tls: &PrivateTls, body: Vec<u8>) -> Result<Self> {
        let directory = TempDir::with_prefix("api-sensor-s_server-")?;
        let certificate = Certificate::create(directory.path())?;
        let port = wait::free_port()?;
        let mut command = Command::new(Program::Openssl.find()?);
        // Quiet: no session dump in the output, and no command letters in the input.
        command.args([
            "s_server",
            "-quiet",
            "-naccept",
            "1",
            "-accept",
            &format!("127.0.0.1:{port}"),
        ]);
        command
            .arg("-cert")
            .arg(&certificate.certificate)
            .arg("-key")
            .arg(&certificate.key);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut guard = Guard::start(tls.apply(&mut command))?;
        wait::listening(port, Deadline::after(DEADLINE))?;
        let output = guard.child().stdout.take().context("no output")?;
        let mut input = guard.child().stdin.take().context("no input")?;
        let conversation = std::thread::spawn(move || {
            let received = read_request(output)?;
            write!(input, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n")?;
            write!(
                input,
                "Content-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            )?;
            input.write_all(&body)?;
            input.flush()?;
            Ok(received)
        });
        Ok(Self {
            guard,
            port,
            conversation,
            _directory: directory,
        })
    }

    /// The server process.
    pub fn pid(&self) -> u32 {
        self.guard.pid()
    }

    /// The port it listens on.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Body of the request it received. Call after the client ended.
    pub fn received(self) -> Result<Vec<u8>> {
        self.conversation
            .join()
            .unwrap_or_else(|_| Err(anyhow!("the conversation panicked")))
    }
}

/// Reads a head and as many bytes as its `Content-Length` says.
fn read_request(mut output: ChildStdout) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 16 * 1024];
    loop {
        if let Some((head, body)) = split_head(&bytes)
            && body.len() >= length(head)
        {
            return Ok(body.to_vec());
        }
        let count = output.read(&mut buffer)?;
        if count == 0 {
            return Err(anyhow!("the connection ended inside the request"));
        }
        bytes.extend(buffer.iter().take(count));
    }
}

fn split_head(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let (head, body) = bytes.split_at_checked(end + 4)?;
    Some((str::from_utf8(head).ok()?, body))
}

fn length(head: &str) -> usize {
    let named = |line: &str| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse().ok())?
    };
    head.lines().find_map(named).unwrap_or(0)
}
