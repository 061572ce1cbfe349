//! Counts of a detector, and the line integrals that they make.
use crate::ct::{Beam, Geometry};
use crate::data::scan::{Scan, ScanProblem};
use crate::limits::PIXELS;

/// The count, in photons, of a ray that counted none.
const HALF_A_PHOTON: f64 = 0.5;
/// Share of the open beam that is taken for a photon at most, where the flats do not tell.
const LEAST_SHARE: f64 = 1e-4;
/// A bin is dead whose open beam is below this share of its neighbourhood's, and hot whose dark current is above it.
const DEAD: f64 = 0.1;
const HOT: f64 = 0.5;
/// Bins on either side that are the neighbourhood.
const NEAR: usize = 15;

/// One detector row of a scan, as it was measured.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// Bins of a row.
    pub(super) n_bins: usize,
    /// The views, `[view][bin]`.
    pub(super) views: Vec<f32>,
    /// Rows without object, one after the other.
    pub(super) flats: Vec<f32>,
    /// Rows without beam; none where the detector has no dark current.
    pub(super) darks: Vec<f32>,
}

/// Line integrals, the photons of each ray, and what had to be assumed.
#[derive(Debug)]
pub(super) struct Integrals {
    pub(super) sinogram: Vec<f32>,
    /// The photons that a free ray counts, where the flats tell.
    pub(super) photons: Option<f64>,
    pub(super) warnings: Vec<String>,
}

impl Counts {
    /// -log((view - dark) / (flat - dark)), ray by ray.
    ///
    /// A photon's count is told by the flats: their variance over their mean, the drift of the beam taken out. Bins
    /// that are dead or hot get the values between their neighbours'.
    pub(super) fn integrals(mut self) -> Result<Integrals, ScanProblem> {
        self.check()?;
        let n = self.n_bins;
        let dark = mean_row(n, &self.darks);
        let open: Vec<f64> = mean_row(n, &self.flats).iter().zip(&dark).map(|(flat, dark)| flat - dark).collect();
        let bad = self.bad_bins(&open, &dark);
        if bad.iter().all(|bad| *bad) {
            return Err(ScanProblem::Value {
                field: "flats",
                value: "no beam, or views without any change".into(),
                rule: "brighter than the darks",
            });
        }
        let per_photon = self.counts_per_photon(&open, &bad);
        // Without it, counts are taken for photons, unless they are so few that they must have been normalised.
        let least = |k: usize| HALF_A_PHOTON * per_photon.unwrap_or_else(|| f64::min(1.0, LEAST_SHARE * open[k]));
        let mut n_dark = 0;
        for view in self.views.chunks_exact_mut(n) {
            for (k, value) in view.iter_mut().enumerate().filter(|(k, _)| !bad[*k]) {
                let count = f64::from(*value) - dark[k];
                n_dark += usize::from(count < least(k));
                *value = -(count.max(least(k)) / open[k]).ln() as f32;
            }
            bridge(view, &bad);
        }
        let none = (n_dark > 0).then(|| format!("{n_dark} rays counted less than half a photon: this much is assumed"));
        let warnings = none.into_iter().chain(named(&bad)).collect();
        let good = |values: &[f64]| median((0..n).filter(|&k| !bad[k]).map(|k| values[k]).collect());
        let photons = per_photon.map(|per_photon| good(&open) / per_photon);
        Ok(Integrals { sinogram: self.views, photons, warnings })
    }

    /// Whole rows of everything, and some views and flats.
    fn check(&self) -> Result<(), ScanProblem> {
        let n = self.n_bins;
        let is_whole = |values: &[f32]| n > 0 && values.len().is_multiple_of(n) && values.len() <= PIXELS;
        let fields = [("data", &self.views, 1), ("flats", &self.flats, 1), ("darks", &self.darks, 0)];
        match fields.into_iter().find(|(_, values, least)| !is_whole(values) || values.len() < *least) {
            Some((field, values, _)) => {
                let expected = format!("whole rows of {n} bins");
                Err(ScanProblem::Shape { field, found: vec![values.len()], expected })
            }
            None => Ok(()),
        }
    }

    /// Bins that answer to nothing, or without a beam.
    fn bad_bins(&self, open: &[f64], dark: &[f64]) -> Vec<bool> {
        let n = self.n_bins;
        let n_views = self.views.len() / n;
        let near = |values: &[f64], k: usize| median(values[k.saturating_sub(NEAR)..(k + NEAR + 1).min(n)].to_vec());
        (0..n)
            .map(|k| {
                let usual = near(open, k);
                let column = || self.views.iter().skip(k).step_by(n);
                let is_stuck = n_views > 2 && column().all(|value| *value == self.views[k]);
                let is_finite = open[k].is_finite() && column().all(|value| value.is_finite());
                let is_dead = open[k] <= DEAD * usual || open[k] <= 0.0;
                !is_finite || is_dead || is_stuck || dark[k] - near(dark, k) > HOT * usual
            })
            .collect()
    }

