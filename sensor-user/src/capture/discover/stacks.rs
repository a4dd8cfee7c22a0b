//! The table of TLS stacks, as data: how each is recognised and which of its functions carry plaintext.
//!
//! A further C library is one more row. Takes and gives nothing but the table; recognition is in `recognise`,
//! which looks at a file's content and never at its name. Rows that are recognised and not covered say why and what
//! an operator can do, so that no process is blind without a word.

mod gnutls;
mod mbedtls;
mod nss;
mod openssl;
mod s2n;
mod wolfssl;

use sensor_common::call::{CallKind, CallSpec, CountRule, NO_ARG, Shape};

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
    /// The function it does nothing but jump to, in versions where it does: one probe is enough then.
    pub jumps_to: Option<&'static str>,
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

pub(super) use openssl::{BIO_F_SSL, BIO_READ, BIO_WRITE};

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
        coverage: Coverage::Covered(openssl::FUNCTIONS),
    },
    Stack {
        // Where OpenSSL makes a BIO of a descriptor: in libcrypto, or in a static build beside the rest.
        name: "openssl-bio",
        signs: &[Sign::Function("BIO_new_socket"), Sign::Function("BIO_free")],
        unless: &[],
        coverage: Coverage::Covered(openssl::BIO),
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
        coverage: Coverage::Covered(gnutls::FUNCTIONS),
    },
    Stack {
        name: "nss",
        signs: &[
            Sign::Function("SSL_ImportFD"),
            Sign::Function("SSL_OptionSetDefault"),
        ],
        unless: &[],
        coverage: Coverage::Covered(nss::FUNCTIONS),
    },
    Stack {
        // What NSS's connections are read and written by; probed where a process has both.
        name: "nspr",
        signs: &[
            Sign::Function("PR_Read"),
            Sign::Function("PR_Write"),
            Sign::Function("PR_Close"),
        ],
        unless: &[],
        coverage: Coverage::Covered(nss::NSPR),
    },
    Stack {
        name: "wolfssl",
        signs: &[Sign::Function("wolfSSL_read"), Sign::Function("wolfSSL_write")],
        unless: &[],
        coverage: Coverage::Covered(wolfssl::FUNCTIONS),
    },
    Stack {
        name: "mbedtls",
        signs: &[
            Sign::Function("mbedtls_ssl_read"),
            Sign::Function("mbedtls_ssl_write"),
        ],
        unless: &[],
        coverage: Coverage::Covered(mbedtls::FUNCTIONS),
    },
    Stack {
        name: "s2n",
        signs: &[Sign::Function("s2n_send"), Sign::Function("s2n_recv")],
        unless: &[],
        coverage: Coverage::Covered(s2n::FUNCTIONS),
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
        jumps_to: None,
    }
}

/// `int f(handle, buffer, length)`, returning the count.
const fn counted(symbol: &'static str, function: u16, kind: CallKind) -> Function {
    returning(symbol, function, kind, CountRule::Return)
}

/// `ssize_t f(handle, buffer, length)`, returning the count.
const fn counted_wide(symbol: &'static str, function: u16, kind: CallKind) -> Function {
    returning(symbol, function, kind, CountRule::ReturnWide)
}

const fn returning(symbol: &'static str, function: u16, kind: CallKind, count: CountRule) -> Function {
    let spec = CallSpec {
        buffer: 1,
        count,
        ..bare(function, kind)
    };
    row(symbol, spec)
}

/// `int f(handle, buffer, length, .., size_t *count)`, returning 1 when the count was stored in argument `out`.
const fn counted_by_pointer(symbol: &'static str, function: u16, kind: CallKind, out: u8) -> Function {
    let spec = CallSpec {
        buffer: 1,
        out,
        count: CountRule::OutWhenOne,
        ..bare(function, kind)
    };
    row(symbol, spec)
}

/// `ssize_t f(handle, ..)`, returning the count of bytes that are in no buffer.
const fn bufferless(symbol: &'static str, function: u16, kind: CallKind) -> Function {
    let spec = CallSpec {
        count: CountRule::ReturnWide,
        ..bare(function, kind)
    };
    row(symbol, spec)
}

