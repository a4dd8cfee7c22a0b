//! Values that parameters have in real traffic: by format, enumeration, example and name.
//!
//! A parameter of one name has one pool of values in a document, some of which are frequent. What a name without format
//! stands for is drawn once per document: APIs choose one style of ids. Word-like values are as frequent as they are: names
//! of people, projects and regions, titles, codes.

use super::document::Parameter;
use super::random::{Random, Zipf, hash};
use super::words::{
    ADJECTIVES, BASE62, CITIES, COUNTRIES, CROCKFORD, CURRENCIES, DIGITS, EXTENSIONS, HEX, KINDS, LANGUAGES,
    LOW, PEOPLE, REGIONS, THINGS,
};

/// Values of one parameter.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    values: Vec<String>,
    zipf: Zipf,
}

impl Pool {
    /// The pool of a parameter in a document.
    pub(crate) fn of(parameter: &Parameter, document: u64) -> Self {
        let mut random = Random::new(document ^ hash(&parameter.name));
        let style = Style::of(parameter, &mut random);
        let size = style.size(&mut random);
        let mut values: Vec<String> = match style {
            Style::Choices => parameter.choices.clone(),
            _ => (0..size).map(|_| style.value(parameter, &mut random)).collect(),
        };
        values.retain(|value| !value.is_empty());
        if values.is_empty() {
            values.push("1".to_owned());
        }
        let mut seen = std::collections::BTreeSet::new();
        values.retain(|value| seen.insert(value.clone()));
        let zipf = Zipf::new(values.len(), 0.7);
        Self { values, zipf }
    }

    pub(crate) fn draw(&self, random: &mut Random) -> &str {
        &self.values[self.zipf.draw(random)]
    }

    /// Half of its values or more are letters.
    pub(crate) fn is_wordy(&self) -> bool {
        let wordy = |value: &&String| !value.bytes().any(|byte| byte.is_ascii_digit());
        self.values.iter().filter(wordy).count() * 2 >= self.values.len()
    }

    /// Different values.
    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }
}

/// What the values of a parameter look like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Style {
    Choices,
    Like,
    Number,
    Small,
    Decimal,
    Uuid,
    Ulid,
    Mongo,
    Prefixed,
    Opaque,
    Date,
    Time,
    Email,
    User,
    Project,
    Title,
    Country,
    Language,
    Currency,
    Region,
    City,
    Kind,
    File,
    Hash,
    Address,
    Domain,
    Code,
    Version,
    Year,
    Flag,
    Phone,
    Resource,
}

impl Style {
    #[expect(clippy::too_many_lines, reason = "a table of names")]
    fn of(parameter: &Parameter, random: &mut Random) -> Self {
        if !parameter.choices.is_empty() {
            return Self::Choices;
        }
        match (parameter.kind.as_str(), parameter.format.as_str()) {
            (_, "uuid" | "guid") => return Self::Uuid,
            (_, "date") => return Self::Date,
            (_, "date-time") => return Self::Time,
            (_, "email") => return Self::Email,
            (_, "ip" | "ipv4" | "ipvanyaddress") => return Self::Address,
            (_, "double" | "float") => return Self::Decimal,
            ("boolean", _) => return Self::Flag,
            _ => {}
        }
        let words = words(&parameter.name);
        if let Some(style) = Self::by_name(&words, &parameter.kind) {
            return style;
        }
        if parameter.kind == "integer" || parameter.kind == "number" {
            return Self::Number;
        }
        if parameter
            .example
            .as_ref()
            .is_some_and(|example| example.bytes().any(|byte| byte.is_ascii_digit()))
        {
            return Self::Like;
        }
        if words.last().is_some_and(|word| {
            matches!(
                word.as_str(),
                "id" | "ids"
                    | "key"
                    | "token"
                    | "uid"
                    | "ref"
                    | "reference"
                    | "arn"
                    | "no"
                    | "number"
                    | "identifier"
            )
        }) || parameter.name.to_lowercase().ends_with("id")
        {
            return *random.one_of(&[
                Self::Number,
                Self::Number,
                Self::Number,
                Self::Uuid,
                Self::Uuid,
                Self::Mongo,
                Self::Prefixed,
                Self::Opaque,
                Self::Ulid,
                Self::Resource,
            ]);
        }
        *random.one_of(&[
            Self::Resource,
            Self::Resource,
            Self::Project,
            Self::Opaque,
            Self::Number,
            Self::Title,
        ])
    }

