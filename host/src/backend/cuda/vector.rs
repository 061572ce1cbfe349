//! The solver's vectors on the device: the CPU backend's `vector.rs` for several lanes at once.

use super::buffer::Buffer;
use super::device::Device;
use super::error::{DeviceError, int};
use gradus_cuda_kernels::solve::MirrorScalars;
use gradus_cuda_kernels::vector::{
    self, AddScaled, Copy, DIRECTION_SUMS, Direction, DirectionScalars, HalfSquareChange, PRODUCT_SUMS, Products,
    Trial, Update,
};
use gradus_cuda_kernels::{Address, BLOCK};
use std::rc::Rc;

/// Blocks that share one lane's sums at most: enough to fill a device, few enough to add up.
const MAX_BLOCKS: usize = 256;

/// Sums of a lane at most: the products of two pairs of vectors, and a change.
pub(super) const MOST_SUMS: usize = 2 * PRODUCT_SUMS + 1;
const _: () = assert!(MOST_SUMS >= DIRECTION_SUMS, "room for those of a direction");

/// Room for the sums of a launch over several lanes.
#[derive(Debug)]
pub struct Sums {
    partial: Buffer<f64>,
    total: Buffer<f64>,
    counters: Buffer<u32>,
}

impl Sums {
    /// For so many lanes, sums of each and blocks that share them.
    ///
    /// # Errors
    /// The driver refuses a launch or a copy, or has failed before.
    pub fn new(device: &Rc<Device>, lanes: usize, sums: usize, blocks: usize) -> Result<Self, DeviceError> {
        Ok(Self {
            partial: Buffer::new(device, lanes * sums * blocks)?,
            total: Buffer::new(device, lanes * sums)?,
            counters: Buffer::of(device, &vec![0; lanes])?,
        })
    }

    /// As the kernels take it.
    #[must_use]
    pub fn record(&self) -> vector::Sums {
        self.record_from(0)
    }

    /// The same for sums that go to the places from `first` on.
    pub(super) fn record_from(&self, first: usize) -> vector::Sums {
        let (partial, counters) = (self.partial.address(), self.counters.address());
        vector::Sums { partial, total: self.total.address().offset(first), counters }
    }

    /// The sums, `Q` of each of the first `lanes` entries of the list.
    ///
    /// # Errors
    /// The driver refuses a launch or a copy, or has failed before.
    pub fn told<const Q: usize>(&self, lanes: usize) -> Result<Vec<[f64; Q]>, DeviceError> {
        let mut sums = vec![0.0; lanes * Q];
        self.total.download(0, &mut sums)?;
        Ok(sums.as_chunks().0.to_vec())
    }

    /// The sums that `told` would copy.
    pub(super) fn total(&self) -> &Buffer<f64> {
        &self.total
    }
}

/// The lanes that take part in a launch.
#[derive(Debug)]
pub struct Lanes {
    list: Buffer<i32>,
    /// The contents.
    held: Vec<i32>,
}

impl Lanes {
    /// Room for lists of up to `capacity` lanes; lane 0 is in it.
    ///
    /// # Errors
    /// The driver refuses a launch or a copy, or has failed before.
    pub fn new(device: &Rc<Device>, capacity: usize) -> Result<Self, DeviceError> {
        Ok(Self { list: Buffer::of(device, &vec![0; capacity])?, held: vec![0] })
    }

    /// Names the lanes of the launches to come.
    ///
    /// # Errors
    /// The driver refuses a launch or a copy, or has failed before.
    ///
    /// # Panics
    /// When there are more than the capacity.
    pub fn set(&mut self, lanes: &[usize]) -> Result<(), DeviceError> {
        let list = lanes.iter().map(|&lane| int(lane)).collect::<Result<Vec<i32>, _>>()?;
        if self.held != list {
            self.list.upload(0, &list)?;
            self.held = list;
        }
        Ok(())
    }

    /// Number of lanes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// True if there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
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
    factors: Buffer<f32>,
    pub(super) mirrors: Buffer<MirrorScalars>,
    pub(super) sums: Sums,
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
    /// The driver refuses a launch or a copy, or has failed before.
    pub fn new(device: &Rc<Device>, lanes: usize) -> Result<Self, DeviceError> {
        Ok(Self {
            device: Rc::clone(device),
            scalars: Buffer::new(device, lanes)?,
            factors: Buffer::new(device, lanes)?,
            mirrors: Buffer::new(device, lanes)?,
            sums: Sums::new(device, lanes, MOST_SUMS, MAX_BLOCKS)?,
        })
    }

