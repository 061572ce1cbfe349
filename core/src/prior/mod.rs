//! Analytic priors: distributions whose diffusion is known in closed form.

mod gaussian_mixture;

pub use gaussian_mixture::{Component, GaussianMixture, MixtureError};
