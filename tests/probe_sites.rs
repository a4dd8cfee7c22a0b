//! Are the chosen probe sites right on real builds of TLS libraries? Every choice is judged a second time, from the
//! text that `objdump` prints, by rules written down independently.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests panic with context, their parts included; the table is their output"
)]

#[path = "probe_sites/openssl.rs"]
mod openssl;
#[path = "probe_sites/second_look.rs"]
mod second_look;
#[path = "probe_sites/stacks.rs"]
mod stacks;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use second_look::check;
use sensor_tests::corpus::{self, Archive};
use sensor_tests::programs::skipped;
use sensor_user::capture::attach::site::{ReturnSite, Returns, Site};
use sensor_user::capture::discover::elf::Machine;
use sensor_user::capture::discover::stacks::STACKS;
use sensor_user::capture::discover::{Cache, ProbePoint, Target, target_of_file};

fn cache() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
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

fn debian(archive: Archive, suite: &str, package: &str, library: &str) -> Result<PathBuf> {
    let directory = corpus::debian_package(cache(), archive, suite, package)?;
    corpus::find(&directory, &|name| name.starts_with(library)).context("the package holds no such library")
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
