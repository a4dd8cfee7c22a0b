//! Attach cookies: which argument of a TLS library's function is what.
//!
//! One generic program serves every function of every C library. The cookie given at attachment (Linux 5.15) is a
//! [`CallSpec`] packed into 64 bits, so the program needs no table in the kernel.

/// What a function does, seen from the stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum CallKind {
    /// Hands decrypted bytes to the application.
    Read = 1,
    /// Takes bytes from the application to encrypt.
    Write = 2,
    /// Names the descriptor a connection uses.
    SetFd = 3,
    /// Runs the handshake: opens a window in which socket calls are nested.
    Handshake = 4,
    /// This side sends no more.
    Shutdown = 5,
    /// Ends the connection object, or empties it for another connection.
    Free = 6,
    /// Gives a connection the BIO it reads from or writes to.
    SetBio = 7,
    /// Makes a BIO of a descriptor.
    NewSocketBio = 8,
    /// Hands over what the program's own transport functions get: often the descriptor.
    SetTransport = 9,
    /// Returns an object that speaks TLS from here on, where the read and write functions also serve others.
    Import = 10,
    /// As [`Self::Read`], of bytes that came before the handshake ended and may be a replay (RFC 8446, 8).
    EarlyRead = 12,
    /// As [`Self::Write`], of bytes sent before the handshake ended.
    EarlyWrite = 13,
    /// Entry of Go's `(*tls.Conn).Read`.
    GoRead = 20,
    /// Entry of Go's `(*tls.Conn).Write`.
    GoWrite = 21,
    /// Entry of Go's `(*tls.Conn).Close`.
    GoClose = 22,
    /// A return instruction of Go's `Read` or `Write`.
    GoReturn = 23,
    /// As [`Self::GoClose`], where the returns are probed, too.
    GoClosing = 24,
    /// A return instruction of Go's `Close`.
    GoClosed = 25,
    /// rustls takes bytes from the application: a slice.
    RustlsWrite = 30,
    /// rustls takes bytes from the application: a slice, or a slice of slices, behind one pointer.
    RustlsWriteChunks = 31,
    /// rustls has decrypted a record: an owned or borrowed buffer behind one pointer.
    RustlsReceived = 32,
    /// rustls hands decrypted bytes to the application, from a buffer inside the connection's state.
    RustlsRead = 33,
    /// rustls writes its output buffer, which lies inside the connection's state: socket calls are nested.
    RustlsFlush = 34,
    /// Any function that is given the connection's state.
    RustlsState = 35,
    /// The end of the connection's state.
    RustlsDrop = 36,
}

impl CallKind {
    /// The first of rustls's numbers.
    pub const RUSTLS: u8 = Self::RustlsWrite as u8;
    /// The last of rustls's numbers.
    pub const RUSTLS_LAST: u8 = Self::RustlsDrop as u8;

    /// Whether it is one of Go's, which the kernel object handles by goroutine.
    pub const fn is_go(self) -> bool {
        matches!(
            self,
            Self::GoRead | Self::GoWrite | Self::GoClose | Self::GoReturn | Self::GoClosing | Self::GoClosed
        )
    }

    /// Whether the call moves bytes of the application.
    pub const fn moves_bytes(self) -> bool {
        match self {
            Self::Read
            | Self::Write
            | Self::EarlyRead
            | Self::EarlyWrite
            | Self::RustlsWrite
            | Self::RustlsWriteChunks
            | Self::RustlsReceived
            | Self::RustlsRead
            | Self::GoRead
            | Self::GoWrite => true,
            Self::SetFd
            | Self::Handshake
            | Self::Shutdown
            | Self::Free
            | Self::SetBio
            | Self::NewSocketBio
            | Self::SetTransport
            | Self::Import
            | Self::GoClose
            | Self::GoReturn
            | Self::GoClosing
            | Self::GoClosed
            | Self::RustlsFlush
            | Self::RustlsState
            | Self::RustlsDrop => false,
        }
    }
}

