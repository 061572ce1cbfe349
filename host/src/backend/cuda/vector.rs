//! The solver's vectors on the device: the CPU backend's `vector.rs` for several lanes at once.

use super::buffer::Buffer;
use super::device::Device;
use super::error::{DeviceError, int};
use gradus_cuda_kernels::solve::MirrorScalars;
use gradus_cuda_kernels::vector::{
    AddScaled, Copy, DIRECTION_SUMS, Direction, DirectionScalars, Finish, HalfSquareChange, PRODUCT_SUMS, Products,
    Trial, Update,
};
use gradus_cuda_kernels::{Address, BLOCK};
use std::rc::Rc;

/// Blocks that share one lane's sums at most: enough to fill a device, few enough to add up.
const MAX_BLOCKS: usize = 256;

/// The lanes that take part in a launch.
#[derive(Debug)]
pub struct Lanes {
    list: Buffer<i32>,
    len: usize,
}

impl Lanes {
    /// Room for lists of up to `capacity` lanes; lane 0 is in it.
    ///
    /// # Errors
    /// When the device fails.
    pub fn new(device: &Rc<Device>, capacity: usize) -> Result<Self, DeviceError> {
        Ok(Self { list: Buffer::of(device, &vec![0; capacity])?, len: 1 })
    }

    /// Names the lanes of the launches to come.
    ///
    /// # Errors
    /// When the device fails.
    ///
    /// # Panics
    /// When there are more than the capacity.
    pub fn set(&mut self, lanes: &[usize]) -> Result<(), DeviceError> {
        let list = lanes.iter().map(|&lane| int(lane)).collect::<Result<Vec<i32>, _>>()?;
        self.len = list.len();
        self.list.upload(0, &list)
    }

    /// Number of lanes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// True if there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The list on the device.
    #[must_use]
    pub fn address(&self) -> Address<i32> {
        self.list.address()
    }
}

/// Operations on vectors `[lane][n]`, and room for their scalars and sums.
#[derive(Debug)]
pub struct Vectors {
    pub(super) device: Rc<Device>,
    scalars: Buffer<DirectionScalars>,
    pub(super) factors: Buffer<f32>,
    pub(super) pairs: Buffer<[f32; 2]>,
    pub(super) mirrors: Buffer<MirrorScalars>,
    pub(super) partial: Buffer<f64>,
    pub(super) sums: Buffer<f64>,
}

/// The vectors that a direction is made of and goes to, `[lane][n]`.
#[derive(Debug, Clone, Copy)]
pub struct DirectionVectors {
    /// Gradient of the data term.
    pub data_gradient: Address<f32>,
    /// `J_h^T h` at `t_min` and at t.
    pub at_objective: Address<f32>,
    /// See [`DirectionVectors::at_objective`].
    pub at_level: Address<f32>,
    /// The direction of the last update.
    pub previous: Address<f32>,
    /// Written: grad f.
    pub gradient: Address<f32>,
    /// Written: d.
    pub direction: Address<f32>,
}

/// Blocks that share `n` elements of a lane.
pub(super) fn blocks(n: usize) -> usize {
    n.div_ceil(BLOCK as usize).min(MAX_BLOCKS)
}

impl Vectors {
    /// Room for `lanes` lanes.
    ///
    /// # Errors
    /// When the device fails.
    pub fn new(device: &Rc<Device>, lanes: usize) -> Result<Self, DeviceError> {
        Ok(Self {
            device: Rc::clone(device),
            scalars: Buffer::new(device, lanes)?,
            factors: Buffer::new(device, lanes)?,
            pairs: Buffer::new(device, lanes)?,
            mirrors: Buffer::new(device, lanes)?,
            partial: Buffer::new(device, lanes * DIRECTION_SUMS * MAX_BLOCKS)?,
            sums: Buffer::new(device, lanes * DIRECTION_SUMS)?,
        })
    }

    /// Adds up what the blocks left of `count` sums, to the place `first`.
    pub(super) fn add_up(&self, n: usize, first: usize, count: usize) -> Result<(), DeviceError> {
        let (partial, sums, n_blocks) = (self.partial.address(), self.sums.address().offset(first), blocks(n) as i32);
        self.device.launch([count, 1, 1], BLOCK, &Finish { partial, sums, n_blocks })
    }

    /// Adds up what the blocks left, for each lane `Q` sums.
    pub(super) fn finish<const Q: usize>(&self, n: usize, lanes: usize) -> Result<Vec<[f64; Q]>, DeviceError> {
        self.add_up(n, 0, lanes * Q)?;
        let mut sums = vec![0.0; lanes * Q];
        self.sums.download(0, &mut sums)?;
        Ok(sums.as_chunks().0.to_vec())
    }

