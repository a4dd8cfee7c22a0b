//! How what speaks for and against a word being a value is weighed.
//!
//! Takes counts of one word and of those beside it. Gives log odds. Holds no state. The weights are those of a logistic
//! regression over the tuning half of the evaluation's documents (`docs/decisions/templates.md`).

use smallvec::SmallVec;

/// What speaks for and against one child being a value.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "terms of a sum, not states")]
pub(super) struct Features {
    /// How the word reads.
    pub(super) reads: f32,
    /// Marks between its pieces.
    pub(super) parts: f32,
    /// What ends at it and below, and of that what ends nowhere else.
    pub(super) answers: f32,
    pub(super) own_answers: f32,
    /// Share of visits to those.
    pub(super) alone: f32,
    /// Share of its visits that end where those of values end, and of theirs that end where its own do.
    pub(super) answers_like_values: f32,
    pub(super) values_like_it: f32,
    /// Words below it that others lead to as well, and that nobody else leads to.
    pub(super) shared: f32,
    pub(super) own: f32,
    /// Visits.
    pub(super) visits: u32,
    /// What ends at it ends at most others, too.
    pub(super) same_ends: bool,
    pub(super) leaf: bool,
    pub(super) reserved: bool,
    /// Words below it that the place of values beside it leads to, too; and that it does not lead to.
    pub(super) like_values: f32,
    pub(super) unlike_values: f32,
    /// What ends at it ends at the place of values, too.
    pub(super) ends_like_values: bool,
}

/// What all children have in common.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Common {
    pub(super) children: usize,
    pub(super) visits: u32,
    /// How rare they are: one over the visits, on average.
    pub(super) rare: f32,
    /// How the words read on average.
    pub(super) reads: f32,
    /// Marks between pieces, on average.
    pub(super) parts: f32,
    /// Different things that end at and below all of them; share of children that lead to one, on average.
    pub(super) answers: f32,
    pub(super) answered_by: f32,
    /// Share of visits that end where several children lead.
    pub(super) together: f32,
    /// Times that a word below is led to, on average over the words.
    pub(super) shared_by: f32,
    /// Different words below all of them.
    pub(super) below: f32,
    /// Share of odd values, such as `user_17`, at the place of values beside them.
    pub(super) odd: f32,
    /// A place of values beside them.
    pub(super) values: bool,
    /// Share of children to which nothing is below.
    pub(super) leaves: f32,
    /// Words are values there already; how many different values, and how often.
    pub(super) takes_words: bool,
    pub(super) distinct: f32,
    pub(super) value_visits: f32,
}

/// What is weighed of words below which there is nothing, and of those below which there is something.
const LEAF_TERMS: usize = 37;
const INNER_TERMS: usize = 51;

/// Of words below which there is nothing.
const LEAF: [[f32; LEAF_TERMS]; 3] = [
    [
        -10.09, 0.26, 3.49, 3.02, -0.54, 4.43, 0.32, -0.42, -0.70, 1.92, -0.36, 0.57, -0.47, -1.35, -0.23,
        0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.74, -0.18, 1.14, -1.30, 0.08, 1.50, 2.60, 2.69, -1.30, -2.09,
        -0.73, 0.18, 0.0, 0.0, 0.0,
    ],
    [
        -6.94, 1.65, 2.05, 0.46, -0.26, 2.66, 0.01, -0.59, -1.27, 1.97, -0.31, 1.30, -0.71, 0.0, 0.17, 3.23,
        -0.28, 0.0, 0.0, 0.52, -0.11, -0.32, 2.19, -1.43, -1.96, -0.39, 1.89, -0.73, -0.78, 1.96, 0.69,
        -1.98, 0.48, -1.10, 2.74, -0.56, -0.32,
    ],
    [
        -9.71, 2.22, 1.19, -0.23, -0.92, 2.26, 0.07, -0.78, -4.49, 2.04, -1.09, 0.25, -0.72, 0.60, 0.29,
        0.79, 2.05, 0.0, 0.0, 1.10, -1.30, -0.72, 0.95, -0.31, 1.12, -0.64, 1.76, 2.72, 2.21, 2.77, -0.18,
        0.44, 0.70, -0.72, 2.42, 1.18, 0.49,
    ],
];

