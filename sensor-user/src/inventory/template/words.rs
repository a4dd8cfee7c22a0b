//! Words: how likely one is the API's own and how likely a value.
//!
//! Takes a word. Gives a weight. Holds no state.

/// How a word reads: beyond 0 like a value, below like an API's own.
pub(super) fn weight(word: &[u8]) -> f32 {
    let mut pieces = Pieces { rest: word };
    let (mut known, mut all, mut digits) = (0_u16, 0_u16, false);
    let (mut first_verb, mut last_plural, mut between) = (false, false, (0, 0));
    for piece in &mut pieces {
        let mut low = [0; LONGEST];
        let low = lower(piece, &mut low);
        if BETWEEN.contains(&text(low)) {
            between = (between.0 + u16::from(is_known(low)), between.1 + 1);
            continue;
        }
        digits |= piece.iter().any(u8::is_ascii_digit);
        let is_known = is_known(low) || is_joined(low);
        first_verb |= all == 0 && VERBS.binary_search(&text(low)).is_ok();
        last_plural = low.len() > 3 && low.ends_with(b"s") && !low.ends_with(b"ss");
        known += u16::from(is_known);
        all += 1;
    }
    if all == 0 {
        // Nothing else: `by`, `or`.
        (known, all) = between;
    }
    if all == 0 {
        return 0.0;
    }
    let share = f32::from(known) / f32::from(all);
    let camel = all > 1 && !word.iter().any(|byte| matches!(byte, b'-' | b'.'));
    let mut weight = 0.35 - 1.6 * share;
    if first_verb && all > 1 {
        weight -= 0.6;
    }
    if last_plural {
        // One word is the name of a collection; of several, only as far as they are words of interfaces.
        weight -= if all == 1 { 0.35 } else { 0.35 * share };
    }
    if camel {
        weight -= 0.3;
    }
    if digits && share < 0.5 {
        weight += 0.4;
    }
    if is_code(word) {
        weight += 0.5;
    }
    // Formats are chosen by the caller.
    let is_format = ["json", "xml", "csv", "yaml", "html"]
        .iter()
        .any(|format| word.eq_ignore_ascii_case(format.as_bytes()));
    if is_format { weight + 1.7 } else { weight }
}

/// Words between others: names of interfaces have them, and titles more often, so they say nothing of either.
const BETWEEN: [&str; 15] = [
    "a", "an", "and", "at", "by", "for", "from", "how", "in", "of", "on", "or", "the", "to", "with",
];

/// Words that stand beside values more often than they are one.
pub(super) fn is_reserved(word: &[u8]) -> bool {
    let mut low = [0; LONGEST];
    RESERVED.binary_search(&text(lower(word, &mut low))).is_ok()
}

/// Reads like the interface's own word: it is a branch until it behaves like a value.
pub(super) fn is_own(word: &[u8]) -> bool {
    is_reserved(word) || weight(word) <= OWN
}

/// Each of its pieces is known, or most are and it begins with a verb.
pub(super) const OWN: f32 = -0.9;

/// Codes of countries, currencies and languages: `DE`, `EUR`, `en`, `en-US`, `pt_BR`.
fn is_code(word: &[u8]) -> bool {
    let upper = word.iter().all(u8::is_ascii_uppercase);
    let (short, pair) = ((2..=4).contains(&word.len()), word.len() == 5);
    let locale = pair
        && word
            .get(..2)
            .is_some_and(|front| front.iter().all(u8::is_ascii_lowercase))
        && matches!(word.get(2), Some(b'-' | b'_'));
    (short && upper) || locale || (word.len() == 2 && word.iter().all(u8::is_ascii_lowercase))
}