    /// The counts that a photon makes: the flats' variance over their mean.
    fn counts_per_photon(&self, open: &[f64], bad: &[bool]) -> Option<f64> {
        let flats = Rows::of(self.n_bins, &self.flats, bad)?;
        // Dark current and electronics have a variance of their own.
        let noise = Rows::of(self.n_bins, &self.darks, bad).map_or(0.0, |darks| darks.variance(false));
        let sum: f64 = open.iter().zip(bad).filter(|(_, bad)| !**bad).map(|(open, _)| open).sum();
        let per_photon = (flats.variance(true) - noise) / sum;
        (per_photon.is_finite() && per_photon > 0.0).then_some(per_photon)
    }
}

/// A sentence that names bad bins, if there are any.
fn named(bad: &[bool]) -> Option<String> {
    const MOST: usize = 8;
    let bins: Vec<String> = (0..bad.len()).filter(|&k| bad[k]).map(|k| k.to_string()).collect();
    let more = if bins.len() > MOST { ", ..." } else { "" };
    let first = bins[..bins.len().min(MOST)].join(", ");
    let n_bad = bins.len();
    (n_bad > 0).then(|| format!("{n_bad} dead or hot bins get their neighbours' values: {first}{more}"))
}

/// Rows of good bins.
struct Rows(Vec<Vec<f64>>);

impl Rows {
    /// At least two rows.
    fn of(n_bins: usize, values: &[f32], bad: &[bool]) -> Option<Self> {
        let row = |row: &[f32]| row.iter().zip(bad).filter(|(_, bad)| !**bad).map(|(v, _)| f64::from(*v)).collect();
        let rows: Vec<Vec<f64>> = values.chunks_exact(n_bins).map(row).collect();
        (rows.len() > 1).then_some(Self(rows))
    }

    /// The sum over the bins of the variances between rows that follow each other, these scaled to the same mean first
    /// where the beam drifts.
    fn variance(&self, drifts: bool) -> f64 {
        let sum = |row: &[f64]| row.iter().sum::<f64>();
        let pairs = self.0.windows(2).map(|rows| {
            let scale = if drifts { sum(&rows[0]) / sum(&rows[1]) } else { 1.0 };
            rows[0].iter().zip(&rows[1]).map(|(a, b)| (a - scale * b).powi(2) / 2.0).sum::<f64>()
        });
        pairs.sum::<f64>() / (self.0.len() - 1) as f64
    }
}

/// The mean of the rows; zeros where there are none.
fn mean_row(n_bins: usize, rows: &[f32]) -> Vec<f64> {
    let count = (rows.len() / n_bins).max(1) as f64;
    (0..n_bins)
        .map(|k| rows.iter().skip(k).step_by(n_bins).map(|value| f64::from(*value)).sum::<f64>() / count)
        .collect()
}

fn median(mut values: Vec<f64>) -> f64 {
    let middle = values.len() / 2;
    if values.is_empty() { f64::NAN } else { *values.select_nth_unstable_by(middle, f64::total_cmp).1 }
}

/// Puts the straight line between good neighbours where bins are bad.
fn bridge(view: &mut [f32], bad: &[bool]) {
    let good = |mut range: Box<dyn Iterator<Item = usize>>| range.find(|&k| !bad[k]);
    for k in (0..view.len()).filter(|&k| bad[k]) {
        let (before, after) = (good(Box::new((0..k).rev())), good(Box::new(k + 1..bad.len())));
        view[k] = match (before, after) {
            (Some(a), Some(b)) => view[a] + (view[b] - view[a]) * ((k - a) as f32 / (b - a) as f32),
            (Some(only), None) | (None, Some(only)) => view[only],
            (None, None) => 0.0,
        };
    }
}

