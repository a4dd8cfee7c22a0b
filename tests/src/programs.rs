//! Programs of this machine, by full path, or the reason to skip.

use std::fmt;
use std::path::{Path, PathBuf};

/// A program the tests use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Program {
    /// nginx with `http_ssl_module`.
    Nginx,
    /// curl linked with OpenSSL.
    Curl,
    /// The `openssl` command.
    Openssl,
    /// Debian's Python, linked with the system's OpenSSL. Another Python on PATH may carry its own.
    Python,
    /// wrk.
    Wrk,
    /// bpftrace.
    Bpftrace,
    /// taskset.
    Taskset,
    /// tshark, the oracle of recordings.
    Tshark,
    /// objdump, the second opinion on probe sites.
    Objdump,
}

impl Program {
    /// Every program.
    pub const ALL: [Self; 9] = [
        Self::Nginx,
        Self::Curl,
        Self::Openssl,
        Self::Python,
        Self::Wrk,
        Self::Bpftrace,
        Self::Taskset,
        Self::Tshark,
        Self::Objdump,
    ];

    /// Name of the file.
    pub const fn file(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Curl => "curl",
            Self::Openssl => "openssl",
            Self::Python => "python3",
            Self::Wrk => "wrk",
            Self::Bpftrace => "bpftrace",
            Self::Taskset => "taskset",
            Self::Tshark => "tshark",
            Self::Objdump => "objdump",
        }
    }

    /// Debian's package.
    pub const fn package(self) -> &'static str {
        match self {
            Self::Nginx => "nginx-light",
            Self::Curl => "curl",
            Self::Openssl => "openssl",
            Self::Python => "python3",
            Self::Wrk => "wrk",
            Self::Bpftrace => "bpftrace",
            Self::Taskset => "util-linux",
            Self::Tshark => "tshark",
            Self::Objdump => "binutils",
        }
    }

    /// Its full path. Only the system's directories: what stands elsewhere is linked with other libraries.
    pub fn find(self) -> Result<PathBuf, Absent> {
        ["/usr/sbin", "/usr/bin", "/sbin", "/bin"]
            .iter()
            .map(|directory| Path::new(directory).join(self.file()))
            .find(|path| path.is_file())
            .ok_or(Absent(self))
    }
}

/// A program is not installed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Absent(pub Program);

impl fmt::Display for Absent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no {} (Debian package {})", self.0.file(), self.0.package())
    }
}

impl std::error::Error for Absent {}

/// Debian's package with the module `requests` for its Python.
pub const REQUESTS_PACKAGE: &str = "python3-requests";

/// Debian's package with the library that the OTLP receiver `rotel` loads, and the library.
pub const RECEIVER_PACKAGE: &str = "libpython3.11";
const RECEIVER_LIBRARY: &str = "libpython3.11.so.1.0";

/// Whether the receiver's library is here.
pub fn has_receiver_library() -> bool {
    let directory = format!("/usr/lib/{}-linux-gnu", std::env::consts::ARCH);
    Path::new(&directory).join(RECEIVER_LIBRARY).exists()
}

/// Whether that Python can import `requests`.
pub fn has_requests() -> bool {
    [
        "/usr/lib/python3/dist-packages/requests",
        "/usr/local/lib/python3/dist-packages/requests",
    ]
    .iter()
    .any(|path| Path::new(path).is_dir())
}

/// Says that a test, or a part of it, did not run. `cargo xtask test` counts these lines.
#[expect(
    clippy::print_stdout,
    reason = "the line is the interface to cargo xtask test"
)]
pub fn skipped(what: &str, reason: &dyn fmt::Display) {
    println!("SKIPPED {what}: {reason}");
}
