//! The means of every layer: the instruction set, threads, and one scratch buffer for each thread.

use super::aligned::Aligned;
use pulp::Arch;
use std::sync::{Arc, Mutex, PoisonError};

/// Instruction set and scratch memory, made once; nothing is allocated afterwards.
#[derive(Debug, Clone)]
pub(crate) struct Engine {
    pub(crate) arch: Arch,
    /// Threads that one image can have for itself.
    pub(crate) threads: usize,
    scratch: Arc<[Mutex<Aligned>]>,
}

impl Engine {
    /// A buffer of `scratch_len` values for each thread of the current pool.
    pub(crate) fn new(arch: Arch, scratch_len: usize) -> Self {
        let threads = rayon::current_num_threads().max(1);
        Self { arch, threads: 1, scratch: (0..threads).map(|_| Mutex::new(Aligned::zeros(scratch_len))).collect() }
    }

    /// The same for `images` at once: each has its share of the current pool's threads.
    pub(crate) fn shared_by(&self, images: usize) -> Self {
        Self { threads: (rayon::current_num_threads() / images.max(1)).max(1), ..self.clone() }
    }

    /// Runs `task` with the calling thread's scratch buffer, whose contents are arbitrary.
    ///
    /// `task` must not start parallel work: another task of this thread would then wait for the buffer forever.
    /// A pool larger than the one at construction shares buffers, and waits for them.
    pub(crate) fn with_scratch<R>(&self, task: impl FnOnce(&mut [f32]) -> R) -> R {
        let index = rayon::current_thread_index().unwrap_or(0) % self.scratch.len();
        // A panic elsewhere leaves nothing in a scratch buffer that could be wrong.
        let mut scratch = self.scratch[index].lock().unwrap_or_else(PoisonError::into_inner);
        task(&mut scratch)
    }
}
