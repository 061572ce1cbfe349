//! An image as rows and as columns, with zeros around each.

use super::geometry::Geometry;
use super::resample::{LANES, PAD};
use rayon::prelude::*;

/// The lines of an image: [`PAD`] zeros, the values, [`PAD`] zeros.
#[derive(Debug, Clone)]
pub(super) struct Lines {
    height: usize,
    width: usize,
    rows: Vec<f32>,
    columns: Vec<f32>,
}

impl Lines {
    pub(super) fn new(geometry: &Geometry) -> Self {
        let (height, width) = (geometry.height, geometry.width);
        let (rows, columns) = (vec![0.0; height * (width + 2 * PAD)], vec![0.0; width * (height + 2 * PAD)]);
        Self { height, width, rows, columns }
    }

    /// Takes over an image of the geometry, `[row][col]`.
    pub(super) fn load(&mut self, image: &[f32]) {
        let (height, width) = (self.height, self.width);
        self.rows.par_chunks_mut(width + 2 * PAD).zip(image.par_chunks(width)).for_each(|(padded, row)| {
            padded[PAD..PAD + width].copy_from_slice(row);
        });
        self.columns.par_chunks_mut(LANES * (height + 2 * PAD)).enumerate().for_each(|(tile, padded)| {
            for (row, pixels) in image.chunks_exact(width).enumerate() {
                for (column, &pixel) in padded.chunks_exact_mut(height + 2 * PAD).zip(&pixels[tile * LANES..]) {
                    column[PAD + row] = pixel;
                }
            }
        });
    }

    /// All rows, or all columns, and how long each is with its zeros.
    #[inline(always)]
    pub(super) fn along(&self, rows: bool) -> (&[f32], usize) {
        if rows { (&self.rows, self.width + 2 * PAD) } else { (&self.columns, self.height + 2 * PAD) }
    }
}
