//! What a probe was told when it was attached.

use aya_ebpf::EbpfContext;
use aya_ebpf::helpers::generated::bpf_get_attach_cookie;
use sensor_common::call::Cookie;

use crate::maps::{FIXED_COOKIE, HAS_COOKIE};

/// The attach cookie; on kernels without (before Linux 5.15) a constant of this copy of the program, of which user
/// space loads one per cookie. Both globals are read-only, so the verifier never walks the other way.
#[inline(always)]
pub fn of<C: EbpfContext>(ctx: &C) -> Cookie {
    if HAS_COOKIE.load() != 0 {
        return Cookie(unsafe { bpf_get_attach_cookie(ctx.as_ptr()) });
    }
    Cookie(FIXED_COOKIE.load())
}