    /// grad f and d of each lane, and |grad f|^2, <grad f, d>, |d|^2, <d', d' - d>, |d' - d|^2.
    ///
    /// # Errors
    /// The driver refuses a launch or a copy, or has failed before.
    pub fn direction(
        &mut self,
        lanes: &Lanes,
        scalars: &[DirectionScalars],
        n: usize,
        at: DirectionVectors,
    ) -> Result<Vec<[f64; DIRECTION_SUMS]>, DeviceError> {
        self.ask_direction(lanes, scalars, n, at)?;
        self.sums.told(lanes.len())
    }

    /// The same without the products.
    ///
    /// # Errors
    /// The driver refuses a launch or a copy, or has failed before.
    pub fn ask_direction(
        &mut self,
        lanes: &Lanes,
        scalars: &[DirectionScalars],
        n: usize,
        at: DirectionVectors,
    ) -> Result<(), DeviceError> {
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
            sums: self.sums.record(),
            n: int(n)?,
        };
        self.device.launch([blocks(n), 1, lanes.len()], BLOCK, &direction)
    }

    /// `<a, b>`, `<b, b>` and `<a, a>` of each lane.
    ///
    /// # Errors
    /// The driver refuses a launch or a copy, or has failed before.
    pub fn products(
        &self,
        lanes: &Lanes,
        n: usize,
        a: Address<f32>,
        b: Address<f32>,
    ) -> Result<Vec<[f64; PRODUCT_SUMS]>, DeviceError> {
        self.ask_products(lanes, n, a, b, 0)?;
        self.sums.told(lanes.len())
    }

    /// The same, which stay on the device, from the place `first` on.
    pub(super) fn ask_products(
        &self,
        lanes: &Lanes,
        n: usize,
        a: Address<f32>,
        b: Address<f32>,
        first: usize,
    ) -> Result<(), DeviceError> {
        let sums = self.sums.record_from(first);
        let products = Products { lanes: lanes.address(), a, b, sums, n: int(n)? };
        self.device.launch([blocks(n), 1, lanes.len()], BLOCK, &products)
    }

    /// `1/2 |b|^2 - 1/2 |a|^2` of each lane, without cancellation.
    ///
    /// # Errors
    /// The driver refuses a launch or a copy, or has failed before.
    pub fn half_square_change(
        &self,
        lanes: &Lanes,
        n: usize,
        a: Address<f32>,
        b: Address<f32>,
    ) -> Result<Vec<f64>, DeviceError> {
        self.ask_change(lanes, n, a, b, 0)?;
        Ok(self.sums.told::<1>(lanes.len())?.into_iter().map(|[change]| change).collect())
    }

    /// The same, which stay on the device, from the place `first` on.
    pub(super) fn ask_change(
        &self,
        lanes: &Lanes,
        n: usize,
        a: Address<f32>,
        b: Address<f32>,
        first: usize,
    ) -> Result<(), DeviceError> {
        let change = HalfSquareChange { lanes: lanes.address(), a, b, sums: self.sums.record_from(first), n: int(n)? };
        self.device.launch([blocks(n), 1, lanes.len()], BLOCK, &change)
    }

    /// `out = x + step d`, with one step per lane of the list.
    ///
    /// # Errors
    /// The driver refuses a launch or a copy, or has failed before.
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
    /// The driver refuses a launch or a copy, or has failed before.
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
    /// The driver refuses a launch or a copy, or has failed before.
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

    /// `out = factor x`.
    ///
    /// # Errors
    /// The driver refuses a launch or a copy, or has failed before.
    pub fn copy(
        &self,
        lanes: &Lanes,
        n: usize,
        (factor, x): (f32, Address<f32>),
        out: Address<f32>,
    ) -> Result<(), DeviceError> {
        self.device.launch_over(n, lanes.len(), &Copy { lanes: lanes.address(), factor, x, out, n: int(n)? })
    }
}