    /// grad f and d of each lane, and |grad f|^2, <grad f, d>, |d|^2, <d', d' - d>, |d' - d|^2.
    ///
    /// # Errors
    /// When the device fails.
    pub fn direction(
        &mut self,
        lanes: &Lanes,
        scalars: &[DirectionScalars],
        n: usize,
        at: DirectionVectors,
    ) -> Result<Vec<[f64; DIRECTION_SUMS]>, DeviceError> {
        self.scalars.upload(0, scalars)?;
        let direction = Direction {
            lanes: lanes.address(),
            scalars: self.scalars.address(),
            data_gradient: at.data_gradient,
            at_objective: at.at_objective,
            at_level: at.at_level,
            previous: at.previous,
            gradient: at.gradient,
            direction: at.direction,
            partial: self.partial.address(),
            n: int(n)?,
        };
        self.device.launch([blocks(n), 1, lanes.len()], BLOCK, &direction)?;
        self.finish(n, lanes.len())
    }

    /// `<a, b>` and `<b, b>` of each lane.
    ///
    /// # Errors
    /// When the device fails.
    pub fn products(
        &self,
        lanes: &Lanes,
        n: usize,
        a: Address<f32>,
        b: Address<f32>,
    ) -> Result<Vec<[f64; PRODUCT_SUMS]>, DeviceError> {
        let products = Products { lanes: lanes.address(), a, b, partial: self.partial.address(), n: int(n)? };
        self.device.launch([blocks(n), 1, lanes.len()], BLOCK, &products)?;
        self.finish(n, lanes.len())
    }

    /// `1/2 |b|^2 - 1/2 |a|^2` of each lane, without cancellation.
    ///
    /// # Errors
    /// When the device fails.
    pub fn half_square_change(
        &self,
        lanes: &Lanes,
        n: usize,
        a: Address<f32>,
        b: Address<f32>,
    ) -> Result<Vec<f64>, DeviceError> {
        let change = HalfSquareChange { lanes: lanes.address(), a, b, partial: self.partial.address(), n: int(n)? };
        self.device.launch([blocks(n), 1, lanes.len()], BLOCK, &change)?;
        Ok(self.finish::<1>(n, lanes.len())?.into_iter().map(|[change]| change).collect())
    }

    /// `out = x + step d`, with one step per lane of the list.
    ///
    /// # Errors
    /// When the device fails.
    pub fn trial(
        &mut self,
        lanes: &Lanes,
        steps: &[f32],
        n: usize,
        (x, d): (Address<f32>, Address<f32>),
        out: Address<f32>,
    ) -> Result<(), DeviceError> {
        self.factors.upload(0, steps)?;
        let trial = Trial { lanes: lanes.address(), steps: self.factors.address(), x, d, out, n: int(n)? };
        self.device.launch_over(n, lanes.len(), &trial)
    }

    /// `x <- x + step d`, and d becomes the previous direction.
    ///
    /// # Errors
    /// When the device fails.
    pub fn update(
        &mut self,
        lanes: &Lanes,
        steps: &[f32],
        n: usize,
        d: Address<f32>,
        (x, previous): (Address<f32>, Address<f32>),
    ) -> Result<(), DeviceError> {
        self.factors.upload(0, steps)?;
        let update = Update { lanes: lanes.address(), steps: self.factors.address(), d, x, previous, n: int(n)? };
        self.device.launch_over(n, lanes.len(), &update)
    }

    /// `y <- y + a x`, with one a per lane of the list.
    ///
    /// # Errors
    /// When the device fails.
    pub fn add_scaled(
        &mut self,
        lanes: &Lanes,
        factors: &[f32],
        n: usize,
        x: Address<f32>,
        y: Address<f32>,
    ) -> Result<(), DeviceError> {
        self.factors.upload(0, factors)?;
        let add = AddScaled { lanes: lanes.address(), factors: self.factors.address(), x, y, n: int(n)? };
        self.device.launch_over(n, lanes.len(), &add)
    }

    /// `out = x`.
    ///
    /// # Errors
    /// When the device fails.
    pub fn copy(&self, lanes: &Lanes, n: usize, x: Address<f32>, out: Address<f32>) -> Result<(), DeviceError> {
        self.device.launch_over(n, lanes.len(), &Copy { lanes: lanes.address(), x, out, n: int(n)? })
    }
}
