//! Simulated measurements: an image in, a scan with noise out.

use crate::ct::{
    ATTENUATION_PER_UNIT, Geometry, GeometryError, NoiseError, ProjectionError, Projector, poisson, relative_gaussian,
};
use crate::data::scan::Scan;
use crate::image::Image;
use serde::{Deserialize, Serialize};

/// How an image is scanned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Simulation {
    /// Number of views over half a turn.
    pub angles: usize,
    /// Standard deviation of Gaussian noise over the mean of the line integrals; not used with `photons`.
    pub noise: f64,
    /// Photons a bin sends out, for Poisson noise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub photons: Option<f64>,
    /// Seed of the noise.
    pub seed: u64,
}

impl Default for Simulation {
    fn default() -> Self {
        Self { angles: 60, noise: 0.1, photons: None, seed: 1 }
    }
}

/// Why nothing could be simulated.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    /// The geometry makes no sense.
    #[error(transparent)]
    Geometry(#[from] GeometryError),
    /// The image does not fit the geometry.
    #[error(transparent)]
    Projection(#[from] ProjectionError),
    /// The noise makes no sense.
    #[error(transparent)]
    Noise(#[from] NoiseError),
}

/// Scans `image` (network units, pixels of side `pixel_mm`) in the geometry that covers it; the image becomes the
/// truth.
///
/// # Errors
/// See [`SimulateError`].
pub fn simulate(image: &Image, pixel_mm: f64, simulation: &Simulation) -> Result<Scan, SimulateError> {
    let geometry = Geometry::covering(image.height, image.width, simulation.angles).scaled(pixel_mm);
    let mut sinogram = vec![0.0; geometry.sinogram_len()];
    let attenuation: Vec<f32> = image.pixels.iter().map(|value| value * ATTENUATION_PER_UNIT).collect();
    Projector::new(geometry.clone())?.forward_project(&attenuation, &mut sinogram)?;
    let noise_std = match simulation.photons {
        Some(photons) => {
            poisson(&mut sinogram, photons, simulation.seed)?;
            None
        }
        None => Some(relative_gaussian(&mut sinogram, simulation.noise as f32, simulation.seed)?.into()),
    };
    Ok(Scan {
        sinogram,
        geometry,
        truth: Some(image.clone()),
        noise_std,
        photons: simulation.photons,
        attenuation_per_unit_per_mm: Some(ATTENUATION_PER_UNIT.into()),
        prior: None,
        note: String::new(),
        warnings: Vec::new(),
    })
}
