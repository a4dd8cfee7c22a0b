//! Names in the document: placeholders, operations and components.
//!
//! Takes path templates and member names, which may be shown. Gives names that are unique where they must be. Never
//! looks at values. Bounded by the template.

use std::collections::{BTreeMap, BTreeSet};

/// A path template in pieces.
#[derive(Clone, Debug)]
pub(super) struct Template {
    pieces: Vec<Piece>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Piece {
    /// As it stands.
    Literal(String),
    /// A placeholder by its unique name.
    Parameter(String),
}

impl Template {
    /// Reads a template of the inventory, such as `/users/{id}/files/{uuid}`.
    pub(super) fn of(text: &str) -> Self {
        let mut pieces = Vec::new();
        let mut used = Names::default();
        let mut before = String::new();
        let mut rest = text;
        while let Some((literal, after)) = rest.split_once('{')
            && let Some((kind, after)) = after.split_once('}')
        {
            if let Some(word) = last_word(literal) {
                before = word;
            }
            pieces.push(Piece::Literal(literal.to_owned()));
            pieces.push(Piece::Parameter(used.unique(&parameter_name(&before, kind))));
            rest = after;
        }
        pieces.push(Piece::Literal(rest.replace(['{', '}', '?', '#'], "")));
        Self { pieces }
    }

    /// As a path of the document.
    pub(super) fn text(&self) -> String {
        self.write(|name| format!("{{{name}}}"))
    }

    /// Without the names of placeholders: paths that differ by those only are the same to `OpenAPI`.
    pub(super) fn bare(&self) -> String {
        self.write(|_| "{}".to_owned())
    }

    /// Names of the placeholders in order.
    pub(super) fn parameters(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Parameter(name) => Some(name.as_str()),
            Piece::Literal(_) => None,
        })
    }

    /// What the path is about: its last word, as a name of one thing.
    pub(super) fn noun(&self) -> String {
        let words = self.pieces.iter().rev().find_map(|piece| match piece {
            Piece::Literal(text) => last_word(text),
            Piece::Parameter(_) => None,
        });
        pascal(&singular(&words.unwrap_or_else(|| "root".to_owned())))
    }

    fn write(&self, parameter: impl Fn(&str) -> String) -> String {
        let text: String = self
            .pieces
            .iter()
            .map(|piece| match piece {
                Piece::Literal(text) => text.clone(),
                Piece::Parameter(name) => parameter(name),
            })
            .collect();
        if text.starts_with('/') {
            text
        } else {
            format!("/{text}")
        }
    }
}

/// `getUsersByUserId`, numbered when there is one already.
pub(super) fn operation_id(method: &str, template: &Template, used: &mut Names) -> String {
    let mut name = method.to_owned();
    for piece in &template.pieces {
        match piece {
            Piece::Literal(text) => name.push_str(&pascal(text)),
            Piece::Parameter(parameter) => {
                name.push_str("By");
                name.push_str(&pascal(parameter));
            }
        }
    }
    used.unique(&name)
}

/// Names that are taken.
#[derive(Default, Debug)]
pub(super) struct Names {
    taken: BTreeSet<String>,
    /// By name, the number to try next: thousands may share one.
    next: BTreeMap<String, u32>,
}

impl Names {
    /// The name itself, or with the first free number.
    pub(super) fn unique(&mut self, name: &str) -> String {
        if self.taken.insert(name.to_owned()) {
            return name.to_owned();
        }
        let next = self.next.entry(name.to_owned()).or_insert(2);
        loop {
            let numbered = format!("{name}{next}");
            *next = next.saturating_add(1);
            if self.taken.insert(numbered.clone()) {
                return numbered;
            }
        }
    }
}

/// Words joined, each with a capital; letters and digits only.
pub(super) fn pascal(text: &str) -> String {
    let words = text.split(|byte: char| !byte.is_ascii_alphanumeric());
    words
        .filter_map(|word| word.split_at_checked(1))
        .map(|(first, rest)| first.to_ascii_uppercase() + rest)
        .collect()
}

