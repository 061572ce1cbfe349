//! Counts of floating-point operations.

use std::iter::Sum;
use std::ops::{Add, AddAssign};

/// Floating-point operations of convolutions and matrix products; a product and its addition are two.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Flop {
    /// As executed.
    pub done: f64,
    /// Of the definition, in which every value of a kernel meets every pixel: the usual count, up to 2.25 times what is
    /// executed here.
    pub direct: f64,
}

impl Flop {
    /// The same number by both counts.
    pub(crate) fn plain(flop: f64) -> Self {
        Self { done: flop, direct: flop }
    }
}

impl Add for Flop {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { done: self.done + other.done, direct: self.direct + other.direct }
    }
}

impl AddAssign for Flop {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for Flop {
    fn sum<I: Iterator<Item = Self>>(flops: I) -> Self {
        flops.fold(Self::default(), Add::add)
    }
}