/// A scan of the views around a square as wide as the detector.
pub(super) fn scan(
    angles_rad: Vec<f64>,
    n_bins: usize,
    bin_width_mm: f64,
    integrals: Integrals,
) -> Result<Scan, ScanProblem> {
    let scan = Scan {
        geometry: Geometry {
            height: n_bins,
            width: n_bins,
            pixel_mm: bin_width_mm,
            angles_rad,
            n_bins,
            bin_width_mm,
            detector_offset_mm: 0.0,
            beam: Beam::Parallel,
        },
        sinogram: integrals.sinogram,
        truth: None,
        photons: integrals.photons,
        noise_std: None,
        attenuation_per_unit_per_mm: None,
        prior: None,
        note: String::new(),
        warnings: integrals.warnings,
    };
    scan.validate()?;
    Ok(scan)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution, Poisson};

    /// A scan of `n_views` views of a bump by `photons` a bin, each photon `gain` counts on top of `dark`.
    pub(crate) fn measured(n_views: usize, n_bins: usize, photons: f64, gain: f64, dark: f64) -> (Counts, Vec<f64>) {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let truth: Vec<f64> =
            (0..n_bins).map(|k| 2.0 * (1.0 - ((k as f64 + 0.5) / n_bins as f64 * 2.0 - 1.0).powi(2))).collect();
        let mut row = |factor: &dyn Fn(usize) -> f64| -> Vec<f32> {
            let of_bin = |k| (dark + gain * Poisson::new(photons * factor(k)).unwrap().sample(&mut rng)) as f32;
            (0..n_bins).map(of_bin).collect()
        };
        let views = (0..n_views).flat_map(|_| row(&|k| (-truth[k]).exp())).collect();
        // The beam drifts by a few percent.
        let flats = (0..10).flat_map(|i| row(&|_| 1.0 + 0.01 * f64::from(i))).collect();
        (Counts { n_bins, views, flats, darks: vec![dark as f32; 3 * n_bins] }, truth)
    }

    #[test]
    fn counts_become_line_integrals_and_photons() {
        let (counts, truth) = measured(40, 200, 5e4, 3.0, 100.0);
        let integrals = counts.integrals().unwrap();
        let mean = |k: usize| integrals.sinogram.iter().skip(k).step_by(200).sum::<f32>() / 40.0;
        let worst = (0..200).map(|k| (f64::from(mean(k)) - truth[k] - 1.045f64.ln()).abs()).fold(0.0, f64::max);
        let photons = integrals.photons.unwrap();
        println!("worst {worst}, photons {photons}");
        assert!(worst < 0.02 && (photons / (1.045 * 5e4) - 1.0).abs() < 0.1);
        assert_eq!(integrals.warnings, Vec::<String>::new());
    }

    /// Flats of 1 without noise tell no photons, and half of one is no bound of such counts.
    #[test]
    fn normalised_counts_are_not_cut() {
        let views: Vec<f32> = [0.9, 0.3, 0.05, 0.01, 0.8, 0.2, 0.04, 0.02].to_vec();
        let counts = Counts { n_bins: 4, views: views.clone(), flats: vec![1.0; 4], darks: Vec::new() };
        let integrals = counts.integrals().unwrap();
        for (found, count) in integrals.sinogram.iter().zip(views) {
            assert!((found + count.ln()).abs() < 1e-5, "{found} of {count}");
        }
        assert!(integrals.photons.is_none() && integrals.warnings.is_empty(), "{:?}", integrals.warnings);
    }

    #[test]
    fn dead_and_hot_bins_get_their_neighbours_values() {
        let (mut counts, truth) = measured(40, 200, 5e4, 1.0, 50.0);
        let rows = |values: &mut Vec<f32>, k: usize, value: f32| {
            values.iter_mut().skip(k).step_by(200).for_each(|v| *v = value)
        };
        rows(&mut counts.flats, 30, 50.0);
        rows(&mut counts.views, 60, 777.0);
        rows(&mut counts.darks, 90, 6e4);
        counts.views[7 * 200 + 120] = f32::NAN;
        let integrals = counts.integrals().unwrap();
        for k in [30, 60, 90, 120] {
            let worst = integrals
                .sinogram
                .iter()
                .skip(k)
                .step_by(200)
                .map(|v| (f64::from(*v) - truth[k] - 1.045f64.ln()).abs());
            assert!(worst.fold(0.0, f64::max) < 0.1, "bin {k}");
        }
        assert!(integrals.warnings[0].starts_with("4 dead or hot bins"), "{:?}", integrals.warnings);
    }

    #[test]
    fn what_is_no_measurement_is_refused() {
        let (counts, _) = measured(2, 20, 1e3, 1.0, 0.0);
        let of = |change: &dyn Fn(&mut Counts)| {
            let mut changed = Counts { views: counts.views.clone(), flats: counts.flats.clone(), ..Counts::default() };
            changed.n_bins = 20;
            change(&mut changed);
            changed.integrals().unwrap_err().to_string()
        };
        assert!(of(&|c| c.flats.clear()).contains("flats"));
        assert!(of(&|c| c.flats.fill(0.0)).contains("no beam"));
        assert!(of(&|c| c.views.truncate(33)).contains("data"));
        assert!(of(&|c| c.darks = vec![0.0; 3]).contains("darks"));
    }
}
