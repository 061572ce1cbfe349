//! The slice, its scan, and what a reconstruction of it is worth.

use super::contenders::{SIRT_ITERATIONS, Way};
use crate::ct::{Geometry, Projector, Sirt, hu_to_network, network_to_hu};
use crate::image::Image;
use crate::metrics::{psnr, ssim_uniform};
use crate::paper::tables::EvaluateError;
use crate::reconstruct::{Measurement, NoiseSource, Observer, PlacedPrior, Progress, ReconstructError, reconstruct};
use gradus_core::Status;
use std::f64::consts::PI;
use std::time::Instant;

/// Views.
const VIEWS: usize = 40;
/// The values are `2 v/LARGEST - 1` with the stored values `v = HU + 1024`.
const LARGEST: f32 = 4590.0;
/// Stored value of 0 HU.
const WATER: f32 = 1024.0;
/// Width of the range of values.
const RANGE: f64 = 2.0;
/// The noise that methods are told of, over the mean line integral: there is none, but a weight of the prior in
/// proportion to it must not be 0.
const NOISE: f64 = 1e-3;

/// The slice and its scan.
#[derive(Debug)]
pub struct Benchmark {
    truth: Image,
    measurement: Measurement,
}

/// A reconstruction, judged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Judged {
    /// In dB.
    pub psnr_db: f64,
    /// With a uniform 7 x 7 window, scikit-image's default.
    pub ssim: f64,
    /// Passes through the network, forwards and back.
    pub passes: u64,
    /// Projections and adjoints.
    pub projections: u64,
    /// Wall-clock time.
    pub seconds: f64,
}

impl Benchmark {
    /// Scans an image with values in \[-1, 1\].
    ///
    /// # Errors
    /// When it is not square or has other values.
    pub fn new(truth: Image) -> Result<Self, EvaluateError> {
        if truth.height != truth.width {
            let (rows, columns) = (truth.height, truth.width);
            return Err(EvaluateError::Image(format!("has {rows} x {columns} pixels; give a square slice")));
        }
        let outside = truth.pixels.iter().find(|value| !(-1.001..=1.001).contains(*value));
        let is_flat = truth.pixels.iter().all(|value| *value >= 0.0);
        if let Some(value) = outside {
            return Err(EvaluateError::Image(format!("has a pixel of {value}; the benchmark's slices are in [-1, 1]")));
        }
        if is_flat {
            let what = "has no value below 0, where air and soft tissue of the benchmark's slices in [-1, 1] are";
            return Err(EvaluateError::Image(what.to_owned()));
        }
        let side = truth.width;
        let angles_rad = (0..VIEWS).map(|k| k as f64 * PI / (VIEWS - 1) as f64).collect();
        let covering = Geometry::covering(side, side, VIEWS);
        let geometry = Geometry { angles_rad, n_bins: side, bin_width_mm: 1.0, ..covering };
        let network: Vec<f32> = truth.pixels.iter().map(|value| to_network(*value)).collect();
        let mut sinogram = vec![0.0; geometry.sinogram_len()];
        let mut projector = Projector::new(geometry.clone()).map_err(ReconstructError::from)?;
        projector.forward_project(&network, &mut sinogram).map_err(ReconstructError::from)?;
        let mean = sinogram.iter().map(|p| f64::from(*p)).sum::<f64>() / sinogram.len() as f64;
        let measurement = Measurement {
            geometry,
            sinogram,
            noise_std: NOISE * mean.abs(),
            noise_source: NoiseSource::Scan,
            weights: None,
            edges: None,
            pixel_wide: None,
            attenuation_per_unit: 1.0,
            beyond_detector: [0, 0],
            model_std: 0.0,
            noise_shown: 1.0,
            warnings: Vec::new(),
        };
        Ok(Self { truth, measurement })
    }

    /// The slice, in \[-1, 1\].
    #[must_use]
    pub fn truth(&self) -> &Image {
        &self.truth
    }

    /// Its scan, in network units.
    pub(super) fn measurement(&self) -> &Measurement {
        &self.measurement
    }

