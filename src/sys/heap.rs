//! The allocator of a pinfold that is linked with musl.
//!
//! musl's own asks the kernel for memory again and again. dlmalloc does not; its own global form takes a lock for each
//! allocation, which cost a launch more than the allocations did. pinfold has one thread, but where it unpacks an
//! image: here a lock is taken from the first thread on that anybody makes.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::UnsafeCell;
use std::ffi::{c_int, c_void};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use dlmalloc::{Allocator, Dlmalloc};

/// The process's only heap.
#[derive(Debug)]
pub struct Heap;

struct Shared(UnsafeCell<Dlmalloc<AtOnce>>);

// SAFETY: `with` alone reaches what is in it, under LOCK once there is a second thread.
unsafe impl Sync for Shared {}

/// mmap(2), mremap(2) and munmap(2). A segment comes with all its pages: nearly all of it is used, and a page fault for
/// each costs more than the page.
struct AtOnce;

/// What is larger was asked for by one allocation, of which nobody says that it is used.
const SEGMENT: usize = 128 << 10;

// SAFETY: what it gives is a mapping of its own; what it is given back was one, or the end of one.
unsafe impl Allocator for AtOnce {
    fn alloc(&self, size: usize) -> (*mut u8, usize, u32) {
        let populate = if size <= SEGMENT { libc::MAP_POPULATE } else { 0 };
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | populate;
        // SAFETY: a new mapping, where the kernel likes.
        let made = unsafe { libc::mmap(null_mut(), size, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0) };
        if made == libc::MAP_FAILED { (null_mut(), 0, 0) } else { (made.cast(), size, 0) }
    }

    fn remap(&self, place: *mut u8, old: usize, new: usize, can_move: bool) -> *mut u8 {
        let flags = if can_move { libc::MREMAP_MAYMOVE } else { 0 };
        // SAFETY: dlmalloc names a mapping of `alloc`'s whole.
        let moved = unsafe { libc::mremap(place.cast(), old, new, flags) };
        if moved == libc::MAP_FAILED { null_mut() } else { moved.cast() }
    }

    fn free_part(&self, place: *mut u8, old: usize, new: usize) -> bool {
        // SAFETY: the end of a mapping, which nothing is in any more.
        0 == unsafe { libc::munmap(place.wrapping_add(new).cast(), old - new) }
    }

    fn free(&self, place: *mut u8, size: usize) -> bool {
        // SAFETY: a mapping which nothing is in any more.
        0 == unsafe { libc::munmap(place.cast(), size) }
    }

    fn can_release_part(&self, _flags: u32) -> bool {
        true
    }

    fn allocates_zeros(&self) -> bool {
        true
    }

    fn page_size(&self) -> usize {
        4096
    }
}

static HEAP: Shared = Shared(UnsafeCell::new(Dlmalloc::new_with_allocator(AtOnce)));
static LOCK: Mutex<()> = Mutex::new(());
/// Whether a second thread was made.
static THREADS: AtomicBool = AtomicBool::new(false);

fn with<T>(act: impl FnOnce(&mut Dlmalloc<AtOnce>) -> T) -> T {
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
