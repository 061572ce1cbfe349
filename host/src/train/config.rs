//! A training run, described by one TOML file.

use crate::limits::{BATCH, ITERATIONS, PARAMETERS, PIXELS, TRAINING_SIDE, TRAINING_STEPS};
use crate::memory::{self, parameters};
use crate::unet::{Architecture, OLD_LEVELS, Parametrisation, PerturbationKernelSpec};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Everything that decides what a training run computes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingConfig {
    /// Seed of the first weights, the images' order, the crops and the noise.
    pub seed: u64,
    /// Seconds between checkpoints; does not change the result.
    #[serde(default = "default_checkpoint_every_s")]
    pub checkpoint_every_s: f64,
    /// Images.
    pub data: DataConfig,
    /// Weights file to start from, of the same network; without it, the first weights are random.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial: Option<PathBuf>,
    /// The network.
    pub network: Architecture,
    /// The way from the network's output to h; without it, "residual" with mean and spread measured on the images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parametrisation: Option<Parametrisation>,
    /// The diffusion.
    #[serde(default = "default_perturbation_kernel")]
    pub perturbation_kernel: PerturbationKernelSpec,
    /// Adam, clipping, averaging.
    #[serde(default)]
    pub optimiser: OptimiserConfig,
    /// Measurements while training.
    #[serde(default)]
    pub validation: ValidationConfig,
    /// Goes into the weights: the number of levels that suits the default method. A sweep over images of no test finds
    /// it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub levels: Option<u32>,
    /// Likewise: the extrapolation of denoised images that suits it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extrapolation: Option<f64>,
    /// One after the other.
    pub phase: Vec<Phase>,
}

/// The source of images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum DataConfig {
    /// Random ellipses, another picture every time.
    Ellipses {
        /// Rows and columns.
        size: usize,
    },
    /// Random discs with holes, another picture every time.
    Disc {
        /// Rows and columns.
        size: usize,
    },
    /// Slices in files: npy and npz stacks, DICOM, and the single images that `gradus reconstruct` reads.
    Folder {
        /// Rows and columns of a slice; others are passed over.
        size: usize,
        /// Folder of the training slices.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        training: Option<PathBuf>,
        /// Folder of the validation slices, of other patients.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        validation: Option<PathBuf>,
    },
}

impl DataConfig {
    /// Rows and columns of an image.
    #[must_use]
    pub fn size(&self) -> usize {
        match *self {
            Self::Ellipses { size } | Self::Disc { size } | Self::Folder { size, .. } => size,
        }
    }
}

/// t is log-uniform on `[t_min, t_max]` with probability `log_uniform_share`, else uniform.
///
/// The loss of an image at t is multiplied by ((sigma^2 + s^2)/s^2)^`weight_exponent`, sigma = nu_t/gamma_t and s the
/// data's spread: 0 is plain denoising score matching, 1 gives all t the same say in the network's output.
///
/// The iterates of a descent have more noise than their level says, or less. With a `noise_spread` of s the noise of an
/// image is nu_t z times exp(s g), g a normal number, and the image is to be found all the same: the energy learns to
/// bend along noise of any size, not of the level's alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Smoothing {
    /// Least level.
    pub t_min: f64,
    /// Largest level.
    pub t_max: f64,
    /// Share of log-uniform draws.
    pub log_uniform_share: f64,
    /// See above.
    pub weight_exponent: f64,
    /// See above; 0 leaves the noise that of the level.
    pub noise_spread: f64,
}

impl Default for Smoothing {
    fn default() -> Self {
        Self { t_min: 1e-3, t_max: 1.0, log_uniform_share: 0.5, weight_exponent: 0.5, noise_spread: 0.0 }
    }
}

/// Adam \[KB15\] with clipped gradients; the weights that are kept are an exponential moving average.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OptimiserConfig {
    /// Decay of the mean gradient.
    pub beta_1: f64,
    /// Decay of the mean squared gradient.
    pub beta_2: f64,
    /// Added to the root of the latter.
    pub epsilon: f64,
    /// Longer gradients are shortened to this norm.
    pub clip_norm: f64,
    /// Decay of the moving average of the weights.
    pub average_decay: f64,
}

impl Default for OptimiserConfig {
    fn default() -> Self {
        Self { beta_1: 0.9, beta_2: 0.99, epsilon: 1e-8, clip_norm: 1.0, average_decay: 0.999 }
    }
}

/// Validation on images that training never sees.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ValidationConfig {
    /// Steps between validations; the end of a phase is always validated.
    pub every_steps: u64,
    /// Images that are denoised.
    pub images: usize,
    /// Images that are scanned and reconstructed; 0 for none.
    pub reconstructions: usize,
    /// Noise of the scans, relative to the mean of the line integrals.
    pub noise: f64,
    /// Iterations of a reconstruction.
    pub iterations: u32,
}

impl Default for ValidationConfig {
    fn default() -> Self {
        Self { every_steps: 1000, images: 8, reconstructions: 2, noise: 0.1, iterations: 100 }
    }
}

