//! Computed tomography: geometry, projection and its transpose, classical reconstructions, noise and units.
//!
//! A scan measures line integrals y = A x + noise of the attenuation x. An image is `[row][col]` with row 0 at the
//! largest y and column 0 at the smallest x, in 1/mm; a sinogram is `[angle][bin]`, without unit; lengths are in mm,
//! angles in radians; the rotation axis goes through the middle of the image, and bin k at angle a sees, in a parallel
//! beam, the line x cos a + y sin a = s_k, and in a fan the line from the source to itself ([`Geometry`] and [`Fan`]
//! say where these are). A is Joseph's method and A^T its exact transpose
//! ([`Projector`]), so that A^T (A x - y) is the gradient of 1/2 |A x - y|^2 and a line search tests the function it
//! descends. [`FilteredBackprojector`] inverts the continuous transform, [`Sirt`] lowers the misfit step by step,
//! [`TvReconstructor`] minimises it plus total variation; all are baselines. Everything gives the same bits for any
//! number of threads, and what works in buffers allocates them once, when it is made.

mod axis;
mod axis_fan;
mod axis_parallel;
mod axis_views;
mod extension;
mod fan;
mod fbp;
mod geometry;
mod geometry_error;
mod hardening;
mod hounsfield;
mod least_norm;
mod lines;
mod model_error;
mod noise;
mod noise_level;
mod padded_rays;
mod parallel;
mod pixel_width;
mod projection_error;
mod projector;
mod ramp;
mod ray_block;
mod ray_window;
pub(crate) mod rays;
mod resample;
mod rings;
mod sharpening;
mod sight;
mod sirt;
#[cfg(test)]
mod test_support;
mod tv;
mod variation;
mod view_weights;
mod window;
pub use axis::{AxisError, FoundAxis, find_axis};
pub use extension::{Cylinder, extended_geometry, extended_sinogram};
pub use fbp::FilteredBackprojector;
pub use geometry::{Beam, Detector, Fan, Geometry};
pub use geometry_error::GeometryError;
pub use hardening::{Hardening, HardeningError};
pub use hounsfield::{
    ATTENUATION_PER_UNIT, HU_PER_UNIT, attenuation_to_network, hu_to_network, network_to_attenuation, network_to_hu,
};
pub use least_norm::{LeastNorm, LeastNormEnd};
pub use model_error::{edge_shares, model_error, model_shares};
pub use noise::{NoiseError, poisson, relative_gaussian};
pub use noise_level::{differences_over, estimate_noise, noise_in_air};
pub use pixel_width::{means_by_taps, pixel_wide_taps};
pub use projection_error::ProjectionError;
pub use projector::Projector;
pub use rings::suppress_rings;
pub use sirt::Sirt;
pub use tv::{TvEnd, TvError, TvOutcome, TvProgress, TvReconstructor, TvSettings};
pub use variation::total_variation;
pub use view_weights::missing_wedge_rad;
pub use window::{UnknownWindow, Window};
