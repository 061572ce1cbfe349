//! The images of a training run, drawn by number.

use super::config::DataConfig;
use super::folder::{FolderError, Slices};
use super::initial::uniform;
use crate::data::disc::disc;
use crate::data::ellipses::ellipses;
use crate::image::Image;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use std::path::PathBuf;

/// Seeds of the generated images that training sees have this bit, those of its validation the next one; test images
/// have neither.
const TRAINING_SEEDS: u64 = 1 << 63;
const VALIDATION_SEEDS: u64 = 1 << 62;
/// Images from which mean and spread are measured.
const MEASURED: u64 = 256;

/// Images to train and to validate on.
#[derive(Debug)]
pub enum Images {
    /// Ellipses without end.
    Ellipses {
        /// Rows and columns.
        size: usize,
    },
    /// Discs without end.
    Discs {
        /// Rows and columns.
        size: usize,
    },
    /// Slices of files.
    Slices {
        /// Rows and columns.
        size: usize,
        /// To train on.
        training: Slices,
        /// Of other patients.
        validation: Slices,
    },
}

/// Reasons for which there are no images.
#[derive(Debug, thiserror::Error)]
pub enum ImagesError {
    /// A folder is not named.
    #[error("`data.{0}` is not given: name a folder of slices in the configuration or with {1}")]
    NoFolder(&'static str, &'static str),
    /// A folder gives nothing.
    #[error(transparent)]
    Folder(#[from] FolderError),
}

impl Images {
    /// Reads what `config` names.
    ///
    /// # Errors
    /// [`ImagesError`], where the folders are missing or give no images.
    pub fn open(config: &DataConfig) -> Result<Self, ImagesError> {
        match config {
            DataConfig::Ellipses { size } => Ok(Self::Ellipses { size: *size }),
            DataConfig::Disc { size } => Ok(Self::Discs { size: *size }),
            DataConfig::Folder { size, training, validation } => {
                let named = |folder: &Option<PathBuf>, field, flag| {
                    let folder = folder.as_deref().ok_or(ImagesError::NoFolder(field, flag))?;
                    Ok::<_, ImagesError>(Slices::read(folder, *size)?)
                };
                Ok(Self::Slices {
                    size: *size,
                    training: named(training, "training", "--data")?,
                    validation: named(validation, "validation", "--validation-data")?,
                })
            }
        }
    }

    /// Rows and columns of an image.
    #[must_use]
    pub fn size(&self) -> usize {
        match *self {
            Self::Ellipses { size } | Self::Discs { size } | Self::Slices { size, .. } => size,
        }
    }

    /// A training image. Of slices, first a patient is drawn and then one of that patient's, so that those with many
    /// slices do not rule.
    pub(super) fn draw(&self, rng: &mut ChaCha8Rng) -> Image {
        match self {
            Self::Ellipses { size } => ellipses(rng.next_u64() | TRAINING_SEEDS, *size),
            Self::Discs { size } => disc(rng.next_u64() | TRAINING_SEEDS, *size),
            Self::Slices { size, training, .. } => {
                let patient = &training.patients[below(rng, training.patients.len())];
                Image { height: *size, width: *size, pixels: patient[below(rng, patient.len())].clone() }
            }
        }
    }

    /// `n` validation images, of slices evenly from all; fewer if there are not as many.
    #[must_use]
    pub fn validation(&self, n: usize) -> Vec<Image> {
        match self {
            Self::Ellipses { size } => (0..n as u64).map(|k| ellipses(VALIDATION_SEEDS | k, *size)).collect(),
            Self::Discs { size } => (0..n as u64).map(|k| disc(VALIDATION_SEEDS | k, *size)).collect(),
            Self::Slices { size, validation, .. } => {
                let all: Vec<&Vec<f32>> = validation.patients.iter().flatten().collect();
                let n = n.min(all.len());
                let chosen = (0..n).map(|k| all[(2 * k + 1) * all.len() / (2 * n)]);
                chosen.map(|pixels| Image { height: *size, width: *size, pixels: pixels.clone() }).collect()
            }
        }
    }

    /// Mean and standard deviation of the pixels, over images drawn with a seed.
    pub(super) fn moments(&self, seed: u64) -> (f64, f64) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (mut sum, mut squares, mut n) = (0.0, 0.0, 0.0);
        for _ in 0..MEASURED {
            for value in self.draw(&mut rng).pixels.into_iter().map(f64::from) {
                sum += value;
                squares += value * value;
                n += 1.0;
            }
        }
        let mean: f64 = sum / n;
        (mean, (squares / n - mean * mean).max(0.0).sqrt())
    }

    /// Files and slices that were passed over.
    #[must_use]
    pub fn skipped(&self) -> Vec<String> {
        match self {
            Self::Ellipses { .. } | Self::Discs { .. } => Vec::new(),
            Self::Slices { training, validation, .. } => {
                training.skipped.iter().chain(&validation.skipped).cloned().collect()
            }
        }
    }

    /// A description of the images, for the metadata of the weights.
    #[must_use]
    pub fn description(&self) -> String {
        match self {
            Self::Ellipses { size } => format!("random ellipses, {size} x {size}, a new image every time"),
            Self::Discs { size } => format!("random discs with holes, {size} x {size}, a new image every time"),
            Self::Slices { size, training, .. } => {
                let (slices, patients) = (training.n_slices(), training.patients.len());
                let collections: Vec<&str> = training.collections.iter().map(String::as_str).collect();
                let from =
                    if collections.is_empty() { String::new() } else { format!(" of {}", collections.join("; ")) };
                format!("{slices} slices of {size} x {size} from {patients} patients, sampled evenly{from}")
            }
        }
    }
}

/// A number below `n`, which is at least 1.
pub(super) fn below(rng: &mut ChaCha8Rng, n: usize) -> usize {
    ((uniform(rng) * n as f64) as usize).min(n - 1)
}
