//! clock_gettime(2).

/// \[child\] Milliseconds of CLOCK_MONOTONIC, which no one can set.
pub fn monotonic_ms() -> u64 {
    let mut now = [0_u64; 2];
    // SAFETY: the kernel writes one `struct __kernel_timespec`, two words, to `now`.
    unsafe { libc::syscall(libc::SYS_clock_gettime, libc::CLOCK_MONOTONIC, now.as_mut_ptr()) };
    let [seconds, nanoseconds] = now;
    seconds.saturating_mul(1000).saturating_add(nanoseconds / 1_000_000)
}
