//! The inner loop of a fan's forward map: sixteen neighbouring rays sample lines.
//!
//! As in `resample`, sixteen lanes read one window of 32 values. On line l they are at
//!
//! ```text
//! p_i = q + u_i + v_i m,      m = l - middle line,
//! ```
//!
//! with q in f64 and the rest, a few pixels, in f32. Machines give the same bits, as a test holds.

use super::resample::{LANES, Machine, PAD, WINDOW};
use std::ops::RangeInclusive;

/// Offsets from the block's own place that a window holds, with the value that follows.
pub(super) const SPREAD: RangeInclusive<f64> = -15.5..=13.9;
/// Index in its window of a block's own place.
const CENTRE: usize = 16;

/// Sixteen neighbouring rays.
#[derive(Debug, Clone)]
pub(super) struct RayBlock {
    /// The block's own place is `first` + l `per_line`.
    pub(super) first: f64,
    pub(super) per_line: f64,
    /// Places of the lanes on the middle line, from the block's own.
    pub(super) offsets: [f32; LANES],
    /// Their increment from line to line.
    pub(super) per_line_offsets: [f32; LANES],
    pub(super) lengths_mm: [f32; LANES],
}

impl Machine {
    /// Sums of a block of rays over lines: of (padded values, line).
    #[inline]
    pub(super) fn sample_rays<'a>(
        self,
        block: &RayBlock,
        middle_line: f64,
        lines: impl Iterator<Item = (&'a [f32], usize)>,
    ) -> [f32; LANES] {
        match self {
            Self::Portable(arch) => arch.dispatch(
                #[inline(always)]
                || sum_rays(Plain, block, middle_line, lines),
            ),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(v4) => v4.vectorize(
                #[inline(always)]
                || sum_rays(v4, block, middle_line, lines),
            ),
        }
    }
}

#[inline(always)]
fn sum_rays<'a, W: Lookup>(
    w: W,
    block: &RayBlock,
    middle_line: f64,
    lines: impl Iterator<Item = (&'a [f32], usize)>,
) -> [f32; LANES] {
    let mut sum = w.zero();
    for (values, line) in lines {
        let place = block.first + line as f64 * block.per_line;
        let floor = place.floor();
        // As in `resample`: out of range, only zeros are left out.
        let start = (floor as i32).saturating_add((PAD - CENTRE) as i32);
        if let Some(window) = values.get(start as u32 as usize..).and_then(|rest| rest.first_chunk()) {
            sum = w.sample(sum, window, (place - floor) as f32, (line as f64 - middle_line) as f32, block);
        }
    }
    w.get(sum)
}

/// One block of sixteen lanes over one window.
trait Lookup: Copy {
    type Sum: Copy;
    fn zero(self) -> Self::Sum;
    /// Adds to each lane the line's value at `fraction` + offset, counted from the window's centre.
    fn sample(self, sum: Self::Sum, window: &[f32; WINDOW], fraction: f32, m: f32, block: &RayBlock) -> Self::Sum;
    fn get(self, sum: Self::Sum) -> [f32; LANES];
}

#[derive(Clone, Copy)]
struct Plain;

impl Lookup for Plain {
    type Sum = [f32; LANES];

    #[inline(always)]
    fn zero(self) -> Self::Sum {
        [0.0; LANES]
    }

    #[inline(always)]
    fn sample(self, mut sum: Self::Sum, window: &[f32; WINDOW], fraction: f32, m: f32, block: &RayBlock) -> Self::Sum {
        for (sum, (u, v)) in sum.iter_mut().zip(block.offsets.iter().zip(&block.per_line_offsets)) {
            let place = fraction + (u + v * m);
            let index = (place + CENTRE as f32) as i32;
            let f = place - (index - CENTRE as i32) as f32;
            let value = |tap: usize| window[(index as u32 as usize + tap) % WINDOW];
            *sum += (1.0 - f) * value(0) + f * value(1);
        }
        sum
    }

    #[inline(always)]
    fn get(self, sum: Self::Sum) -> [f32; LANES] {
        sum
    }
}

#[cfg(target_arch = "x86_64")]
impl Lookup for pulp::x86::V4 {
    type Sum = pulp::f32x16;

    #[inline(always)]
    fn zero(self) -> Self::Sum {
        pulp::cast([0.0f32; LANES])
    }

    /// Products and sums stay apart, as the portable twin has them.
    #[inline(always)]
    fn sample(self, sum: Self::Sum, window: &[f32; WINDOW], fraction: f32, m: f32, block: &RayBlock) -> Self::Sum {
        let v = self.avx512f;
        let [low, high]: [[f32; LANES]; 2] = pulp::cast(*window);
        let (low, high) = (pulp::cast(low), pulp::cast(high));
        let moved = v._mm512_mul_ps(pulp::cast(block.per_line_offsets), v._mm512_set1_ps(m));
        let offset = v._mm512_add_ps(pulp::cast(block.offsets), moved);
        let place = v._mm512_add_ps(v._mm512_set1_ps(fraction), offset);
        let index = v._mm512_cvttps_epi32(v._mm512_add_ps(place, v._mm512_set1_ps(CENTRE as f32)));
        let whole = v._mm512_sub_epi32(index, v._mm512_set1_epi32(CENTRE as i32));
        let f = v._mm512_sub_ps(place, v._mm512_cvtepi32_ps(whole));
        let next = v._mm512_add_epi32(index, v._mm512_set1_epi32(1));
        let near = v._mm512_sub_ps(v._mm512_set1_ps(1.0), f);
        let near = v._mm512_mul_ps(near, v._mm512_permutex2var_ps(low, index, high));
        let far = v._mm512_mul_ps(f, v._mm512_permutex2var_ps(low, next, high));
        pulp::cast(v._mm512_add_ps(pulp::cast(sum), v._mm512_add_ps(near, far)))
    }

    #[inline(always)]
    fn get(self, sum: Self::Sum) -> [f32; LANES] {
        pulp::cast(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_support::signed;
    use super::*;

    #[test]
    fn portable_and_fast_agree_in_every_bit() {
        let values = signed(40 + 2 * PAD, 1);
        let block = RayBlock {
            first: 3.7,
            per_line: 0.83,
            offsets: std::array::from_fn(|lane| (lane as f32 - 8.0) * 0.9 + 0.01 * (lane * lane) as f32),
            per_line_offsets: std::array::from_fn(|lane| 0.003 * (lane as f32 - 8.0)),
            lengths_mm: [1.0; LANES],
        };
        let lines = || (0..60).map(|line| (values.as_slice(), line));
        let sampled = |machine: Machine| machine.sample_rays(&block, 20.0, lines()).map(f32::to_bits);
        let fast = sampled(Machine::detect());
        assert_eq!(fast, sampled(Machine::Portable(pulp::Arch::new())));
        assert!(fast.iter().all(|&bits| f32::from_bits(bits) != 0.0));
    }
}
