//! The data terms 1/2 |W^(1/2) (A x - y)|^2 of several slices.

use crate::ct::{ProjectionError, Projector};

/// A projector with the sinograms that it is to explain, one for each slice, and the weights of their values.
///
/// All products are with `W^(1/2) A`, `W` the diagonal matrix of a slice's weights, so that a solver minimises
/// the unweighted square. Sinograms are `[angle][bin]`, images `[row][col]`.
pub(super) struct DataTerm {
    projector: Projector,
    measured: Vec<Measured>,
    /// Room for `W^(1/2) s`.
    weighted: Vec<f32>,
}

/// The measurement of one slice.
struct Measured {
    /// `W^(1/2) y`.
    data: Vec<f32>,
    /// `W^(1/2)`; `None` for weights of 1.
    roots: Option<Vec<f32>>,
    /// `A^T W 1`, the weight that each pixel is seen with, where there are weights.
    sight: Option<Vec<f32>>,
}

impl DataTerm {
    /// # Errors
    /// When a sinogram has not the length that the projector's geometry asks for.
    pub(super) fn new(projector: Projector, data: Vec<Vec<f32>>) -> Result<Self, ProjectionError> {
        let expected = projector.geometry().sinogram_len();
        if let Some(other) = data.iter().find(|data| data.len() != expected) {
            return Err(ProjectionError::SinogramLength { expected, got: other.len() });
        }
        let measured = data.into_iter().map(|data| Measured { data, roots: None, sight: None }).collect();
        Ok(Self { projector, measured, weighted: Vec::new() })
    }

    /// # Errors
    /// When there is not one weight for each value of the slice's sinogram.
    pub(super) fn set_weights(&mut self, slice: usize, weights: &[f32]) -> Result<(), ProjectionError> {
        let Measured { data, roots, sight } = &mut self.measured[slice];
        if weights.len() != data.len() {
            return Err(ProjectionError::SinogramLength { expected: data.len(), got: weights.len() });
        }
        let roots = roots.insert(weights.iter().map(|weight| weight.sqrt()).collect());
        data.iter_mut().zip(roots).for_each(|(y, root)| *y *= *root);
        self.weighted.resize(weights.len(), 0.0);
        let seen = sight.insert(vec![0.0; self.projector.geometry().image_len()]);
        self.projector.adjoint(weights, seen)
    }

    /// `A^T W 1` of a slice that has weights.
    pub(super) fn sight(&self, slice: usize) -> Option<&[f32]> {
        self.measured[slice].sight.as_deref()
    }

    /// Columns of an image.
    pub(super) fn width(&self) -> usize {
        self.projector.geometry().width
    }

    /// `sinogram = W^(1/2) A image`.
    pub(super) fn forward_project(
        &mut self,
        slice: usize,
        image: &[f32],
        sinogram: &mut [f32],
    ) -> Result<(), ProjectionError> {
        self.projector.forward_project(image, sinogram)?;
        if let Some(roots) = &self.measured[slice].roots {
            sinogram.iter_mut().zip(roots).for_each(|(p, root)| *p *= root);
        }
        Ok(())
    }

    /// `image = A^T W^(1/2) sinogram`.
    pub(super) fn adjoint(&mut self, slice: usize, sinogram: &[f32], image: &mut [f32]) -> Result<(), ProjectionError> {
        let Some(roots) = &self.measured[slice].roots else {
            return self.projector.adjoint(sinogram, image);
        };
        for ((weighted, p), root) in self.weighted.iter_mut().zip(sinogram).zip(roots) {
            *weighted = p * *root;
        }
        self.projector.adjoint(&self.weighted, image)
    }

    /// `residual = W^(1/2) (A image - y)`.
    pub(super) fn residual(
        &mut self,
        slice: usize,
        image: &[f32],
        residual: &mut [f32],
    ) -> Result<(), ProjectionError> {
        self.forward_project(slice, image, residual)?;
        residual.iter_mut().zip(&self.measured[slice].data).for_each(|(r, y)| *r -= y);
        Ok(())
    }
}
