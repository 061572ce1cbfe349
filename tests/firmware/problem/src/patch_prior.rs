//! A prior on patches of 4 x 4 pixels: a Gaussian mixture of flat patches and sharp edges, 1.4 kB.
//!
//! `R(x, t)` is the sum of `-log p_t` over the 64 patches that tile the image, with the mixture diffused exactly.

use crate::projector::{N_PIXELS, SIDE};
use gradus_core::prior::{Component, MixtureError};
use gradus_core::{GaussianMixture, Level, PerturbationKernel, math};

const PATCH: usize = 4;
const PATCH_PIXELS: usize = PATCH * PATCH;
const N_FLAT: usize = 3;
/// Edges after the first, second or third row or column, either way up: the image has three grey values.
const N_EDGES: usize = 4 * (PATCH - 1);
const N_COMPONENTS: usize = N_FLAT + N_EDGES;
const GREY: f32 = 0.5;
/// Standard deviation of a pixel around its component's mean: 0.1.
const VARIANCE: f32 = 0.01;

type Patch = [f32; PATCH_PIXELS];

/// Patch of an edge: `0` before line `after`, `GREY` from there on, or the other way round.
const fn edge(after: usize, rows: bool, falls: bool) -> Patch {
    let (mut patch, mut pixel) = ([0.0; PATCH_PIXELS], 0);
    while pixel < PATCH_PIXELS {
        let line = if rows { pixel / PATCH } else { pixel % PATCH };
        patch[pixel] = if (line < after) == falls { GREY } else { 0.0 };
        pixel += 1;
    }
    patch
}

const COMPONENTS: [Component<PATCH_PIXELS>; N_COMPONENTS] = {
    let flat = Component { weight: 1.0, mean: [0.0; PATCH_PIXELS], variance: VARIANCE };
    let mut components = [flat; N_COMPONENTS];
    let mut k = 1;
    while k < N_COMPONENTS {
        components[k].mean = if k < N_FLAT {
            [GREY * k as f32; PATCH_PIXELS]
        } else {
            let edges = k - N_FLAT;
            edge(1 + edges / 4, edges.is_multiple_of(2), edges % 4 < 2)
        };
        k += 1;
    }
    components
};

/// The prior.
#[derive(Debug)]
pub struct PatchPrior {
    mixture: GaussianMixture<N_COMPONENTS, PATCH_PIXELS>,
}

/// Indices of the pixels of a patch, row by row.
fn pixels(patch: usize) -> impl Iterator<Item = usize> {
    let (row, col) = (PATCH * (patch / (SIDE / PATCH)), PATCH * (patch % (SIDE / PATCH)));
    (0..PATCH_PIXELS).map(move |k| (row + k / PATCH) * SIDE + col + k % PATCH)
}

fn gather(image: &[f32; N_PIXELS], patch: usize) -> Patch {
    let mut values = [0.0; PATCH_PIXELS];
    for (value, pixel) in values.iter_mut().zip(pixels(patch)) {
        *value = image.get(pixel).copied().unwrap_or_default();
    }
    values
}

const N_PATCHES: usize = N_PIXELS / PATCH_PIXELS;

impl PatchPrior {
    /// The mixture of flat patches and edges under `kernel`.
    ///
    /// # Errors
    /// Never: the components are valid. The core checks them all the same.
    pub fn new(kernel: PerturbationKernel) -> Result<Self, MixtureError> {
        GaussianMixture::new(COMPONENTS, kernel).map(|mixture| Self { mixture })
    }

    /// `out += alpha_t grad R(x, t)`.
    pub fn add_gradient(&self, x: &[f32; N_PIXELS], level: Level, out: &mut [f32; N_PIXELS]) {
        for patch in 0..N_PATCHES {
            let score = self.mixture.score(&gather(x, patch), level.t);
            for (pixel, score) in pixels(patch).zip(score) {
                if let Some(out) = out.get_mut(pixel) {
                    *out -= level.prior_weight * score;
                }
            }
        }
    }

    /// `alpha_t (R(x + step d, t) - R(x, t))`.
    pub fn change(&self, x: &[f32; N_PIXELS], d: &[f32; N_PIXELS], step: f32, level: Level) -> f32 {
        let patches = 0..N_PATCHES;
        let changes = patches.map(|k| self.mixture.energy_change(&gather(x, k), &gather(d, k), step, level.t));
        level.prior_weight * math::sum(changes)
    }
}
