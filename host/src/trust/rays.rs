//! Line integrals with what is known of their noise.

/// A sinogram and the variance of each of its values.
#[derive(Debug, Clone, Copy)]
pub struct Rays<'a> {
    /// Line integrals, `[angle][bin]`.
    pub sinogram: &'a [f32],
    /// Standard deviation of the noise of a ray of weight 1.
    pub noise_std: f64,
    /// `noise_std^2` over the variance of each line integral, `[angle][bin]`: 0 for a ray that was not measured.
    /// Without it all weights are 1.
    pub weights: Option<&'a [f32]>,
}

impl Rays<'_> {
    /// The weight of a ray.
    pub(super) fn weight(&self, ray: usize) -> f64 {
        self.weights.and_then(|weights| weights.get(ray)).map_or(1.0, |weight| f64::from(*weight))
    }

    /// The variance of a ray, infinite where it was not measured.
    pub(super) fn variance(&self, ray: usize) -> f64 {
        self.noise_std * self.noise_std / self.weight(ray)
    }
}
