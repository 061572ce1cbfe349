//! The rotation axis of a parallel beam, from the double wedge in the sinogram's spectrum.
//!
//! With c the place of the axis and F_w(a) the Fourier coefficient of view a at the detector's frequency w, the values
//! F_w(a) e^{iwc} at a and their conjugates at a + pi are samples of a function around the circle which, for an object
//! within R of the axis, has no harmonics above R w. With Q an orthonormal basis of the harmonics up to there on these
//! samples, Q_1 its rows at a and Q_2 those at a + pi, what the harmonics leave is
//!
//! ```text
//! r_w(c) = 2 |F_w|^2 - |Q_1^* F_w|^2 - |Q_2^* conj F_w|^2 - 2 Re(B_w e^{2iwc}),   B_w = <Q_2^* conj F_w, Q_1^* F_w>,
//! ```
//!
//! so that one projection a frequency tells the misfit of every c. Frequencies count by w, as they do for the energy of
//! the image.
use super::axis_views::{Estimate, profile, without_line};
use super::geometry::Geometry;
use rustfft::FftPlanner;
use rustfft::num_complex::Complex64;
use std::f64::consts::{PI, TAU};

/// Most views that are looked at; of more, every second or third.
const MOST_VIEWS: usize = 200;
/// Harmonics beyond R w that the wedge is given, as its edge is soft.
const MARGIN: usize = 4;
/// The largest share of the samples that harmonics may take up.
const FILLED: f64 = 0.9;
/// A new harmonic of which the others leave less than this is no new one on these samples.
const NOTHING_NEW: f64 = 1e-6;
/// The object ends where the mean of the views falls below this share of its peak.
const EDGE: f64 = 0.02;
/// Steps, in bins, of the first search.
const STEP: f64 = 0.25;

/// The share of one frequency: r_w(c) = rest - 2 Re(product e^{2iwc}).
struct Frequency {
    w: f64,
    product: Complex64,
    rest: f64,
}

impl Frequency {
    fn misfit(&self, c: f64) -> f64 {
        self.w * (self.rest - 2.0 * (self.product * Complex64::cis(2.0 * self.w * c)).re)
    }

    /// First and second derivative of the misfit.
    fn slopes(&self, c: f64) -> (f64, f64) {
        let turned = self.product * Complex64::cis(2.0 * self.w * c);
        (4.0 * self.w.powi(2) * turned.im, 8.0 * self.w.powi(3) * turned.re)
    }
}

/// The place of the axis, if any stands out.
pub(super) fn find(geometry: &Geometry, sinogram: &[f32]) -> Option<Estimate> {
    let n_bins = geometry.n_bins;
    let step = geometry.angles_rad.len().div_ceil(MOST_VIEWS);
    let angles: Vec<f64> = geometry.angles_rad.iter().step_by(step).copied().collect();
    let spectra = spectra(n_bins, sinogram.chunks_exact(n_bins).step_by(step));
    let mut circle = Circle::new(&angles);
    // An object that every view sees whole is within half a detector of the axis.
    let rough = best(&circle.frequencies(&spectra, n_bins, n_bins as f64 / 2.0), n_bins)?;
    let profile = profile(n_bins, sinogram);
    let limit = EDGE * profile.iter().fold(0.0, |most: f64, value| most.max(*value));
    let reach =
        profile.iter().zip(0..).filter(|(value, _)| **value > limit).map(|(_, k)| (f64::from(k) - rough.bin).abs());
    let radius = reach.fold(0.0, f64::max).min(n_bins as f64 / 2.0);
    best(&circle.frequencies(&spectra, n_bins, radius), n_bins).or(Some(rough))
}

/// Fourier coefficients of the views, with zeros to twice their length: `[frequency][view]`.
fn spectra<'a>(n_bins: usize, views: impl Iterator<Item = &'a [f32]>) -> Vec<Vec<Complex64>> {
    let fft = FftPlanner::new().plan_fft_forward(2 * n_bins);
    let mut spectra = vec![Vec::new(); n_bins / 2];
    for view in views {
        let view = without_line(&view.iter().map(|value| f64::from(*value)).collect::<Vec<_>>());
        let mut buffer: Vec<Complex64> = view.into_iter().map(Complex64::from).collect();
        buffer.resize(2 * n_bins, Complex64::default());
        fft.process(&mut buffer);
        spectra.iter_mut().zip(buffer).for_each(|(of_frequency, value)| of_frequency.push(value));
    }
    spectra
}

