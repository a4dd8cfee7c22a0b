//! Traffic of one API: calls as clients make them, answers as servers give them, and noise.

use std::collections::BTreeMap;

use super::document::{Operation, names};
use super::random::{Random, Zipf, hash};
use super::values::Pool;

/// One call and its answer.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) status: u16,
    /// Bytes of the answer.
    pub(crate) length: u64,
    /// Which operation it calls; `None` for noise.
    pub(crate) truth: Option<usize>,
}

/// Class of operations with a place that has fewer than ten values, words most of them: whether these are branches of the
/// API no path tells.
pub(crate) const FEW_WORDS: &str = "few_words";

/// Makes calls of one document without end.
#[derive(Debug)]
pub(crate) struct Traffic<'a> {
    operations: &'a [Operation],
    order: Vec<usize>,
    zipf: Zipf,
    pools: BTreeMap<&'a str, Pool>,
    random: Random,
    /// Share of noise.
    noise: f64,
    /// Unknown paths get a page with status 200.
    soft: bool,
    /// Words that scanners try here.
    heads: Vec<String>,
}

const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyz";
const SCANNED: &[&str] = &[
    "/wp-login.php",
    "/.env",
    "/admin",
    "/phpmyadmin/index.php",
    "/.git/config",
    "/server-status",
    "/actuator/health",
    "/cgi-bin/test.cgi",
    "/config.json",
    "/backup.zip",
    "/api/swagger.json",
    "/robots.txt",
    "/owa/auth/logon.aspx",
    "/solr/admin/info/system",
    "/vendor/phpunit/phpunit/src/Util/PHP/eval-stdin.php",
    "/console",
    "/login.action",
];

impl<'a> Traffic<'a> {
    pub(crate) fn new(operations: &'a [Operation], seed: u64, noise: f64) -> Self {
        let mut random = Random::new(seed);
        let mut order: Vec<usize> = (0..operations.len()).collect();
        for at in (1..order.len()).rev() {
            order.swap(at, random.below(at + 1));
        }
        let mut pools = BTreeMap::new();
        for operation in operations {
            for parameter in &operation.parameters {
                let name = names(&operation.template).find(|name| *name == parameter.name);
                if let Some(name) = name {
                    pools.entry(name).or_insert_with(|| Pool::of(parameter, seed));
                }
            }
        }
        let heads = operations.iter().map(|operation| {
            let front = operation.template.split('{').next().unwrap_or_default();
            front.rsplit_once('/').map_or("", |(front, _)| front).to_owned()
        });
        Self {
            operations,
            zipf: Zipf::new(operations.len(), 0.8),
            order,
            pools,
            noise,
            soft: random.below(3) == 0,
            heads: heads.collect(),
            random,
        }
    }

    pub(crate) fn next(&mut self) -> Call {
        if self.noise > 0.0 && self.random.share() < self.noise {
            return self.noise();
        }
        let number = self.order[self.zipf.draw(&mut self.random)];
        let operation = &self.operations[number];
        let mut path = String::new();
        let mut rest = operation.template.as_str();
        while let Some((front, after)) = rest.split_once('{') {
            path.push_str(front);
            let (name, after) = after.split_once('}').unwrap_or((after, ""));
            if let Some(pool) = self.pools.get(name) {
                path.push_str(pool.draw(&mut self.random));
            }
            rest = after;
        }
        path.push_str(rest);
        let with_value = !operation.parameters.is_empty();
        let status = match self.random.below(100) {
            0..3 if with_value => 404,
            3..5 => 401,
            5..7 => 403,
            7..10 => 400,
            10 => 500,
            11 => 429,
            _ if operation.method == "POST" => 201,
            _ => 200,
        };
        Call {
            method: operation.method,
            length: 40 + hash(&path) % 4000,
            path,
            status,
            truth: Some(number),
        }
    }

    fn noise(&mut self) -> Call {
        let random = &mut self.random;
        let word = |random: &mut Random| {
            let length = 3 + random.below(8);
            random.text(LETTERS, length)
        };
        let path = match random.below(4) {
            0 => (*random.one_of(SCANNED)).to_owned(),
            1 => format!("{}/{}", random.one_of(&self.heads), word(random)),
            2 => format!("/{}/{}", word(random), word(random)),
            _ => format!("/{}", word(random)),
        };
        let method: &'static str = random.one_of::<&'static str>(&["GET", "GET", "GET", "POST"]);
        let status = match random.below(10) {
            0 => 403,
            1 => 301,
            _ if self.soft => 200,
            _ => 404,
        };
        Call {
            method,
            path,
            status,
            length: if status == 200 { 1_420 } else { 153 },
            truth: None,
        }
    }

    /// Whether values of an operation read like words.
    pub(crate) fn class(&self, operation: &Operation) -> &'static str {
        let mut class = "literal";
        for name in names(&operation.template) {
            let Some(pool) = self.pools.get(name) else {
                continue;
            };
            let wordy = pool.is_wordy();
            class = match (class, wordy, pool.len() < 10) {
                (_, true, true) | (FEW_WORDS, ..) => FEW_WORDS,
                (_, true, false) | ("words", ..) => "words",
                _ => "values",
            };
        }
        let mixed = operation.template.split('/').any(|step| {
            step.contains('{')
                && !(step.starts_with('{') && step.ends_with('}') && step.matches('{').count() == 1)
        });
        if mixed && class != FEW_WORDS {
            return "mixed";
        }
        class
    }
}