/// Of words below which there is something.
const INNER: [[f32; INNER_TERMS]; 3] = [
    [
        0.52, 0.34, 1.43, 0.86, -1.20, 1.30, -0.14, -0.32, -0.60, -1.41, -1.30, 3.21, 0.43, -2.26, 1.42,
        0.35, -0.35, 0.11, 0.49, 1.47, 0.04, -1.03, -0.95, -0.02, 0.27, 0.25, 0.12, 0.07, -0.37, 0.0, 0.0,
        0.0, 0.0, 0.0, 0.0, 0.0, 0.32, 0.82, 0.35, -0.46, -1.08, -0.40, -2.32, 0.26, -0.32, -2.20, 0.83,
        0.40, 0.0, 0.0, 0.0,
    ],
    [
        -5.64, 1.53, 3.32, -0.88, -0.30, 0.97, -0.32, 0.30, -1.83, 0.20, -1.58, 1.49, -2.26, 1.75, 1.01,
        0.42, -0.17, -0.27, 2.17, 0.55, -0.58, 0.85, -0.24, -4.91, -4.06, -0.71, 0.73, -0.64, -0.57, 2.57,
        -0.82, 3.05, 3.04, 0.41, -0.45, -0.32, 1.70, 1.05, -0.03, -1.07, -1.61, -2.61, 0.48, 0.93, 1.40,
        -2.03, -1.34, 0.04, 1.57, -1.53, 4.93,
    ],
    [
        3.96, 0.83, 3.20, -1.28, -0.91, 1.57, -0.78, -1.37, -2.17, -0.96, -1.88, 3.00, 0.66, -1.60, 0.02,
        0.0, -0.18, -0.25, -0.62, -0.02, -0.23, -0.34, 0.20, 4.01, 2.84, 1.78, -2.18, -0.81, 0.17, 1.25,
        -0.78, 2.68, -0.13, 0.92, -0.95, -0.71, 1.54, 0.29, 0.20, -0.07, -1.40, -1.27, -4.06, 1.32, 0.35,
        -1.88, 1.54, -0.16, 0.24, 0.68, 2.26,
    ],
];

/// Log odds of a child being a value.
pub(super) fn score(child: &Features, common: &Common) -> f32 {
    // Without values beside it; beside values; beside values some of which are words.
    let situation = match (common.values, common.takes_words) {
        (false, _) => 0,
        (true, false) => 1,
        (true, true) => 2,
    };
    let weights = if child.leaf {
        LEAF.get(situation).map(<[f32; LEAF_TERMS]>::as_slice)
    } else {
        INNER.get(situation).map(<[f32; INNER_TERMS]>::as_slice)
    };
    let sum: f32 = std::iter::zip(weights.unwrap_or_default(), terms_of(child, common))
        .map(|(weight, term)| weight * term)
        .sum();
    if is_crowd(child, common) { sum + CROWD } else { sum }
}

/// One of many unknown words, most of which were seen once or twice, beside a few from which nearly all visits come: a
/// scanner's, or names. The documents' traffic has none, for it calls no operation that rarely; and the few that are called
/// often would speak for all.
fn is_crowd(child: &Features, common: &Common) -> bool {
    let hardly = child.visits < super::CONFIRMED && common.rare >= 0.5;
    let unknown = child.reads > 0.0 && common.reads > 0.0;
    let often = narrow(f64::from(common.visits)) >= OFTEN * float(common.children);
    common.children >= MANY && hardly && unknown && often
}

/// What that weighs: more than any list of words that are called often.
const CROWD: f32 = 24.0;
/// Words from which it is one; of fewer the tree has room for all that is below them.
const MANY: usize = 64;
/// Visits for each word on average: were they spread as those of an interface are, most would have more than two.
const OFTEN: f32 = 16.0;

