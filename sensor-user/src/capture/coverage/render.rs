//! The coverage report as text for a terminal: the host first, then a line per process, worst first, its verdict in
//! front; what is wrong and what to do stand below it.

use std::fmt::{self, Write as _};

use super::abilities::{Abilities, Ability};
use super::{Activity, ProcessCoverage, Report, StackCoverage, State, Verdict};

/// Columns that lists are wrapped at.
const COLUMNS: usize = 100;

/// Lays the report out.
pub fn render(report: &Report) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    match write_report(&mut text, report) {
        Ok(()) | Err(fmt::Error) => text,
    }
}

impl Verdict {
    /// In a word or two, for people.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Covered => "covered",
            Self::Partly => "PARTLY COVERED",
            Self::Blind => "BLIND to TLS",
            Self::PlainOnly => "no TLS library",
            Self::Unknown => "UNKNOWN",
        }
    }

    /// Blind ones first.
    const fn rank(self) -> u8 {
        match self {
            Self::Blind => 0,
            Self::Unknown => 1,
            Self::Partly => 2,
            Self::Covered => 3,
            Self::PlainOnly => 4,
        }
    }
}

impl State {
    /// In a word or two, for people; what is not well is in capitals.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::NeverFired => "NEVER FIRED",
            Self::Opaque => "OPAQUE TLS",
            Self::Quic => "QUIC",
            Self::Ktls => "KERNEL TLS",
            Self::IoUring => "IO_URING",
            Self::Lost => "BYTES LOST",
            Self::Captured => "captured",
            Self::PlaintextOnly => "plaintext only",
            Self::Unrecognised => "no API seen",
            Self::Idle => "idle",
        }
    }
}

fn write_report(text: &mut String, report: &Report) -> fmt::Result {
    write_host(text, &report.host)?;
    let mut processes: Vec<&ProcessCoverage> = report.processes.iter().collect();
    processes.sort_by_key(|process| (process.state, process.verdict.rank(), process.pid));
    let (count, hidden) = (processes.len(), report.without_sockets);
    match report.watched {
        None => writeln!(
            text,
            "\n{count} processes with sockets, worst first ({hidden} without any are not listed)"
        )?,
        Some(seconds) => writeln!(
            text,
            "\n{count} processes with sockets or traffic in {seconds} s, worst first ({hidden} without are not listed)"
        )?,
    }
    for process in processes {
        write_process(text, process)?;
    }
    match &report.others {
        Some(others) if *others != Activity::default() => writeln!(text, "\n  all others: {}", moved(others)),
        _ => Ok(()),
    }
}

fn write_host(text: &mut String, host: &Abilities) -> fmt::Result {
    writeln!(text, "Kernel {} on {}", host.kernel, host.machine)?;
    let has = |wanted: Option<bool>| host.abilities.iter().filter(move |one| one.available == wanted);
    list(text, "has", has(Some(true)).map(|ability| ability.name))?;
    for ability in has(Some(false)) {
        writeln!(text, "  HAS NOT  {}: {}", ability.name, ability.remedy)?;
    }
    for Ability { name, remedy, .. } in has(None) {
        writeln!(text, "  unknown  {name}: {remedy}")?;
    }
    let held = host.privileges.iter().filter(|privilege| privilege.held);
    list(text, "may", held.map(|privilege| privilege.name))?;
    for privilege in host.privileges.iter().filter(|privilege| !privilege.held) {
        writeln!(
            text,
            "  may not  {}: for {}",
            privilege.name, privilege.needed_for
        )?;
    }
    writeln!(
        text,
        "  tracefs {}; lockdown {}; lockable memory {}; perf_event_paranoid {}",
        host.tracefs.as_deref().unwrap_or("is not mounted"),
        host.lockdown.as_deref().unwrap_or("none"),
        host.memlock.as_deref().unwrap_or("unknown"),
        host.perf_event_paranoid
            .map_or_else(|| "unknown".to_owned(), |level| level.to_string())
    )
}