/// Pieces of a word: between marks, and where upper case begins.
struct Pieces<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let start = self.rest.iter().position(u8::is_ascii_alphanumeric)?;
        let rest = self.rest.get(start..)?;
        let mut end = 1;
        while let (Some(before), Some(byte)) = (rest.get(end - 1), rest.get(end)) {
            let next_low = rest.get(end + 1).is_some_and(u8::is_ascii_lowercase);
            let turn = byte.is_ascii_uppercase() && (before.is_ascii_lowercase() || next_low);
            if !byte.is_ascii_alphanumeric() || turn {
                break;
            }
            end += 1;
        }
        let (piece, rest) = rest.split_at_checked(end)?;
        self.rest = rest;
        Some(piece)
    }
}

/// Longest piece that is looked up.
const LONGEST: usize = 40;

fn lower<'a>(piece: &[u8], room: &'a mut [u8; LONGEST]) -> &'a [u8] {
    let Some(place) = room.get_mut(..piece.len()) else {
        return b"";
    };
    place.copy_from_slice(piece);
    place.make_ascii_lowercase();
    place
}

fn text(word: &[u8]) -> &str {
    std::str::from_utf8(word).unwrap_or_default()
}

/// Known words without anything between them: `createschedulingpolicy`.
fn is_joined(low: &[u8]) -> bool {
    // Whether the first so many letters are known words.
    let mut reached = [false; LONGEST + 1];
    if let Some(first) = reached.first_mut() {
        *first = true;
    }
    for end in MIN_JOINED..=low.len() {
        let ends_word = (0..=end - MIN_JOINED).any(|start| {
            let before = reached.get(start).copied().unwrap_or_default();
            before && low.get(start..end).is_some_and(is_known)
        });
        if let Some(place) = reached.get_mut(end) {
            *place = ends_word;
        }
    }
    low.len() >= 2 * MIN_JOINED && reached.get(low.len()).copied().unwrap_or_default()
}

/// Letters of a word within a joined one: shorter ones are in every name.
const MIN_JOINED: usize = 3;

/// Known as it is, or without the ending of its plural or participle.
fn is_known(low: &[u8]) -> bool {
    let known = |word: &[u8]| {
        let word = text(word);
        NOUNS.binary_search(&word).is_ok() || VERBS.binary_search(&word).is_ok()
    };
    let without = |ending: &[u8]| low.strip_suffix(ending).filter(|stem| stem.len() >= 3);
    if known(low)
        || without(b"s").is_some_and(known)
        || without(b"es").is_some_and(known)
        || without(b"d").is_some_and(known)
    {
        return true;
    }
    if without(b"ing").is_some_and(known) || without(b"ed").is_some_and(known) {
        return true;
    }
    // `policies` is `policy`, `scheduling` is `schedule`.
    let with = |ending: &[u8], last: u8| {
        let stem = without(ending)?;
        let mut room = [0; LONGEST];
        room.get_mut(..stem.len())?.copy_from_slice(stem);
        *room.get_mut(stem.len())? = last;
        room.get(..=stem.len()).map(known)
    };
    with(b"ies", b'y') == Some(true) || with(b"ing", b'e') == Some(true)
}

include!("vocabulary.rs");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_sorted() {
        for list in [&NOUNS[..], &VERBS[..], &RESERVED[..]] {
            assert!(list.is_sorted(), "binary search needs order");
        }
    }

    #[test]
    fn words_of_an_api_weigh_less_than_names() {
        for word in [
            "users",
            "getUser",
            "list_orders",
            "account-settings",
            "search",
            "OrderItems",
            "createschedulingpolicy",
            // Two letters may as well be a code, such as that of Belarus.
            "by",
            "of",
        ] {
            assert!(
                weight(word.as_bytes()) < 0.0,
                "{word} {}",
                weight(word.as_bytes())
            );
        }
        for word in ["by-day", "terms-and-conditions"] {
            assert!(
                weight(word.as_bytes()) <= OWN,
                "{word} {}",
                weight(word.as_bytes())
            );
        }
        for word in [
            "alice",
            "bob",
            "DE",
            "en-US",
            "acme",
            "zesty-falcon-7",
            "a",
            "mice-and-geese",
        ] {
            assert!(
                weight(word.as_bytes()) > 0.0,
                "{word} {}",
                weight(word.as_bytes())
            );
        }
    }
}
