//! Linear layer: y = W x + b.

use super::super::simd::{for_each_vector, load_first, store_first};
use pulp::{Arch, Simd, WithSimd};

/// Weights with the outputs contiguous, `[input][output]`, so that no sum runs across a vector.
#[derive(Debug, Clone, Default)]
pub(crate) struct Linear {
    weights: Vec<f32>,
    bias: Vec<f32>,
}

impl Linear {
    /// Stacks several layers `(weights[output][input], bias)` on the same input into one.
    pub(crate) fn stacked<'a>(layers: impl IntoIterator<Item = (&'a [f32], &'a [f32])>) -> Self {
        let (mut bias, mut rows) = (Vec::new(), Vec::new());
        for (weights, of_layer) in layers {
            rows.extend(weights.chunks_exact((weights.len() / of_layer.len()).max(1)));
            bias.extend_from_slice(of_layer);
        }
        let n_in = rows.first().map_or(0, |row: &&[f32]| row.len());
        let weights = (0..n_in).flat_map(|input| rows.iter().map(move |row| row[input])).collect();
        Self { weights, bias }
    }

    pub(crate) fn n_out(&self) -> usize {
        self.bias.len()
    }

    /// y = W x + b.
    pub(crate) fn forward(&self, arch: Arch, x: &[f32], y: &mut [f32]) {
        y.copy_from_slice(&self.bias);
        arch.dispatch(AddProduct { weights: &self.weights, x, y });
    }
}

struct AddProduct<'a> {
    weights: &'a [f32],
    x: &'a [f32],
    y: &'a mut [f32],
}

impl WithSimd for AddProduct<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let n = self.y.len();
        for (&x, weights) in self.x.iter().zip(self.weights.chunks_exact(n)) {
            let x = simd.splat_f32s(x);
            for_each_vector::<S>(
                n,
                #[inline(always)]
                |at, valid, _| {
                    let y = load_first(simd, self.y, at, valid);
                    let y = simd.mul_add_e_f32s(x, load_first(simd, weights, at, valid), y);
                    store_first(simd, self.y, at, valid, y);
                },
            );
        }
    }
}
