//! One table of settings: what each is called in the file, the environment and on the command line, and what it means.
//!
//! [`section!`](super::section) makes a section's struct, its defaults and its rows of the table from one text, so that
//! `docs/CONFIG.md`, the environment and the checks cannot drift apart.

use serde::de::DeserializeOwned;
use toml::Value;

use super::Config;

/// How a setting is written in an environment variable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// As it stands.
    Text,
    /// A number.
    Number,
    /// Texts separated by commas.
    Texts,
    /// Whole numbers separated by commas.
    Numbers,
    /// `name=value` pairs separated by commas.
    Pairs,
    /// Only in the file: it is a table.
    FileOnly,
}

/// One setting.
#[derive(Debug)]
pub struct Setting {
    /// Name within its section.
    pub name: &'static str,
    /// What it means: the doc comment of the field.
    pub about: &'static str,
    /// How it is written in the environment.
    pub kind: Kind,
    /// Flag of the command line, or nothing.
    pub flag: &'static str,
    pub(super) set: fn(&mut Config, Value) -> Result<(), String>,
}

/// One section of the file.
#[derive(Debug)]
pub struct Section {
    /// Name in the file.
    pub name: &'static str,
    /// What it is about.
    pub about: &'static str,
    /// Its settings.
    pub settings: &'static [Setting],
}

impl Section {
    /// `section.name` of one of its settings.
    pub fn key(&self, setting: &Setting) -> String {
        format!("{}.{}", self.name, setting.name)
    }

    /// Environment variable of one of its settings.
    pub fn variable(&self, setting: &Setting) -> String {
        format!("API_SENSOR_{}_{}", self.name, setting.name).to_uppercase()
    }
}

/// The setting with that key.
pub(super) fn find(key: &str) -> Option<&'static Setting> {
    let (section, name) = key.split_once('.')?;
    let section = super::SECTIONS.iter().find(|known| known.name == section)?;
    section.settings.iter().find(|known| known.name == name)
}

/// Puts a value of the file, the environment or the command line where it belongs.
pub(super) fn put<T: DeserializeOwned>(slot: &mut T, value: Value) -> Result<(), String> {
    *slot = value
        .try_into()
        .map_err(|error: toml::de::Error| error.message().to_owned())?;
    Ok(())
}

impl Kind {
    /// Makes a value of the text of an environment variable.
    pub(super) fn value(self, text: &str) -> Value {
        match self {
            Self::Text | Self::FileOnly => Value::String(text.to_owned()),
            Self::Number => number(text),
            Self::Texts => Value::Array(items(text).map(|item| Value::String(item.to_owned())).collect()),
            Self::Numbers => Value::Array(items(text).map(number).collect()),
            // What is no pair stays a text, and the setting refuses it.
            Self::Pairs => items(text)
                .map(pair)
                .collect::<Option<_>>()
                .map_or_else(|| Value::String(text.to_owned()), Value::Table),
        }
    }
}

fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

fn number(text: &str) -> Value {
    let whole = text.parse().map(Value::Integer);
    whole
        .or_else(|_not_whole| text.parse().map(Value::Float))
        .unwrap_or_else(|_not_a_number| Value::String(text.to_owned()))
}

fn pair(text: &str) -> Option<(String, Value)> {
    let (name, value) = text.split_once('=')?;
    Some((name.trim().to_owned(), Value::String(value.trim().to_owned())))
}
