//! Analytic priors: distributions whose diffusion is known in closed form.

mod gaussian_mixture;
#[cfg(feature = "micromath")]
mod preview;

pub use gaussian_mixture::{Component, GaussianMixture, MixtureError};
#[cfg(feature = "micromath")]
pub use preview::Preview;
