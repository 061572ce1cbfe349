//! Simulated measurements: an image in, a scan with noise out.
//!
//! A [`Simulation`] says views, beam and noise; with more than one of its `parts` the scan is made on a finer grid than
//! it is reconstructed on, and has an error of the model as real data have.

use crate::ct::{
    ATTENUATION_PER_UNIT, Detector, Fan, Geometry, GeometryError, NoiseError, ProjectionError, Projector, poisson,
    relative_gaussian,
};
use crate::data::scan::Scan;
use crate::image::Image;
use crate::limits::COUNT;
use crate::memory::{self, TooLittleMemory};
use serde::{Deserialize, Serialize};

/// The scan of an image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Simulation {
    /// Number of views.
    pub angles: usize,
    /// Degrees over which the views are spread, in the middles of equal parts; without it half a turn, and a whole one
    /// for a fan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arc_deg: Option<f64>,
    /// From the source to the rotation axis; without it the beam is parallel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_to_axis_mm: Option<f64>,
    /// From the source of a fan to the detector; without it the detector goes through the axis.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_to_detector_mm: Option<f64>,
    /// The shape of a fan's detector, flat if it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detector: Option<Detector>,
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
        Self {
            angles: 60,
            arc_deg: None,
            source_to_axis_mm: None,
            source_to_detector_mm: None,
            detector: None,
            noise: 0.1,
            photons: None,
            seed: 1,
            parts: 1,
        }
    }
}

impl Simulation {
    /// The geometry that covers an image of `height` x `width` pixels.
    ///
    /// # Errors
    /// When it makes no sense.
    pub fn geometry(&self, (height, width): (usize, usize), pixel_mm: f64) -> Result<Geometry, SimulateError> {
        if self.angles > COUNT {
            return Err(GeometryError::TooLarge { field: "angles", value: self.angles, limit: COUNT }.into());
        }
        let covering = match self.fan(pixel_mm)? {
            None => Geometry::covering(height, width, self.angles),
            Some(fan) => Geometry::covering_by_fan(height, width, self.angles, fan),
        };
        let mut geometry = covering.scaled(pixel_mm);
        if let Some(arc_deg) = self.arc_deg {
            if !(arc_deg != 0.0 && arc_deg.abs() <= WIDEST_ARC_DEG) {
                return Err(SimulateError::Arc { arc_deg });
            }
            let step_rad = arc_deg.to_radians() / self.angles as f64;
            geometry.angles_rad.iter_mut().enumerate().for_each(|(k, angle)| *angle = (k as f64 + 0.5) * step_rad);
        }
        geometry.validate()?;
        Ok(geometry)
    }

    /// The fan with lengths in pixels.
    fn fan(&self, pixel_mm: f64) -> Result<Option<Fan>, SimulateError> {
        let Some(source_to_axis_mm) = self.source_to_axis_mm else {
            return match (self.source_to_detector_mm, self.detector) {
                (None, None) => Ok(None),
                _ => Err(SimulateError::NoSource),
            };
        };
        let source_to_detector_mm = self.source_to_detector_mm.unwrap_or(source_to_axis_mm);
        Ok(Some(Fan {
            detector: self.detector.unwrap_or(Detector::Flat),
            source_to_axis_mm: source_to_axis_mm / pixel_mm,
            source_to_detector_mm: source_to_detector_mm / pixel_mm,
        }))
    }
}

/// Two turns.
const WIDEST_ARC_DEG: f64 = 720.0;

/// Reasons for which nothing could be simulated.
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
    /// A fan without a source.
    #[error("`source_to_detector_mm` and `detector` are of a fan beam: give its `source_to_axis_mm` too")]
    NoSource,
    /// Views over no angle, or over too large a one.
    #[error("`arc_deg` is {arc_deg}; give degrees from -720 to 720, and not 0")]
    Arc {
        /// As given.
        arc_deg: f64,
    },
    /// The noise makes no sense.
    #[error(transparent)]
    Noise(#[from] NoiseError),
}

/// Scans `image` (network units, pixels of side `pixel_mm`) in the geometry that covers it; the image becomes the
/// truth.
///
/// # Errors
/// [`SimulateError`]: angles, fan, noise or image make no sense, or memory is too small.
///
/// # Examples
/// ```
/// use gradus::data::ellipses::ellipses;
/// use gradus::simulate::{Simulation, simulate};
///
/// let simulation = Simulation { angles: 20, photons: Some(1e5), ..Simulation::default() };
/// let scan = simulate(&ellipses(1, 32), 1.0, &simulation)?;
/// assert_eq!(scan.sinogram.len(), 20 * scan.geometry.n_bins);
/// # Ok::<(), gradus::simulate::SimulateError>(())
/// ```
pub fn simulate(image: &Image, pixel_mm: f64, simulation: &Simulation) -> Result<Scan, SimulateError> {
    if simulation.parts > MOST_PARTS {
        let (field, value, limit) = ("parts", simulation.parts, MOST_PARTS);
        return Err(GeometryError::TooLarge { field, value, limit }.into());
    }
    let geometry = simulation.geometry((image.height, image.width), pixel_mm)?;
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
