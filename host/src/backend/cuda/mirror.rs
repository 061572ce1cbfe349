//! The mirrors of the default method's approach.

use super::error::{DeviceError, int};
use super::vector::{Lanes, Vectors};
use crate::backend::Mirror;
use gradus_cuda_kernels::Address;
use gradus_cuda_kernels::solve::{Mirror as MirrorEntry, MirrorScalars};

impl Vectors {
    /// `out = M x`, or with `factors` `out <- out + factor M x`, of images of `(height, width)` pixels; one mirror and
    /// factor per lane of the list.
    ///
    /// # Errors
    /// The driver refuses a launch or a copy, or has failed before.
    pub fn mirror(
        &mut self,
        lanes: &Lanes,
        (mirrors, factors): (&[Mirror], Option<&[f32]>),
        (height, width): (usize, usize),
        (x, out): (Address<f32>, Address<f32>),
    ) -> Result<(), DeviceError> {
        let scalars = |(entry, mirror): (usize, &Mirror)| MirrorScalars {
            factor: factors.map_or(1.0, |factors| factors[entry]),
            adds: factors.is_some().into(),
            rows: mirror.rows.into(),
            cols: mirror.cols.into(),
        };
        self.mirrors.upload(0, &mirrors.iter().enumerate().map(scalars).collect::<Vec<_>>())?;
        let (list, scalars) = (lanes.address(), self.mirrors.address());
        let mirror = MirrorEntry { lanes: list, scalars, x, out, height: int(height)?, width: int(width)? };
        self.device.launch_over(height * width, lanes.len(), &mirror)
    }
}