/// What is weighed.
fn terms_of(child: &Features, common: &Common) -> SmallVec<[f32; INNER_TERMS]> {
    let often = narrow(f64::from(common.visits)).max(1.0) / float(common.children.max(1));
    let mut all = SmallVec::from_slice(&terms(child, common, often));
    if child.leaf {
        all.extend(leaf_terms(child, common, often));
    } else {
        all.extend(inner_terms(child, common, often));
    }
    all.extend(value_terms(child, common));
    all.extend(answer_terms(child, common, often));
    all
}

fn terms(child: &Features, common: &Common, often: f32) -> [f32; 10] {
    let count = float(common.children.max(1));
    [
        1.0,
        child.reads,
        common.reads,
        count.ln(),
        often.ln(),
        common.rare,
        (visits(child) / often).ln(),
        flag(child.same_ends),
        flag(child.reserved),
        common.leaves,
    ]
}

fn leaf_terms(child: &Features, common: &Common, often: f32) -> [f32; 5] {
    let count = float(common.children.max(1));
    [
        visits(child).ln(),
        common.reads * count.ln(),
        common.reads * often.ln(),
        common.rare * count.ln(),
        count.ln() * often.ln(),
    ]
}

fn inner_terms(child: &Features, common: &Common, often: f32) -> [f32; 19] {
    let count = float(common.children.max(1));
    let inner = (count * (1.0 - common.leaves)).max(1.0);
    // Share of all words below that each child leads to, on average.
    let overlap = common.shared_by / inner;
    let share = child.shared / (child.shared + child.own).max(1.0);
    let twins = overlap >= 0.7 && common.below >= 8.0;
    [
        share,
        child.shared.ln_1p(),
        child.own.ln_1p(),
        overlap,
        overlap * common.below.ln_1p(),
        overlap * count.ln(),
        overlap * often.ln(),
        child.shared.ln_1p() * often.ln(),
        inner.ln(),
        common.reads * count.ln(),
        common.reads * often.ln(),
        common.rare * count.ln(),
        common.below.ln_1p(),
        flag(twins),
        flag(share >= 0.8 && child.shared >= 8.0),
        flag(overlap >= 0.7 && common.children >= 6),
        if twins { often.ln() } else { 0.0 },
        common.reads * overlap,
        child.reads * share,
    ]
}

fn value_terms(child: &Features, common: &Common) -> [f32; 7] {
    if !common.values {
        return [0.0; 7];
    }
    let each = (common.value_visits + 1.0) / (common.distinct + 1.0);
    [
        common.odd,
        flag(child.ends_like_values),
        child.like_values.ln_1p(),
        child.unlike_values.ln_1p(),
        common.distinct.ln_1p(),
        each.ln(),
        (visits(child) / each).ln(),
    ]
}

fn answer_terms(child: &Features, common: &Common, often: f32) -> [f32; 15] {
    let count = float(common.children.max(1));
    let alike = child.answers_like_values * child.values_like_it;
    [
        child.parts.ln_1p(),
        common.parts,
        child.alone,
        child.alone * visits(child).ln(),
        child.own_answers.ln_1p(),
        (child.answers - child.own_answers).ln_1p(),
        common.answered_by,
        common.answered_by * common.answers.ln_1p(),
        common.answered_by * count.ln(),
        common.answered_by * common.reads,
        common.together,
        common.together * often.ln(),
        alike,
        alike * visits(child).ln(),
        alike * child.answers.ln_1p(),
    ]
}

fn visits(child: &Features) -> f32 {
    narrow(f64::from(child.visits)).max(1.0)
}

fn flag(set: bool) -> f32 {
    f32::from(u8::from(set))
}

pub(super) fn float(count: usize) -> f32 {
    f32::from(u16::try_from(count).unwrap_or(u16::MAX))
}

#[expect(clippy::cast_possible_truncation, reason = "a ratio needs few digits")]
pub(super) fn narrow(value: f64) -> f32 {
    value as f32
}

#[expect(clippy::cast_precision_loss, reason = "a count in a ratio needs few digits")]
pub(super) fn wide(count: u64) -> f64 {
    count as f64
}
