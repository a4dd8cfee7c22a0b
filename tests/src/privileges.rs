//! The table of docs/PRIVILEGES.md: what of the sensor works with which capabilities on which kernel.
//!
//! Takes rows that the test `live_privileges` measured. Gives the page, and the rows of a page back, so that one kernel
//! can be measured anew without the others. Never says what was not measured.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Sets of capabilities that are measured, as setpriv(1) names them.
pub const SETS: &[&[&str]] = &[
    &[],
    &["bpf"],
    &["bpf", "perfmon"],
    &["bpf", "perfmon", "dac_read_search"],
    &["bpf", "perfmon", "sys_ptrace"],
    &["bpf", "perfmon", "dac_read_search", "sys_ptrace"],
    &["bpf", "perfmon", "dac_read_search", "sys_ptrace", "sys_resource"],
    &["bpf", "perfmon", "dac_read_search", "sys_ptrace", "sys_admin"],
    &["sys_admin"],
    &["sys_admin", "dac_read_search", "sys_ptrace"],
    &["sys_admin", "dac_read_search", "sys_ptrace", "sys_resource"],
];

/// What is tried with each set, in the order of a row's cells.
pub const COLUMNS: [&str; 8] = [
    "load",
    "tracefs formats",
    "system calls",
    "multi uprobe",
    "perf uprobe",
    "others' processes",
    "TLS seen",
    "plain seen",
];

/// Cells that make a set enough: the last two, which are the whole sensor at work.
const END_TO_END: std::ops::Range<usize> = 6..8;

/// Tells rows from other lines of a test's output.
pub const MARK: &str = "ROW ";

/// One set on one kernel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// Release of the kernel.
    pub kernel: String,
    /// `kernel.perf_event_paranoid`: with 3 and more, which Debian and Ubuntu added, perf events take `sys_admin`.
    pub paranoia: i32,
    /// Capabilities, as setpriv names them, joined by `+`; `none` without any.
    pub set: String,
    /// Whether each of [`COLUMNS`] worked.
    pub cells: [bool; COLUMNS.len()],
}

/// Name of a set in rows.
pub fn name(set: &[&str]) -> String {
    if set.is_empty() {
        "none".to_owned()
    } else {
        set.join("+")
    }
}

impl Row {
    /// One line of a test's output.
    pub fn line(&self) -> String {
        let cells: String = self
            .cells
            .iter()
            .map(|cell| if *cell { '1' } else { '0' })
            .collect();
        format!("{MARK}{} {} {} {cells}", self.kernel, self.paranoia, self.set)
    }

    /// A line of a test's output without its mark.
    pub fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let (kernel, paranoia) = (words.next()?, words.next()?.parse().ok()?);
        let (set, bits) = (words.next()?, words.next()?);
        let cells: Vec<bool> = bits.chars().map(|bit| bit == '1').collect();
        Some(Self {
            kernel: kernel.to_owned(),
            paranoia,
            set: set.to_owned(),
            cells: cells.try_into().ok()?,
        })
    }

    fn is_enough(&self) -> bool {
        self.cells
            .get(END_TO_END)
            .is_some_and(|cells| cells.iter().all(|cell| *cell))
    }
}

/// `6.1.0-56-cloud-amd64` to `6.1`.
pub fn series(release: &str) -> String {
    release.split(['.', '-']).take(2).collect::<Vec<_>>().join(".")
}

/// The smallest set that is enough: without `sys_admin` if there is one, then the fewest.
pub fn smallest(rows: &[Row]) -> Option<&Row> {
    rows.iter().filter(|row| row.is_enough()).min_by_key(|row| {
        let words = row.set.split('+');
        (words.clone().any(|word| word == "sys_admin"), words.count())
    })
}

/// The page.
pub fn page(rows: &[Row]) -> String {
    let mut tables: BTreeMap<(Vec<u32>, i32), Vec<Row>> = BTreeMap::new();
    for row in rows {
        let series = series(&row.kernel);
        let order = series.split('.').filter_map(|part| part.parse().ok()).collect();
        tables.entry((order, row.paranoia)).or_default().push(row.clone());
    }
    let mut text = String::from(
        "# Privileges\n\n\
         Which capabilities the sensor needs, measured: the sensor runs as an ordinary user with exactly these \
         capabilities (ambient, inheritable and bounding), and watches an nginx of another user over TLS and plain. \
         Written by `cargo xtask privileges`; the test `live_privileges` keeps the running kernel's table true. The \
         test `live_launched` tries unit and manifests whole, with their mounts and lists of system calls, here and \
         in guests.\n\n\
         *load*: maps and programs. *tracefs formats*: `events/*/format` below a directory that only root may enter. \
         *others' processes*: `/proc/PID/{maps,exe,root,fd}` of another user. *TLS seen*, *plain seen*: a request \
         made then is in the sensor's output. `kernel.perf_event_paranoid` is 3 on a fresh Debian; 2 is the kernel's \
         own default and enough for the sensor (`sysctl kernel.perf_event_paranoid=2`).\n\n\
         ## The smallest sets\n\n| kernel | perf_event_paranoid | smallest set that sees both |\n| --- | --- | --- |\n",
    );
    for rows in tables.values() {
        let Some(first) = rows.first() else { continue };
        let set = smallest(rows).map_or_else(|| "none of those measured".to_owned(), |row| listed(&row.set));
        writeln!(text, "| {} | {} | {set} |", series(&first.kernel), first.paranoia).ok();
    }
    for rows in tables.values() {
        section(&mut text, rows);
    }
    text
}

