//! Work of the library, out of the interpreter's lock.

use pyo3::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::sync::{Mutex, PoisonError};

thread_local! {
    /// A pool of the calling thread alone. rayon keeps it until the process ends.
    static ALONE: Option<ThreadPool> = ThreadPoolBuilder::new().num_threads(1).use_current_thread().build().ok();
}

/// Works with what one caller at a time may have, among the threads of the pool and without the interpreter's lock.
///
/// The caller waits for it outside the pool: a thread of the pool that waits for the end of a loop takes up other work
/// meanwhile, and would wait for itself. A pool of one thread is not woken: the caller is it.
pub fn in_pool<T: Send, R: Send>(py: Python<'_>, shared: &Mutex<T>, work: impl FnOnce(&mut T) -> R + Send) -> R {
    py.detach(|| {
        let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
        let own = &mut *shared;
        match rayon::current_num_threads() {
            1 => ALONE.with(|_| work(own)),
            // Entering the pool once saves a hand-over at every loop of every item.
            _ => rayon::scope(|_| work(own)),
        }
    })
}
