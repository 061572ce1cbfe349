//! Analytic priors: distributions whose diffusion is known in closed form.
//!
//! A mixture of Gaussians stays one under noise, so that energy, score and differences of the energy are exact at every
//! level, without a network.

mod gaussian_mixture;
#[cfg(feature = "micromath")]
mod preview;

pub use gaussian_mixture::{Component, GaussianMixture, MixtureError};
#[cfg(feature = "micromath")]
pub use preview::Preview;
