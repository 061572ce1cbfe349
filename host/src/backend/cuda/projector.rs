//! Joseph's projector and its exact transpose on the device: the twin of `ct::Projector`.

use super::buffer::Buffer;
use super::device::Device;
use super::error::DeviceError;
use super::vector::Lanes;
use crate::ct::rays::{Rays, Segment};
use crate::ct::{Geometry, GeometryError};
use gradus_cuda_kernels::projector::{Adjoint, Forward, SQUARE, Transpose, UNITS_PER_PIXEL, View};
use gradus_cuda_kernels::{Address, BLOCK};
use std::rc::Rc;

/// Places must stay this far inside of the 32 bits that their whole pixels have.
const FARTHEST_PIXEL: f64 = (1_u32 << 30) as f64;

/// Why there is no projector.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ProjectorError {
    /// The geometry makes no sense.
    #[error(transparent)]
    Geometry(#[from] GeometryError),
    /// The rays come from a point.
    #[error("the CUDA backend projects parallel beams only, and this is a fan; use --device cpu")]
    Fan,
    /// Rays pass so far from the image that their places have no number on the device.
    #[error(
        "the detector reaches {farthest:.0} pixels from the image, and the CUDA backend counts to {FARTHEST_PIXEL}; \
         use --device cpu"
    )]
    TooFar {
        /// The largest distance, in pixels.
        farthest: f64,
    },
    /// The device failed.
    #[error(transparent)]
    Device(#[from] DeviceError),
}

/// The linear map A from images to sinograms for one geometry, and its transpose, for several lanes at once.
///
/// Images are `[lane][row][col]`, sinograms `[lane][angle][bin]`; the equation and units are those of
/// [`crate::ct::Projector`], with places rounded to 2^-32 pixels.
#[derive(Debug)]
pub struct CudaProjector {
    device: Rc<Device>,
    geometry: Geometry,
    views: Buffer<View>,
    transposed: Buffer<f32>,
}

impl CudaProjector {
    /// Prepares the projector of a geometry, with room for `lanes` images.
    ///
    /// # Errors
    /// When the geometry makes no sense or reaches too far, or the device fails.
    pub fn new(device: &Rc<Device>, geometry: Geometry, lanes: usize) -> Result<Self, ProjectorError> {
        geometry.validate()?;
        let segments = (0..geometry.angles_rad.len()).flat_map(|view| geometry.rays(view));
        let views = segments.map(|segment| record(&geometry, &segment)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            device: Rc::clone(device),
            views: Buffer::of(device, &views)?,
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
    /// When the device fails.
    ///
    /// # Accuracy
    /// 3e-6 of the CPU's in relative L2 norm (`tests/parity`).
    pub fn forward_project(
        &self,
        lanes: &Lanes,
        image: Address<f32>,
        sinogram: Address<f32>,
    ) -> Result<(), DeviceError> {
        let Geometry { height, width, n_bins, .. } = self.geometry;
        let (rows, columns) = (height as i32, width as i32);
        let transposed = self.transposed.address();
        let squares = [width.div_ceil(SQUARE), height.div_ceil(SQUARE), lanes.len()];
        let transpose = Transpose { lanes: lanes.address(), image, transposed, height: rows, width: columns };
        self.device.launch(squares, BLOCK, &transpose)?;
        let forward = Forward {
            lanes: lanes.address(),
            views: self.views.address(),
            image,
            transposed,
            sinogram,
            height: rows,
            width: columns,
            n_bins: n_bins as i32,
        };
        self.device.launch([n_bins.div_ceil(BLOCK as usize), self.views.len(), lanes.len()], BLOCK, &forward)
    }

    /// `image = A^T sinogram` for the given lanes.
    ///
    /// # Errors
    /// When the device fails.
    ///
    /// # Accuracy
    /// |<Ax, y> - <x, A^T y>| < 1e-6 ||A|| ||x|| ||y|| (`tests/parity`).
    pub fn adjoint(&self, lanes: &Lanes, sinogram: Address<f32>, image: Address<f32>) -> Result<(), DeviceError> {
        let adjoint = Adjoint {
            lanes: lanes.address(),
            views: self.views.address(),
            sinogram,
            image,
            height: self.geometry.height as i32,
            width: self.geometry.width as i32,
            n_views: self.views.len() as i32,
            n_bins: self.geometry.n_bins as i32,
        };
        self.device.launch_over(self.geometry.image_len(), lanes.len(), &adjoint)
    }
}

/// The device's record of a segment, which is a whole view.
fn record(geometry: &Geometry, segment: &Segment) -> Result<View, ProjectorError> {
    let Rays::Parallel { first, per_line, step, length_mm } = segment.rays else { return Err(ProjectorError::Fan) };
    let (_, n_lines) = geometry.line_length_and_count(segment.along_rows);
    let n_bins = geometry.n_bins as f64;
    let farthest = first.abs() + per_line.abs() * n_lines as f64 + step.abs() * n_bins;
    if farthest > FARTHEST_PIXEL {
        return Err(ProjectorError::TooFar { farthest });
    }
    let units = |pixels: f64| (pixels * UNITS_PER_PIXEL).round() as i64;
    Ok(View {
        first: units(first),
        per_line: units(per_line),
        step: units(step),
        length: length_mm as f32,
        inverse_step: (1.0 / step) as f32,
        // Two reaches of a hat, and one bin more for the place in f32.
        n_bins_near: (2.0 / step.abs()).ceil().min(n_bins) as i32 + 2,
        along_rows: segment.along_rows.into(),
    })
}
