//! The scan: a phantom of three grey values, its noisy sinogram, and what may be wrong with a scan.

use crate::projector::{N_BINS, N_PIXELS, N_RAYS, SIDE, VIEWS};

/// Reasons for which a scan is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum ScanError {
    /// There is no view.
    NoViews,
    /// The sinogram has not one number per view and bin, or there are more views than the memory is made for.
    WrongLength,
    /// A measured value is a NaN or infinite.
    NotFinite,
}

/// A disc of grey value 0.5 with a bright square and a dark bar.
pub fn phantom(image: &mut [f32; N_PIXELS]) {
    for (pixel, value) in image.iter_mut().enumerate() {
        // Twice the distance from the centre, an odd integer.
        let from_centre = |index: usize| 2 * index as i32 - (SIDE as i32 - 1);
        let (row, col) = (from_centre(pixel / SIDE), from_centre(pixel % SIDE));
        let square = (-16..0).contains(&row) && (-8..8).contains(&col);
        let bar = (8..16).contains(&row) && (-16..16).contains(&col);
        *value = if square {
            1.0
        } else if row * row + col * col < 28 * 28 && !bar {
            0.5
        } else {
            0.0
        };
    }
}

/// Reproducible noise: a linear congruential generator (Numerical Recipes), its upper bits.
#[derive(Debug, Clone, Copy)]
pub struct Noise(u32);

impl Noise {
    /// A stream of its own for each seed.
    pub const fn new(seed: u32) -> Self {
        Self(seed)
    }

    /// Uniform between -1 and 1.
    pub fn next_value(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) as f32 / (1 << 23) as f32 - 1.0
    }
}

/// Largest error of a measurement, in attenuation times pixels; the largest of its values is about 16.
const NOISE: f32 = 0.4;

/// `sinogram = A phantom + noise`; `image` is left holding the phantom.
pub fn measure(image: &mut [f32; N_PIXELS], sinogram: &mut [f32; N_RAYS]) {
    phantom(image);
    let mut noise = Noise::new(7);
    for (view, bins) in VIEWS.iter().zip(sinogram.chunks_exact_mut(N_BINS)) {
        view.forward_project(image, bins);
        bins.iter_mut().for_each(|bin| *bin += NOISE * noise.next_value());
    }
}
