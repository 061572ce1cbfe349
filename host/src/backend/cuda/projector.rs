//! Joseph's projector and its exact transpose on the device: the twin of `ct::Projector`.

use super::beam::{Beam, Record};
use super::buffer::Buffer;
use super::device::Device;
use super::error::{DeviceError, int};
use super::projector_error::ProjectorError;
use super::vector::Lanes;
use crate::ct::Geometry;
use gradus_cuda_kernels::projector::{Adjoint, Forward, SQUARE, Transpose};
use gradus_cuda_kernels::{Address, BLOCK, fan};
use std::rc::Rc;

/// The linear map A from images to sinograms for one geometry, and its transpose, for several lanes at once.
///
/// Images are `[lane][row][col]`, sinograms `[lane][angle][bin]`; the equation and units are those of
/// [`crate::ct::Projector`], with places rounded to 2^-32 pixels.
#[derive(Debug)]
pub struct CudaProjector {
    device: Rc<Device>,
    geometry: Geometry,
    beam: Beam,
    transposed: Buffer<f32>,
}

impl CudaProjector {
    /// Prepares the projector of a geometry, with room for `lanes` images.
    ///
    /// # Errors
    /// When the geometry makes no sense or reaches too far, or the device fails.
    pub fn new(device: &Rc<Device>, geometry: Geometry, lanes: usize) -> Result<Self, ProjectorError> {
        geometry.validate()?;
        Ok(Self {
            device: Rc::clone(device),
            beam: Beam::new(device, &geometry)?,
            transposed: Buffer::new(device, lanes * geometry.image_len())?,
            geometry,
        })
    }

    /// The geometry that it was made for.
    #[must_use]
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// `sinogram = A image` for the given lanes.
    ///
    /// # Errors
    /// The driver refuses a launch or a copy, or has failed before.
    ///
    /// # Accuracy
    /// 3e-6 of the CPU's in relative L2 norm (`tests/parity`).
    pub fn forward_project(
        &self,
        lanes: &Lanes,
        image: Address<f32>,
        sinogram: Address<f32>,
    ) -> Result<(), DeviceError> {
        let (list, transposed) = (lanes.address(), self.transposed.address());
        let (height, width) = (int(self.geometry.height)?, int(self.geometry.width)?);
        let transpose = Transpose { lanes: list, image, transposed, height, width };
        self.device.launch(self.squares(lanes), BLOCK, &transpose)?;
        let grid = self.blocks_of_bins(lanes);
        match self.record()? {
            Record::Parallel(beam) => {
                let forward = Forward { lanes: list, beam, image, transposed, sinogram };
                self.device.launch(grid, BLOCK, &forward)
            }
            Record::Fan(beam) => {
                let forward = fan::Forward { lanes: list, beam, image, transposed, sinogram };
                self.device.launch(grid, BLOCK, &forward)
            }
        }
    }

    /// `image = A^T sinogram` for the given lanes.
    ///
    /// # Errors
    /// The driver refuses a launch or a copy, or has failed before.
    ///
    /// # Accuracy
    /// |<Ax, y> - <x, A^T y>| < 1e-6 ||A|| ||x|| ||y|| (`tests/parity`).
    pub fn adjoint(&self, lanes: &Lanes, sinogram: Address<f32>, image: Address<f32>) -> Result<(), DeviceError> {
        let (list, n) = (lanes.address(), self.geometry.image_len());
        match self.record()? {
            Record::Parallel(beam) => {
                self.device.launch_over(n, lanes.len(), &Adjoint { lanes: list, beam, sinogram, image })
            }
            Record::Fan(beam) => {
                self.device.launch_over(n, lanes.len(), &fan::Adjoint { lanes: list, beam, sinogram, image })
            }
        }
    }

    /// The beam as kernels take it.
    pub(super) fn record(&self) -> Result<Record, DeviceError> {
        self.beam.record(&self.geometry)
    }

    /// Room for images with rows and columns exchanged.
    pub(super) fn transposed(&self) -> Address<f32> {
        self.transposed.address()
    }

    /// Blocks that turn images over.
    pub(super) fn squares(&self, lanes: &Lanes) -> [usize; 3] {
        [self.geometry.width.div_ceil(SQUARE), self.geometry.height.div_ceil(SQUARE), lanes.len()]
    }

    /// Blocks of bins of a view, views, lanes.
    pub(super) fn blocks_of_bins(&self, lanes: &Lanes) -> [usize; 3] {
        [self.geometry.n_bins.div_ceil(BLOCK as usize), self.geometry.angles_rad.len(), lanes.len()]
    }
}