/// Steps with one loss and one kind of batch. The learning rate rises linearly over the warm-up, then falls along half
/// a cosine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phase {
    /// The loss that is minimised.
    pub loss: Loss,
    /// Optimiser steps.
    pub steps: u64,
    /// Images of a step.
    pub batch: usize,
    /// Images worked on at a time; gradients of several such groups are added up. Decides the memory that is needed.
    /// Without it 8 on the CPU and 32 on a GPU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images_at_a_time: Option<usize>,
    /// Rows and columns of the crops.
    pub crop: usize,
    /// Learning rate after the warm-up.
    pub learning_rate: f64,
    /// Learning rate at the end of the phase.
    #[serde(default)]
    pub final_learning_rate: f64,
    /// Steps of the warm-up.
    #[serde(default)]
    pub warm_up: u64,
    /// Draws of t, and weights of its losses.
    #[serde(default)]
    pub smoothing: Smoothing,
}

/// A training loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// |h - z|^2: h as the residual of a plain denoiser; cheap.
    Denoising,
    /// |nu_t s + z|^2 with the score as a gradient: the loss of the energy.
    ScoreMatching,
}

fn default_checkpoint_every_s() -> f64 {
    300.0
}

fn default_perturbation_kernel() -> PerturbationKernelSpec {
    PerturbationKernelSpec::Vp { beta_min: 0.1, beta_max: 20.0 }
}

/// Names of the presets.
pub const PRESETS: [&str; 3] = ["ellipses", "disc", "ct"];

/// The TOML text of a preset.
#[must_use]
pub fn preset(name: &str) -> Option<&'static str> {
    match name {
        "ellipses" => Some(include_str!("../../presets/ellipses.toml")),
        "disc" => Some(include_str!("../../presets/disc.toml")),
        "ct" => Some(include_str!("../../presets/ct.toml")),
        _ => None,
    }
}

/// A field of a training run that makes no sense.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("`{field}` is {value}; it must be {wanted}")]
pub struct ConfigError {
    /// The field, as in the TOML file.
    pub field: String,
    /// As given.
    pub value: String,
    /// The accepted values.
    pub wanted: String,
}

/// The remedy for a description with a field that has another name now.
#[must_use]
pub fn renamed(error: &toml::de::Error) -> Option<&'static str> {
    let is_old = error.message().starts_with(&format!("unknown field `{OLD_LEVELS}`"));
    is_old.then_some("that field is called `levels` now; write this name in its place")
}

impl TrainingConfig {
    /// Optimiser steps of all phases.
    #[must_use]
    pub fn total_steps(&self) -> u64 {
        self.phase.iter().fold(0, |sum, phase| sum.saturating_add(phase.steps))
    }

    /// Bytes that training takes at least: the vectors of the optimiser, and what the layers of the largest phase give,
    /// once for the pass forward and once for the one back.
    pub(super) fn least_bytes(&self, images_at_a_time: usize) -> u64 {
        const VECTORS: u64 = 6;
        let of_phase = |phase: &Phase| {
            let images = phase.images_at_a_time.unwrap_or(images_at_a_time).min(phase.batch) as u64;
            2 * images * memory::of_layers(&self.network, (phase.crop * phase.crop) as u64)
        };
        let largest = self.phase.iter().map(of_phase).max().unwrap_or(0);
        VECTORS * size_of::<f32>() as u64 * parameters(&self.network) as u64 + largest
    }

    /// The phase of step `step`, counted from 0, with the step's number in it and its first image's among all images.
    pub(super) fn at(&self, step: u64) -> Option<(&Phase, u64, u64)> {
        let (mut left, mut images) = (step, 0);
        for phase in &self.phase {
            if left < phase.steps {
                return Some((phase, left, images + left * phase.batch as u64));
            }
            left -= phase.steps;
            images += phase.steps * phase.batch as u64;
        }
        None
    }

    /// True if a run under `self` that has made `steps` steps is also one under `longer`, so that it may go on under
    /// it: all that decides those steps is the same.
    #[must_use]
    pub fn is_begin_of(&self, longer: &Self, steps: u64) -> bool {
        let fixed = |config: &Self| Self {
            phase: Vec::new(),
            levels: None,
            extrapolation: None,
            checkpoint_every_s: 0.0,
            validation: ValidationConfig::default(),
            ..config.clone()
        };
        let mut ends = self.phase.iter().scan(0, |end, phase| {
            *end += phase.steps;
            Some(*end)
        });
        let begun = ends.by_ref().take_while(|end| *end < steps).count() + 1;
        fixed(self) == fixed(longer) && self.phase.iter().take(begun).eq(longer.phase.iter().take(begun))
    }

