//! Simulated measurements: an image in, a scan with noise out.

use crate::ct::{
    ATTENUATION_PER_UNIT, Geometry, GeometryError, NoiseError, ProjectionError, Projector, poisson, relative_gaussian,
};
use crate::data::scan::Scan;
use crate::image::Image;
use crate::limits::COUNT;
use crate::memory::{self, TooLittleMemory};
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
    /// Parts that each side of a pixel, and each bin, is divided into. With 1 the scan is made by the very operator
    /// that reconstructs; with more it has an error of the model, as every measurement has: pixels are squares of one
    /// attenuation each, and a bin sees the mean over its width.
    #[serde(skip_serializing_if = "is_whole")]
    pub parts: usize,
}

fn is_whole(parts: &usize) -> bool {
    *parts == 1
}

impl Default for Simulation {
    fn default() -> Self {
        Self { angles: 60, noise: 0.1, photons: None, seed: 1, parts: 1 }
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
    /// The scan does not fit into memory.
    #[error(transparent)]
    Memory(#[from] TooLittleMemory),
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
    for (field, value, limit) in [("angles", simulation.angles, COUNT), ("parts", simulation.parts, MOST_PARTS)] {
        if value > limit {
            return Err(GeometryError::TooLarge { field, value, limit }.into());
        }
    }
    let geometry = Geometry::covering(image.height, image.width, simulation.angles).scaled(pixel_mm);
    geometry.validate()?;
    let parts = simulation.parts.max(1);
    memory::check(
        "a scan of so many views and bins",
        memory::of_scan(&divided(&geometry, parts)),
        "take fewer views or a coarser image",
    )?;
    let mut sinogram = line_integrals(image, &geometry, parts)?;
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

/// Most parts of a pixel's side.
const MOST_PARTS: usize = 16;

/// The same geometry with each pixel and each bin in parts.
fn divided(geometry: &Geometry, parts: usize) -> Geometry {
    Geometry {
        height: geometry.height * parts,
        width: geometry.width * parts,
        pixel_mm: geometry.pixel_mm / parts as f64,
        n_bins: geometry.n_bins * parts,
        bin_width_mm: geometry.bin_width_mm / parts as f64,
        ..geometry.clone()
    }
}

/// Line integrals of an image in network units: means over the parts of each bin, of an image of divided pixels.
fn line_integrals(image: &Image, geometry: &Geometry, parts: usize) -> Result<Vec<f32>, SimulateError> {
    let fine = divided(geometry, parts);
    let pixels = (0..fine.height).flat_map(|row| {
        let line = &image.pixels[row / parts * image.width..][..image.width];
        (0..fine.width).map(move |col| line[col / parts] * ATTENUATION_PER_UNIT)
    });
    let (attenuation, mut sinogram) = (pixels.collect::<Vec<f32>>(), vec![0.0; fine.sinogram_len()]);
    Projector::new(fine)?.forward_project(&attenuation, &mut sinogram)?;
    if parts == 1 {
        return Ok(sinogram);
    }
    Ok(sinogram.chunks_exact(parts).map(|bins| bins.iter().sum::<f32>() / parts as f32).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::ellipses::ellipses;

    #[test]
    fn an_image_in_parts_has_the_same_mass_and_an_error_of_the_model() {
        let image = ellipses(5, 32);
        let geometry = Geometry::covering(32, 32, 12);
        let [coarse, fine, finer] = [1, 2, 4].map(|parts| line_integrals(&image, &geometry, parts).unwrap());
        let mass = |sinogram: &[f32]| sinogram.iter().map(|p| f64::from(*p)).sum::<f64>();
        let away = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt();
        assert!((mass(&finer) / mass(&coarse) - 1.0).abs() < 2e-3);
        let model = away(&coarse, &finer) / away(&finer, &vec![0.0; finer.len()]);
        assert!((1e-3..0.05).contains(&model), "{model}");
        assert!(2.0 * away(&fine, &finer) < away(&coarse, &finer), "parts converge");
    }

    #[test]
    fn too_many_parts_are_refused() {
        let simulation = Simulation { parts: 1000, ..Simulation::default() };
        let error = simulate(&ellipses(5, 32), 1.0, &simulation).unwrap_err().to_string();
        assert!(error.contains("parts") && error.contains("1000"), "{error}");
    }
}