/// The samples around the circle, and an orthonormal basis of the lowest harmonics on them.
struct Circle {
    angles: Vec<f64>,
    basis: Vec<Vec<Complex64>>,
    /// True if higher harmonics are no new ones.
    full: bool,
}

impl Circle {
    fn new(angles: &[f64]) -> Self {
        let opposite = angles.iter().map(|angle| angle + PI);
        Self { angles: angles.iter().copied().chain(opposite).collect(), basis: Vec::new(), full: false }
    }

    /// Takes in the harmonics up to `degree`, if the samples tell them apart: 0, 1, -1, 2, -2, ...
    fn extend(&mut self, degree: usize) -> bool {
        let wanted = 2 * degree + 1;
        self.full |= wanted as f64 > FILLED * self.angles.len() as f64;
        while self.basis.len() < wanted && !self.full {
            let order = self.basis.len().div_ceil(2) as f64 * if self.basis.len() % 2 == 1 { 1.0 } else { -1.0 };
            let scale = 1.0 / (self.angles.len() as f64).sqrt();
            let mut new: Vec<Complex64> = self.angles.iter().map(|a| scale * Complex64::cis(order * a)).collect();
            // Twice, as once leaves rounding errors along those that are nearly the same.
            for known in self.basis.iter().chain(&self.basis) {
                let along = inner(known, &new);
                new.iter_mut().zip(known).for_each(|(new, known)| *new -= along * known);
            }
            let length = inner(&new, &new).re.sqrt();
            self.full = length < NOTHING_NEW;
            if !self.full {
                new.iter_mut().for_each(|value| *value /= length);
                self.basis.push(new);
            }
        }
        self.basis.len() >= wanted
    }

    /// The shares of the frequencies for an object within `radius` bins of the axis.
    fn frequencies(&mut self, spectra: &[Vec<Complex64>], n_bins: usize, radius: f64) -> Vec<Frequency> {
        let n_views = self.angles.len() / 2;
        let mut found = Vec::new();
        for (k, values) in spectra.iter().enumerate().skip(1) {
            let w = TAU * k as f64 / (2 * n_bins) as f64;
            let degree = (radius * w).ceil() as usize + MARGIN;
            if !self.extend(degree) {
                break;
            }
            let (mut product, mut explained) = (Complex64::default(), 0.0);
            for column in &self.basis[..=2 * degree] {
                let (here, opposite) = column.split_at(n_views);
                let a = inner(here, values);
                let b: Complex64 = opposite.iter().zip(values).map(|(q, value)| (q * value).conj()).sum();
                product += b.conj() * a;
                explained += a.norm_sqr() + b.norm_sqr();
            }
            let rest = 2.0 * inner(values, values).re - explained;
            found.push(Frequency { w, product, rest });
        }
        found
    }
}

/// <a, b>, conjugate in a.
fn inner(a: &[Complex64], b: &[Complex64]) -> Complex64 {
    a.iter().zip(b).map(|(a, b)| a.conj() * b).sum()
}

/// The place with the least misfit; its uncertainty is that of a sum of the frequencies' slopes, taken as independent.
fn best(frequencies: &[Frequency], n_bins: usize) -> Option<Estimate> {
    let misfit = |c: f64| frequencies.iter().map(|frequency| frequency.misfit(c)).sum::<f64>();
    let n_steps = (n_bins as f64 / STEP) as usize;
    let places = (n_steps / 10..=n_steps - n_steps / 10).map(|step| step as f64 * STEP);
    let (start, _) = places.map(|c| (c, misfit(c))).min_by(|a, b| a.1.total_cmp(&b.1))?;
    let slopes = |c: f64| frequencies.iter().map(move |frequency| frequency.slopes(c));
    let mut bin = start;
    for _ in 0..8 {
        let (first, second) = slopes(bin).fold((0.0, 0.0), |sum, slopes| (sum.0 + slopes.0, sum.1 + slopes.1));
        if second <= 0.0 {
            return None;
        }
        bin = (bin - first / second).clamp(start - STEP, start + STEP);
    }
    let (squares, second) = slopes(bin).fold((0.0, 0.0), |sum, slopes| (sum.0 + slopes.0.powi(2), sum.1 + slopes.1));
    Some(Estimate { bin, uncertainty: squares.sqrt() / second })
}
