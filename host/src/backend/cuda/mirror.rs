//! Conjugate gradient steps and mirrors: more operations on vectors `[lane][n]` of several lanes at once.

use super::error::DeviceError;
use super::vector::{Lanes, Vectors, blocks};
use crate::backend::Mirror;
use gradus_cuda_kernels::solve::{Advance, Clear, Conjugate, Mirror as MirrorEntry, MirrorScalars};
use gradus_cuda_kernels::vector::{PRODUCT_SUMS, Products};
use gradus_cuda_kernels::{Address, BLOCK};

impl Vectors {
    /// `p <- r + momentum p`, with one momentum per lane of the list; keeps `|p|^2`. Where the momentum is 0, `p` may
    /// hold anything.
    ///
    /// # Errors
    /// When the device fails.
    pub fn conjugate(
        &mut self,
        lanes: &Lanes,
        momenta: &[f32],
        n: usize,
        (r, p): (Address<f32>, Address<f32>),
    ) -> Result<(), DeviceError> {
        self.factors.upload(0, momenta)?;
        let (list, momenta, partial) = (lanes.address(), self.factors.address(), self.partial.address());
        let conjugate = Conjugate { lanes: list, momenta, r, p, partial, n: n as i32 };
        self.device.launch([blocks(n), 1, lanes.len()], BLOCK, &conjugate)?;
        self.add_up(n, 0, lanes.len())
    }

    /// `|s|^2` of vectors of `n` numbers, and what [`conjugate`](Self::conjugate) kept: `[|p|^2, |s|^2]`.
    ///
    /// # Errors
    /// When the device fails.
    pub fn squares(&self, lanes: &Lanes, n: usize, s: Address<f32>) -> Result<Vec<[f64; 2]>, DeviceError> {
        let products = Products { lanes: lanes.address(), a: s, b: s, partial: self.partial.address(), n: n as i32 };
        self.device.launch([blocks(n), 1, lanes.len()], BLOCK, &products)?;
        let len = lanes.len();
        self.add_up(n, len, PRODUCT_SUMS * len)?;
        let mut sums = vec![0.0; (1 + PRODUCT_SUMS) * len];
        self.sums.download(0, &mut sums)?;
        let (conjugate, products) = sums.split_at(len);
        let squares = products.chunks_exact(PRODUCT_SUMS).filter_map(|sums| sums.last());
        Ok(conjugate.iter().zip(squares).map(|(p, s)| [*p, *s]).collect())
    }

    /// `d <- d + a p`, `r <- r - a (normal + mu p)`, with `[a, mu]` per lane of the list; `|r|^2`.
    ///
    /// # Errors
    /// When the device fails.
    pub fn advance(
        &mut self,
        lanes: &Lanes,
        scalars: &[[f32; 2]],
        n: usize,
        (p, normal): (Address<f32>, Address<f32>),
        (d, r): (Address<f32>, Address<f32>),
    ) -> Result<Vec<f64>, DeviceError> {
        self.pairs.upload(0, scalars)?;
        let (list, scalars, partial) = (lanes.address(), self.pairs.address(), self.partial.address());
        let advance = Advance { lanes: list, scalars, p, normal, d, r, partial, n: n as i32 };
        self.device.launch([blocks(n), 1, lanes.len()], BLOCK, &advance)?;
        Ok(self.finish::<1>(n, lanes.len())?.into_iter().map(|[square]| square).collect())
    }

    /// `out = M x`, or with `factors` `out <- out + factor M x`, of images of `(height, width)` pixels; one mirror and
    /// factor per lane of the list.
    ///
    /// # Errors
    /// When the device fails.
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
        let mirror = MirrorEntry { lanes: list, scalars, x, out, height: height as i32, width: width as i32 };
        self.device.launch_over(height * width, lanes.len(), &mirror)
    }

    /// `out = 0`.
    ///
    /// # Errors
    /// When the device fails.
    pub fn clear(&self, lanes: &Lanes, n: usize, out: Address<f32>) -> Result<(), DeviceError> {
        self.device.launch_over(n, lanes.len(), &Clear { lanes: lanes.address(), out, n: n as i32 })
    }
}
