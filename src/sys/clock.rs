//! clock_gettime(2).

/// \[child\] Milliseconds of CLOCK_MONOTONIC, which no one can set.
pub fn monotonic_ms() -> u64 {
    monotonic_ns() / 1_000_000
}

/// \[child\] Nanoseconds of the same.
pub fn monotonic_ns() -> u64 {
    nanoseconds(libc::CLOCK_MONOTONIC)
}

/// Nanoseconds of CPU time that this process has had, execve(2) among them.
pub fn process_ns() -> u64 {
    nanoseconds(libc::CLOCK_PROCESS_CPUTIME_ID)
}

/// By the vDSO where it can (vdso(7)): then it is no system call.
fn nanoseconds(clock: libc::clockid_t) -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: libc, or the kernel, writes one `struct timespec` to `now`.
    unsafe { libc::clock_gettime(clock, &raw mut now) };
    let [seconds, nanoseconds] = [now.tv_sec, now.tv_nsec].map(i64::unsigned_abs);
    seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds)
}
