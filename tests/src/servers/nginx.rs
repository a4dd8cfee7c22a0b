//! nginx with a configuration, files and ports of its own, in the foreground.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use tempfile::TempDir;

use super::{Certificate, Transport};
use crate::guard::Guard;
use crate::private::PrivateTls;
use crate::programs::Program;
use crate::wait::{self, DEADLINE, Deadline};

/// What an nginx is started with.
#[derive(Clone, Copy, Debug)]
pub struct Site<'a> {
    /// Number of worker processes.
    pub workers: u32,
    /// Files below `/`: name and content.
    pub files: &'a [(&'a str, &'a [u8])],
    /// Words put before the command, such as `taskset -c 0`.
    pub launcher: &'a [&'a str],
    /// Port of a plain server on loopback that `/via/` passes on to.
    pub upstream: Option<u16>,
}

impl Default for Site<'_> {
    fn default() -> Self {
        Self {
            workers: 1,
            files: &[],
            launcher: &[],
            upstream: None,
        }
    }
}

/// A running nginx. `/NAME` serves files, `PUT /put/NAME` stores, `/who/...` answers with the worker's process id,
/// the client's port and the path, `/early` answers without reading the body.
#[derive(Debug)]
pub struct Nginx {
    guard: Guard,
    directory: TempDir,
    tls: u16,
    plain: u16,
}

impl Nginx {
    /// Starts one and waits until both ports listen and its workers run.
    pub fn start(tls: &PrivateTls, site: &Site<'_>) -> Result<Self> {
        Self::started(Some(tls), site)
    }

    /// As [`Nginx::start`] on the system's libraries: for a machine where nobody else uses them.
    pub fn start_with_system_libraries(site: &Site<'_>) -> Result<Self> {
        Self::started(None, site)
    }

    fn started(tls: Option<&PrivateTls>, site: &Site<'_>) -> Result<Self> {
        let directory = TempDir::with_prefix("api-sensor-nginx-")?;
        fs::create_dir_all(directory.path().join("root/put"))?;
        for (name, content) in site.files {
            fs::write(directory.path().join("root").join(name), content)?;
        }
        let certificate = Certificate::create(directory.path())?;
        let (tls_port, plain_port) = (wait::free_port()?, wait::free_port()?);
        let config = directory.path().join("nginx.conf");
        fs::write(
            &config,
            configuration(directory.path(), &certificate, site, tls_port, plain_port),
        )?;
        let mut command = launched(site.launcher, &Program::Nginx.find()?);
        command.arg("-p").arg(directory.path()).arg("-c").arg(&config);
        command.arg("-e").arg(directory.path().join("error.log"));
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit());
        if let Some(tls) = tls {
            tls.apply(&mut command);
        }
        let guard = Guard::start(&mut command)?;
        let deadline = Deadline::after(DEADLINE);
        wait::listening(tls_port, deadline)?;
        wait::listening(plain_port, deadline)?;
        wait::until("nginx's workers", deadline, || {
            Ok((guard.children()?.len() == site.workers as usize).then_some(()))
        })?;
        Ok(Self {
            guard,
            directory,
            tls: tls_port,
            plain: plain_port,
        })
    }

    /// The master process.
    pub fn pid(&self) -> u32 {
        self.guard.pid()
    }

    /// The worker processes.
    pub fn workers(&self) -> Result<Vec<u32>> {
        self.guard.children()
    }

    /// The port that speaks `transport`.
    pub const fn port(&self, transport: Transport) -> u16 {
        match transport {
            Transport::Tls => self.tls,
            Transport::Plain => self.plain,
        }
    }

    /// What `PUT /put/NAME` stored.
    pub fn stored(&self, name: &str) -> Result<Vec<u8>> {
        let path: PathBuf = self.directory.path().join("root/put").join(name);
        fs::read(&path).with_context(|| format!("nothing stored at {}", path.display()))
    }
}

fn launched(launcher: &[&str], program: &Path) -> Command {
    match launcher.split_first() {
        Some((first, rest)) => {
            let mut command = Command::new(first);
            command.args(rest).arg(program);
            command
        }
        None => Command::new(program),
    }
}

fn configuration(
    directory: &Path,
    certificate: &Certificate,
    site: &Site<'_>,
    tls: u16,
    plain: u16,
) -> String {
    let workers = site.workers;
    let root = directory.display();
    let mut text = format!(
        "daemon off; master_process on; worker_processes {workers}; pid {root}/nginx.pid;\n\
         events {{ worker_connections 1024; }}\n\
         http {{\n\
         access_log off; sendfile off; keepalive_requests 1000000000; keepalive_timeout 60s;\n\
         client_max_body_size 0; default_type application/octet-stream;\n"
    );
    // Every temporary directory, so that nothing is written outside and no user has to exist.
    for part in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
        push(&mut text, &format!("{part}_temp_path {root}/{part};"));
    }
    for (port, options) in [(tls, " ssl"), (plain, "")] {
        push(
            &mut text,
            &format!("server {{ listen 127.0.0.1:{port}{options} backlog=1024; root {root}/root;"),
        );
        if !options.is_empty() {
            let (certificate, key) = (certificate.certificate.display(), certificate.key.display());
            push(
                &mut text,
                &format!("ssl_certificate {certificate}; ssl_certificate_key {key};"),
            );
        }
        if let Some(upstream) = site.upstream {
            push(
                &mut text,
                &format!("location /via/ {{ proxy_pass http://127.0.0.1:{upstream}; }}"),
            );
        }
        text.push_str(
            "location /put/ { dav_methods PUT; }\n\
             location /sendfile/ { sendfile on; rewrite ^/sendfile(/.*)$ $1 break; }\n\
             location /early { return 200 \"early\\n\"; }\n\
             location /who/ { return 200 \"$pid $remote_port $uri\\n\"; }\n}\n",
        );
    }
    text.push_str("}\n");
    // Workers keep the rights of who started them: the directory belongs to that user alone.
    if is_root() {
        format!("user root;\n{text}")
    } else {
        text
    }
}

fn push(text: &mut String, line: &str) {
    // Writing to a String cannot fail.
    writeln!(text, "{line}").ok();
}

/// Whether this process is root.
fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}
