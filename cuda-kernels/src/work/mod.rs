//! What a launch computes and moves at least, from its arguments: the numbers of a roofline.
//!
//! Arithmetic: multiply-adds at 2 flop, with the outputs that a kernel computes beyond the edge of a tensor; what a
//! kernel does per value besides (normalisations, SiLUs, guards) counts as nothing. Traffic: every tensor read once and
//! written once, as if caches held whatever is read again. So both are least values, and so is a time that follows from
//! them.

mod network;
mod training;
mod vectors;

use std::ops::AddAssign;

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

/// What one launch, or several, must do.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Work {
    /// Floating-point operations.
    pub flop: f64,
    /// Bytes read from and written to device memory.
    pub bytes: f64,
}

impl Work {
    /// So many multiply-adds, and so many values of 4 bytes.
    fn of(multiply_adds: f64, values: f64) -> Self {
        Self { flop: 2.0 * multiply_adds, bytes: 4.0 * values }
    }

    /// Values and nothing else.
    fn moving(values: f64) -> Self {
        Self::of(0.0, values)
    }
}

impl AddAssign for Work {
    fn add_assign(&mut self, other: Self) {
        self.flop += other.flop;
        self.bytes += other.bytes;
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
        assert_eq!(update.work(launch), Work { flop: 6000.0, bytes: 48_000.0 });
        assert_eq!(launch.n_threads(), 3072.0);
    }
}
