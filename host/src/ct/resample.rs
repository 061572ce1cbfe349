//! The inner loop of every projector: sampling a line of values with hat functions at equally spaced places.
//!
//! Joseph's forward map, its transpose and the backprojection of FBP are one operation. Each output lane l sits at
//! place q + l step of a line v, and receives
//!
//! ```text
//! sum_k v_k hat((k - q - l step) sharpness),     hat(d) = max(0, 1 - |d|).
//! ```
//!
//! With `sharpness` 1 that is linear interpolation. With the bin spacing in pixels as `sharpness` it is the transpose
//! of linear interpolation, gathered rather than scattered. Sixteen lanes read one window of 32 values, which an
//! AVX-512 machine holds in two registers and looks up without touching memory. The portable twin does the same
//! operations in the same order and gives the same bits, which a test holds.

use std::ops::Range;

/// Output places handled together.
pub(super) const LANES: usize = 16;
/// Values of the line that sixteen lanes may reach.
pub(super) const WINDOW: usize = 32;
/// Zeros that a padded line carries on either side.
pub(super) const PAD: usize = WINDOW;

/// Spacing of the places and width of the hat; everything that stays the same from line to line.
#[derive(Debug, Clone)]
pub(super) struct Comb {
    step: f64,
    sharpness: f64,
    sharpness_f32: f32,
    shape: Shape,
    /// From q to the first value that the leftmost lane may touch, before rounding down.
    to_first: f64,
    /// Place of each lane, counted from the leftmost one.
    offsets: [f32; LANES],
}

/// The values that a hat at place q can touch, from the cheapest case to the dearest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// `sharpness` 1: floor(q) and the next, weights 1 - f and f.
    Linear,
    /// `sharpness` above 1: floor(q) and the next, either may be out of reach.
    Narrow,
    /// `sharpness` below 1: this many, ceil(2 / sharpness), from floor(q - 1/sharpness) + 1.
    Wide(usize),
    /// Sixteen lanes do not fit one window.
    Sparse,
}

impl Comb {
    /// Places `step` apart (either sign), hats of half-width 1/`sharpness`.
    pub(super) fn new(step: f64, sharpness: f64) -> Self {
        let taps = if sharpness < 1.0 { (2.0 / sharpness).ceil() as usize } else { 2 };
        let shape = match taps {
            _ if step.abs() * (LANES - 1) as f64 + taps as f64 > (WINDOW - 1) as f64 => Shape::Sparse,
            _ if sharpness < 1.0 => Shape::Wide(taps),
            _ if sharpness == 1.0 => Shape::Linear,
            _ => Shape::Narrow,
        };
        let leftmost = (step * (LANES - 1) as f64).min(0.0);
        let reach = if sharpness < 1.0 { 1.0 - 1.0 / sharpness } else { 0.0 };
        Self {
            step,
            sharpness,
            sharpness_f32: sharpness as f32,
            shape,
            to_first: leftmost + reach,
            offsets: std::array::from_fn(|l| (l as f64 * step - leftmost) as f32),
        }
    }
}

/// Places that move evenly from line to line: lane 0 of block b on line l is at `first + l per_line + 16 b step`.
#[derive(Debug, Clone)]
pub(super) struct Places {
    pub(super) first: f64,
    pub(super) per_line: f64,
    pub(super) comb: Comb,
}

impl Places {
    #[inline(always)]
    pub(super) fn at(&self, line: usize, block: usize) -> f64 {
        self.first + line as f64 * self.per_line + (block * LANES) as f64 * self.comb.step
    }

    /// The lines, out of `n_lines`, on which the block can touch any of `length` values; a few more do no harm.
    pub(super) fn lines_reached(&self, block: usize, length: usize, n_lines: usize) -> Range<usize> {
        let across = (LANES - 1) as f64 * self.comb.step;
        let reach = 1.0 / self.comb.sharpness + 1.0;
        let (low, high) = (across.min(0.0) + self.at(0, block), across.max(0.0) + self.at(0, block));
        let ends = [(-reach - high) / self.per_line, (length as f64 + reach - low) / self.per_line];
        let (from, to) = (ends[0].min(ends[1]).floor(), ends[0].max(ends[1]).ceil());
        // A slope of 0 divides to infinities of either sign, or to NaN at an edge, which `max` and `min` pass over.
        let from = from.max(0.0).min(n_lines as f64) as usize;
        from..(to.min(n_lines as f64).max(0.0) as usize).max(from)
    }
}

/// The instructions of the inner loop: chosen once per projector, the bits are the same.
#[derive(Debug, Clone, Copy)]
pub(super) enum Machine {
    /// Plain code, compiled for what the processor offers.
    Portable(pulp::Arch),
    /// Table look-up in registers.
    #[cfg(target_arch = "x86_64")]
    Avx512(pulp::x86::V4),
}

