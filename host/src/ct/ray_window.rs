//! The inner loop of a fan's transpose: sixteen pixels of a line gather from a window of rays.
//!
//! Each ray weighs hat(p_k - j), where its place, from the pixel j in the window's middle, is
//!
//! ```text
//! p_k - j = away x_k steepness_k,     x_k = k - c,     on a curved detector F sin(x_k / F) in place of x_k.
//! ```
//!
//! c is the bin, as a fraction, that sees pixel j. As x_k is exact to f32 wherever a ray is near, so are the weights,
//! and both maps have the same. Machines give the same bits, as a test holds.

use super::resample::{LANES, Machine, WINDOW};

/// Index in its window of the bin that sees the middle pixel.
pub(super) const CENTRE: usize = WINDOW / 2;

/// A pixel that no ray is near.
const NOWHERE: f32 = 1e9;

/// Pixels of a block, from the one in the window's middle: all, or one half where all would need too wide a window.
pub(super) const ALL: [f32; LANES] = pixels(8, 0, LANES);
pub(super) const LEFT: [f32; LANES] = pixels(4, 0, LANES / 2);
pub(super) const RIGHT: [f32; LANES] = pixels(12, LANES / 2, LANES);

const fn pixels(middle: usize, from: usize, to: usize) -> [f32; LANES] {
    let mut pixels = [NOWHERE; LANES];
    let mut lane = from;
    while lane < to {
        pixels[lane] = lane as f32 - middle as f32;
        lane += 1;
    }
    pixels
}

/// Pixels with the rays that may be near them.
#[derive(Debug, Clone, Copy)]
pub(super) struct RayWindow<'a> {
    pub(super) pixels: &'a [f32; LANES],
    /// Values of the rays; the bin that sees the middle pixel is `fraction` beyond number [`CENTRE`].
    pub(super) values: &'a [f32; WINDOW],
    pub(super) steepness: &'a [f32; WINDOW],
    pub(super) fraction: f32,
    pub(super) away: f32,
    /// 1 / F^2 of a curved detector, 0 of a flat one.
    pub(super) curvature: f32,
    /// The rays that may be near pixel e come after number `before` + e (`per_pixel` + e `bend`), never negative.
    pub(super) before: f32,
    pub(super) per_pixel: f32,
    pub(super) bend: f32,
    /// Their number.
    pub(super) n_near: usize,
}

/// Work that gathers.
pub(super) trait Gathering {
    fn run<W: Gather>(self, w: W);
}

impl Machine {
    /// Does the work with the fastest that this machine has.
    pub(super) fn gather(self, work: impl Gathering) {
        match self {
            Self::Portable(arch) => arch.dispatch(
                #[inline(always)]
                || work.run(Plain),
            ),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(v4) => v4.vectorize(
                #[inline(always)]
                || work.run(v4),
            ),
        }
    }
}

/// One block of pixels over one window of rays.
pub(super) trait Gather: Copy {
    /// Adds to each pixel the rays near it.
    fn add(self, sums: &mut [f32; LANES], window: &RayWindow<'_>);
}

#[derive(Clone, Copy)]
pub(super) struct Plain;

impl Gather for Plain {
    #[inline(always)]
    fn add(self, sums: &mut [f32; LANES], window: &RayWindow<'_>) {
        let mut places = [0.0f32; WINDOW];
        for (k, (place, steepness)) in places.iter_mut().zip(window.steepness).enumerate() {
            let mut x = (k as f32 - CENTRE as f32) - window.fraction;
            if window.curvature > 0.0 {
                let square = x * x * window.curvature;
                x *= 1.0 - square * (1.0 / 6.0 - square * (1.0 / 120.0));
            }
            *place = x * (steepness * window.away);
        }
        for (sum, e) in sums.iter_mut().zip(window.pixels) {
            let before = window.before + e * (window.per_pixel + e * window.bend);
            let index = before as i32 as u32 as usize;
            for near in 1..=window.n_near {
                let ray = (index + near) % WINDOW;
                *sum += (1.0 - (places[ray] - e).abs()).max(0.0) * window.values[ray];
            }
        }
    }
}

/// Places of sixteen rays of the window from its middle pixel, of which the first is number `first`.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn places(v4: pulp::x86::V4, window: &RayWindow<'_>, first: usize) -> std::arch::x86_64::__m512 {
    const RAYS: [f32; LANES] = pixels(0, 0, LANES);
    let v = v4.avx512f;
    let steepness: [f32; LANES] = window.steepness.as_chunks::<LANES>().0[first / LANES];
    let from_centre = v._mm512_add_ps(pulp::cast(RAYS), v._mm512_set1_ps(first as f32 - CENTRE as f32));
    let mut x = v._mm512_sub_ps(from_centre, v._mm512_set1_ps(window.fraction));
    if window.curvature > 0.0 {
        let square = v._mm512_mul_ps(v._mm512_mul_ps(x, x), v._mm512_set1_ps(window.curvature));
        let inner = v._mm512_mul_ps(square, v._mm512_set1_ps(1.0 / 120.0));
        let outer = v._mm512_mul_ps(square, v._mm512_sub_ps(v._mm512_set1_ps(1.0 / 6.0), inner));
        x = v._mm512_mul_ps(x, v._mm512_sub_ps(v._mm512_set1_ps(1.0), outer));
    }
    v._mm512_mul_ps(x, v._mm512_mul_ps(pulp::cast(steepness), v._mm512_set1_ps(window.away)))
}

