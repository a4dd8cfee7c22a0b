//! A panic in the kernel object must fail verification, not run: the handler loops, which the verifier refuses.

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    loop {}
}
