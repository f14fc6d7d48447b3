//! Bytes that are allocated: whether the engine's own account of its memory (S2.10) tells the truth.
//!
//! A target is one thread, so that what an engine takes is what there is more of after a call.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicIsize, Ordering},
};

static LIVE: AtomicIsize = AtomicIsize::new(0);

/// The system's allocator, counted.
pub struct Counted;

// SAFETY: everything is handed to the system's allocator as it came.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size().cast_signed(), Ordering::Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        LIVE.fetch_add(size.cast_signed() - layout.size().cast_signed(), Ordering::Relaxed);
        unsafe { System.realloc(pointer, layout, size) }
    }
}

fn grow(bytes: usize) {
    LIVE.fetch_add(bytes.cast_signed(), Ordering::Relaxed);
}

/// Bytes that are allocated now.
#[must_use]
pub fn live() -> isize {
    LIVE.load(Ordering::Relaxed)
}
