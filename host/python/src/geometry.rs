//! The geometry of a scan.

use crate::error::value_error;
use gradus::ct::{Beam, Detector, Fan, Geometry as Inner};
use numpy::{PyArray1, ToPyArray};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::f64::consts::PI;
use std::fmt;

/// Largest angle of a view: two turns. What is more are degrees.
const LARGEST_ANGLE_RAD: f64 = 4.0 * PI;

/// Image grid, views, detector and beam of a scan, in mm and radians.
///
/// Made by `Geometry.parallel` or `Geometry.fan`. Row 0 of an image is its top, column 0 its left; the rotation axis
/// goes through the middle of the grid. At angle a the detector lies along (cos a, sin a).
#[pyclass(frozen, eq, from_py_object, module = "gradus")]
#[derive(Debug, Clone, PartialEq)]
pub struct Geometry(pub Inner);

/// The views: a number of them, evenly spaced, or the angles.
#[derive(FromPyObject)]
pub enum Views {
    /// So many.
    Count(usize),
    /// These, in radians.
    Angles(Vec<f64>),
}

/// The grid, views and detector that all beams have, where they are given.
struct Given {
    pixel_mm: f64,
    angles: Option<Vec<f64>>,
    n_bins: Option<usize>,
    bin_width_mm: Option<f64>,
    detector_offset_mm: f64,
}

impl Given {
    /// The geometry that covers the image, with what is given in place of what it has.
    fn in_place_of(self, covering: Inner) -> PyResult<Geometry> {
        let scaled = covering.scaled(self.pixel_mm);
        let geometry = Inner {
            // So that an array that it does not name keeps lengths as they are given.
            pixel_mm: self.pixel_mm,
            bin_width_mm: self.bin_width_mm.unwrap_or(scaled.bin_width_mm),
            n_bins: self.n_bins.unwrap_or(scaled.n_bins),
            angles_rad: self.angles.unwrap_or(scaled.angles_rad.clone()),
            detector_offset_mm: self.detector_offset_mm,
            ..scaled
        };
        if let Some(at) = geometry.angles_rad.iter().position(|angle| angle.abs() > LARGEST_ANGLE_RAD) {
            return Err(PyValueError::new_err(format!(
                "angle {at} is {}, more than two turns: these look like degrees; give radians (numpy.deg2rad)",
                geometry.angles_rad[at]
            )));
        }
        geometry.validate().map_err(value_error)?;
        Ok(Geometry(geometry))
    }
}

impl Views {
    fn split(self) -> (usize, Option<Vec<f64>>) {
        match self {
            Self::Count(count) => (count, None),
            Self::Angles(angles) => (angles.len(), Some(angles)),
        }
    }
}

#[pymethods]
impl Geometry {
    /// A parallel beam.
    ///
    /// shape: rows and columns of the image. angles: the angles in radians, or a number of views, which are then at
    /// (k + 1/2) pi / n. Without n_bins and bin_width_mm the detector covers the image's diagonal.
    #[staticmethod]
    #[pyo3(signature = (shape, angles, *, pixel_mm = 1.0, n_bins = None, bin_width_mm = None,
                        detector_offset_mm = 0.0))]
    fn parallel(
        shape: (usize, usize),
        angles: Views,
        pixel_mm: f64,
        n_bins: Option<usize>,
        bin_width_mm: Option<f64>,
        detector_offset_mm: f64,
    ) -> PyResult<Self> {
        let (count, angles) = angles.split();
        let given = Given { pixel_mm, angles, n_bins, bin_width_mm, detector_offset_mm };
        given.in_place_of(Inner::covering(shape.0, shape.1, count))
    }

    /// A fan beam, from a source that turns with the detector.
    ///
    /// Lengths in mm; detector is "flat" or "curved" (an arc around the source). A number of views is spread over the
    /// full turn. Without n_bins and bin_width_mm the detector covers the circle around the image.
    #[staticmethod]
    #[pyo3(signature = (shape, angles, *, source_to_axis_mm, source_to_detector_mm, detector = "flat", pixel_mm = 1.0,
                        n_bins = None, bin_width_mm = None, detector_offset_mm = 0.0))]
    #[expect(clippy::too_many_arguments, reason = "Python calls it by keywords")]
    fn fan(
        shape: (usize, usize),
        angles: Views,
        source_to_axis_mm: f64,
        source_to_detector_mm: f64,
        detector: &str,
        pixel_mm: f64,
        n_bins: Option<usize>,
        bin_width_mm: Option<f64>,
        detector_offset_mm: f64,
    ) -> PyResult<Self> {
        let known = Detector::ALL.iter().find(|(_, name)| *name == detector);
        let &(detector, _) = known
            .ok_or_else(|| PyValueError::new_err(format!("detector is {detector:?}; give \"flat\" or \"curved\"")))?;
        let (count, angles) = angles.split();
        let given = Given { pixel_mm, angles, n_bins, bin_width_mm, detector_offset_mm };
        // The covering geometry is in pixels.
        let (source_to_axis_mm, source_to_detector_mm) =
            (source_to_axis_mm / pixel_mm, source_to_detector_mm / pixel_mm);
        let fan = Fan { detector, source_to_axis_mm, source_to_detector_mm };
        given.in_place_of(Inner::covering_by_fan(shape.0, shape.1, count, fan))
    }

    /// Rows and columns of the image.
    #[getter]
    fn image_shape(&self) -> (usize, usize) {
        (self.0.height, self.0.width)
    }

    /// Views and bins of the sinogram.
    #[getter]
    fn sinogram_shape(&self) -> (usize, usize) {
        (self.0.angles_rad.len(), self.0.n_bins)
    }

    /// Side of a pixel.
    #[getter]
    fn pixel_mm(&self) -> f64 {
        self.0.pixel_mm
    }

    /// Angles of the views, in the order of the sinogram's rows.
    #[getter]
    fn angles_rad<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<f64>> {
        self.0.angles_rad.to_pyarray(py)
    }

    /// Distance from bin to bin.
    #[getter]
    fn bin_width_mm(&self) -> f64 {
        self.0.bin_width_mm
    }

    /// Place of the rotation axis on the detector, from its middle, positive towards higher bins.
    #[getter]
    fn detector_offset_mm(&self) -> f64 {
        self.0.detector_offset_mm
    }

    /// "parallel" or "fan".
    #[getter]
    fn beam(&self) -> &'static str {
        match self.0.beam {
            Beam::Parallel => "parallel",
            Beam::Fan(_) => "fan",
        }
    }

    fn __repr__(&self) -> String {
        format!("<gradus.Geometry: {self}>")
    }
}

impl fmt::Display for Geometry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let g = &self.0;
        let (views, bins, bin) = (g.angles_rad.len(), g.n_bins, g.bin_width_mm);
        write!(f, "{} beam, {views} views of {bins} bins of {bin} mm, ", self.beam())?;
        write!(f, "image {} x {} of {} mm", g.height, g.width, g.pixel_mm)
    }
}
