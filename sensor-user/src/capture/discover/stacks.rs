//! The table of TLS stacks, as data: how each is recognised and which of its functions carry plaintext.
//!
//! A further C library is one more row. Takes and gives nothing but the table; recognition is in `recognise`,
//! which looks at a file's content and never at its name. Rows that are recognised and not covered say why and what
//! an operator can do, so that no process is blind without a word.

use sensor_common::call::{CallKind, CallSpec, CountRule, NO_ARG};

use super::rustls;

/// One TLS implementation.
#[derive(Debug)]
pub struct Stack {
    /// Name in reports.
    pub name: &'static str,
    /// All of these must hold.
    pub signs: &'static [Sign],
    /// None of these may hold: keeps a row from matching where a more exact one does.
    pub unless: &'static [Sign],
    /// Whether the sensor reads its plaintext.
    pub coverage: Coverage,
}

/// Evidence in a file's content.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sign {
    /// The file defines this function.
    Function(&'static str),
    /// The file has this section.
    Section(&'static str),
    /// A section whose name ends so contains these bytes.
    Bytes(&'static str, &'static [u8]),
    /// Such a section contains one of these.
    AnyBytes(&'static str, &'static [&'static [u8]]),
    /// The file defines at least one function of each group.
    OneOfEach(&'static [&'static [&'static str]]),
}

/// Whether a stack's plaintext is captured.
#[derive(Debug)]
pub enum Coverage {
    /// Through these functions.
    Covered(&'static [Function]),
    /// Not captured.
    Blind {
        /// Why.
        reason: &'static str,
        /// What the operator can do.
        remedy: &'static str,
    },
}

/// One function of a covered stack.
#[derive(Debug)]
pub struct Function {
    /// Its symbol.
    pub symbol: &'static str,
    /// What its arguments are.
    pub spec: CallSpec,
}

impl Stack {
    /// Its functions, none when it is not covered.
    pub const fn functions(&self) -> &'static [Function] {
        match self.coverage {
            Coverage::Covered(functions) => functions,
            Coverage::Blind { .. } => &[],
        }
    }

    /// Why it is not captured, when it is not.
    pub const fn reason(&self) -> Option<&'static str> {
        match self.coverage {
            Coverage::Covered(_) => None,
            Coverage::Blind { reason, .. } => Some(reason),
        }
    }

    /// Whether it moves plaintext itself, or only has a part in a stack that does.
    pub fn is_whole(&self) -> bool {
        let functions = self.functions();
        let moves = |function: &Function| function.spec.kind.moves_bytes();
        functions.is_empty() || functions.iter().any(moves)
    }

    /// Whether its plaintext is captured.
    pub const fn is_covered(&self) -> bool {
        matches!(self.coverage, Coverage::Covered(_))
    }
}

/// Every stack that symbols and strings tell; [`GO`] is told by `go`.
pub static STACKS: &[Stack] = &[
    Stack {
        // Also LibreSSL, BoringSSL and AWS-LC, which keep these names and argument orders.
        name: "openssl",
        signs: &[
            Sign::Function("SSL_read"),
            Sign::Function("SSL_write"),
            Sign::Function("SSL_free"),
        ],
        unless: &[],
        coverage: Coverage::Covered(OPENSSL),
    },
    Stack {
        // Where OpenSSL makes a BIO of a descriptor: in libcrypto, or in a static build beside the rest.
        name: "openssl-bio",
        signs: &[Sign::Function("BIO_new_socket"), Sign::Function("BIO_free")],
        unless: &[],
        coverage: Coverage::Covered(OPENSSL_BIO),
    },
    Stack {
        name: "openssl-stripped",
        // The library's own source path stays in its error messages when a static build loses its symbols.
        signs: &[Sign::Bytes(".rodata", b"ssl/ssl_lib.c")],
        unless: &[Sign::Function("SSL_read")],
        coverage: Coverage::Blind {
            reason: "OpenSSL or BoringSSL is linked statically and its symbols are stripped",
            remedy: "use a build that keeps the symbols, or one that links libssl dynamically",
        },
    },
    Stack {
        name: "gnutls",
        signs: &[
            Sign::Function("gnutls_record_send"),
            Sign::Function("gnutls_record_recv"),
        ],
        unless: &[],
        coverage: NOT_YET,
    },
    Stack {
        name: "nss",
        signs: &[
            Sign::Function("SSL_ImportFD"),
            Sign::Function("SSL_OptionSetDefault"),
        ],
        unless: &[],
        coverage: NOT_YET,
    },
    Stack {
        name: "wolfssl",
        signs: &[Sign::Function("wolfSSL_read"), Sign::Function("wolfSSL_write")],
        unless: &[],
        coverage: NOT_YET,
    },
    Stack {
        name: "mbedtls",
        signs: &[
            Sign::Function("mbedtls_ssl_read"),
            Sign::Function("mbedtls_ssl_write"),
        ],
        unless: &[],
        coverage: NOT_YET,
    },
    Stack {
        name: "s2n",
        signs: &[Sign::Function("s2n_send"), Sign::Function("s2n_recv")],
        unless: &[],
        coverage: NOT_YET,
    },
    Stack {
        name: "rustls",
        signs: &[rustls::BOTH_DIRECTIONS],
        unless: &[],
        coverage: Coverage::Covered(rustls::FUNCTIONS),
    },
    Stack {
        name: "rustls",
        signs: &[rustls::SOURCES, Sign::Section(".symtab")],
        unless: &[rustls::BOTH_DIRECTIONS],
        coverage: Coverage::Blind {
            reason: "the functions of rustls that carry plaintext were inlined by link-time optimisation",
            remedy: "build it with rustls 0.23, of which they stay, or without link-time optimisation; or observe the plain side of a proxy",
        },
    },
    Stack {
        name: "rustls",
        signs: &[rustls::SOURCES],
        unless: &[Sign::Section(".symtab")],
        coverage: Coverage::Blind {
            reason: "rustls is linked statically and the symbols are stripped",
            remedy: "run a build that keeps its symbols (strip = false in the Cargo profile), or observe the plain side of a proxy",
        },
    },
    Stack {
        name: "jsse",
        signs: &[
            Sign::Function("JNI_CreateJavaVM"),
            Sign::Function("JVM_StartThread"),
        ],
        unless: &[],
        coverage: Coverage::Blind {
            reason: "a Java virtual machine runs TLS in compiled Java code, which has no symbol to probe",
            remedy: "use a native TLS provider (netty-tcnative, Conscrypt), or observe the plain side of a proxy in front of it",
        },
    },
    Stack {
        name: "erlang",
        // What the virtual machine offers to native functions; not in the libraries that use it.
        signs: &[
            Sign::Function("enif_make_badarg"),
            Sign::Function("enif_alloc_env"),
        ],
        unless: &[],
        coverage: Coverage::Blind {
            reason: "Erlang's ssl application runs TLS in BEAM code, which has no symbol to probe",
            remedy: "terminate TLS in a proxy in front of it and observe the plain side",
        },
    },
];

/// Go's `crypto/tls`, recognised by `go`: its functions have no symbols in a stripped program.
pub static GO: Stack = Stack {
    name: "go",
    signs: &[],
    unless: &[],
    coverage: Coverage::Covered(&[
        go("crypto/tls.(*Conn).Read", 128, CallKind::GoRead),
        go("crypto/tls.(*Conn).Write", 129, CallKind::GoWrite),
        go("crypto/tls.(*Conn).Close", 130, CallKind::GoClose),
    ]),
};

/// Go's functions have arguments of their own kind, which the kernel object knows.
const fn go(symbol: &'static str, function: u16, kind: CallKind) -> Function {
    Function {
        symbol,
        spec: bare(function, kind),
    }
}

const NOT_YET: Coverage = Coverage::Blind {
    reason: "this TLS library is recognised and not captured by this version",
    remedy: "observe the other end of the connection, or the plain side of a proxy",
};

/// The `SSL *` is always the first argument.
const OPENSSL: &[Function] = &[
    counted("SSL_read", 0, CallKind::Read),
    counted("SSL_write", 1, CallKind::Write),
    counted_by_pointer("SSL_read_ex", 2, CallKind::Read),
    counted_by_pointer("SSL_write_ex", 3, CallKind::Write),
    descriptor("SSL_set_fd", 4),
    descriptor("SSL_set_rfd", 5),
    descriptor("SSL_set_wfd", 6),
    plain("SSL_do_handshake", 7, CallKind::Handshake),
    plain("SSL_connect", 8, CallKind::Handshake),
    plain("SSL_accept", 9, CallKind::Handshake),
    plain("SSL_shutdown", 10, CallKind::Shutdown),
    plain("SSL_free", 11, CallKind::Free),
    bio("SSL_set_bio", 24),
    bio("SSL_set0_rbio", 25),
    bio("SSL_set0_wbio", 26),
];

/// `BIO *f(descriptor, close_flag)`.
const OPENSSL_BIO: &[Function] = &[Function {
    symbol: "BIO_new_socket",
    spec: CallSpec {
        handle: NO_ARG,
        fd: 0,
        ..bare(27, CallKind::NewSocketBio)
    },
}];

/// `void f(handle, bio, ...)`. Of two BIOs the one to read from is taken: they differ when the socket is not theirs.
const fn bio(symbol: &'static str, function: u16) -> Function {
    let spec = CallSpec {
        fd: 1,
        ..bare(function, CallKind::SetBio)
    };
    Function { symbol, spec }
}

/// `int f(handle, buffer, length)`, returning the count.
const fn counted(symbol: &'static str, function: u16, kind: CallKind) -> Function {
    let spec = CallSpec {
        buffer: 1,
        count: CountRule::Return,
        ..bare(function, kind)
    };
    Function { symbol, spec }
}

/// `int f(handle, buffer, length, size_t *count)`, returning 1 when the count was stored.
const fn counted_by_pointer(symbol: &'static str, function: u16, kind: CallKind) -> Function {
    let spec = CallSpec {
        buffer: 1,
        out: 3,
        count: CountRule::OutWhenOne,
        ..bare(function, kind)
    };
    Function { symbol, spec }
}

/// `int f(handle, descriptor)`.
const fn descriptor(symbol: &'static str, function: u16) -> Function {
    let spec = CallSpec {
        fd: 1,
        ..bare(function, CallKind::SetFd)
    };
    Function { symbol, spec }
}

/// `int f(handle)`.
const fn plain(symbol: &'static str, function: u16, kind: CallKind) -> Function {
    Function {
        symbol,
        spec: bare(function, kind),
    }
}

const fn bare(function: u16, kind: CallKind) -> CallSpec {
    CallSpec {
        kind,
        handle: 0,
        buffer: NO_ARG,
        fd: NO_ARG,
        out: NO_ARG,
        count: CountRule::None,
        function,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn function_ids_and_names_are_unique() {
        let functions: Vec<_> = STACKS.iter().flat_map(Stack::functions).collect();
        let ids: HashSet<_> = functions.iter().map(|function| function.spec.function).collect();
        let symbols: HashSet<_> = functions.iter().map(|function| function.symbol).collect();
        // A blind row may bear the name of a covered one.
        let names: HashSet<_> = STACKS.iter().map(|stack| (stack.name, stack.reason())).collect();
        assert_eq!(ids.len(), functions.len());
        assert_eq!(symbols.len(), functions.len());
        assert_eq!(names.len(), STACKS.len());
    }

    #[test]
    fn every_row_can_be_recognised_and_blind_rows_say_what_to_do() {
        for stack in STACKS {
            assert!(!stack.signs.is_empty(), "{}", stack.name);
            match &stack.coverage {
                Coverage::Covered(functions) => assert!(!functions.is_empty(), "{}", stack.name),
                Coverage::Blind { reason, remedy } => {
                    assert!(!reason.is_empty() && !remedy.is_empty(), "{}", stack.name);
                }
            }
        }
    }

    #[test]
    fn a_counted_call_has_a_buffer_and_a_pointer_where_its_rule_needs_one() {
        for Function { symbol, spec } in STACKS.iter().flat_map(Stack::functions) {
            let moves_bytes = spec.kind.moves_bytes();
            assert_eq!(spec.buffer != NO_ARG, moves_bytes, "{symbol}");
            assert_eq!(spec.count != CountRule::None, moves_bytes, "{symbol}");
            assert_eq!(
                spec.out != NO_ARG,
                spec.count == CountRule::OutWhenOne,
                "{symbol}"
            );
            let names_socket = matches!(
                spec.kind,
                CallKind::SetFd | CallKind::SetBio | CallKind::NewSocketBio
            );
            assert_eq!(spec.fd != NO_ARG, names_socket, "{symbol}");
        }
    }
}
