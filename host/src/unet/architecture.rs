//! The description of an energy network that travels in the metadata of its weights file.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Shape of the U-Net, that of guided diffusion \[DN21\] as used by \[FKD24\]: everything that fixes the list of its
/// tensors and the order of its layers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Architecture {
    /// Channels of the image; equal to `out_channels`, because the energy compares the two.
    pub in_channels: usize,
    /// Channels of the network's output.
    pub out_channels: usize,
    /// Side of the square of pixels that becomes channels before the first layer; 1 leaves the image as it is.
    pub pixel_unshuffle: usize,
    /// Channels at multiplier 1.
    pub model_channels: usize,
    /// Channel multiplier of each level, finest first.
    pub channel_mult: Vec<usize>,
    /// Residual blocks per level on the way down; one more on the way up.
    pub num_res_blocks: usize,
    /// Downsampling factors (1, 2, 4, ...) whose residual blocks are each followed by self-attention.
    pub attention_resolutions: Vec<usize>,
    /// True if the two middle blocks have self-attention between them.
    pub middle_attention: bool,
    /// Heads of every self-attention.
    pub num_heads: usize,
    /// Groups of every group normalisation.
    pub norm_groups: usize,
    /// Added to the variance in every group normalisation.
    pub norm_eps: f64,
    /// Base of the frequencies of the time embedding: frequency k is `max_period^(-k/half)`.
    pub max_period: f64,
}

/// The perturbation kernel the network was trained with, x_t ~ N(gamma_t x_0, nu_t^2 I).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum PerturbationKernelSpec {
    /// Variance preserving: log gamma_t = -t^2 (beta_max - beta_min)/4 - t beta_min/2, nu_t^2 = 1 - gamma_t^2.
    Vp {
        /// Rate of the diffusion at t = 0.
        beta_min: f64,
        /// Rate of the diffusion at t = 1.
        beta_max: f64,
    },
}

/// The way from the network's output U to the energy's h.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Parametrisation {
    /// h = U(x, t) / sqrt(nu_t).
    Norm,
    /// h = (x/gamma - D)/sigma for a denoiser D with the data's mean and spread, m and s, built in (perturbation.rs has
    /// the formula).
    Residual {
        /// Mean m of the training images.
        data_mean: f64,
        /// Spread s of the training images.
        data_std: f64,
    },
}

/// An energy network but for its tensors.
#[derive(Debug, Clone, PartialEq)]
pub struct Description {
    /// The network's shape.
    pub architecture: Architecture,
    /// The perturbation kernel of the training.
    pub perturbation_kernel: PerturbationKernelSpec,
    /// The way from the network's output to h.
    pub parametrisation: Parametrisation,
}

/// Reasons for which a description is not a network.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum ArchitectureError {
    /// A count that must be positive is zero.
    #[error("`{field}` must be at least 1")]
    Zero {
        /// The field at fault.
        field: &'static str,
    },
    /// A count is far beyond any network this program can hold.
    #[error("`{field}` = {value} is above the limit of {limit}")]
    TooLarge {
        /// The field at fault.
        field: &'static str,
        /// As given.
        value: usize,
        /// Largest value accepted.
        limit: usize,
    },
    /// `in_channels` and `out_channels` differ.
    #[error(
        "`in_channels` ({in_channels}) and `out_channels` ({out_channels}) must be equal: h lives where the image does"
    )]
    ChannelsDiffer {
        /// As given.
        in_channels: usize,
        /// As given.
        out_channels: usize,
    },
    /// `model_channels` is odd, so that the time embedding has no equal halves.
    #[error("`model_channels` ({0}) must be even: half of the time embedding is cosines, half sines")]
    OddModelChannels(usize),
    /// A normalised tensor's channels do not split into `norm_groups`.
    #[error("{layer} normalises {channels} channels, which do not split into `norm_groups` = {groups} groups")]
    Groups {
        /// State-dict name of the normalisation.
        layer: String,
        /// Channels it normalises.
        channels: usize,
        /// Groups asked for.
        groups: usize,
    },
    /// An attention's channels do not split into `num_heads`.
    #[error("{layer} has {channels} channels, which do not split into `num_heads` = {heads} heads")]
    Heads {
        /// State-dict name of the attention.
        layer: String,
        /// Channels it mixes.
        channels: usize,
        /// Heads asked for.
        heads: usize,
    },
    /// A number is NaN, infinite or outside its range.
    #[error("`{field}` = {value} must be {wanted}")]
    Number {
        /// The field at fault.
        field: &'static str,
        /// As given.
        value: f64,
        /// The range allowed.
        wanted: &'static str,
    },
}