    /// By the words of its name, the last first.
    fn by_name(words: &[String], kind: &str) -> Option<Self> {
        let number = kind == "integer" || kind == "number";
        words.iter().rev().find_map(|word| {
            Some(match word.as_str() {
                "year" | "season" => Self::Year,
                "page" | "index" | "count" | "limit" | "offset" | "month" | "day" | "week" | "hour"
                | "position" | "level" => Self::Small,
                "lat" | "lon" | "lng" | "latitude" | "longitude" => Self::Decimal,
                _ if number => return None,
                "uuid" | "guid" => Self::Uuid,
                "date" | "from" | "until" | "start" | "end" => Self::Date,
                "time" | "timestamp" => Self::Time,
                "email" | "mail" => Self::Email,
                "user" | "username" | "login" | "owner" | "author" | "member" | "account" | "customer"
                | "screenname" => Self::User,
                "country" => Self::Country,
                "lang" | "language" | "locale" => Self::Language,
                "currency" | "coin" | "asset" => Self::Currency,
                "region" | "zone" | "location" | "datacenter" => Self::Region,
                "city" | "place" | "station" => Self::City,
                "type" | "kind" | "status" | "state" | "category" | "format" | "mode" | "period"
                | "interval" | "action" | "scope" | "level_name" => Self::Kind,
                "file" | "filename" | "path" | "attachment" => Self::File,
                "hash" | "sha" | "digest" | "checksum" | "commit" | "txid" | "tx" => Self::Hash,
                "ip" | "address" => Self::Address,
                "domain" | "host" | "hostname" | "fqdn" => Self::Domain,
                "code" | "symbol" | "ticker" | "sku" => Self::Code,
                "version" => Self::Version,
                "phone" | "msisdn" => Self::Phone,
                "slug" | "title" | "permalink" => Self::Title,
                "repo" | "repository" | "project" | "workspace" | "org" | "organization" | "team"
                | "group" | "tenant" | "company" | "namespace" | "bucket" | "database" | "table" | "app"
                | "service" | "realm" | "environment" | "env" | "topic" | "queue" => Self::Project,
                "name" | "resource" | "parent" | "label" | "tag" | "key" | "collection" | "model"
                | "instance" => Self::Resource,
                _ => return None,
            })
        })
    }

    fn size(self, random: &mut Random) -> usize {
        // From some eight to some three thousand, each order of magnitude as likely.
        let free = (8.0 * 400_f64.powf(random.share())) as usize;
        match self {
            Self::Choices => 0,
            Self::Kind => 3 + random.below(6),
            Self::Country => 4 + random.below(30),
            Self::Language => 2 + random.below(20),
            Self::Currency => 3 + random.below(15),
            Self::Region => 3 + random.below(12),
            Self::City => 5 + random.below(18),
            Self::Version => 2 + random.below(12),
            Self::Year => 3 + random.below(30),
            Self::Flag => 2,
            Self::Small => 5 + random.below(40),
            _ => free,
        }
    }

