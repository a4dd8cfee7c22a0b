//! Servers on loopback: nginx, `openssl s_server`, and Python's `ssl`, over TLS and plain.

mod nginx;
mod node;
mod openssl;
mod python;
mod rustls;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::guard;
use crate::programs::Program;
use crate::wait::{DEADLINE, Deadline};

pub use nginx::{Nginx, Site};
pub use node::{NodeApi, PrivateNode, uvicorn};
pub use openssl::OneShot;
pub use python::{PythonApi, fixture};
pub use rustls::{Calls, Layer, RustlsProgram, RustlsServer};

/// Whether a server or client speaks TLS.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Transport {
    /// TLS.
    Tls,
    /// Plain TCP.
    Plain,
}

impl Transport {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Tls, Self::Plain];

    /// Scheme of a URL.
    pub const fn scheme(self) -> &'static str {
        match self {
            Self::Tls => "https",
            Self::Plain => "http",
        }
    }

    /// URL of a path on a port of this machine.
    pub fn url(self, port: u16, path: &str) -> String {
        format!("{}://127.0.0.1:{port}{path}", self.scheme())
    }
}

/// A self-signed certificate and its key, in files.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// The certificate, PEM.
    pub certificate: PathBuf,
    /// The key, PEM.
    pub key: PathBuf,
}

impl Certificate {
    /// Makes one for `localhost` in `directory`, with the curve that every client of today accepts.
    pub fn create(directory: &Path) -> Result<Self> {
        let made = Self {
            certificate: directory.join("certificate.pem"),
            key: directory.join("key.pem"),
        };
        let mut openssl = Command::new(Program::Openssl.find()?);
        openssl.args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
        ]);
        openssl.args(["-nodes", "-days", "2", "-subj", "/CN=localhost"]);
        openssl.args(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]);
        // Without it OpenSSL makes an authority, which rustls does not take for a server.
        openssl.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
        openssl
            .arg("-keyout")
            .arg(&made.key)
            .arg("-out")
            .arg(&made.certificate);
        guard::run(&mut openssl, Deadline::after(DEADLINE))?;
        Ok(made)
    }
}