#[cfg(target_arch = "x86_64")]
impl Gather for pulp::x86::V4 {
    /// Products and sums stay apart, as the portable twin has them.
    #[inline(always)]
    fn add(self, sums: &mut [f32; LANES], window: &RayWindow<'_>) {
        let v = self.avx512f;
        let (places_low, places_high) = (places(self, window, 0), places(self, window, LANES));
        let [low, high]: [[f32; LANES]; 2] = pulp::cast(*window.values);
        let (low, high) = (pulp::cast(low), pulp::cast(high));
        let e = pulp::cast(*window.pixels);
        let bent = v._mm512_mul_ps(e, v._mm512_set1_ps(window.bend));
        let moved = v._mm512_mul_ps(e, v._mm512_add_ps(v._mm512_set1_ps(window.per_pixel), bent));
        let mut index = v._mm512_cvttps_epi32(v._mm512_add_ps(v._mm512_set1_ps(window.before), moved));
        let (zero, one, mut sum) = (v._mm512_set1_ps(0.0), v._mm512_set1_ps(1.0), pulp::cast(*sums));
        for _ in 0..window.n_near {
            index = v._mm512_add_epi32(index, v._mm512_set1_epi32(1));
            let distance = v._mm512_sub_ps(v._mm512_permutex2var_ps(places_low, index, places_high), e);
            let weight = v._mm512_max_ps(v._mm512_sub_ps(one, v._mm512_abs_ps(distance)), zero);
            sum = v._mm512_add_ps(sum, v._mm512_mul_ps(weight, v._mm512_permutex2var_ps(low, index, high)));
        }
        *sums = pulp::cast(sum);
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_support::signed;
    use super::*;

    struct Fill<'a>(&'a mut [f32; LANES], f32);

    impl Gathering for Fill<'_> {
        fn run<W: Gather>(self, w: W) {
            let (values, steepness) = (signed(60 + WINDOW, 1), [0.9; WINDOW]);
            for (first, pixels) in (0..60).zip([&ALL, &LEFT, &RIGHT].into_iter().cycle()) {
                let window = RayWindow {
                    pixels,
                    values: values[first..].first_chunk().unwrap(),
                    steepness: &steepness,
                    fraction: first as f32 / 60.0,
                    away: 1.1,
                    curvature: self.1,
                    before: 14.5 + first as f32 / 60.0,
                    per_pixel: 1.01,
                    bend: -0.001,
                    n_near: 3,
                };
                w.add(self.0, &window);
            }
        }
    }

    #[test]
    fn portable_and_fast_agree_in_every_bit() {
        for curvature in [0.0, 1e-6] {
            let (mut fast, mut plain) = ([0.0; LANES], [0.0; LANES]);
            Machine::detect().gather(Fill(&mut fast, curvature));
            Machine::Portable(pulp::Arch::new()).gather(Fill(&mut plain, curvature));
            assert_eq!(fast.map(f32::to_bits), plain.map(f32::to_bits));
            assert!(fast.iter().all(|&sum| sum != 0.0));
        }
    }
}
