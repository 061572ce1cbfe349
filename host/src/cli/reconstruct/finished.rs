//! A finished run, as its files tell it.

use super::certificate;
use crate::config::RunConfig;
use crate::problem::{Problem, Unit};
use gradus::image::Image;
use gradus::metrics::{nrmse, psnr, rmse_hu, soft_tissue_psnr, ssim_uniform};
use gradus::reconstruct::{Measurement, Reconstruction};
use gradus_core::Status;

/// Agreement with the truth.
#[derive(Debug, Clone, Copy)]
pub struct Quality {
    /// In dB, for the data range 1 of network units.
    pub psnr: f64,
    /// With scikit-image's default window, for the same range.
    pub ssim: f64,
    /// Euclidean distance over the norm of the truth.
    pub nrmse: f64,
    /// Of images in HU: root of the mean squared difference, and PSNR in dB within -160 to 240 HU.
    pub hounsfield: Option<[f64; 2]>,
}

/// A finished run.
pub struct Finished {
    pub run: RunConfig,
    pub problem: Problem,
    pub measurement: Measurement,
    pub unit: Unit,
    pub result: Reconstruction,
    /// PSNR after each iteration, where the truth is known.
    pub psnrs: Vec<f64>,
    pub fbp: Image,
    pub seconds: f64,
}

impl Finished {
    /// Agreement of an image in network units with the truth, where that is known. NaN where a number is not defined,
    /// as the SSIM of a picture smaller than its window.
    pub fn quality(&self, image: &Image) -> Option<Quality> {
        let truth = self.problem.scan.truth.as_ref()?;
        Some(Quality {
            psnr: psnr(truth, image, 1.0).unwrap_or(f64::NAN),
            ssim: ssim_uniform(truth, image, 1.0).unwrap_or(f64::NAN),
            nrmse: nrmse(truth, image).unwrap_or(f64::NAN),
            hounsfield: matches!(self.unit, Unit::Hounsfield).then(|| {
                [rmse_hu(truth, image), soft_tissue_psnr(truth, image)].map(|found| found.unwrap_or(f64::NAN))
            }),
        })
    }

    /// True if the run got to its end.
    pub fn reached_goal(&self) -> bool {
        !matches!(self.result.status, Some(Status::NoStep | Status::Stopped))
    }

    /// Warnings of the run, beside those of the scan, that a reader must know before believing the picture.
    pub fn own_warnings(&self) -> impl Iterator<Item = String> {
        let of_certificate = self.result.certificate.iter().flat_map(certificate::warnings);
        self.measurement.warnings.iter().chain(&self.result.warning).cloned().chain(of_certificate)
    }

    pub fn status(&self) -> String {
        self.result.status.map_or_else(|| "done".to_owned(), |status| status.to_string())
    }
}
