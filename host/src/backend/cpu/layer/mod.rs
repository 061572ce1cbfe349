//! One layer a file: `forward`, and `vjp` (the gradient with respect to its input).

pub(crate) mod attention;
pub(crate) mod conv;
mod conv_kernel;
pub(crate) mod conv_tile;
pub(crate) mod group_norm;
pub(crate) mod linear;
pub(crate) mod matmul;
pub(crate) mod pixel_shuffle;
pub(crate) mod silu;
pub(crate) mod stencil;
pub(crate) mod time_embedding;
pub(crate) mod weight_gradient;
mod weight_phases;
mod winograd;

#[cfg(test)]
mod page;
#[cfg(test)]
mod tests;
