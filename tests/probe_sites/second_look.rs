//! A second judgement of a probe site, from the text of `objdump`, by rules written down independently.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};
use sensor_tests::programs::skipped;
use sensor_user::capture::attach::site::{ReturnSite, Site, Sites};
use sensor_user::capture::discover::{ProbePoint, Target};

pub(crate) fn check(name: &str, target: &Target, point: &ProbePoint) {
    let lines = match disassemble(target, point) {
        Ok(lines) => lines,
        Err(reason) => {
            skipped(&format!("second look at {name} {}", point.symbol), &reason);
            return;
        }
    };
    let label = format!("{name} {}", point.symbol);
    let position = |site: &Site| {
        lines
            .iter()
            .position(|line| line.offset == site.offset)
            .unwrap_or_else(|| panic!("{label}: +{} is not the start of an instruction", site.offset))
    };
    let entry = position(&point.sites.entry);
    assert_is_probed(&label, &point.sites);
    check_entry(&label, point, &lines[..entry]);
    if point.sites.entry.emulated {
        assert!(
            is_emulated(&lines[entry]),
            "{label}: {} is not emulated",
            lines[entry].mnemonic
        );
    }
    match &point.sites.ret {
        ReturnSite::Trampoline(site) => {
            let before = &lines[..position(site)];
            assert!(
                !before.iter().any(Line::moves_stack),
                "{label}: the return address is elsewhere by then"
            );
            assert!(
                !before.iter().any(Line::branches),
                "{label}: not every call gets there"
            );
        }
        ReturnSite::Instructions(sites) => {
            for site in sites {
                check_return(&label, &lines[position(site)..]);
            }
            // As many sites as returns: the sites are all of the function's ways out.
            let last = sites.iter().map(&position).max().unwrap();
            let end = last
                + lines[last..]
                    .iter()
                    .position(|line| line.mnemonic == "ret")
                    .unwrap();
            let returns = lines[..=end].iter().filter(|line| line.mnemonic == "ret").count();
            assert_eq!(returns, sites.len(), "{label}: a return without a site");
        }
        ReturnSite::Framed(sites) => {
            for site in sites {
                check_framed(&label, target, point, site);
            }
        }
        ReturnSite::None | ReturnSite::Impossible => {}
    }
}

fn check_entry(label: &str, point: &ProbePoint, before: &[Line]) {
    assert!(
        !before.iter().any(Line::branches),
        "{label}: not every call gets to the entry site"
    );
    let registers = [
        ["%rdi", "%edi", "%di", "%dil"],
        ["%rsi", "%esi", "%si", "%sil"],
        ["%rdx", "%edx", "%dx", "%dl"],
        ["%rcx", "%ecx", "%cx", "%cl"],
        ["%r8", "%r8d", "%r8w", "%r8b"],
        ["%r9", "%r9d", "%r9w", "%r9b"],
    ];
    let spec = point.spec;
    for argument in [spec.handle, spec.buffer, spec.fd, spec.out] {
        if let Some(names) = registers.get(usize::from(argument)) {
            let lost = before.iter().find(|line| names.contains(&line.destination()));
            assert!(
                lost.is_none(),
                "{label}: argument {argument} is overwritten before the entry site"
            );
        }
    }
}

/// From a return site on, nothing changes the result and everything leads to the return.
fn check_return(label: &str, from: &[Line]) {
    assert!(
        ["jne", "ret"].contains(&from[0].mnemonic.as_str()),
        "{label}: {}",
        from[0].mnemonic
    );
    let end = from
        .iter()
        .position(|line| line.mnemonic == "ret")
        .expect("no return behind the site");
    for line in from[..=end].iter().skip(1).take(end.saturating_sub(1)) {
        assert!(
            !line.branches(),
            "{label}: {} between site and return",
            line.mnemonic
        );
        let result = ["%rax", "%eax", "%ax", "%al"];
        assert!(
            !result.contains(&line.destination()),
            "{label}: the result changes after the site"
        );
    }
}

