//! The gradient of what is added to a convolution's output; the formula is in residual.cu.

use crate::backend::cuda::device::Device;
use crate::backend::cuda::error::{DeviceError, int};
use crate::backend::cuda::vector::Lanes;
use gradus_cuda_kernels::Address;
use gradus_cuda_kernels::residual::Backward;

/// A gradient `[lane][n]` that receives a part of another one, `[lane][stride]`.
#[derive(Debug, Clone, Copy)]
pub struct ResidualTarget {
    /// Written.
    pub d_x: Address<f32>,
    /// Its values in a lane.
    pub n: usize,
    /// The values of the other one before the part.
    pub first: usize,
    /// `+=`, or `=`.
    pub accumulate: bool,
}

/// Hands `d_out`, of `stride` values a lane, on to the target.
///
/// # Errors
/// The driver refuses a launch or a copy, or has failed before.
pub fn backward(
    device: &Device,
    lanes: &Lanes,
    (d_out, stride): (Address<f32>, usize),
    target: ResidualTarget,
) -> Result<(), DeviceError> {
    let ResidualTarget { d_x, n, first, accumulate } = target;
    let entry = Backward {
        lanes: lanes.address(),
        d_out,
        d_x,
        stride: int(stride)?,
        first: int(first)?,
        n: int(n)?,
        accumulate: accumulate.into(),
    };
    device.launch_over(n, lanes.len(), &entry)
}
