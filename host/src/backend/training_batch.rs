//! The question to a training network, on any backend.

/// Images of an update of the weights: of each, x_t = gamma_t x_0 + nu_t z and z one after the other, t in (0, 1], and
/// the weight of its loss.
#[derive(Debug, Clone, Copy)]
pub struct TrainingBatch<'a> {
    /// Diffused images, in network units.
    pub x_t: &'a [f32],
    /// Their noise.
    pub z: &'a [f32],
    /// Their smoothing levels.
    pub t: &'a [f32],
    /// Factors on their losses.
    pub weights: &'a [f32],
}