/// Names behind a word, wrapped.
fn list<'a>(text: &mut String, word: &str, names: impl Iterator<Item = &'a str>) -> fmt::Result {
    let mut line = format!("  {word:<8}");
    let mut empty = true;
    for name in names {
        if !empty {
            line.push(',');
            if line.len() + name.len() > COLUMNS {
                writeln!(text, "{line}")?;
                line = " ".repeat(10);
            }
        }
        empty = false;
        write!(line, " {name}")?;
    }
    if empty {
        return Ok(());
    }
    writeln!(text, "{line}")
}

fn write_process(text: &mut String, process: &ProcessCoverage) -> fmt::Result {
    let verdict = process
        .state
        .map_or_else(|| process.verdict.describe(), State::describe);
    write!(
        text,
        "\n  {verdict:<14}  {:>7}  {:<15}",
        process.pid, process.comm
    )?;
    match &process.activity {
        Some(seen) => write!(text, "  {}", moved(seen))?,
        None => write!(text, "  {} sockets", process.sockets)?,
    }
    if process.ended {
        write!(text, "; it has ended")?;
    }
    writeln!(text)?;
    if let Some(exe) = &process.exe {
        writeln!(text, "      runs {exe}")?;
    }
    for stack in &process.stacks {
        write_stack(text, stack)?;
    }
    for blind in &process.blind {
        writeln!(text, "      {}: {}", blind.what, blind.reason)?;
        writeln!(text, "        do: {}", blind.remedy)?;
    }
    for unread in &process.unread {
        writeln!(text, "      unread {}: {}", unread.what, unread.reason)?;
        writeln!(text, "        do: {}", unread.remedy)?;
    }
    Ok(())
}

fn write_stack(text: &mut String, stack: &StackCoverage) -> fmt::Result {
    write!(text, "      {} in {}: ", stack.stack, stack.file)?;
    let Some(reason) = &stack.reason else {
        return match stack.probes {
            Some(probes) => writeln!(text, "{} functions, {probes} probes in place", stack.functions),
            None => writeln!(text, "{} functions can be probed", stack.functions),
        };
    };
    writeln!(text, "{reason}")?;
    writeln!(
        text,
        "        do: {}",
        stack.remedy.unwrap_or("nothing is known to help")
    )
}

/// What was seen, in one line.
fn moved(seen: &Activity) -> String {
    let mut parts = Vec::new();
    if seen.tls_calls > 0 {
        let (bytes, ago) = (bytes(seen.tls_bytes), ago(seen.tls_idle_ns));
        parts.push(format!("TLS {bytes} in {} calls{ago}", seen.tls_calls));
    } else if seen.cipher_bytes > 0 {
        parts.push("TLS 0 B".to_owned());
    }
    for (what, amount) in [
        ("plain", seen.plain_bytes),
        ("TLS on sockets", seen.cipher_bytes),
        ("unrecognised", seen.unknown_bytes),
        ("datagrams", seen.datagram_bytes),
        ("parsed", seen.parsed_bytes),
        ("LOST", seen.lost_bytes),
    ] {
        if amount > 0 {
            parts.push(format!("{what} {}", bytes(amount)));
        }
    }
    if parts.is_empty() {
        parts.push("nothing".to_owned());
    }
    parts.join("; ")
}

fn ago(idle_ns: Option<u64>) -> String {
    idle_ns.map_or_else(String::new, |ns| format!(", last {} s ago", ns / 1_000_000_000))
}

fn bytes(amount: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.into_iter().find(|(size, _)| amount >= *size) {
        // Tenths, without a floating point number.
        Some((size, unit)) => format!("{}.{} {unit}", amount / size, amount % size * 10 / size),
        None => format!("{amount} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_short() {
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(u64::from(u32::MAX)), "3.9 GiB");
    }
}
