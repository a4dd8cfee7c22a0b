//! Are the chosen probe sites right on real builds of OpenSSL? Every choice is judged a second time, from the text
//! that `objdump` prints, by rules written down independently.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests panic with context, their parts included; the table is their output"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use sensor_tests::corpus::{self, Archive};
use sensor_tests::programs::skipped;
use sensor_user::capture::attach::site::{ReturnSite, Returns, Site, Sites};
use sensor_user::capture::discover::elf::Machine;
use sensor_user::capture::discover::stacks::STACKS;
use sensor_user::capture::discover::{Cache, ProbePoint, Target, target_of_file};

/// Functions that every build since 1.1.1 exports. `SSL_write_ex` only jumps to another one since 3.3.
const FUNCTIONS: [&str; 11] = [
    "SSL_read",
    "SSL_write",
    "SSL_read_ex",
    "SSL_set_fd",
    "SSL_set_rfd",
    "SSL_set_wfd",
    "SSL_do_handshake",
    "SSL_connect",
    "SSL_accept",
    "SSL_shutdown",
    "SSL_free",
];

fn cache() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

/// Judges a build of OpenSSL; a build that cannot be had is skipped aloud.
fn judge(name: &str, library: Result<PathBuf>) -> Option<Target> {
    judge_stack(name, library, "openssl", &FUNCTIONS)
}

/// Judges a build of a stack with functions that it must have.
fn judge_stack(name: &str, library: Result<PathBuf>, stack: &str, functions: &[&str]) -> Option<Target> {
    if Machine::native() != Machine::X86_64 {
        skipped(
            &format!("probe sites of {name}"),
            &"only x86-64 instructions are chosen from",
        );
        return None;
    }
    let library = match library {
        Ok(library) => library,
        Err(reason) => {
            skipped(&format!("probe sites of {name}"), &reason);
            return None;
        }
    };
    let target = |returns| {
        target_of_file(&library, returns, &mut Cache::default())
            .unwrap()
            .expect("no TLS stack recognised")
    };
    let cheapest = target(Returns::Cheapest);
    assert_eq!(cheapest.stack.name, stack);
    let symbols: Vec<&str> = cheapest.points.iter().map(|point| point.symbol).collect();
    for function in functions {
        assert!(symbols.contains(function), "{name} has no point for {function}");
    }
    for target in [&cheapest, &target(Returns::WithoutTrampoline)] {
        assert!(target.is_unchanged());
        for point in &target.points {
            check(name, target, point);
        }
    }
    table(name, &cheapest);
    left_out(name, &target(Returns::WithoutTrampoline));
    Some(cheapest)
}

/// Prints which functions are not probed where return probes are not used; gives those that carry plaintext.
fn left_out(name: &str, without: &Target) -> Vec<&'static str> {
    let is_followed = |point: &&ProbePoint| matches!(point.sites.ret, ReturnSite::Framed(_));
    let followed = without.points.iter().filter(is_followed).count();
    let left_out = without.unprobed();
    println!(
        "{name}: without return probes {} of {} functions would have no site within themselves, {} have none: {left_out:?}",
        followed + left_out.len(),
        without.points.len(),
        left_out.len()
    );
    without.unseen()
}

/// What may remain of each stack, where return probes are ruled out: NSPR's functions are jumps through a pointer.
#[test]
fn without_return_probes_every_c_library_but_nspr_is_read_and_written() {
    if Machine::native() != Machine::X86_64 {
        skipped("returns that are followed", &"only x86-64 code is followed");
        return;
    }
    let mut cache = Cache::default();
    for path in sensor_user::capture::discover::standard_libraries() {
        let Some(target) = target_of_file(&path, Returns::WithoutTrampoline, &mut cache).unwrap() else {
            continue;
        };
        let unseen = left_out(&path.display().to_string(), &target);
        let allowed: &[&str] = match target.stack.name {
            "nspr" => &[
                "PR_Read",
                "PR_Write",
                "PR_Recv",
                "PR_Send",
                "PR_Writev",
                "PR_Accept",
            ],
            _ => &[],
        };
        assert!(
            unseen.iter().all(|symbol| allowed.contains(symbol)),
            "{}: {unseen:?}",
            path.display()
        );
        // Handshakes that go on through a pointer: sockets are found when bytes move.
        assert!(target.unprobed().len() <= allowed.len() + 4, "{}", path.display());
    }
}

