//! A measurement with its recipe: what a run is given.

use super::method_settings::Start;
use super::recipe::Recipe;
use super::{Measurement, ReconstructError};
use crate::backend::Slice;
use crate::ct::Window;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// A measurement, and how it is to be reconstructed.
pub(super) struct Task<'a> {
    /// Number of the job, of those that were given.
    pub(super) job: usize,
    pub(super) measurement: &'a Measurement,
    pub(super) recipe: Recipe,
}

impl Task<'_> {
    /// True if two tasks can be in one batch.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let restarts = |recipe: &Recipe| recipe.restarts.as_ref().map(|again| again.count);
        let kind = |recipe: &Recipe| (recipe.drift, recipe.mirrors, recipe.rule, restarts(recipe));
        kind(&self.recipe) == kind(&other.recipe) && self.measurement.geometry == other.measurement.geometry
    }

    /// Weights of the data term, where they are wanted and the scan has them.
    pub(super) fn weights(&self) -> Option<Vec<f32>> {
        let measurement = self.measurement.for_pixels();
        let Measurement { weights, edges, .. } = &*measurement;
        let factors = edges.as_ref().filter(|_| self.recipe.edges);
        let product = |weights: &[f32], factors: &Vec<f32>| weights.iter().zip(factors).map(|(w, f)| w * f).collect();
        let weights = match (weights, factors) {
            (Some(weights), Some(factors)) => Some(product(weights, factors)),
            (weights, factors) => weights.as_ref().or(factors).cloned(),
        };
        weights.filter(|_| self.recipe.weighted)
    }

    /// The image from which the first run starts.
    pub(super) fn start(&self) -> Result<Vec<f32>, ReconstructError> {
        let pixels = self.measurement.geometry.image_len();
        Ok(match self.recipe.start {
            Start::Noise => {
                let generator = ChaCha8Rng::seed_from_u64(self.recipe.seed);
                StandardNormal.sample_iter(generator).take(pixels).collect()
            }
            Start::Fbp => self.measurement.filtered_backprojection(Window::Hann)?.pixels,
            Start::Zeros => vec![0.0; pixels],
        })
    }

    /// The slice at its start.
    pub(super) fn slice(&self) -> Result<Slice, ReconstructError> {
        let (data, objective) =
            (self.measurement.for_pixels().into_owned().sinogram, (self.recipe.solver)(0).objective());
        Ok(Slice { data, start: self.start()?, objective })
    }
}