/// A return instruction, wherever it is. That the instruction before it was decoded rightly is told by `objdump`, too,
/// where the return is in the function itself.
fn check_framed(label: &str, target: &Target, point: &ProbePoint, site: &Site) {
    let bytes = site.bytes();
    assert!(
        matches!(bytes, [0xc3] | [0xf2 | 0xf3, 0xc3]),
        "{label}: {:+} is no return",
        site.offset
    );
    let lines = disassemble(target, point).unwrap();
    let last = lines.last().unwrap().offset;
    let here = lines.iter().find(|line| line.offset == site.offset);
    if (0..0x100).contains(&site.offset) && site.offset < last {
        assert!(
            here.is_some_and(|line| line.mnemonic.ends_with("ret")),
            "{label}: {:+}",
            site.offset
        );
    }
}

/// The kernel takes no probe behind these prefixes, and says so to nobody.
fn assert_is_probed(label: &str, sites: &Sites) {
    let returns = match &sites.ret {
        ReturnSite::Instructions(returns) | ReturnSite::Framed(returns) => returns.as_slice(),
        ReturnSite::Trampoline(site) => std::slice::from_ref(site),
        ReturnSite::None | ReturnSite::Impossible => &[],
    };
    for site in returns.iter().chain([&sites.entry]) {
        let first = site.bytes()[0];
        assert!(
            ![0x26, 0x2e, 0x36, 0x3e, 0xf0].contains(&first),
            "{label}: +{}",
            site.offset
        );
    }
}

fn is_emulated(line: &Line) -> bool {
    let is_register = line.operands.starts_with("%r") && line.operands.len() <= 4;
    match line.mnemonic.as_str() {
        "push" => is_register,
        "nop" => line.operands.is_empty(),
        jump if jump.starts_with('j') => !line.operands.starts_with('*'),
        _ => false,
    }
}

/// One line of a disassembly: offset, mnemonic, operands in AT&T order (the destination is last).
struct Line {
    offset: i64,
    mnemonic: String,
    operands: String,
}

impl Line {
    fn destination(&self) -> &str {
        let compares = ["cmp", "test", "push"]
            .iter()
            .any(|start| self.mnemonic.starts_with(start));
        if compares {
            ""
        } else {
            self.operands.rsplit(',').next().unwrap_or("")
        }
    }

    fn branches(&self) -> bool {
        self.mnemonic.starts_with('j') || ["call", "ret", "ud2", "syscall"].contains(&self.mnemonic.as_str())
    }

    fn moves_stack(&self) -> bool {
        ["push", "pop", "leave", "enter"].contains(&self.mnemonic.as_str()) || self.destination() == "%rsp"
    }
}

fn disassemble(target: &Target, point: &ProbePoint) -> Result<Vec<Line>> {
    use std::os::unix::fs::FileExt;
    let file = tempfile::NamedTempFile::new()?;
    // Longer than any of the functions; what follows a function is not looked at.
    let mut code = vec![0; 16 << 10];
    let length = target.file.read_at(&mut code, point.offset)?;
    fs::write(file.path(), &code[..length])?;
    let output = Command::new("objdump")
        .args([
            "-D",
            "-w",
            "--no-show-raw-insn",
            "-b",
            "binary",
            "-m",
            "i386:x86-64",
        ])
        .arg(file.path())
        .output()
        .context("no objdump")?;
    let text = String::from_utf8(output.stdout)?;
    Ok(text.lines().filter_map(parse_line).collect())
}

fn parse_line(line: &str) -> Option<Line> {
    let (offset, instruction) = line.split_once(":\t")?;
    let instruction = instruction.split('#').next()?;
    let (mnemonic, operands) = instruction.split_once(' ').unwrap_or((instruction, ""));
    Some(Line {
        offset: i64::from_str_radix(offset.trim(), 16).ok()?,
        mnemonic: mnemonic.to_owned(),
        operands: operands.trim().to_owned(),
    })
}