    /// Checks every number.
    ///
    /// # Errors
    /// [`ConfigError`] names the first field that makes no sense.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.network.validate().map_err(|error| fault("network", error, "a network"))?;
        self.perturbation_kernel.validate().map_err(|error| fault("perturbation_kernel", error, "a diffusion"))?;
        if let Some(parametrisation) = &self.parametrisation {
            parametrisation.validate().map_err(|error| fault("parametrisation", error, "a parametrisation"))?;
        }
        at_most("the parameters of `network`", parameters(&self.network), PARAMETERS)?;
        let positive = |field: &str, value: f64| check(field, value, value > 0.0 && value.is_finite(), "positive");
        let decay = |field: &str, value: f64| check(field, value, (0.0..1.0).contains(&value), "at least 0, below 1");
        positive("checkpoint_every_s", self.checkpoint_every_s)?;
        let optimiser = &self.optimiser;
        decay("optimiser.beta_1", optimiser.beta_1)?;
        decay("optimiser.beta_2", optimiser.beta_2)?;
        decay("optimiser.average_decay", optimiser.average_decay)?;
        positive("optimiser.epsilon", optimiser.epsilon)?;
        positive("optimiser.clip_norm", optimiser.clip_norm)?;
        positive("validation.every_steps", self.validation.every_steps as f64)?;
        positive("validation.images", self.validation.images as f64)?;
        positive("validation.noise", self.validation.noise)?;
        positive("validation.iterations", self.validation.iterations.into())?;
        at_most("validation.iterations", self.validation.iterations as usize, ITERATIONS as usize)?;
        if let Some(levels) = self.levels {
            let wanted = format!("from 2 to {ITERATIONS}");
            check("levels", levels, (2..=ITERATIONS).contains(&levels), &wanted)?;
        }
        decay("extrapolation", self.extrapolation.unwrap_or(0.0))?;
        positive("phase", self.phase.len() as f64)?;
        self.size_fits("data.size", self.data.size())?;
        let (images, reconstructions) = (self.validation.images, self.validation.reconstructions);
        images_fit("validation.images", images, self.data.size())?;
        images_fit("validation.reconstructions", reconstructions, self.data.size())?;
        self.phase.iter().enumerate().try_for_each(|(k, phase)| self.validate_phase(k, phase))?;
        let wanted = format!("at most {TRAINING_STEPS}");
        check("the steps of all phases", self.total_steps(), self.total_steps() <= TRAINING_STEPS, &wanted)
    }

    fn validate_phase(&self, k: usize, phase: &Phase) -> Result<(), ConfigError> {
        let field = |name: &str| format!("phase[{k}].{name}");
        let at_least_1 = |name: &str, value: u64| check(&field(name), value, value > 0, "at least 1");
        at_least_1("steps", phase.steps)?;
        at_least_1("batch", phase.batch as u64)?;
        at_least_1("images_at_a_time", phase.images_at_a_time.unwrap_or(1) as u64)?;
        at_most(&field("batch"), phase.batch, BATCH)?;
        self.size_fits(&field("crop"), phase.crop)?;
        // More at a time than a batch has are not made.
        let at_a_time = phase.images_at_a_time.unwrap_or(1).min(phase.batch);
        images_fit(&field("images_at_a_time"), at_a_time, phase.crop)?;
        check(&field("crop"), phase.crop, phase.crop <= self.data.size(), "at most `data.size`")?;
        let (rate, last) = (phase.learning_rate, phase.final_learning_rate);
        check(&field("learning_rate"), rate, rate > 0.0 && rate.is_finite(), "positive")?;
        check(&field("final_learning_rate"), last, (0.0..=rate).contains(&last), "from 0 to `learning_rate`")?;
        check(&field("warm_up"), phase.warm_up, phase.warm_up <= phase.steps, "at most `steps`")?;
        let Smoothing { t_min, t_max, log_uniform_share, weight_exponent, noise_spread } = phase.smoothing;
        let share = |name: &str, value: f64| check(&field(name), value, (0.0..=1.0).contains(&value), "from 0 to 1");
        check(&field("smoothing.t_min"), t_min, t_min > 0.0 && t_min <= t_max, "positive and at most `t_max`")?;
        check(&field("smoothing.t_max"), t_max, t_max <= 1.0, "at most 1")?;
        share("smoothing.log_uniform_share", log_uniform_share)?;
        share("smoothing.weight_exponent", weight_exponent)?;
        share("smoothing.noise_spread", noise_spread)
    }

    fn size_fits(&self, field: &str, size: usize) -> Result<(), ConfigError> {
        let multiple = self.network.size_multiple();
        let fits = size > 0 && size.is_multiple_of(multiple) && size <= TRAINING_SIDE;
        check(field, size, fits, &format!("a multiple of {multiple}, at most {TRAINING_SIDE}"))
    }
}

fn at_most(field: &str, value: usize, limit: usize) -> Result<(), ConfigError> {
    check(field, value, value <= limit, &format!("at most {limit}"))
}

/// True if as many images of `side` x `side` pixels may be held in memory.
fn images_fit(field: &str, n: usize, side: usize) -> Result<(), ConfigError> {
    at_most(field, n, BATCH.min(PIXELS / (side * side)))
}

fn check(field: &str, value: impl ToString, holds: bool, wanted: &str) -> Result<(), ConfigError> {
    if holds { Ok(()) } else { Err(fault(field, value, wanted)) }
}

fn fault(field: &str, value: impl ToString, wanted: &str) -> ConfigError {
    ConfigError { field: field.to_owned(), value: value.to_string(), wanted: wanted.to_owned() }
}

#[cfg(test)]
mod tests;
