//! The allocator of a pinfold that is linked with musl.
//!
//! musl's own asks the kernel for memory again and again. dlmalloc does not; its own global form takes a lock for each
//! allocation, which cost a launch more than the allocations did. pinfold has one thread, but where it unpacks an
//! image: here a lock is taken from the first thread on that anybody makes.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::UnsafeCell;
use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use dlmalloc::Dlmalloc;

/// The process's only heap.
#[derive(Debug)]
pub struct Heap;

struct Shared(UnsafeCell<Dlmalloc>);

// SAFETY: `with` alone reaches what is in it, under LOCK once there is a second thread.
unsafe impl Sync for Shared {}

static HEAP: Shared = Shared(UnsafeCell::new(Dlmalloc::new()));
static LOCK: Mutex<()> = Mutex::new(());
/// Whether a second thread was made.
static THREADS: AtomicBool = AtomicBool::new(false);

fn with<T>(act: impl FnOnce(&mut Dlmalloc) -> T) -> T {
    let held = THREADS.load(Ordering::Relaxed).then(|| LOCK.lock().unwrap_or_else(PoisonError::into_inner));
    // SAFETY: nobody else has the heap: there is one thread, or we hold the lock. dlmalloc calls nothing
    // that allocates.
    let done = act(unsafe { &mut *HEAP.0.get() });
    drop(held);
    done
}

// SAFETY: dlmalloc gives memory of the size and the alignment that were asked for, which nobody else has until it
// is given back. The callers' promises are handed on.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as promised to us.
        with(|heap| unsafe { heap.malloc(layout.size(), layout.align()) })
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: as promised to us.
        with(|heap| unsafe { heap.free(place, layout.size(), layout.align()) });
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as promised to us.
        with(|heap| unsafe { heap.calloc(layout.size(), layout.align()) })
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as promised to us.
        with(|heap| unsafe { heap.realloc(place, layout.size(), layout.align(), size) })
    }
}

unsafe extern "C" {
    /// What musl's own name `pthread_create` means, weakly.
    fn __pthread_create(
        thread: *mut libc::pthread_t,
        attributes: *const libc::pthread_attr_t,
        start: extern "C" fn(*mut c_void) -> *mut c_void,
        argument: *mut c_void,
    ) -> c_int;
}

/// In the place of musl's (pthread_create(3)), for threads whose maker does not say [`share`]. Not for those of
/// thrd_create(3), which has another way to the same, and which nothing here uses.
#[unsafe(no_mangle)]
unsafe extern "C" fn pthread_create(
    thread: *mut libc::pthread_t,
    attributes: *const libc::pthread_attr_t,
    start: extern "C" fn(*mut c_void) -> *mut c_void,
    argument: *mut c_void,
) -> c_int {
    share();
    // SAFETY: as promised to us.
    unsafe { __pthread_create(thread, attributes, start, argument) }
}

/// From now on allocations are locked. Called before a thread is made, which sees it for that reason.
pub fn share() {
    THREADS.store(true, Ordering::Relaxed);
}