impl Architecture {
    /// Number of resolutions.
    #[must_use]
    pub fn levels(&self) -> usize {
        self.channel_mult.len()
    }

    /// Height and width of an image must be multiples of this, so that every level has whole pixels.
    #[must_use]
    pub fn size_multiple(&self) -> usize {
        self.pixel_unshuffle << (self.levels().saturating_sub(1))
    }

    /// Length of the time embedding after its two linear layers.
    #[must_use]
    pub fn embedding_channels(&self) -> usize {
        4 * self.model_channels
    }
}

impl Description {
    /// Checks all parts.
    ///
    /// # Errors
    /// By the field at fault.
    pub fn validate(&self) -> Result<(), ArchitectureError> {
        self.architecture.validate()?;
        self.perturbation_kernel.validate()?;
        self.parametrisation.validate()
    }
}

impl PerturbationKernelSpec {
    /// Checks that the kernel adds noise at every t > 0.
    ///
    /// # Errors
    /// `Number`, for a rate that is not finite or negative, or a `beta_max` that is not positive.
    pub fn validate(&self) -> Result<(), ArchitectureError> {
        let Self::Vp { beta_min, beta_max } = *self;
        if !(beta_min.is_finite() && beta_min >= 0.0) {
            let wanted = "finite and at least 0";
            return Err(ArchitectureError::Number { field: "beta_min", value: beta_min, wanted });
        }
        positive("beta_max", beta_max)
    }
}

impl Parametrisation {
    /// Checks the data scale.
    ///
    /// # Errors
    /// `Number`, for a mean that is not finite or a spread that is not positive.
    pub fn validate(&self) -> Result<(), ArchitectureError> {
        let Self::Residual { data_mean, data_std } = *self else { return Ok(()) };
        if !data_mean.is_finite() {
            return Err(ArchitectureError::Number { field: "data_mean", value: data_mean, wanted: "finite" });
        }
        positive("data_std", data_std)
    }
}

pub(super) fn positive(field: &'static str, value: f64) -> Result<(), ArchitectureError> {
    if value.is_finite() && value > 0.0 {
        return Ok(());
    }
    Err(ArchitectureError::Number { field, value, wanted: "finite and positive" })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A network small enough for tests of single passes, with attention, concatenation and both resamplings.
    pub(crate) fn small() -> Architecture {
        Architecture {
            in_channels: 1,
            out_channels: 1,
            pixel_unshuffle: 2,
            model_channels: 8,
            channel_mult: vec![1, 2],
            num_res_blocks: 1,
            attention_resolutions: vec![2],
            middle_attention: true,
            num_heads: 2,
            norm_groups: 4,
            norm_eps: 1e-5,
            max_period: 0.005,
        }
    }

    #[test]
    fn unknown_fields_and_kinds_are_refused() {
        let extra = r#"{"kind": "vp", "beta_min": 0.1, "beta_max": 20.0, "gamma": 1.0}"#;
        assert!(serde_json::from_str::<PerturbationKernelSpec>(extra).is_err());
        assert!(serde_json::from_str::<Parametrisation>(r#"{"kind": "other"}"#).is_err());
        let norm = serde_json::from_str::<Parametrisation>(r#"{"kind": "norm"}"#).unwrap();
        assert_eq!(norm, Parametrisation::Norm);
    }
}
