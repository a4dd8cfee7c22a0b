//! The coverage report as text for a terminal.

use std::fmt::{self, Write as _};

use super::abilities::Abilities;
use super::{ProcessCoverage, Report, StackCoverage, Verdict};

/// Lays the report out, host first, blind processes before the others.
pub fn render(report: &Report) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    match write_report(&mut text, report) {
        Ok(()) | Err(fmt::Error) => text,
    }
}

impl Verdict {
    /// In one line, for people.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Covered => "covered",
            Self::Partly => "partly covered",
            Self::Blind => "BLIND to its TLS",
            Self::PlainOnly => "no TLS library; plain sockets are covered",
            Self::Unknown => "UNKNOWN, it could not be looked at",
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

fn write_report(text: &mut String, report: &Report) -> fmt::Result {
    write_host(text, &report.host)?;
    let mut processes: Vec<&ProcessCoverage> = report.processes.iter().collect();
    processes.sort_by_key(|process| (process.verdict.rank(), process.pid));
    writeln!(
        text,
        "\nProcesses with sockets: {} ({} without any are not listed)",
        processes.len(),
        report.without_sockets
    )?;
    for process in processes {
        write_process(text, process)?;
    }
    Ok(())
}

fn write_host(text: &mut String, host: &Abilities) -> fmt::Result {
    writeln!(text, "Kernel {} on {}", host.kernel, host.machine)?;
    for ability in &host.abilities {
        match ability.available {
            Some(true) => writeln!(text, "  yes      {}", ability.name)?,
            Some(false) => writeln!(text, "  NO       {}: {}", ability.name, ability.remedy)?,
            None => writeln!(text, "  unknown  {}: {}", ability.name, ability.remedy)?,
        }
    }
    for privilege in &host.privileges {
        let held = if privilege.held { "yes    " } else { "no     " };
        writeln!(text, "  {held}  {}: for {}", privilege.name, privilege.needed_for)?;
    }
    let shown = |value: &Option<String>| value.as_deref().unwrap_or("unknown").to_owned();
    writeln!(
        text,
        "  tracefs at {}",
        host.tracefs.as_deref().unwrap_or("(not mounted)")
    )?;
    writeln!(text, "  lockdown {}", host.lockdown.as_deref().unwrap_or("none"))?;
    writeln!(text, "  memory that may be locked: {}", shown(&host.memlock))?;
    if let Some(level) = host.perf_event_paranoid {
        writeln!(text, "  kernel.perf_event_paranoid {level}")?;
    }
    Ok(())
}

fn write_process(text: &mut String, process: &ProcessCoverage) -> fmt::Result {
    writeln!(
        text,
        "\n  {} {} ({} sockets): {}",
        process.pid,
        process.comm,
        process.sockets,
        process.verdict.describe()
    )?;
    if let Some(exe) = &process.exe {
        writeln!(text, "    runs {exe}")?;
    }
    for stack in &process.stacks {
        write_stack(text, stack)?;
    }
    for unread in &process.unread {
        writeln!(text, "    unread {}: {}", unread.what, unread.reason)?;
        writeln!(text, "      do: {}", unread.remedy)?;
    }
    Ok(())
}

fn write_stack(text: &mut String, stack: &StackCoverage) -> fmt::Result {
    let name = match &stack.version {
        Some(version) => format!("{} {version}", stack.stack),
        None => stack.stack.to_owned(),
    };
    match stack.reason {
        None => writeln!(
            text,
            "    {} in {}: covered through {} functions",
            name, stack.file, stack.functions
        ),
        Some(reason) => {
            writeln!(text, "    {} in {}: {reason}", name, stack.file)?;
            writeln!(
                text,
                "      do: {}",
                stack.remedy.unwrap_or("nothing is known to help")
            )
        }
    }
}