    /// Reconstructs the slice; `None` when the observer ended it.
    ///
    /// # Errors
    /// The error of the method that makes the image.
    pub fn judge(
        &self,
        way: &Way,
        prior: &PlacedPrior<'_>,
        observer: Observer<'_>,
    ) -> Result<Option<(Image, Judged)>, EvaluateError> {
        let start = Instant::now();
        let made = match way {
            Way::Settings(settings) => {
                let run = reconstruct(&self.measurement, settings, Some(prior), observer)?;
                let passes = run.counters.network_forwards + run.counters.network_vjps;
                (run.status != Some(Status::Stopped)).then_some((run.image, passes, run.counters.projections))
            }
            Way::Sirt => self.sirt(observer)?.map(|image| (image, 0, 2 * SIRT_ITERATIONS as u64)),
        };
        let seconds = start.elapsed().as_secs_f64();
        let Some((network, passes, projections)) = made else { return Ok(None) };
        let image = Image { pixels: network.pixels.iter().map(|value| from_network(*value)).collect(), ..network };
        let (psnr_db, ssim) = (psnr(&self.truth, &image, RANGE)?, ssim_uniform(&self.truth, &image, RANGE)?);
        Ok(Some((image, Judged { psnr_db, ssim, passes, projections, seconds })))
    }

    fn sirt(&self, observer: Observer<'_>) -> Result<Option<Image>, ReconstructError> {
        let Measurement { geometry, sinogram, .. } = &self.measurement;
        let mut image = Image::zeros(geometry.height, geometry.width);
        let mut is_stopped = false;
        Sirt::new(Projector::new(geometry.clone())?)?.reconstruct(
            sinogram,
            &mut image.pixels,
            SIRT_ITERATIONS,
            |iteration| {
                let (done, total) = (iteration as u64, SIRT_ITERATIONS as u64);
                let flow = observer(Progress { job: 0, done, total, row: None, copy_iterate: &|_| {} });
                is_stopped |= flow.is_break();
                flow
            },
        )?;
        Ok((!is_stopped).then_some(image))
    }
}

/// From \[-1, 1\] to network units.
fn to_network(value: f32) -> f32 {
    hu_to_network(0.5 * (value + 1.0) * LARGEST - WATER)
}

/// The inverse of [`to_network`].
fn from_network(value: f32) -> f32 {
    2.0 * (network_to_hu(value) + WATER) / LARGEST - 1.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::ellipses::ellipses;
    use crate::paper::dm4ct::contenders;
    use crate::prior::Prior;
    use std::ops::ControlFlow;

    fn slice(side: usize) -> Image {
        let ellipses = ellipses(4, side);
        Image { pixels: ellipses.pixels.iter().map(|x| 1.2 * x - 1.0).collect(), ..ellipses }
    }

    #[test]
    fn units_go_there_and_back() {
        for value in [-1.0_f32, -0.532, 0.0, 1.0] {
            assert!((from_network(to_network(value)) - value).abs() < 1e-5);
        }
        // Soft tissue, about 50 HU.
        assert!((network_to_hu(to_network(-0.532)) - 50.0).abs() < 1.0);
    }

    #[test]
    fn the_scan_is_the_benchmarks() {
        let benchmark = Benchmark::new(slice(32)).unwrap();
        let geometry = &benchmark.measurement.geometry;
        assert_eq!((geometry.n_bins, geometry.angles_rad.len(), geometry.bin_width_mm), (32, 40, 1.0));
        assert!(geometry.angles_rad[0] == 0.0 && (geometry.angles_rad[39] - PI).abs() < 1e-12);
        // The first view and the last see the same lines from both sides.
        let (first, last) = (&benchmark.measurement.sinogram[..32], &benchmark.measurement.sinogram[39 * 32..]);
        assert!(first.iter().zip(last.iter().rev()).all(|(a, b)| (a - b).abs() < 1e-4));
    }

    #[test]
    fn other_images_are_refused() {
        let refused = |image: Image| Benchmark::new(image).unwrap_err().to_string();
        assert!(refused(Image::zeros(16, 17)).contains("16 x 17"));
        assert!(refused(ellipses(4, 16)).contains("below 0"));
        let mut image = slice(16);
        image.pixels[3] = 40.0;
        assert!(refused(image).contains("40"));
    }

    #[test]
    fn classical_methods_are_ranked_as_they_should_be() {
        let (benchmark, prior) = (Benchmark::new(slice(48)).unwrap(), Prior::named("ct").unwrap());
        let prior = PlacedPrior::on_cpu(&prior);
        let psnr = |key: &str| {
            let contender = contenders().into_iter().find(|contender| contender.key == key).unwrap();
            let judged = benchmark.judge(&contender.way, &prior, &mut |_| ControlFlow::Continue(())).unwrap();
            judged.unwrap().1.psnr_db
        };
        let (tv, sirt, fbp) = (psnr("tv"), psnr("sirt"), psnr("fbp"));
        assert!(tv > sirt && sirt > fbp && fbp > 15.0, "{tv} {sirt} {fbp}");
        let stopped = benchmark.judge(&Way::Sirt, &prior, &mut |_| ControlFlow::Break(())).unwrap();
        assert!(stopped.is_none());
    }
}
