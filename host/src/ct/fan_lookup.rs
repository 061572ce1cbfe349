//! The inner loops of a fan's projector, whose rays meet a line at distances that change from ray to ray.
//!
//! As in `resample`, sixteen lanes read one window of 32 values. A block of rays samples a line at
//!
//! ```text
//! p_i = q + u_i + v_i m,      m = l - middle line,
//! ```
//!
//! with q in f64 and the rest, a few pixels, in f32. A block of pixels gathers from a window of rays: each weighs
//! hat(p_k - j) at its exact place p_k = a_k + b_k l, so that both maps have the same weights to the rounding of f32.
//! Machines give the same bits, as a test holds.

use super::resample::{LANES, Machine, PAD, WINDOW};
use std::ops::RangeInclusive;

/// Offsets from the block's own place that a window holds, with the value that follows.
pub(super) const SPREAD: RangeInclusive<f64> = -15.5..=13.9;
/// Where in its window a block's own place is.
const CENTRE: usize = 16;

/// Sixteen neighbouring rays.
#[derive(Debug, Clone)]
pub(super) struct RayBlock {
    /// The block's own place is `first` + l `per_line`.
    pub(super) first: f64,
    pub(super) per_line: f64,
    /// Places of the lanes on the middle line, from the block's own.
    pub(super) offsets: [f32; LANES],
    /// What a line adds to them.
    pub(super) per_line_offsets: [f32; LANES],
    pub(super) lengths_mm: [f32; LANES],
}

/// Sixteen pixels of a line, before the rays that may come near them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gathered<'a> {
    /// Values of the rays in the window, and where those meet lines.
    pub(super) values: &'a [f32; WINDOW],
    pub(super) firsts: &'a [f64; WINDOW],
    pub(super) per_lines: &'a [f64; WINDOW],
    pub(super) line: f64,
    /// Place of pixel 8 of the block.
    pub(super) middle: f64,
    /// For pixel 8 + e, the rays of the window that may be near come after `before` + e (`per_pixel` + e `bend`), which
    /// is not negative.
    pub(super) before: f32,
    pub(super) per_pixel: f32,
    pub(super) bend: f32,
    /// Number of rays that may be near a pixel.
    pub(super) n_near: usize,
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

    /// Sums of a block of pixels over the windows of rays that `window` finds in `items`, where it finds one.
    #[inline]
    pub(super) fn gather_rays<'a, T>(
        self,
        items: impl Iterator<Item = T>,
        window: impl FnMut(T) -> Option<Gathered<'a>>,
    ) -> [f32; LANES] {
        match self {
            Self::Portable(arch) => arch.dispatch(
                #[inline(always)]
                || sum_windows(Plain, items, window),
            ),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(v4) => v4.vectorize(
                #[inline(always)]
                || sum_windows(v4, items, window),
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

#[inline(always)]
fn sum_windows<'a, W: Lookup, T>(
    w: W,
    items: impl Iterator<Item = T>,
    mut window: impl FnMut(T) -> Option<Gathered<'a>>,
) -> [f32; LANES] {
    let mut sum = w.zero();
    for item in items {
        if let Some(window) = window(item) {
            sum = w.gather(sum, &window);
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
    /// Adds to each pixel the rays near it.
    fn gather(self, sum: Self::Sum, window: &Gathered<'_>) -> Self::Sum;
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
    fn gather(self, mut sum: Self::Sum, window: &Gathered<'_>) -> Self::Sum {
        let mut places = [0.0f32; WINDOW];
        for (place, (first, per_line)) in places.iter_mut().zip(window.firsts.iter().zip(window.per_lines)) {
            *place = (first + per_line * window.line - window.middle) as f32;
        }
        for (lane, sum) in sum.iter_mut().enumerate() {
            let e = lane as f32 - 8.0;
            let before = window.before + e * (window.per_pixel + e * window.bend);
            let index = before as i32 as u32 as usize;
            for near in 1..=window.n_near {
                let ray = (index + near) % WINDOW;
                *sum += (1.0 - (places[ray] - e).abs()).max(0.0) * window.values[ray];
            }
        }
        sum
    }

    #[inline(always)]
    fn get(self, sum: Self::Sum) -> [f32; LANES] {
        sum
    }
}

/// Places of eight rays of the window, from the block's middle: the `which`-th eight.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn places(v4: pulp::x86::V4, window: &Gathered<'_>, which: usize) -> std::arch::x86_64::__m256 {
    let v = v4.avx512f;
    let (firsts, per_lines) = (window.firsts.as_chunks::<8>().0, window.per_lines.as_chunks::<8>().0);
    let moved = v._mm512_mul_pd(pulp::cast(per_lines[which]), v._mm512_set1_pd(window.line));
    let place = v._mm512_add_pd(pulp::cast(firsts[which]), moved);
    v._mm512_cvtpd_ps(v._mm512_sub_pd(place, v._mm512_set1_pd(window.middle)))
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
    fn gather(self, sum: Self::Sum, window: &Gathered<'_>) -> Self::Sum {
        let v = self.avx512f;
        let places_low = pulp::cast([places(self, window, 0), places(self, window, 1)]);
        let places_high = pulp::cast([places(self, window, 2), places(self, window, 3)]);
        let [low, high]: [[f32; LANES]; 2] = pulp::cast(*window.values);
        let (low, high) = (pulp::cast(low), pulp::cast(high));
        let e = pulp::cast(std::array::from_fn::<f32, LANES, _>(|lane| lane as f32 - 8.0));
        let slope =
            v._mm512_add_ps(v._mm512_set1_ps(window.per_pixel), v._mm512_mul_ps(e, v._mm512_set1_ps(window.bend)));
        let before = v._mm512_add_ps(v._mm512_set1_ps(window.before), v._mm512_mul_ps(e, slope));
        let mut index = v._mm512_cvttps_epi32(before);
        let (zero, one, mut sum) = (v._mm512_set1_ps(0.0), v._mm512_set1_ps(1.0), pulp::cast(sum));
        for _ in 0..window.n_near {
            index = v._mm512_add_epi32(index, v._mm512_set1_epi32(1));
            let distance = v._mm512_sub_ps(v._mm512_permutex2var_ps(places_low, index, places_high), e);
            let weight = v._mm512_max_ps(v._mm512_sub_ps(one, v._mm512_abs_ps(distance)), zero);
            sum = v._mm512_add_ps(sum, v._mm512_mul_ps(weight, v._mm512_permutex2var_ps(low, index, high)));
        }
        pulp::cast(sum)
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
        assert_eq!(sampled(Machine::detect()), sampled(Machine::Portable(pulp::Arch::new())));

        let firsts: [f64; WINDOW] = std::array::from_fn(|k| 1.03 * k as f64 + 0.002 * (k * k) as f64 - 16.0);
        let per_lines: [f64; WINDOW] = std::array::from_fn(|k| 0.11 * (k as f64).sin());
        let window = |line: usize| Gathered {
            values: values[line..].first_chunk().unwrap(),
            firsts: &firsts,
            per_lines: &per_lines,
            line: line as f64 * 0.1,
            middle: 0.3,
            before: 14.3 + line as f32 * 0.01,
            per_pixel: 0.93,
            bend: -0.002,
            n_near: 3,
        };
        let gathered = |machine: Machine| machine.gather_rays(0..40, |line| Some(window(line))).map(f32::to_bits);
        let fast = gathered(Machine::detect());
        assert_eq!(fast, gathered(Machine::Portable(pulp::Arch::new())));
        assert!(fast.iter().any(|&bits| f32::from_bits(bits) != 0.0));
    }
}