/// `int f(handle, descriptor)`.
const fn descriptor(symbol: &'static str, function: u16) -> Function {
    let spec = CallSpec {
        fd: 1,
        ..bare(function, CallKind::SetFd)
    };
    row(symbol, spec)
}

/// `int f(handle)`.
const fn plain(symbol: &'static str, function: u16, kind: CallKind) -> Function {
    row(symbol, bare(function, kind))
}

const fn row(symbol: &'static str, spec: CallSpec) -> Function {
    Function {
        symbol,
        spec,
        jumps_to: None,
    }
}

/// The object is the first argument everywhere so far.
pub(super) const fn bare(function: u16, kind: CallKind) -> CallSpec {
    CallSpec {
        kind,
        handle: 0,
        buffer: NO_ARG,
        fd: NO_ARG,
        out: NO_ARG,
        count: CountRule::None,
        shape: Shape::Bytes,
        imported: false,
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
    fn a_call_has_the_arguments_that_its_kind_and_rules_need() {
        for Function { symbol, spec, .. } in STACKS.iter().flat_map(Stack::functions) {
            let moves = spec.kind.moves_bytes();
            assert!(moves || spec.buffer == NO_ARG, "{symbol}");
            assert_eq!(spec.count != CountRule::None, moves, "{symbol}");
            let names = matches!(
                spec.kind,
                CallKind::SetFd | CallKind::SetTransport | CallKind::SetBio | CallKind::NewSocketBio
            );
            assert_eq!(spec.fd != NO_ARG, names, "{symbol}");
            let by_rule = matches!(
                spec.count,
                CountRule::OutWhenOne
                    | CountRule::Out
                    | CountRule::LengthUnlessNegative
                    | CountRule::ReturnUnlessPeek
            );
            let by_shape = spec.shape != Shape::Bytes;
            assert!(!(by_rule && by_shape), "{symbol}: one argument cannot serve both");
            assert_eq!(spec.out != NO_ARG, by_rule || by_shape, "{symbol}");
            let used: Vec<u8> = [spec.handle, spec.buffer, spec.fd, spec.out]
                .into_iter()
                .filter(|argument| *argument != NO_ARG)
                .collect();
            assert_eq!(used.iter().collect::<HashSet<_>>().len(), used.len(), "{symbol}");
            // System V and AAPCS64 pass at least six arguments in registers.
            assert!(used.iter().all(|argument| *argument < 6), "{symbol}");
        }
    }

    #[test]
    fn functions_of_a_row_have_ids_of_its_range() {
        let ranges = [
            ("openssl", 0..32),
            ("openssl-bio", 0..32),
            ("gnutls", 32..48),
            ("nss", 48..64),
            ("nspr", 48..64),
            ("wolfssl", 64..80),
            ("mbedtls", 80..96),
            ("s2n", 96..112),
        ];
        for (name, range) in ranges {
            let stack = STACKS.iter().find(|stack| stack.name == name).unwrap();
            for row in stack.functions() {
                assert!(range.contains(&row.spec.function), "{name} {}", row.symbol);
            }
        }
    }

    #[test]
    fn only_what_needs_an_import_asks_for_one_and_jumps_lead_to_rows() {
        for stack in STACKS {
            for row in stack.functions() {
                assert_eq!(row.spec.imported, stack.name == "nspr", "{}", row.symbol);
                let target = row
                    .jumps_to
                    .is_none_or(|to| stack.functions().iter().any(|other| other.symbol == to));
                assert!(target, "{}", row.symbol);
            }
        }
    }

    #[test]
    fn every_covered_stack_reads_writes_and_forgets() {
        for stack in STACKS
            .iter()
            .filter(|stack| stack.is_covered() && !["nss", "openssl-bio", "rustls"].contains(&stack.name))
        {
            for kind in [CallKind::Read, CallKind::Write, CallKind::Free] {
                let has = stack.functions().iter().any(|row| row.spec.kind == kind);
                assert!(has, "{} has no {kind:?}", stack.name);
            }
        }
    }
}
