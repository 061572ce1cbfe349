//! The rotation axis of a fan over a full turn, from the two rays along every line.
//!
//! The ray of angle a that leaves the middle by g sees what that of a + pi - 2 g sees that leaves it by -g. For the
//! harmonics p_n(g) of the views around the turn that is
//!
//! ```text
//! q_n(g) = e^{ing} p_n(g),      q_n(g) = (-1)^n q_n(-g),
//! ```
//!
//! so that the axis is the place about which all q_n are even or odd. Places on bins and halfway between them need no
//! interpolation; between these the misfit is a parabola, as the harmonics are smoothed first.
use super::axis_views::{Estimate, gaps, profile};
use super::geometry::{Fan, Geometry};
use rustfft::num_complex::Complex64;
use std::f64::consts::{PI, TAU};

/// Highest harmonic that is looked at.
const HARMONICS: usize = 24;
/// Standard deviation, in bins, of the smoothing; of few views more, so that they do not alias.
const SMOOTH: f64 = 2.0;
/// The object ends where the mean of the views falls below this share of its peak.
const EDGE: f64 = 0.02;

/// The place of the axis, if any stands out.
pub(super) fn find(geometry: &Geometry, fan: &Fan, sinogram: &[f32]) -> Option<Estimate> {
    let n_bins = geometry.n_bins;
    let n_views = geometry.angles_rad.len();
    let profile = profile(n_bins, sinogram);
    let limit = EDGE * profile.iter().fold(0.0, |most: f64, value| most.max(*value));
    let half_width = profile.iter().filter(|value| **value > limit).count() as f64 / 2.0;
    let smooth = SMOOTH.max(half_width / (n_views as f64 / 2.0));
    let most = HARMONICS.min((n_views - 1) / 2);
    let pairs = Pairs { geometry, fan, harmonics: harmonics(geometry, sinogram, most, smooth) };
    // Twice the place, so that it is whole on bins and halfway between them.
    let places = n_bins / 2..=3 * n_bins / 2;
    let misfit = |twice: usize| pairs.misfits(twice).into_iter().sum::<f64>();
    let (start, _) = places.map(|twice| (twice, misfit(twice))).min_by(|a, b| a.1.total_cmp(&b.1))?;
    // Slope and bend of the parabola through five places half a bin apart, for each harmonic.
    let around: Vec<Vec<f64>> = (start - 2..=start + 2).map(|twice| pairs.misfits(twice)).collect();
    let parabola = |n: usize| {
        let at = |i: usize| around[i][n];
        let slope = (2.0 * (at(4) - at(0)) + at(3) - at(1)) / 5.0;
        let bend = (2.0 * (at(0) + at(4)) - at(1) - at(3) - 2.0 * at(2)) / 1.75;
        (slope, bend)
    };
    let parabolas: Vec<(f64, f64)> = (0..=most).map(parabola).collect();
    let (slope, bend) = parabolas.iter().fold((0.0, 0.0), |sum, of| (sum.0 + of.0, sum.1 + of.1));
    if !bend.is_finite() || bend <= 0.0 {
        return None;
    }
    let shift = (-slope / bend).clamp(-1.0, 1.0);
    let squares = parabolas.iter().map(|(slope, bend)| (slope + bend * shift).powi(2)).sum::<f64>();
    Some(Estimate { bin: start as f64 / 2.0 + shift, uncertainty: squares.sqrt() / bend })
}

/// The harmonics around the turn, `[harmonic][bin]`, smoothed along the bins.
fn harmonics(geometry: &Geometry, sinogram: &[f32], most: usize, smooth: f64) -> Vec<Vec<Complex64>> {
    let weights = shares(&geometry.angles_rad);
    let of_order = |n: usize| {
        let mut sums = vec![Complex64::default(); geometry.n_bins];
        for ((view, angle), weight) in sinogram.chunks_exact(geometry.n_bins).zip(&geometry.angles_rad).zip(&weights) {
            let factor = weight * Complex64::cis(-(n as f64) * angle);
            sums.iter_mut().zip(view).for_each(|(sum, value)| *sum += factor * f64::from(*value));
        }
        smoothed(sums, smooth)
    };
    (0..=most).map(of_order).collect()
}

/// The share of the turn that each view stands for.
fn shares(angles_rad: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..angles_rad.len()).collect();
    order.sort_by(|&a, &b| angles_rad[a].rem_euclid(TAU).total_cmp(&angles_rad[b].rem_euclid(TAU)));
    let gaps = gaps(angles_rad, TAU);
    let mut shares = vec![0.0; angles_rad.len()];
    let before = gaps.iter().cycle().skip(gaps.len() - 1);
    order
        .iter()
        .zip(gaps.iter().zip(before))
        .for_each(|(&view, (after, before))| shares[view] = (after + before) / 2.0);
    shares
}

/// Three means over neighbours, which together are close to a Gaussian of that standard deviation.
fn smoothed(mut values: Vec<Complex64>, deviation: f64) -> Vec<Complex64> {
    let reach = (((4.0 * deviation * deviation + 1.0).sqrt() - 1.0) / 2.0).round() as usize;
    for _ in 0..3 {
        let mean = |k: usize| {
            let near = &values[k.saturating_sub(reach)..(k + reach + 1).min(values.len())];
            near.iter().sum::<Complex64>() / (2 * reach + 1) as f64
        };
        values = (0..values.len()).map(mean).collect();
    }
    values
}

/// The pairs of rays about a place.
struct Pairs<'a> {
    geometry: &'a Geometry,
    fan: &'a Fan,
    harmonics: Vec<Vec<Complex64>>,
}

impl Pairs<'_> {
    /// For each harmonic, how far it is from even or odd about half of `twice`, as a share of what all hold there.
    fn misfits(&self, twice: usize) -> Vec<f64> {
        let n_bins = self.geometry.n_bins;
        let first = (twice + 1).saturating_sub(n_bins);
        let bins: Vec<(usize, usize, f64)> = (first..=twice / 2)
            .map(|k| {
                let place_mm = (k as f64 - twice as f64 / 2.0) * self.geometry.bin_width_mm;
                let (sin, cos) = self.fan.sin_cos(place_mm);
                (k, twice - k, sin.atan2(cos))
            })
            .collect();
        let mut energy = 0.0;
        let mut of_harmonic = |(n, values): (usize, &Vec<Complex64>)| {
            let order = n as f64;
            let pairs = bins.iter().map(|&(k, opposite, leaving)| {
                let here = Complex64::cis(order * leaving) * values[k];
                let there = Complex64::cis(order * (PI - leaving)) * values[opposite];
                energy += here.norm_sqr() + there.norm_sqr();
                (here - there).norm_sqr()
            });
            pairs.sum::<f64>()
        };
        let misfits: Vec<f64> = self.harmonics.iter().enumerate().map(&mut of_harmonic).collect();
        misfits.into_iter().map(|misfit| misfit / energy).collect()
    }
}
