//! The data term 1/2 |W^(1/2) (A x - y)|^2.

use crate::ct::{ProjectionError, Projector};

/// A projector with the sinogram that it is to explain, and the weights of its values.
///
/// All products are with `W^(1/2) A`, `W` the diagonal matrix of the weights, so that whoever uses them minimises the
/// unweighted square. Sinograms are `[angle][bin]`, images `[row][col]`.
pub(super) struct DataTerm {
    projector: Projector,
    /// `W^(1/2) y`.
    data: Vec<f32>,
    /// `W^(1/2)` and a sinogram for `W^(1/2) s`; `None` for weights of 1.
    weighting: Option<(Vec<f32>, Vec<f32>)>,
}

impl DataTerm {
    /// # Errors
    /// When the sinogram has not the length that the projector's geometry asks for.
    pub(super) fn new(projector: Projector, data: Vec<f32>) -> Result<Self, ProjectionError> {
        let expected = projector.geometry().sinogram_len();
        if data.len() != expected {
            return Err(ProjectionError::SinogramLength { expected, got: data.len() });
        }
        Ok(Self { projector, data, weighting: None })
    }

    /// # Errors
    /// When there is not one weight for each value of the sinogram.
    pub(super) fn set_weights(&mut self, weights: &[f32]) -> Result<(), ProjectionError> {
        if weights.len() != self.data.len() {
            return Err(ProjectionError::SinogramLength { expected: self.data.len(), got: weights.len() });
        }
        let roots: Vec<f32> = weights.iter().map(|weight| weight.sqrt()).collect();
        self.data.iter_mut().zip(&roots).for_each(|(y, root)| *y *= root);
        self.weighting = Some((roots, vec![0.0; weights.len()]));
        Ok(())
    }

    pub(super) fn image_len(&self) -> usize {
        self.projector.geometry().image_len()
    }

    /// Columns of an image.
    pub(super) fn width(&self) -> usize {
        self.projector.geometry().width
    }

    pub(super) fn sinogram_len(&self) -> usize {
        self.data.len()
    }

    /// `sinogram = W^(1/2) A image`.
    pub(super) fn forward_project(&mut self, image: &[f32], sinogram: &mut [f32]) -> Result<(), ProjectionError> {
        self.projector.forward_project(image, sinogram)?;
        if let Some((roots, _)) = &self.weighting {
            sinogram.iter_mut().zip(roots).for_each(|(p, root)| *p *= root);
        }
        Ok(())
    }

    /// `image = A^T W^(1/2) sinogram`.
    pub(super) fn adjoint(&mut self, sinogram: &[f32], image: &mut [f32]) -> Result<(), ProjectionError> {
        let Some((roots, weighted)) = &mut self.weighting else {
            return self.projector.adjoint(sinogram, image);
        };
        for ((weighted, p), root) in weighted.iter_mut().zip(sinogram).zip(roots) {
            *weighted = p * *root;
        }
        self.projector.adjoint(weighted, image)
    }

    /// `residual = W^(1/2) (A image - y)`.
    pub(super) fn residual(&mut self, image: &[f32], residual: &mut [f32]) -> Result<(), ProjectionError> {
        self.forward_project(image, residual)?;
        residual.iter_mut().zip(&self.data).for_each(|(r, y)| *r -= y);
        Ok(())
    }
}
