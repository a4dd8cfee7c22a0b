//! Programs of this machine, by full path, or the reason to skip.

use std::fmt;
use std::path::{Path, PathBuf};

/// Declares the programs: variant, file, Debian's package, what it is for.
macro_rules! programs {
    ($($(#[doc = $what:literal])+ $name:ident $file:literal of $package:literal;)+) => {
        /// A program the tests use.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Program {
            $($(#[doc = $what])+ $name,)+
        }

        impl Program {
            /// Every program.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// Name of the file.
            pub const fn file(self) -> &'static str {
                match self {
                    $(Self::$name => $file,)+
                }
            }

            /// Debian's package.
            pub const fn package(self) -> &'static str {
                match self {
                    $(Self::$name => $package,)+
                }
            }
        }
    };
}

programs! {
    /// nginx with `http_ssl_module`.
    Nginx "nginx" of "nginx-light";
    /// curl linked with OpenSSL.
    Curl "curl" of "curl";
    /// The `openssl` command.
    Openssl "openssl" of "openssl";
    /// Debian's Python, linked with the system's OpenSSL. Another Python on PATH may carry its own.
    Python "python3" of "python3";
    /// wrk.
    Wrk "wrk" of "wrk";
    /// bpftrace.
    Bpftrace "bpftrace" of "bpftrace";
    /// taskset.
    Taskset "taskset" of "util-linux";
    /// tshark, the oracle of recordings.
    Tshark "tshark" of "tshark";
    /// objdump, the second opinion on probe sites.
    Objdump "objdump" of "binutils";
    /// Debian's Go.
    Go "go" of "golang-go";
    /// runc, for a real container.
    Runc "runc" of "runc";
    /// unshare, for namespaces.
    Unshare "unshare" of "util-linux";
    /// crun, a runtime of containers.
    Crun "crun" of "crun";
    /// systemd-analyze, which says what a unit's groups of system calls are.
    SystemdAnalyze "systemd-analyze" of "systemd";
    /// systemctl, which asks systemd.
    Systemctl "systemctl" of "systemd";
    /// Apache httpd with its modules.
    Apache "apache2" of "apache2-bin";
    /// The proxy `HAProxy`.
    Haproxy "haproxy" of "haproxy";
    /// PHP's command line.
    Php "php" of "php-cli";
    /// Ruby.
    Ruby "ruby" of "ruby";
    /// Node.js.
    Node "node" of "nodejs";
    /// setpriv, which starts a program with exact capabilities.
    Setpriv "setpriv" of "util-linux";
    /// The C compiler, for small observed programs.
    Cc "cc" of "gcc";
    /// wget, on GnuTLS.
    Wget "wget" of "wget";
    /// GnuTLS's client.
    GnutlsCli "gnutls-cli" of "gnutls-bin";
    /// GnuTLS's server.
    GnutlsServ "gnutls-serv" of "gnutls-bin";
    /// NSS's client.
    Tstclnt "tstclnt" of "libnss3-tools";
    /// NSS's server.
    Selfserv "selfserv" of "libnss3-tools";
    /// NSS's tool for certificate databases.
    Certutil "certutil" of "libnss3-tools";
    /// NSS's tool that puts a key into one.
    Pk12util "pk12util" of "libnss3-tools";
    /// nghttp2's client.
    Nghttp "nghttp" of "nghttp2-client";
    /// nghttp2's server.
    Nghttpd "nghttpd" of "nghttp2-server";
    /// nghttp2's load generator.
    H2load "h2load" of "nghttp2-client";
}

impl Program {
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

/// Further packages of Debian, by a file or directory of theirs below `/usr`; `ARCH` stands for the architecture.
const PACKAGES: &[(&str, &str)] = &[
    // The library that the OTLP receiver `rotel` loads.
    ("libpython3.11", "lib/ARCH-linux-gnu/libpython3.11.so.1.0"),
    (REQUESTS_PACKAGE, "lib/python3/dist-packages/requests"),
    ("python3-pip", "lib/python3/dist-packages/pip"),
    ("npm", "bin/npm"),
    // Java with its compiler: the tests run source files.
    ("default-jdk-headless", "bin/javac"),
    // What small observed programs are compiled against.
    ("libssl-dev", "include/openssl/ssl.h"),
    ("pkg-config", "bin/pkg-config"),
    ("libgnutls28-dev", "include/gnutls/gnutls.h"),
    ("libwolfssl-dev", "include/wolfssl/ssl.h"),
    ("libmbedtls-dev", "include/mbedtls/ssl.h"),
];

/// Those of [`PACKAGES`] that are not here.
pub fn missing_packages() -> impl Iterator<Item = &'static str> {
    let is_here = |path: &str| {
        Path::new("/usr")
            .join(path.replace("ARCH", std::env::consts::ARCH))
            .exists()
    };
    PACKAGES
        .iter()
        .filter(move |(_, path)| !is_here(path))
        .map(|(package, _)| *package)
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

/// Whether this is a machine of the tests' own (`cargo xtask vm`), where nobody else can be observed.
pub fn is_guest() -> bool {
    std::env::var_os("SENSOR_TEST_GUEST").is_some()
}

/// Says what a test found, for the summary of `cargo xtask vm`.
#[expect(clippy::print_stdout, reason = "the line is the interface to cargo xtask vm")]
pub fn seen(what: &dyn fmt::Display) {
    println!("SEEN {what}");
}

/// Says that a test, or a part of it, did not run. `cargo xtask test` counts these lines.
#[expect(
    clippy::print_stdout,
    reason = "the line is the interface to cargo xtask test"
)]
pub fn skipped(what: &str, reason: &dyn fmt::Display) {
    println!("SKIPPED {what}: {reason}");
}
