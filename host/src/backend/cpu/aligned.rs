//! Memory that begins at a cache line.

use std::ops::{Deref, DerefMut};

/// Values of a cache line of 64 bytes.
pub(crate) const LINE: usize = 16;

/// Values of which the first begins a cache line: the widest vectors are as long as a line, and one that straddles two
/// costs twice as much to read, and more to write.
#[derive(Debug, Default)]
pub(crate) struct Aligned {
    /// Up to a line longer than what is used of it. Never grows, so the values stay where they are.
    memory: Box<[f32]>,
    first: usize,
    len: usize,
}

impl Aligned {
    pub(crate) fn zeros(len: usize) -> Self {
        let memory = vec![0.0; len + LINE].into_boxed_slice();
        let first = memory.as_ptr().align_offset(LINE * size_of::<f32>()).min(LINE);
        Self { memory, first, len }
    }
}

impl Deref for Aligned {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.memory[self.first..self.first + self.len]
    }
}

impl DerefMut for Aligned {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.memory[self.first..self.first + self.len]
    }
}
