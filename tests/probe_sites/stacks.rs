//! Libraries other than OpenSSL.

use super::*;

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
