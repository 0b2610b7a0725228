//! Counts what each thread asks of the C library's allocator, of which Rust's own sees nothing that C code asks for.
//!
//! The program's `malloc` goes before the library's, which glibc also offers under another name. So this is for glibc only.

// Taking a function of C's place is unsafe; these count and pass on.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::ffi::c_void;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

unsafe extern "C" {
    fn __libc_malloc(size: usize) -> *mut c_void;
    fn __libc_calloc(count: usize, size: usize) -> *mut c_void;
    fn __libc_realloc(memory: *mut c_void, size: usize) -> *mut c_void;
    fn __libc_free(memory: *mut c_void);
}

fn increment() {
    COUNT.with(|count| count.set(count.get() + 1));
}

// SAFETY, for all four: each does what the function of C's library does, by calling it with what it was called with.
#[unsafe(no_mangle)]
unsafe extern "C" fn malloc(size: usize) -> *mut c_void {
    increment();
    unsafe { __libc_malloc(size) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn calloc(count: usize, size: usize) -> *mut c_void {
    increment();
    unsafe { __libc_calloc(count, size) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn realloc(memory: *mut c_void, size: usize) -> *mut c_void {
    increment();
    unsafe { __libc_realloc(memory, size) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn free(memory: *mut c_void) {
    increment();
    unsafe { __libc_free(memory) }
}

/// Allocations and frees of this thread so far.
pub(crate) fn count() -> u64 {
    COUNT.with(Cell::get)
}