    #[expect(clippy::too_many_lines, reason = "a table of styles")]
    fn value(self, parameter: &Parameter, random: &mut Random) -> String {
        let pick = |random: &mut Random, list: &[&str]| (*random.one_of(list)).to_owned();
        match self {
            Self::Choices => String::new(),
            Self::Like => like(parameter.example.as_deref().unwrap_or("1"), random),
            Self::Number => number(random),
            Self::Small => (1 + random.below(60)).to_string(),
            Self::Decimal => format!("{}.{}", random.below(180), random.text(DIGITS, 4)),
            Self::Uuid => uuid(random),
            Self::Ulid => format!("01{}", random.text(CROCKFORD, 24)),
            Self::Mongo => random.text(HEX, 24),
            Self::Prefixed => {
                let front: String = parameter
                    .name
                    .to_lowercase()
                    .chars()
                    .filter(char::is_ascii_alphabetic)
                    .take(3)
                    .collect();
                format!("{front}_{}", random.text(BASE62, 14))
            }
            Self::Opaque => {
                let length = 8 + random.below(16);
                random.text(BASE62, length)
            }
            Self::Date => date(random),
            Self::Time => format!(
                "{}T{:02}:{:02}:00Z",
                date(random),
                random.below(24),
                random.below(60)
            ),
            Self::Email => format!("{}.{}@example.com", random.one_of(PEOPLE), random.one_of(PEOPLE)),
            Self::User => user(random),
            Self::Project => project(random),
            Self::Title => title(random),
            Self::Country => pick(random, COUNTRIES),
            Self::Language => pick(random, LANGUAGES),
            Self::Currency => pick(random, CURRENCIES),
            Self::Region => pick(random, REGIONS),
            Self::City => pick(random, CITIES),
            Self::Kind => pick(random, KINDS),
            Self::File => format!("{}.{}", project(random), random.one_of(EXTENSIONS)),
            Self::Hash => random.text(HEX, 40),
            Self::Address => format!(
                "10.{}.{}.{}",
                random.below(256),
                random.below(256),
                random.below(256)
            ),
            Self::Domain => format!(
                "{}.{}",
                project(random),
                random.one_of(&["com", "org", "io", "net"])
            ),
            Self::Code => {
                let length = 3 + random.below(3);
                format!(
                    "{}{}",
                    random.text(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ", length),
                    if random.below(2) == 0 {
                        number(random)
                    } else {
                        String::new()
                    }
                )
            }
            Self::Version => format!("{}.{}.{}", random.below(4), random.below(10), random.below(10)),
            Self::Year => (1995 + random.below(31)).to_string(),
            Self::Flag => pick(random, &["true", "false"]),
            Self::Phone => format!("49{}", random.text(DIGITS, 10)),
            Self::Resource => match random.below(4) {
                0 => format!("{}-{}", random.one_of(THINGS), random.below(100)),
                1 => user(random),
                _ => project(random),
            },
        }
    }
}

fn number(random: &mut Random) -> String {
    let digits = 1 + random.below(8);
    (1 + random.next() % 10_u64.pow(u32::try_from(digits).unwrap())).to_string()
}

fn uuid(random: &mut Random) -> String {
    let [low, middle, high, clock, node] = [8, 4, 3, 3, 12].map(|length| random.text(HEX, length));
    format!("{low}-{middle}-4{high}-a{clock}-{node}")
}

fn date(random: &mut Random) -> String {
    format!(
        "20{:02}-{:02}-{:02}",
        15 + random.below(11),
        1 + random.below(12),
        1 + random.below(28)
    )
}

fn user(random: &mut Random) -> String {
    let (one, other) = (*random.one_of(PEOPLE), *random.one_of(PEOPLE));
    match random.below(5) {
        0 => one.to_owned(),
        1 => format!("{one}{}", random.below(100)),
        2 => format!("{one}.{other}"),
        3 => format!("{}{other}", &one[..1]),
        _ => format!("{one}_{other}"),
    }
}

fn project(random: &mut Random) -> String {
    let (one, other) = (*random.one_of(ADJECTIVES), *random.one_of(THINGS));
    match random.below(4) {
        0 => other.to_owned(),
        1 => format!(
            "{other}-{}",
            random.one_of(&["api", "web", "prod", "test", "app", "core"])
        ),
        2 => format!("{one}{other}"),
        _ => format!("{one}-{other}"),
    }
}

fn title(random: &mut Random) -> String {
    let length = 2 + random.below(5);
    let words: Vec<&str> = (0..length)
        .map(|number| *random.one_of(if number % 2 == 0 { ADJECTIVES } else { THINGS }))
        .collect();
    words.join("-")
}

/// The same with other digits and letters.
fn like(example: &str, random: &mut Random) -> String {
    let text = example.bytes().take(64).map(|byte| match byte {
        b'0'..=b'9' => char::from(*random.one_of(DIGITS)),
        b'a'..=b'f' if example.len() > 8 => char::from(*random.one_of(b"abcdef")),
        b'g'..=b'z' if example.len() > 8 => char::from(*random.one_of(LOW)),
        _ if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~' | b':' | b'@') => {
            char::from(byte)
        }
        _ => '-',
    });
    text.collect()
}

/// Lower-case words of a name in any convention.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_low = false;
    for letter in name.chars() {
        if !letter.is_ascii_alphanumeric() || (letter.is_ascii_uppercase() && was_low) {
            words.push(String::new());
        }
        was_low = letter.is_ascii_lowercase();
        if letter.is_ascii_alphabetic() {
            words.last_mut().unwrap().push(letter.to_ascii_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}