impl Machine {
    /// The fastest of this processor.
    pub(super) fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Some(v4) = pulp::x86::V4::try_new() {
            return Self::Avx512(v4);
        }
        Self::Portable(pulp::Arch::new())
    }

    /// Adds up sixteen lanes over many lines: `out` = sum over `lines` of the hat samples of each.
    ///
    /// A line is (its padded values, the place q of lane 0 in it, its comb). Padded: [`PAD`] zeros, the values, at
    /// least [`PAD`] zeros.
    #[inline]
    pub(super) fn sample_lines<'a>(self, lines: impl Iterator<Item = (&'a [f32], f64, &'a Comb)>) -> [f32; LANES] {
        match self {
            Self::Portable(arch) => arch.dispatch(
                #[inline(always)]
                || sum_lines(Plain, lines),
            ),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(v4) => v4.vectorize(
                #[inline(always)]
                || sum_lines(v4, lines),
            ),
        }
    }
}

/// One block of sixteen lanes over one window.
trait Lookup: Copy {
    type Sum: Copy;
    fn zero(self) -> Self::Sum;
    /// Adds to each lane its hat's sum; lane l begins at `fraction` + offsets[l] in the window. For a wide hat that is
    /// the place after its left foot, else the hat's own place.
    fn add(self, sum: Self::Sum, window: &[f32; WINDOW], fraction: f32, comb: &Comb) -> Self::Sum;
    fn get(self, sum: Self::Sum) -> [f32; LANES];
}

#[inline(always)]
fn sum_lines<'a, W: Lookup>(w: W, lines: impl Iterator<Item = (&'a [f32], f64, &'a Comb)>) -> [f32; LANES] {
    let mut sum = w.zero();
    let mut sparse = [0.0f32; LANES];
    for (line, place, comb) in lines {
        if comb.shape == Shape::Sparse {
            add_lane_by_lane(&mut sparse, line, place, comb);
            continue;
        }
        let first = place + comb.to_first;
        let floor = first.floor();
        // Too far left this is negative and so, as unsigned, too large; too far right the slice has ended. Either way
        // only zeros are left out.
        let start = (floor as i32).saturating_add(PAD as i32);
        if let Some(window) = line.get(start as u32 as usize..).and_then(|rest| rest.first_chunk()) {
            sum = w.add(sum, window, (first - floor) as f32, comb);
        }
    }
    let mut out = w.get(sum);
    out.iter_mut().zip(sparse).for_each(|(o, s)| *o += s);
    out
}