fn section(text: &mut String, rows: &[Row]) {
    let Some(first) = rows.first() else { return };
    writeln!(text, "\n{}\n\nMeasured on {}.\n", heading(first), first.kernel).ok();
    writeln!(text, "| capabilities | {} |", COLUMNS.join(" | ")).ok();
    writeln!(text, "| --- |{}", " --- |".repeat(COLUMNS.len())).ok();
    for row in rows {
        writeln!(text, "{}", table_line(row)).ok();
    }
}

/// Heading of the table that a row belongs to.
pub fn heading(row: &Row) -> String {
    format!(
        "## Linux {}, perf_event_paranoid {}",
        series(&row.kernel),
        row.paranoia
    )
}

/// The rows of a page that [`page`] wrote.
pub fn rows(page: &str) -> Vec<Row> {
    let mut found = Vec::new();
    for section in page.split("\n## Linux ").skip(1) {
        let heading = section.lines().next().unwrap_or_default();
        let paranoia = heading.rsplit(' ').next().and_then(|word| word.parse().ok());
        let measured = section.lines().find_map(|line| line.strip_prefix("Measured on "));
        let (Some(paranoia), Some(kernel)) = (paranoia, measured) else {
            continue;
        };
        found.extend(section.lines().filter_map(|line| {
            let mut cells = line.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ");
            let set = cells
                .next()?
                .replace("CAP_", "")
                .replace(", ", "+")
                .to_lowercase();
            let cells: Vec<bool> = cells
                .map(|cell| Some(cell == "yes").filter(|_| matches!(cell, "yes" | "no")))
                .collect::<Option<_>>()?;
            Some(Row {
                kernel: kernel.trim_end_matches('.').to_owned(),
                paranoia,
                set,
                cells: cells.try_into().ok()?,
            })
        }));
    }
    found
}

/// A row of the page's table.
pub fn table_line(row: &Row) -> String {
    let cells = row.cells.map(|cell| if cell { "yes" } else { "no" });
    format!("| {} | {} |", listed(&row.set), cells.join(" | "))
}

/// `bpf+perfmon` to `CAP_BPF, CAP_PERFMON`.
fn listed(set: &str) -> String {
    if set == "none" {
        return set.to_owned();
    }
    let names = set.split('+').map(|name| format!("CAP_{}", name.to_uppercase()));
    names.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(set: &str, bits: &str) -> Row {
        Row::parse(&format!("6.1.0-56-cloud-amd64 3 {set} {bits}")).unwrap()
    }

    #[test]
    fn a_row_survives_its_line() {
        let row = row("bpf+perfmon", "10000011");
        let line = row.line();
        assert_eq!(Row::parse(line.strip_prefix(MARK).unwrap()), Some(row));
        assert_eq!(Row::parse("6.1 2 bpf 101"), None);
    }

    #[test]
    fn the_page_of_the_project_is_read_back_whole() {
        let before = include_str!("../../docs/PRIVILEGES.md");
        assert_eq!(page(&rows(before)), before);
    }

    #[test]
    fn the_smallest_set_that_sees_both_is_named_and_the_mightiest_capability_is_avoided() {
        let rows = [
            row("sys_admin", "11111111"),
            row("bpf+perfmon+sys_ptrace", "11111111"),
            row("bpf+perfmon", "11111111"),
            row("bpf", "11111110"),
        ];
        assert_eq!(smallest(&rows).unwrap().set, "bpf+perfmon");
        let text = page(&rows);
        assert!(text.contains("| 6.1 | 3 | CAP_BPF, CAP_PERFMON |"), "{text}");
        assert!(text.contains("## Linux 6.1, perf_event_paranoid 3\n"), "{text}");
        assert_eq!(super::rows(&text), rows);
    }
}
