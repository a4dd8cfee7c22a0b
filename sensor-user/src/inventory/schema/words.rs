//! The words of a place that may be an enumeration.
//!
//! Takes words by their keyed hash. Gives those that may be shown. Never shows a word that fewer than [`CALLERS`]
//! callers used, nor any when there are many or new ones still come. Bounded by [`MAX_WORDS`].

/// Words of one enumeration at most. Those of public APIs have four on average; more are rarely worth a list.
pub(super) const MAX_WORDS: usize = 12;
/// Callers that must have used a word before it may be shown: what one person's data says is nobody's enumeration.
pub(super) const CALLERS: usize = 3;
/// Values for each distinct word, on average, before it counts as an enumeration.
const TIMES: u64 = 8;

/// One word.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Word {
    /// Keyed hash: what words are told apart by.
    pub(super) hash: u64,
    /// As first written, ASCII; empty where it was withheld from the store.
    pub(super) text: Box<str>,
    pub(super) count: u32,
    /// First seen, seconds.
    pub(super) first: u32,
    /// The lowest hashes of callers, ascending; the highest number stands for none.
    pub(super) callers: [u32; CALLERS],
}

impl Word {
    /// Several callers used it.
    fn is_common(&self) -> bool {
        self.callers.iter().all(|caller| *caller != u32::MAX)
    }
}

/// Distinct words, by hash ascending.
#[derive(Clone, Default, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Words(pub(super) Vec<Word>);

impl Words {
    /// Takes a word; `false` when there are too many now.
    pub(super) fn add(&mut self, hash: u64, text: &[u8], count: u32, caller: Option<u64>, time: u32) -> bool {
        let at = self.0.partition_point(|word| word.hash < hash);
        // Half of a keyed hash tells three callers apart.
        let caller = caller.map_or(u32::MAX, |caller| (caller >> 32) as u32);
        let full = self.0.len() >= MAX_WORDS;
        match self.0.get_mut(at).filter(|word| word.hash == hash) {
            Some(word) => {
                word.count = word.count.saturating_add(count);
                word.first = word.first.min(time);
                if word.text.is_empty() {
                    word.text = shown(text);
                }
                lower(&mut word.callers, caller);
            }
            None if full => return false,
            None => {
                let mut word = Word {
                    hash,
                    text: shown(text),
                    count,
                    first: time,
                    callers: [u32::MAX; CALLERS],
                };
                lower(&mut word.callers, caller);
                self.0.insert(at, word);
            }
        }
        true
    }

    /// Takes the words of another; `false` when there are too many now.
    pub(super) fn merge(&mut self, other: &Self) -> bool {
        for word in &other.0 {
            let at = self.0.partition_point(|known| known.hash < word.hash);
            match self.0.get_mut(at).filter(|known| known.hash == word.hash) {
                Some(known) => {
                    known.count = known.count.saturating_add(word.count);
                    known.first = known.first.min(word.first);
                    // Words that differ by case hash alike: one of them, whichever comes first.
                    let better = known.text.is_empty() || word.text < known.text;
                    if better && !word.text.is_empty() {
                        known.text.clone_from(&word.text);
                    }
                    for caller in word.callers {
                        lower(&mut known.callers, caller);
                    }
                }
                None => self.0.insert(at, word.clone()),
            }
        }
        self.0.len() <= MAX_WORDS
    }

    /// As the store may keep them: the text of a word that is not common is withheld, and comes with its next use.
    pub(super) fn withheld(&self) -> Self {
        let mut words = self.clone();
        for word in words.0.iter_mut().filter(|word| !word.is_common()) {
            word.text = Box::default();
        }
        words
    }

    /// The words in order, if they are an enumeration that may be shown: settled, and each used by several callers.
    pub(super) fn enumeration(&self, first: u32, last: u32) -> Option<Vec<&str>> {
        let told = |word: &Word| word.is_common() && !word.text.is_empty();
        let known = self.is_settled(first, last) && self.0.iter().all(told);
        let mut words: Vec<&str> = self.0.iter().map(|word| &*word.text).collect();
        words.sort_unstable();
        known.then_some(words)
    }

    /// Whether the words are few for how often they came, and the last new one came in the first half of the time from
    /// `first` to `last`.
    pub(super) fn is_settled(&self, first: u32, last: u32) -> bool {
        let total: u64 = self.0.iter().map(|word| u64::from(word.count)).sum();
        let half = first + last.saturating_sub(first) / 2;
        let old = self.0.iter().all(|word| word.first <= half);
        old && !self.0.is_empty() && total >= TIMES * self.0.len() as u64
    }

    pub(super) fn has(&self, hash: u64) -> bool {
        self.0.binary_search_by_key(&hash, |word| word.hash).is_ok()
    }

    pub(super) fn held_bytes(&self) -> usize {
        let texts: usize = self.0.iter().map(|word| word.text.len().max(24)).sum();
        size_of::<Self>() + self.0.capacity() * size_of::<Word>() + texts
    }
}

fn shown(text: &[u8]) -> Box<str> {
    std::str::from_utf8(text).unwrap_or("*").into()
}

/// Puts a caller among the lowest.
fn lower(callers: &mut [u32; CALLERS], caller: u32) {
    if caller == u32::MAX || callers.contains(&caller) {
        return;
    }
    let mut new = caller;
    for known in callers {
        if new < *known {
            std::mem::swap(&mut new, known);
        }
    }
}