/// For combs too coarse or hats too wide for a window: rare geometries, any ratio of bin to pixel.
#[cold]
fn add_lane_by_lane(sum: &mut [f32; LANES], line: &[f32], place: f64, comb: &Comb) {
    let half_width = 1.0 / comb.sharpness;
    for (lane, sum) in sum.iter_mut().enumerate() {
        let centre = place + lane as f64 * comb.step + PAD as f64;
        let low = ((centre - half_width).floor().max(-1.0) + 1.0) as usize;
        let high = (centre + half_width).ceil().min(line.len() as f64) as usize;
        let mut total = 0.0f64;
        for (k, &value) in line.iter().enumerate().take(high).skip(low) {
            let weight = (1.0 - (k as f64 - centre).abs() * comb.sharpness).max(0.0);
            total += weight * f64::from(value);
        }
        *sum += total as f32;
    }
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
    fn add(self, mut sum: Self::Sum, window: &[f32; WINDOW], fraction: f32, comb: &Comb) -> Self::Sum {
        let sharpness = comb.sharpness_f32;
        for (sum, offset) in sum.iter_mut().zip(comb.offsets) {
            let place = fraction + offset;
            let index = place as i32 as u32 as usize;
            let f = place - index as f32;
            let value = |tap: usize| window[(index + tap) % WINDOW];
            match comb.shape {
                Shape::Linear => *sum += (1.0 - f) * value(0) + f * value(1),
                Shape::Narrow => {
                    let slope = f * sharpness;
                    let (near, far) = ((1.0 - slope).max(0.0), (slope + (1.0 - sharpness)).max(0.0));
                    *sum += near * value(0) + far * value(1);
                }
                Shape::Wide(taps) => {
                    let mut from_foot = 1.0 - f;
                    for tap in 0..taps {
                        *sum += (1.0 - (from_foot * sharpness - 1.0).abs()).max(0.0) * value(tap);
                        from_foot += 1.0;
                    }
                }
                Shape::Sparse => {}
            }
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

    /// Products and sums stay apart, as the portable twin has them, so that every machine gives the same bits.
    #[inline(always)]
    fn add(self, sum: Self::Sum, window: &[f32; WINDOW], fraction: f32, comb: &Comb) -> Self::Sum {
        let v = self.avx512f;
        let [low, high]: [[f32; LANES]; 2] = pulp::cast(*window);
        let (low, high, sum) = (pulp::cast(low), pulp::cast(high), pulp::cast(sum));
        let place = v._mm512_add_ps(v._mm512_set1_ps(fraction), pulp::cast(comb.offsets));
        let index = v._mm512_cvttps_epi32(place);
        let f = v._mm512_sub_ps(place, v._mm512_cvtepi32_ps(index));
        let (zero, one) = (v._mm512_set1_ps(0.0), v._mm512_set1_ps(1.0));
        let next = v._mm512_add_epi32(index, v._mm512_set1_epi32(1));
        let sharpness = v._mm512_set1_ps(comb.sharpness_f32);
        let two = |near, far| {
            let near = v._mm512_mul_ps(near, v._mm512_permutex2var_ps(low, index, high));
            let far = v._mm512_mul_ps(far, v._mm512_permutex2var_ps(low, next, high));
            v._mm512_add_ps(sum, v._mm512_add_ps(near, far))
        };
        pulp::cast(match comb.shape {
            Shape::Linear => two(v._mm512_sub_ps(one, f), f),
            Shape::Narrow => {
                let slope = v._mm512_mul_ps(f, sharpness);
                let near = v._mm512_max_ps(v._mm512_sub_ps(one, slope), zero);
                two(near, v._mm512_max_ps(v._mm512_add_ps(slope, v._mm512_sub_ps(one, sharpness)), zero))
            }
            Shape::Wide(taps) => {
                let (mut sum, mut index, mut from_foot) = (sum, index, v._mm512_sub_ps(one, f));
                for _ in 0..taps {
                    let distance = v._mm512_abs_ps(v._mm512_sub_ps(v._mm512_mul_ps(from_foot, sharpness), one));
                    let weight = v._mm512_max_ps(v._mm512_sub_ps(one, distance), zero);
                    sum = v._mm512_add_ps(sum, v._mm512_mul_ps(weight, v._mm512_permutex2var_ps(low, index, high)));
                    from_foot = v._mm512_add_ps(from_foot, one);
                    index = v._mm512_add_epi32(index, v._mm512_set1_epi32(1));
                }
                sum
            }
            Shape::Sparse => sum,
        })
    }

    #[inline(always)]
    fn get(self, sum: Self::Sum) -> [f32; LANES] {
        pulp::cast(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn padded(n: usize) -> Vec<f32> {
        let mut line = vec![0.0; n + 2 * PAD];
        line[PAD..PAD + n].iter_mut().enumerate().for_each(|(i, v)| *v = ((i * 37 % 19) as f32 - 9.0) / 7.0);
        line
    }

    fn places() -> impl Iterator<Item = f64> {
        (-600..1400).map(|i| f64::from(i) * 0.0917)
    }

    /// Every step and width, against the sum written down directly in f64; the slow path is among them.
    #[test]
    fn samples_are_sums_of_hats() {
        let line = padded(71);
        for (step, sharpness) in
            [(0.9, 1.0), (-1.3, 1.0), (1.0, 1.0), (0.7, 1.5), (-1.01, 0.989), (2.0, 0.5), (5.5, 1.0), (-0.3, 0.04)]
        {
            let comb = Comb::new(step, sharpness);
            for place in places() {
                let got = Machine::detect().sample_lines([(line.as_slice(), place, &comb)].into_iter());
                for (lane, got) in got.into_iter().enumerate() {
                    let q = place + lane as f64 * step;
                    let want: f64 = (0..71)
                        .map(|k| (1.0 - (k as f64 - q).abs() * sharpness).max(0.0) * f64::from(line[k + PAD]))
                        .sum();
                    assert!((f64::from(got) - want).abs() < 1e-5, "{step} {sharpness} {place} {lane}: {got} {want}");
                }
            }
        }
    }

    #[test]
    fn portable_and_fast_agree_in_every_bit() {
        let (a, b) = (padded(71), padded(40));
        for (step, sharpness) in [(0.9, 1.0), (-1.3, 1.0), (0.7, 1.5), (-1.01, 0.989), (2.0, 0.5)] {
            let comb = Comb::new(step, sharpness);
            for place in places() {
                let lines = || [(a.as_slice(), place, &comb), (b.as_slice(), place * 0.3, &comb)].into_iter();
                let fast = Machine::detect().sample_lines(lines());
                let plain = Machine::Portable(pulp::Arch::new()).sample_lines(lines());
                assert_eq!(fast.map(f32::to_bits), plain.map(f32::to_bits));
            }
        }
    }

    #[test]
    fn places_far_outside_give_nothing() {
        let line = padded(9);
        let comb = Comb::new(1.1, 1.0);
        for place in [1e30, -1e30, f64::INFINITY, f64::NEG_INFINITY, -49.0, 1e10] {
            let got = Machine::detect().sample_lines([(line.as_slice(), place, &comb)].into_iter());
            assert!(got.iter().all(|&v| v == 0.0), "{place}: {got:?}");
        }
    }

    #[test]
    fn lines_left_out_are_empty() {
        let line = padded(20);
        for (first, per_line, step) in
            [(-40.0, 0.9, 1.1), (75.0, -1.0, -0.8), (3.0, 0.0, 1.0), (90.0, 0.0, 1.0), (0.0, 1e-9, 6.0)]
        {
            let places = Places { first, per_line, comb: Comb::new(step, 1.0) };
            for block in 0..4 {
                let reached = places.lines_reached(block, 20, 100);
                for l in 0..100 {
                    let sum = Machine::detect()
                        .sample_lines([(line.as_slice(), places.at(l, block), &places.comb)].into_iter());
                    assert!(reached.contains(&l) || sum == [0.0; LANES], "{first} {per_line} {step} {block} {l}");
                }
            }
        }
    }
}
