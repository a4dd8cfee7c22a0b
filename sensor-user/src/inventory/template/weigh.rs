//! How what speaks for and against a word being a value is weighed.
//!
//! Takes counts of one word and of those beside it. Gives log odds. Holds no state. The weights are those of a logistic
//! regression over the tuning half of the evaluation's documents (`docs/decisions/templates.md`).

/// What speaks for and against one child being a value.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "terms of a sum, not states")]
pub(super) struct Features {
    /// How the word reads.
    pub(super) reads: f32,
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

/// Of words below which there is nothing.
const LEAF: [[f32; 22]; 3] = [
    [
        0.89, 0.28, 2.08, -3.07, -1.37, 2.65, 0.64, 0.13, -0.82, 0.28, -0.98, 0.16, -0.88, 2.13, 0.0, 0.0,
        0.0, 0.0, 0.0, 0.0, 0.0, 0.0,
    ],
    [
        -1.03, 1.36, 0.69, -0.82, -0.48, 4.73, -0.13, -0.11, -3.29, 0.32, -0.83, 0.94, 0.17, -0.13, -0.19,
        1.61, 1.04, 0.0, 0.0, -0.79, -1.29, -0.34,
    ],
    [
        -6.58, 0.95, 0.49, -0.56, -0.57, 5.16, 0.21, -0.13, -1.79, 2.5, -0.77, 0.8, -0.45, 0.87, 0.24, -1.2,
        3.35, 0.0, 0.0, 0.69, 0.31, -0.83,
    ],
];

/// Of words below which there is something.
const INNER: [[f32; 36]; 3] = [
    [
        3.17, 0.27, 1.13, -3.92, -2.53, 0.34, -0.19, -0.25, -1.06, -1.3, -1.21, 2.93, -0.45, -1.11, 1.97,
        -0.36, -1.58, -0.17, -0.46, 0.48, -0.34, 3.55, 0.13, 1.43, -0.03, -0.83, -2.11, -0.91, 0.26, 0.0,
        0.0, 0.0, 0.0, 0.0, 0.0, 0.0,
    ],
    [
        0.0, 0.54, 0.53, -0.97, -0.87, 6.18, -0.67, -1.23, -6.73, -2.22, -0.94, 2.36, 0.14, -0.62, 0.73,
        0.76, -0.71, 0.08, -1.09, 0.42, 0.02, 1.14, 0.08, 0.0, 0.0, -3.07, 0.0, 0.45, 0.7, 0.66, -0.85, 3.79,
        0.3, -0.86, -1.41, -0.82,
    ],
    [
        -7.31, -0.19, -0.56, -1.3, -0.53, 6.81, -0.53, -2.49, -3.45, -0.54, -1.45, 4.46, 1.17, 1.79, 0.54,
        1.38, 0.39, -0.82, -0.73, -0.87, 0.22, -1.01, 0.52, 6.01, 0.0, -0.91, -2.46, 1.91, 1.27, -0.95, 0.24,
        2.29, -1.66, 1.49, 0.48, -0.8,
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
    let often = narrow(f64::from(common.visits)).max(1.0) / float(common.children.max(1));
    let terms = terms(child, common, often);
    let values = value_terms(child, common);
    let (weights, middle) = if child.leaf {
        (
            LEAF.get(situation).map(<[f32; 22]>::as_slice),
            leaf_terms(child, common, often).to_vec(),
        )
    } else {
        (
            INNER.get(situation).map(<[f32; 36]>::as_slice),
            inner_terms(child, common, often).to_vec(),
        )
    };
    let all = terms.iter().chain(&middle).chain(&values);
    let sum: f32 = std::iter::zip(weights.unwrap_or_default(), all)
        .map(|(weight, term)| weight * term)
        .sum();
    if is_herd(child, common) { sum + HERD } else { sum }
}

/// All lead to the same words, and none of them reads like an interface's own: no author writes one thing so often. Such
/// groups are rare among the documents, so the regression says little of them.
fn is_herd(child: &Features, common: &Common) -> bool {
    let inner = (float(common.children) * (1.0 - common.leaves)).max(1.0);
    let overlap = common.shared_by / inner;
    let many = common.children >= 6 || common.below >= 8.0;
    !child.leaf && child.own <= child.shared && overlap >= 0.7 && many && common.reads > 0.0
}

/// What that weighs: more than any list of words that are called often.
const HERD: f32 = 24.0;

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