fn table(name: &str, target: &Target) {
    let at = |site: &Site| format!("+{}{}", site.offset, if site.emulated { "" } else { " stepped" });
    println!("{name}");
    for point in &target.points {
        let ret = match &point.sites.ret {
            ReturnSite::None => "-".to_owned(),
            ReturnSite::Trampoline(site) => format!("return probe {}", at(site)),
            ReturnSite::Instructions(sites) => {
                format!(
                    "instruction {}",
                    sites.iter().map(at).collect::<Vec<_>>().join(", ")
                )
            }
            ReturnSite::Framed(sites) => format!("{} returns by their frames", sites.len()),
            ReturnSite::Impossible => "impossible".to_owned(),
        };
        println!(
            "  {:18} entry {:14} return {ret}",
            point.symbol,
            at(&point.sites.entry)
        );
    }
    let emulated = target
        .points
        .iter()
        .filter(|point| point.sites.entry.emulated)
        .count();
    println!(
        "  entries emulated: {emulated}, single-stepped: {}",
        target.points.len() - emulated
    );
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

fn check(name: &str, target: &Target, point: &ProbePoint) {
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

fn is_emulated(line: &Line) -> bool {
    let is_register = line.operands.starts_with("%r") && line.operands.len() <= 4;
    match line.mnemonic.as_str() {
        "push" => is_register,
        "nop" => line.operands.is_empty(),
        jump if jump.starts_with('j') => !line.operands.starts_with('*'),
        _ => false,
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

fn point<'t>(target: &'t Target, symbol: &str) -> &'t ProbePoint {
    target.points.iter().find(|point| point.symbol == symbol).unwrap()
}

/// Entry at an emulated instruction and return at the stack protector's branch.
fn assert_cheap_reads_and_writes(target: &Target) {
    for symbol in ["SSL_read", "SSL_write"] {
        let sites = &point(target, symbol).sites;
        assert!(sites.entry.emulated, "{symbol}: {sites:?}");
        let ReturnSite::Instructions(returns) = &sites.ret else {
            panic!("{symbol}: {sites:?}");
        };
        assert!(returns.iter().all(|site| site.emulated), "{symbol}: {sites:?}");
        assert!(
            returns
                .iter()
                .all(|site| site.stack_adjust == sites.entry.stack_adjust),
            "{symbol}: {sites:?}"
        );
    }
}

fn debian(archive: Archive, suite: &str, package: &str, library: &str) -> Result<PathBuf> {
    let directory = corpus::debian_package(cache(), archive, suite, package)?;
    corpus::find(&directory, &|name| name.starts_with(library)).context("the package holds no such library")
}

#[test]
fn debian_1_1_1() {
    let library = debian(Archive::Security, "bullseye-security", "libssl1.1", "libssl.so");
    if let Some(target) = judge("Debian libssl 1.1.1 (bullseye)", library) {
        assert_cheap_reads_and_writes(&target);
    }
}

#[test]
fn debian_3_0() {
    let library = debian(Archive::Main, "bookworm", "libssl3", "libssl.so");
    if let Some(target) = judge("Debian libssl 3.0 (bookworm)", library) {
        assert_cheap_reads_and_writes(&target);
    }
}

/// LESSONS 4: a version that was in no table was refused.
#[test]
fn debian_3_5() {
    let library = debian(Archive::Main, "trixie", "libssl3t64", "libssl.so");
    if let Some(target) = judge("Debian libssl 3.5 (trixie)", library) {
        assert_cheap_reads_and_writes(&target);
        let has = |symbol: &str| target.points.iter().any(|point| point.symbol == symbol);
        assert!(
            has("SSL_write_ex2") && !has("SSL_write_ex"),
            "one jumps to the other"
        );
    }
}

#[test]
fn python_wheel() {
    let library = corpus::python_wheel(cache(), "psycopg2-binary").and_then(|directory| {
        corpus::find(&directory, &|name| name.starts_with("libssl")).context("the wheel holds no libssl")
    });
    judge("private libssl of a Python wheel", library);
}

#[test]
fn node() {
    let program = corpus::program("node").context("no node");
    let exports = |program: PathBuf| {
        let target = target_of_file(&program, Returns::Cheapest, &mut Cache::default())?;
        target
            .context("this node links libssl dynamically")
            .map(|_| program)
    };
    if let Some(target) = judge("node's own OpenSSL", program.and_then(exports)) {
        for symbol in ["SSL_read", "SSL_write", "SSL_read_ex", "SSL_write_ex"] {
            let sites = &point(&target, symbol).sites;
            assert!(
                sites.entry.emulated && matches!(sites.ret, ReturnSite::Trampoline(_)),
                "{sites:?}"
            );
        }
    }
}

/// Functions of a target that only the kernel's return probe can see the return of.
fn return_probes(target: &Target) -> Vec<&'static str> {
    let is_trampoline = |point: &&ProbePoint| matches!(point.sites.ret, ReturnSite::Trampoline(_));
    target
        .points
        .iter()
        .filter(is_trampoline)
        .map(|point| point.symbol)
        .collect()
}

#[test]
fn gnutls() {
    let library = debian(Archive::Main, "bookworm", "libgnutls30", "libgnutls.so");
    let functions = [
        "gnutls_record_send2",
        "gnutls_record_recv",
        "gnutls_record_recv_seq",
        "gnutls_record_send_range",
        "gnutls_record_send_early_data",
        "gnutls_record_recv_early_data",
        "gnutls_record_uncork",
        "gnutls_transport_set_ptr",
        "gnutls_transport_set_ptr2",
        "gnutls_transport_set_int2",
        "gnutls_handshake",
        "gnutls_bye",
        "gnutls_deinit",
    ];
    if let Some(target) = judge_stack("GnuTLS 3.7 (bookworm)", library, "gnutls", &functions) {
        let jumps = target
            .points
            .iter()
            .any(|point| point.symbol == "gnutls_record_send");
        assert!(!jumps, "gnutls_record_send only jumps to gnutls_record_send2");
        // They end in jumps to a function that nothing names.
        for symbol in ["gnutls_record_recv", "gnutls_record_recv_seq"] {
            assert!(return_probes(&target).contains(&symbol), "{symbol}");
        }
    }
}

#[test]
fn nss_and_nspr() {
    let library = debian(Archive::Main, "bookworm", "libnss3", "libssl3.so");
    judge_stack(
        "NSS 3.87 (bookworm)",
        library,
        "nss",
        &["SSL_ImportFD", "SSL_ForceHandshake"],
    );
    let library = debian(Archive::Main, "bookworm", "libnspr4", "libnspr4.so");
    let functions = [
        "PR_Read",
        "PR_Write",
        "PR_Recv",
        "PR_Send",
        "PR_Writev",
        "PR_Accept",
        "PR_Close",
    ];
    if let Some(target) = judge_stack("NSPR 4.35 (bookworm)", library, "nspr", &functions) {
        // Each is a jump through the table of methods.
        assert_eq!(return_probes(&target).len(), functions.len() - 1);
    }
}

#[test]
fn wolfssl() {
    let library = debian(Archive::Main, "bookworm", "libwolfssl35", "libwolfssl.so");
    let functions = [
        "wolfSSL_read",
        "wolfSSL_write",
        "wolfSSL_set_fd",
        "wolfSSL_connect",
        "wolfSSL_free",
    ];
    judge_stack("wolfSSL 5.5 (bookworm)", library, "wolfssl", &functions);
}

#[test]
fn mbedtls() {
    let functions = [
        "mbedtls_ssl_read",
        "mbedtls_ssl_write",
        "mbedtls_ssl_handshake",
        "mbedtls_ssl_close_notify",
        "mbedtls_ssl_session_reset",
        "mbedtls_ssl_free",
    ];
    let library = debian(Archive::Main, "bookworm", "libmbedtls14", "libmbedtls.so");
    judge_stack("Mbed TLS 2.28 (bookworm)", library, "mbedtls", &functions);
    let library = debian(Archive::Main, "trixie", "libmbedtls21", "libmbedtls.so");
    judge_stack("Mbed TLS 3.6 (trixie)", library, "mbedtls", &functions);
}

#[test]
fn s2n_of_a_python_wheel() {
    let library = corpus::python_wheel(cache(), "awscrt").and_then(|directory| {
        corpus::find(&directory, &|name| name.starts_with("_awscrt")).context("the wheel holds no library")
    });
    let functions = [
        "s2n_recv",
        "s2n_send",
        "s2n_negotiate",
        "s2n_shutdown",
        "s2n_connection_free",
    ];
    judge_stack("s2n-tls of a Python wheel", library, "s2n", &functions);
}

#[test]
fn boringssl_of_a_python_wheel() {
    let library = corpus::python_wheel(cache(), "curl_cffi").and_then(|directory| {
        corpus::find(&directory, &|name| name.starts_with("_wrapper")).context("the wheel holds no library")
    });
    let functions = ["SSL_read", "SSL_write", "SSL_do_handshake", "SSL_free"];
    judge_stack("BoringSSL of a Python wheel", library, "openssl", &functions);
}

#[test]
fn installed_libraries_are_found_by_their_names_and_recognised_by_their_content() {
    let libraries = sensor_user::capture::discover::standard_libraries();
    let mut cache = Cache::default();
    let targets: Vec<Target> = libraries
        .iter()
        .filter_map(|path| target_of_file(path, Returns::Cheapest, &mut cache).unwrap())
        .collect();
    if targets.is_empty() {
        skipped("installed libraries", &"no libssl is installed");
    }
    for target in &targets {
        assert!(STACKS.iter().any(|stack| std::ptr::eq(stack, target.stack)));
        for point in &target.points {
            check(&target.path.display().to_string(), target, point);
        }
    }
    assert_eq!(cache.readings(), libraries.len() as u64);
}
