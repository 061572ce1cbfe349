//! The least work of a launch and the bytes that it moves, from its arguments: the numbers of a roofline.
//!
//! Arithmetic: multiply-adds at 2 flop, with the outputs that a kernel computes beyond the edge of a tensor; what a
//! kernel does per value besides (normalisations, SiLUs, guards) counts as nothing. Traffic: every tensor read once and
//! written once, as if caches held whatever is read again. So both are least values. Beside them stands how often a
//! block waits for memory, one time after the other: for small launches that is what takes long.

mod network;
mod training;
mod vectors;

/// The blocks of a launch and the threads of each.
#[derive(Debug, Clone, Copy)]
pub struct Launch {
    /// Blocks.
    pub grid: [usize; 3],
    /// Threads of a block.
    pub threads: u32,
}

impl Launch {
    /// Blocks in all.
    #[must_use]
    pub fn n_blocks(&self) -> f64 {
        self.grid.iter().map(|&n| n as f64).product()
    }

    /// Of all blocks.
    #[must_use]
    pub fn n_threads(&self) -> f64 {
        self.n_blocks() * f64::from(self.threads)
    }

    /// Of most launches: lanes along z.
    fn lanes(&self) -> f64 {
        self.grid[2] as f64
    }
}

/// The least work of one launch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Work {
    /// Floating-point operations.
    pub flop: f64,
    /// Bytes read from and written to device memory.
    pub bytes: f64,
    /// Waits of a block for device memory.
    pub waits: f64,
    /// Likewise of what is on its way while the block computes.
    pub prefetched: f64,
    /// Waits of its threads for each other, to hand on what they computed, that go with no wait for memory.
    pub exchanges: f64,
    /// More waits of the block that comes last.
    pub last: f64,
}

/// The list of lanes, then what these have.
const LEAST_WAITS: f64 = 2.0;

impl Work {
    /// So many multiply-adds, and so many values of 4 bytes.
    fn of(multiply_adds: f64, values: f64) -> Self {
        let (flop, bytes) = (2.0 * multiply_adds, 4.0 * values);
        Self { flop, bytes, waits: LEAST_WAITS, prefetched: 0.0, exchanges: 0.0, last: 0.0 }
    }

    /// The same with more waits than the least.
    fn waiting(self, more: f64) -> Self {
        Self { waits: self.waits + more, ..self }
    }

    /// Values and nothing else.
    fn moving(values: f64) -> Self {
        Self::of(0.0, values)
    }
}

/// A kernel that knows its work.
pub trait Costed {
    /// The work of one launch with these arguments.
    fn work(&self, launch: Launch) -> Work;
}

/// Gives entries their work.
macro_rules! costs {
    ($($entry:ty: $work:expr;)+) => { $(
        impl $crate::work::Costed for $entry {
            fn work(&self, launch: $crate::work::Launch) -> $crate::work::Work {
                let work: fn(&Self, $crate::work::Launch) -> $crate::work::Work = $work;
                work(self, launch)
            }
        }
    )+ };
}
pub(crate) use costs;

/// A number that the host passed as `int`.
fn n(value: i32) -> f64 {
    f64::from(value)
}

/// 1 where there is something, else 0.
fn one_if(is_there: bool) -> f64 {
    f64::from(u8::from(is_there))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Address, vector};

    #[test]
    fn an_update_moves_four_values_an_element() {
        let null = Address::NULL;
        let update = vector::Update { lanes: Address::NULL, steps: null, d: null, x: null, previous: null, n: 1000 };
        let launch = Launch { grid: [4, 1, 3], threads: 256 };
        let found = update.work(launch);
        assert_eq!((found.flop, found.bytes, found.waits), (6000.0, 48_000.0, LEAST_WAITS));
        assert_eq!((found.prefetched, found.exchanges, found.last), (0.0, 0.0, 0.0));
        assert_eq!(launch.n_threads(), 3072.0);
    }
}
