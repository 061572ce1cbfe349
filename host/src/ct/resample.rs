//! The inner loop of every projector: sampling a line of values with hat functions at equally spaced places.
//!
//! Joseph's forward map, its transpose and the backprojection of FBP are one operation. Each output lane l sits at
//! place q + l step of a line v, and receives
//!
//! ```text
//! sum_k v_k hat((k - q - l step) sharpness),     hat(d) = max(0, 1 - |d|).
//! ```
//!
//! With `sharpness` 1 that is linear interpolation. With the bin spacing in pixels as `sharpness` it is the transpose of
//! linear interpolation, gathered rather than scattered. Sixteen lanes read one window of 32 values, which an AVX-512
//! machine holds in two registers and looks up without touching memory. The portable twin does the same operations in
//! the same order and gives the same bits, which a test holds.

/// Output places handled together.
pub(super) const LANES: usize = 16;
/// Values of the line that sixteen lanes may reach.
const WINDOW: usize = 32;
/// Zeros that a padded line carries on either side.
pub(super) const PAD: usize = WINDOW;

/// Spacing of the places and width of the hat; everything that stays the same from line to line.
#[derive(Debug, Clone)]
pub(super) struct Comb {
    step: f64,
    sharpness: f64,
    /// Most values that one hat can touch: ceil(2 / sharpness).
    taps: usize,
    /// From q to the first value that the leftmost lane may touch, before rounding down.
    to_first: f64,
    /// Place of each lane, counted from the leftmost one.
    offsets: [f32; LANES],
}

impl Comb {
    /// Places `step` apart (either sign), hats of half-width 1/`sharpness`.
    pub(super) fn new(step: f64, sharpness: f64) -> Self {
        let leftmost = (step * (LANES - 1) as f64).min(0.0);
        Self {
            step,
            sharpness,
            taps: (2.0 / sharpness).ceil() as usize,
            to_first: leftmost - 1.0 / sharpness + 1.0,
            offsets: std::array::from_fn(|l| (l as f64 * step - leftmost) as f32),
        }
    }

    /// The distance that sixteen places cover, in values.
    pub(super) fn block_step(&self) -> f64 {
        self.step * LANES as f64
    }

    /// Whether sixteen lanes fit one window; otherwise the slow path is taken.
    fn fits_window(&self) -> bool {
        self.step.abs() * (LANES - 1) as f64 + self.taps as f64 <= (WINDOW - 1) as f64
    }
}

/// How to run the inner loop: chosen once per projector, the bits are the same.
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
    /// A line is (its padded values, the place q of lane 0 in it, its comb). Padded: [`PAD`] zeros, the values, at least
    /// [`PAD`] zeros.
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
trait Window: Copy {
    type Sum: Copy;
    fn zero(self) -> Self::Sum;
    /// `sum[l] += sum over taps s of window[i + s] hat((s + 1 - f) sharpness - 1)`, where i + f = fraction + offset[l].
    fn add(self, sum: Self::Sum, window: &[f32; WINDOW], fraction: f32, comb: &Comb) -> Self::Sum;
    fn get(self, sum: Self::Sum) -> [f32; LANES];
}

#[inline(always)]
fn sum_lines<'a, W: Window>(w: W, lines: impl Iterator<Item = (&'a [f32], f64, &'a Comb)>) -> [f32; LANES] {
    let mut sum = w.zero();
    let mut slow = [0.0f32; LANES];
    for (line, place, comb) in lines {
        if !comb.fits_window() {
            add_lane_by_lane(&mut slow, line, place, comb);
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
    out.iter_mut().zip(slow).for_each(|(o, s)| *o += s);
    out
}

/// For combs too coarse or hats too wide for a window: rare geometries, any ratio of bin to pixel.
#[cold]
fn add_lane_by_lane(sum: &mut [f32; LANES], line: &[f32], place: f64, comb: &Comb) {
    let half_width = 1.0 / comb.sharpness;
    for (lane, sum) in sum.iter_mut().enumerate() {
        let centre = place + lane as f64 * comb.step + PAD as f64;
        let low = (centre - half_width).floor().max(-1.0) + 1.0;
        let high = (centre + half_width).ceil().min(line.len() as f64);
        let mut total = 0.0f64;
        for k in low as usize..high.max(low) as usize {
            let weight = (1.0 - (k as f64 - centre).abs() * comb.sharpness).max(0.0);
            total += weight * f64::from(line[k]);
        }
        *sum += total as f32;
    }
}

#[derive(Clone, Copy)]
struct Plain;

impl Window for Plain {
    type Sum = [f32; LANES];

    #[inline(always)]
    fn zero(self) -> Self::Sum {
        [0.0; LANES]
    }

    #[inline(always)]
    fn add(self, mut sum: Self::Sum, window: &[f32; WINDOW], fraction: f32, comb: &Comb) -> Self::Sum {
        let sharpness = comb.sharpness as f32;
        for (sum, offset) in sum.iter_mut().zip(comb.offsets) {
            let place = fraction + offset;
            let index = place as i32;
            let mut near = 1.0 - (place - index as f32);
            for tap in 0..comb.taps {
                let weight = (1.0 - (near * sharpness - 1.0).abs()).max(0.0);
                *sum += weight * window[(index as usize + tap) % WINDOW];
                near += 1.0;
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
impl Window for pulp::x86::V4 {
    type Sum = pulp::f32x16;

    #[inline(always)]
    fn zero(self) -> Self::Sum {
        pulp::cast([0.0f32; LANES])
    }

    #[inline(always)]
    fn add(self, sum: Self::Sum, window: &[f32; WINDOW], fraction: f32, comb: &Comb) -> Self::Sum {
        let f = self.avx512f;
        let [low, high]: [[f32; LANES]; 2] = pulp::cast(*window);
        let (low, high) = (pulp::cast(low), pulp::cast(high));
        let one = f._mm512_set1_ps(1.0);
        let sharpness = f._mm512_set1_ps(comb.sharpness as f32);
        let place = f._mm512_add_ps(f._mm512_set1_ps(fraction), pulp::cast(comb.offsets));
        let mut index = f._mm512_cvttps_epi32(place);
        let mut near = f._mm512_sub_ps(one, f._mm512_sub_ps(place, f._mm512_cvtepi32_ps(index)));
        let mut sum = pulp::cast(sum);
        for _ in 0..comb.taps {
            let distance = f._mm512_abs_ps(f._mm512_sub_ps(f._mm512_mul_ps(near, sharpness), one));
            let weight = f._mm512_max_ps(f._mm512_sub_ps(one, distance), f._mm512_set1_ps(0.0));
            // Multiplied and added apart, as the portable twin does it, so that every machine gives the same bits.
            sum = f._mm512_add_ps(sum, f._mm512_mul_ps(weight, f._mm512_permutex2var_ps(low, index, high)));
            near = f._mm512_add_ps(near, one);
            index = f._mm512_add_epi32(index, f._mm512_set1_epi32(1));
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
    fn places_far_outside_or_not_a_number_give_nothing() {
        let line = padded(9);
        let comb = Comb::new(1.1, 1.0);
        for place in [1e30, -1e30, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -49.0, 1e10] {
            let got = Machine::detect().sample_lines([(line.as_slice(), place, &comb)].into_iter());
            assert!(got.iter().all(|&v| v == 0.0), "{place}: {got:?}");
        }
    }
}