/// One of what a plural names; other words stay.
pub(super) fn singular(word: &str) -> String {
    let stem = |end: &str| word.strip_suffix(end);
    if let Some(stem) = stem("ies").filter(|stem| stem.len() > 1) {
        return format!("{stem}y");
    }
    for end in ["sses", "shes", "ches", "xes"] {
        if let Some(stem) = word.strip_suffix("es").filter(|_| word.ends_with(end)) {
            return stem.to_owned();
        }
    }
    let kept = word.ends_with("ss") || word.ends_with("us") || word.ends_with("is");
    match stem("s").filter(|stem| !kept && stem.len() > 1) {
        Some(stem) => stem.to_owned(),
        None => word.to_owned(),
    }
}

/// The last step with a letter, unless it is a version.
fn last_word(literal: &str) -> Option<String> {
    let version = |step: &str| {
        let digits = step.strip_prefix(['v', 'V']);
        digits.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'))
    };
    literal
        .rsplit('/')
        .find(|step| step.contains(|byte: char| byte.is_ascii_alphabetic()) && !version(step))
        .map(str::to_owned)
}

/// `userId` for an identifier behind `users`.
fn parameter_name(before: &str, kind: &str) -> String {
    let what = match kind {
        "id" | "uuid" | "ulid" | "hex" | "token" | "param" | "" => "id",
        other => other,
    };
    let name = pascal(&singular(before)) + &pascal(what);
    match name.split_at_checked(1) {
        Some((first, rest)) => first.to_ascii_lowercase() + rest,
        None => "id".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_named_by_what_is_before() {
        for (template, expected) in [
            ("/users/{id}", "/users/{userId}"),
            ("/users/{id}/files/{uuid}", "/users/{userId}/files/{fileId}"),
            ("/users/{id}/{id}", "/users/{userId}/{userId2}"),
            ("/v1/{id}", "/v1/{id}"),
            ("/reports/{date}", "/reports/{reportDate}"),
            (
                "/companies/{slug}/addresses/{id}",
                "/companies/{companySlug}/addresses/{addressId}",
            ),
            ("/order-items/{id}.json", "/order-items/{orderItemId}.json"),
            ("/2fa/{id}", "/2fa/{2faId}"),
            ("/", "/"),
            ("", "/"),
            ("/a/{broken", "/a/broken"),
        ] {
            assert_eq!(Template::of(template).text(), expected, "{template}");
        }
    }

    #[test]
    fn operations_have_names_of_their_own() {
        let mut used = Names::default();
        let template = Template::of("/users/{id}/order-items");
        assert_eq!(
            operation_id("get", &template, &mut used),
            "getUsersByUserIdOrderItems"
        );
        assert_eq!(
            operation_id("get", &template, &mut used),
            "getUsersByUserIdOrderItems2"
        );
        assert_eq!(template.noun(), "OrderItem");
        assert_eq!(template.bare(), "/users/{}/order-items");
    }

    #[test]
    fn plurals_become_one() {
        for (many, one) in [
            ("users", "user"),
            ("categories", "category"),
            ("boxes", "box"),
            ("addresses", "address"),
            ("status", "status"),
            ("address", "address"),
            ("s", "s"),
            ("ies", "ie"),
        ] {
            assert_eq!(singular(many), one);
        }
    }

    #[test]
    fn names_that_thousands_share_are_numbered_on() {
        let mut used = Names::default();
        assert_eq!((used.unique("a3"), used.unique("a")), ("a3".into(), "a".into()));
        assert_eq!((used.unique("a"), used.unique("a")), ("a2".into(), "a4".into()));
        for _ in 0..20_000 {
            used.unique("b");
        }
        // The next number is known; it is not looked for from the beginning.
        assert_eq!(used.next.get("b"), Some(&20_001));
        assert_eq!(used.unique("b"), "b20001");
    }
}
