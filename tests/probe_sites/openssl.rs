//! Builds of OpenSSL.

use super::*;

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

/// Judges a build of OpenSSL; a build that cannot be had is skipped aloud.
fn judge(name: &str, library: Result<PathBuf>) -> Option<Target> {
    judge_stack(name, library, "openssl", &FUNCTIONS)
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