/// Where the number of bytes that moved is found on return.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum CountRule {
    /// The return value, an `int`, when greater than zero.
    Return = 0,
    /// `*out` (a `size_t`), when the return value is 1.
    OutWhenOne = 1,
    /// Nothing is counted.
    None = 2,
    /// The second word of the result, when the first is zero: how Rust returns `io::Result<usize>` in two registers.
    SecondWhenOk = 8,
    /// Known at entry, behind the buffer's argument.
    AtEntry = 9,
    /// The return value, an `ssize_t`, when greater than zero.
    ReturnWide = 3,
    /// `*out` (an `ssize_t`), whatever the return value is.
    Out = 4,
    /// The argument `out` itself, which is the length, when the return value (an `int`) is not negative.
    LengthUnlessNegative = 5,
    /// As [`Self::Return`], unless the argument `out` has [`PEEK_FLAG`]: those bytes come again.
    ReturnUnlessPeek = 6,
}

/// `PR_MSG_PEEK` of NSPR (`prio.h`) and `MSG_PEEK` of Linux (`linux/socket.h`).
pub const PEEK_FLAG: u64 = 2;

/// What the argument `buffer` points to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Shape {
    /// The bytes.
    Bytes = 0,
    /// An array of `struct iovec` whose length is the argument `out`.
    Vector = 1,
    /// The same, with a length of type `int` in each element (`PRIOVec` of NSPR).
    NarrowVector = 2,
}

/// [`CallSpec::function`] of the two functions behind OpenSSL's `BIO_f_ssl`, whose object is a BIO over a connection.
pub const BIO_FUNCTIONS: [u16; 2] = [28, 29];

/// The argument number that means "no such argument".
pub const NO_ARG: u8 = 0xf;

/// Arguments and rules of one function.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CallSpec {
    /// What it does.
    pub kind: CallKind,
    /// Argument that is the connection object.
    pub handle: u8,
    /// Argument that is the buffer, or [`NO_ARG`].
    pub buffer: u8,
    /// Argument that is the descriptor, or [`NO_ARG`]. For rustls: where in the connection's state, in words, the
    /// buffer of what was received stands.
    pub fd: u8,
    /// Argument that the count or the shape needs besides, or [`NO_ARG`]. For rustls: where in the connection's state,
    /// in words, the pointer stands that names the connection.
    pub out: u8,
    /// How the count is found.
    pub count: CountRule,
    /// What the buffer is.
    pub shape: Shape,
    /// Only objects that an [`CallKind::Import`] returned count.
    pub imported: bool,
    /// Row and function of the TLS stack table: joins entry and return.
    pub function: u16,
}

/// [`Cookie::mark`] of a function without one.
pub const NO_MARK: u16 = 0xfff;

impl CallSpec {
    /// With the place in the connection object, in words of four bytes, of the number whose lowest bit says that it was
    /// closed. Go's functions have fixed arguments, so the three fields are free for it.
    #[must_use]
    pub const fn with_mark(self, words: u16) -> Self {
        Self {
            buffer: (words & 0xf) as u8,
            fd: (words >> 4 & 0xf) as u8,
            out: (words >> 8 & 0xf) as u8,
            ..self
        }
    }

    /// Packs the specification into an attach cookie. Never zero, because no kind is.
    pub const fn to_cookie(self) -> u64 {
        self.kind as u64
            | (self.handle as u64 & 0xf) << 8
            | (self.buffer as u64 & 0xf) << 12
            | (self.fd as u64 & 0xf) << 16
            | (self.out as u64 & 0xf) << 20
            | (self.count as u64 & 0xf) << 24
            | (self.shape as u64 & 0x3) << 28
            | (self.imported as u64) << 30
            | (self.function as u64) << 32
    }

    /// The same for a return instruction that other calls pass, too: with the distance of the stack pointer at the entry
    /// site from the return address, by which the return of a call is told from others.
    pub const fn to_framed_cookie(self, below: u32) -> u64 {
        self.to_cookie() | 1 << 31 | (below as u64 & 0xffff) << 48
    }
}

