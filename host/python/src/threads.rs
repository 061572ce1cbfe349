//! Work of the library, out of the interpreter's lock.

use pyo3::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

thread_local! {
    /// A pool of the calling thread alone.
    static ALONE: Option<ThreadPool> = ThreadPoolBuilder::new().num_threads(1).use_current_thread().build().ok();
}

/// Does work among the threads of the pool, without the interpreter's lock.
///
/// A pool of one thread is not woken: the caller is it.
pub fn in_pool<R: Send>(py: Python<'_>, work: impl FnOnce() -> R + Send) -> R {
    py.detach(|| match rayon::current_num_threads() {
        1 => ALONE.with(|_| work()),
        // Entering the pool once saves a hand-over at every loop of every item.
        _ => rayon::scope(|_| work()),
    })
}
