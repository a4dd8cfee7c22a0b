//! Certificates, authorities and key of the connections to receivers.
//!
//! Takes the files that a configuration names. Gives what rustls is told, and whether the files are others by now. Never
//! shows what is in a file.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hyper_rustls::ConfigBuilderExt as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use super::OtlpError;
use super::client::causes;
use crate::config;

/// The files that are named, and which they were when they were looked at.
#[derive(Debug)]
pub(super) struct Files(Vec<(PathBuf, Option<Version>)>);

/// Tells a file from the one before it: a replaced one has another inode, a changed one another time or length.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Version {
    device: u64,
    inode: u64,
    length: u64,
    changed: (i64, i64),
}

impl Files {
    /// Those of a configuration.
    pub(super) fn of(otlp: &config::Otlp) -> Self {
        let named = [
            &otlp.ca_file,
            &otlp.client_certificate_file,
            &otlp.client_key_file,
        ];
        let named = named.into_iter().flatten();
        Self(named.map(|path| (path.clone(), version(path))).collect())
    }

    /// Whether one is another than at the look before.
    pub(super) fn have_changed(&mut self) -> bool {
        let mut changed = false;
        for (path, known) in &mut self.0 {
            let now = version(path);
            changed |= now != std::mem::replace(known, now);
        }
        changed
    }
}

fn version(path: &Path) -> Option<Version> {
    let file = fs::metadata(path).ok()?;
    Some(Version {
        device: file.dev(),
        inode: file.ino(),
        length: file.len(),
        changed: (file.ctime(), file.ctime_nsec()),
    })
}

/// TLS as the configuration has it. Only what is used is read: without an `https://` address no roots.
pub(super) fn config(otlp: &config::Otlp) -> Result<ClientConfig, OtlpError> {
    let unfit = |what: &'static str, error: &dyn std::error::Error| OtlpError::Tls {
        what,
        why: causes(error),
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unfit("TLS", &error))?;
    let endpoints = [
        &otlp.endpoint,
        &otlp.logs_endpoint,
        &otlp.traces_endpoint,
        &otlp.metrics_endpoint,
    ];
    let used = endpoints
        .into_iter()
        .flatten()
        .any(|endpoint| endpoint.starts_with("https://"));
    let builder = match &otlp.ca_file {
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path)? {
                roots
                    .add(certificate)
                    .map_err(|error| unfit("otlp.ca_file", &error))?;
            }
            builder.with_root_certificates(roots)
        }
        None if used => builder
            .with_native_roots()
            .map_err(|error| unfit("the system's certificates", &error))?,
        None => builder.with_root_certificates(RootCertStore::empty()),
    };
    match (&otlp.client_certificate_file, &otlp.client_key_file) {
        (Some(certificate), Some(key)) => {
            let key =
                PrivateKeyDer::from_pem_file(key).map_err(|error| unfit("otlp.client_key_file", &error))?;
            builder
                .with_client_auth_cert(certificates(certificate)?, key)
                .map_err(|error| unfit("otlp.client_certificate_file", &error))
        }
        _ => Ok(builder.with_no_client_auth()),
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, OtlpError> {
    let unreadable = |why: String| OtlpError::File {
        path: path.to_owned(),
        why,
    };
    let read: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path)
        .map_err(|error| unreadable(error.to_string()))?
        .collect();
    let read = read.map_err(|error| unreadable(error.to_string()))?;
    if read.is_empty() {
        return Err(unreadable("no certificate in it".to_owned()));
    }
    Ok(read)
}