/// Field access on the packed form, in the shape the kernel side needs: plain numbers, no enums to validate.
#[derive(Clone, Copy)]
pub struct Cookie(pub u64);

#[expect(
    clippy::inline_always,
    clippy::cast_possible_truncation,
    reason = "fields of a packed number, taken apart in a program that the verifier wants flat"
)]
impl Cookie {
    /// [`CallKind`] as a number.
    #[inline(always)]
    pub const fn kind(self) -> u8 {
        self.0 as u8
    }
    /// Argument number of the connection object.
    #[inline(always)]
    pub const fn handle(self) -> u8 {
        (self.0 >> 8) as u8 & 0xf
    }
    /// Argument number of the buffer.
    #[inline(always)]
    pub const fn buffer(self) -> u8 {
        (self.0 >> 12) as u8 & 0xf
    }
    /// Argument number of the descriptor.
    #[inline(always)]
    pub const fn fd(self) -> u8 {
        (self.0 >> 16) as u8 & 0xf
    }
    /// Argument number of what count or shape need besides.
    #[inline(always)]
    pub const fn out(self) -> u8 {
        (self.0 >> 20) as u8 & 0xf
    }
    /// What [`CallSpec::with_mark`] stored, or [`NO_MARK`].
    #[inline(always)]
    pub const fn mark(self) -> u16 {
        (self.0 >> 12) as u16 & 0xfff
    }
    /// [`CountRule`] as a number.
    #[inline(always)]
    pub const fn count(self) -> u8 {
        (self.0 >> 24) as u8 & 0xf
    }
    /// [`Shape`] as a number.
    #[inline(always)]
    pub const fn shape(self) -> u8 {
        (self.0 >> 28) as u8 & 0x3
    }
    /// Whether only imported objects count.
    #[inline(always)]
    pub const fn imported(self) -> bool {
        self.0 >> 30 & 1 != 0
    }
    /// Whether the stack pointer must tell whose return it is.
    #[inline(always)]
    pub const fn framed(self) -> bool {
        self.0 >> 31 & 1 != 0
    }
    /// What [`CallSpec::to_framed_cookie`] was given.
    #[inline(always)]
    pub const fn below(self) -> u16 {
        (self.0 >> 48) as u16
    }
    /// Joins entry and return of one function.
    #[inline(always)]
    pub const fn function(self) -> u16 {
        (self.0 >> 32) as u16
    }
    /// Whether the object is a BIO over a connection.
    #[inline(always)]
    pub const fn is_bio(self) -> bool {
        let [read, write] = BIO_FUNCTIONS;
        self.function() == read || self.function() == write
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_keeps_every_field() {
        let spec = CallSpec {
            kind: CallKind::Free,
            handle: 1,
            buffer: 2,
            fd: NO_ARG,
            out: 5,
            count: CountRule::OutWhenOne,
            shape: Shape::NarrowVector,
            imported: true,
            function: 0xabcd,
        };
        let cookie = Cookie(spec.to_cookie());
        assert_eq!(cookie.kind(), CallKind::Free as u8);
        assert_eq!(
            (cookie.handle(), cookie.buffer(), cookie.fd(), cookie.out()),
            (1, 2, NO_ARG, 5)
        );
        assert_eq!(cookie.count(), CountRule::OutWhenOne as u8);
        assert_eq!(cookie.shape(), Shape::NarrowVector as u8);
        assert!(cookie.imported());
        assert_eq!(cookie.function(), 0xabcd);
        assert!(!cookie.framed());
        let framed = Cookie(spec.to_framed_cookie(0x1238));
        assert!(framed.framed() && framed.imported());
        assert_eq!((framed.below(), framed.function()), (0x1238, 0xabcd));
        assert_eq!(Cookie(spec.with_mark(0x9a5).to_cookie()).mark(), 0x9a5);
        let none = CallSpec {
            buffer: NO_ARG,
            out: NO_ARG,
            ..spec
        };
        assert_eq!(Cookie(none.to_cookie()).mark(), NO_MARK);
    }
}
