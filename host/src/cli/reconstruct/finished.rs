//! A finished run, as its files tell it.

use super::belief::Belief;
use super::certificate;
use super::evidence::Evidence;
use super::judgement::Judgement;
use crate::config::RunConfig;
use crate::problem::{Problem, Unit};
use gradus::image::Image;
use gradus::metrics::{data_range, nrmse, psnr, rmse_hu, soft_tissue_psnr, ssim_uniform};
use gradus::reconstruct::{Measurement, Method, Reconstruction, cut_to};
use gradus::trust::Field;
use gradus_core::Status;

/// A truth that spans less of the range of network units is compared in its own.
const LEAST_SPAN: f64 = 0.25;

/// A truth that is more than so many times the picture, or less, is in another unit.
const SAME_UNIT: f64 = 3.0;

/// Agreement with the truth.
#[derive(Debug, Clone, Copy)]
pub struct Quality {
    /// In dB, for `range`.
    pub psnr: f64,
    /// With scikit-image's default window, for `range`.
    pub ssim: f64,
    /// The data range, in network units.
    pub range: f64,
    /// Euclidean distance over the norm of the truth.
    pub nrmse: f64,
    /// Of images in HU: root of the mean squared difference, and PSNR in dB within -160 to 240 HU.
    pub hounsfield: Option<[f64; 2]>,
}

/// Agreement with the truth of what a run has made; `None` where that is not known.
#[derive(Debug, Clone, Copy)]
pub struct Merits {
    pub result: Option<Quality>,
    pub fbp: Option<Quality>,
}

impl Quality {
    /// The data range in a unit, for people.
    pub fn range_in(self, unit: Unit) -> String {
        let range = unit.express_difference(&Image { height: 1, width: 1, pixels: vec![self.range as f32] }).pixels[0];
        match unit {
            Unit::Network => format!("{range:.3}"),
            Unit::Hounsfield => format!("{range:.0} HU"),
            Unit::Attenuation(_) => format!("{range:.4} 1/mm"),
        }
    }
}

/// The data range of figures of merit, in network units: 1, which is that of the paper's and 4072 HU, or the truth's
/// own, where the unit of the result has no such range or the truth spans little of it.
pub fn range(truth: &Image, unit: Unit) -> f64 {
    let own = data_range(truth);
    if matches!(unit, Unit::Attenuation(_)) || own < LEAST_SPAN { own } else { 1.0 }
}

/// A finished run.
pub struct Finished {
    pub run: RunConfig,
    pub problem: Problem,
    pub measurement: Measurement,
    pub unit: Unit,
    pub result: Reconstruction,
    /// The evidence that it is judged by.
    pub evidence: Evidence,
    /// Of several priors that were tried each with what it left of held-out views, in standard deviations a ray.
    pub tried: Vec<(String, f64)>,
    /// The part of the object that detector and image do not hold.
    pub field: Field,
    /// PSNR after each iteration, where the truth is known.
    pub psnrs: Vec<f64>,
    pub fbp: Image,
    pub seconds: f64,
    pub belief: Belief,
}

impl Finished {
    /// The same with images of the scan's size, where a larger one had to be made. The residual stays that of all of
    /// it.
    pub fn cut(mut self) -> Self {
        let (height, width) = (self.problem.scan.geometry.height, self.problem.scan.geometry.width);
        let cut = |image: &Image| cut_to(image, height, width);
        (self.fbp, self.result.image) = (cut(&self.fbp), cut(&self.result.image));
        self.result.deviation = self.result.deviation.as_ref().map(cut);
        self.evidence = self.evidence.cut(height, width);
        self.belief.cut((height, width));
        self
    }

    /// Agreement of an image in network units with the truth, where that is known. NaN where a number is not defined,
    /// as the SSIM of a picture smaller than its window.
    pub fn quality(&self, image: &Image) -> Option<Quality> {
        let truth = self.problem.scan.truth.as_ref()?;
        let range = range(truth, self.unit);
        Some(Quality {
            psnr: psnr(truth, image, range).unwrap_or(f64::NAN),
            ssim: ssim_uniform(truth, image, range).unwrap_or(f64::NAN),
            range,
            nrmse: nrmse(truth, image).unwrap_or(f64::NAN),
            hounsfield: matches!(self.unit, Unit::Hounsfield).then(|| {
                [rmse_hu(truth, image), soft_tissue_psnr(truth, image)].map(|found| found.unwrap_or(f64::NAN))
            }),
        })
    }

    /// Agreement of the result and of filtered backprojection, each looked at once.
    pub fn merits(&self) -> Merits {
        let result = self.quality(&self.result.image);
        let is_fbp = self.run.reconstruction.method() == Method::Fbp;
        Merits { result, fbp: if is_fbp { result } else { self.quality(&self.fbp) } }
    }

    fn judgement(&self) -> Judgement<'_> {
        Judgement {
            method: self.run.reconstruction.method(),
            measurement: &self.measurement,
            residual: self.result.residual.as_ref(),
            rival: self.evidence.rival.as_ref(),
            held_out: self.evidence.held_out.as_ref(),
            causes: &self.evidence.causes,
        }
    }

    /// True if the run got to its end, and its picture belongs to the data.
    pub fn reached_goal(&self) -> bool {
        !matches!(self.result.status, Some(Status::NoStep | Status::Stopped)) && !self.judgement().is_hopeless()
    }

    /// Warnings of the run, beside those of the scan, that a reader must know before believing the picture.
    pub fn own_warnings(&self) -> impl Iterator<Item = String> {
        let of_certificate = self.result.certificate.iter().flat_map(certificate::warnings);
        let of_measurement = self.measurement.warnings.iter().chain(&self.result.warning).cloned();
        let judged = self.judgement().warnings().into_iter().chain(self.belief.warnings()).chain(self.other_unit());
        judged.chain(of_measurement).chain(of_certificate)
    }

    /// Said of a truth that was given in another unit than it is in.
    fn other_unit(&self) -> Option<String> {
        let truth = self.problem.scan.truth.as_ref().filter(|_| !self.problem.simulated)?;
        let product = |image: &Image| {
            truth.pixels.iter().zip(&image.pixels).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>()
        };
        let times = product(truth) / product(&self.result.image);
        let is_other = times > SAME_UNIT || (times > 0.0 && times < 1.0 / SAME_UNIT);
        is_other.then(|| format!("the truth is {times:.2} times the picture: is it in another unit than was taken?"))
    }

    pub fn status(&self) -> String {
        let status = self.result.status.map_or_else(|| "done".to_owned(), |status| status.to_string());
        if self.judgement().is_hopeless() {
            format!("{status}, but the picture does not explain the data")
        } else {
            status
        }
    }
}
