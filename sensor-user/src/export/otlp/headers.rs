//! Headers that are sent along: names from the configuration, values from files and variables.
//!
//! Takes sources. Gives a [`HeaderMap`] for each request. Never shows a value. Bounded by the configuration.

use std::fmt;

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};

use super::OtlpError;
use crate::config::{self, HeaderSource};

/// OpenTelemetry's own variable.
const VARIABLE: &str = "OTEL_EXPORTER_OTLP_HEADERS";

/// Reads variables: the process's own, or a test's.
pub(super) type Environment<'e> = dyn Fn(&str) -> Option<String> + 'e;

/// Sources of headers.
pub(super) struct Headers {
    /// From variables, which do not change.
    fixed: Result<HeaderMap, (String, String)>,
    files: Vec<(String, std::path::PathBuf)>,
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Headers({} files)", self.files.len())
    }
}

impl Headers {
    /// Reads the variables. Those of [`VARIABLE`] give way to those of the configuration.
    pub(super) fn of(otlp: &config::Otlp, environment: &Environment<'_>) -> Self {
        let mut fixed = HeaderMap::new();
        let mut wrong = None;
        let text = environment(VARIABLE).unwrap_or_default();
        for pair in text.split(',').filter(|pair| !pair.trim().is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = name.trim();
            if insert(&mut fixed, name, &decoded(value.trim())).is_none() {
                // What is no name may be a value that lost its own.
                wrong = Some(("?".to_owned(), VARIABLE.to_owned()));
            }
        }
        let mut files = Vec::new();
        for (name, source) in &otlp.headers {
            match source {
                HeaderSource::Env(variable) => {
                    let value = environment(variable);
                    if value.and_then(|value| insert(&mut fixed, name, &value)).is_none() {
                        wrong = Some((name.clone(), format!("variable {variable}")));
                    }
                }
                HeaderSource::File(path) => files.push((name.clone(), path.clone())),
            }
        }
        Self {
            fixed: wrong.map_or(Ok(fixed), Err),
            files,
        }
    }

    /// The headers as they are now.
    pub(super) fn read(&self) -> Result<HeaderMap, OtlpError> {
        let unfit = |name: &str, source: String| OtlpError::Header {
            name: name.to_owned(),
            source_name: source,
        };
        let mut all = match &self.fixed {
            Ok(fixed) => fixed.clone(),
            Err((name, source)) => return Err(unfit(name, source.clone())),
        };
        for (name, path) in &self.files {
            let value = std::fs::read_to_string(path).ok();
            value
                .and_then(|value| insert(&mut all, name, value.trim()))
                .ok_or_else(|| unfit(name, path.display().to_string()))?;
        }
        Ok(all)
    }
}

fn insert(headers: &mut HeaderMap, name: &str, value: &str) -> Option<()> {
    let name = HeaderName::try_from(name).ok()?;
    let visible = value.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    let mut value = HeaderValue::try_from(value).ok().filter(|_| visible)?;
    value.set_sensitive(true);
    headers.insert(name, value);
    Some(())
}

/// Values in the variable are those of W3C Baggage: what is no plain character is written `%2C`.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, after @ ..] = rest {
        rest = after;
        let digits = after.split_at_checked(2).filter(|_| *byte == b'%');
        let code = digits.and_then(|(digits, after)| {
            let digits = std::str::from_utf8(digits).ok()?;
            Some((u8::from_str_radix(digits, 16).ok()?, after))
        });
        match code {
            Some((code, after)) => {
                bytes.push(code);
                rest = after;
            }
            None => bytes.push(*byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn none(_name: &str) -> Option<String> {
        None
    }

    #[test]
    fn a_header_that_cannot_be_read_is_named_without_its_value() {
        let mut otlp = config::Otlp::default();
        let source = HeaderSource::File("/nonexistent/token".into());
        otlp.headers.insert("authorization".to_owned(), source);
        let error = Headers::of(&otlp, &none).read().unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot read OTLP header `authorization` from /nonexistent/token"
        );
        let planted = |_name: &str| Some("planted\nvalue".to_owned());
        let error = Headers::of(&config::Otlp::default(), &planted)
            .read()
            .unwrap_err();
        assert!(!error.to_string().contains("planted"), "{error}");
    }

    #[test]
    fn the_value_of_a_header_is_read_from_its_file_each_time() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut otlp = config::Otlp::default();
        let source = HeaderSource::File(file.path().to_owned());
        otlp.headers.insert("Authorization".to_owned(), source);
        let headers = Headers::of(&otlp, &none);
        for value in ["Bearer x", "Bearer y"] {
            std::fs::write(file.path(), format!("{value}\n")).unwrap();
            assert_eq!(headers.read().unwrap()["authorization"], value);
        }
        let debug = format!("{headers:?} {:?}", headers.read().unwrap());
        assert!(!debug.contains("Bearer"), "{debug}");
    }

    #[test]
    fn the_standard_variable_is_read() {
        let environment = |name: &str| (name == VARIABLE).then(|| "api-key=a%2Cb%3D, x=1".to_owned());
        let headers = Headers::of(&config::Otlp::default(), &environment)
            .read()
            .unwrap();
        assert_eq!(
            (&headers["api-key"], &headers["x"]),
            (&HeaderValue::from_static("a,b="), &HeaderValue::from_static("1"))
        );
    }
}
