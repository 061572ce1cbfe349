//! Trust: what a run says about how far its result is to be believed.
//!
//! A [`Residual`] is the part of the data that an image leaves unexplained, in units of the noise; its [`Misfit`] is
//! the verdict. A [`Field`] is the part of the object that detector and image do not hold.
//!
//! ```
//! use gradus::ct::{Geometry, Projector};
//! use gradus::image::Image;
//! use gradus::trust::{Misfit, Rays, Residual};
//!
//! let (mut projector, image) = (Projector::new(Geometry::covering(16, 16, 8))?, Image::zeros(16, 16));
//! let sinogram = vec![1.0; projector.geometry().sinogram_len()]; // not that of an empty image
//! let rays = Rays { sinogram: &sinogram, noise_std: 0.1, weights: None };
//! let residual = Residual::of(&image, &rays, &mut projector)?;
//! assert!((residual.chi_squared() - 100.0).abs() < 1e-3);
//! assert_eq!(residual.misfit(), Misfit::Hopeless);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod air;
mod bins;
mod body;
mod calibration;
mod causes;
mod field;
mod fit;
mod outliers;
mod parts;
mod rays;
mod residual;
mod risk;
mod shares;
mod spread;
mod unlike;

pub use bins::fill_bins;
pub use body::body;
pub use calibration::{CalibratedScan, Calibration, Conditions, Noise};
pub use causes::{Case, Cause, CauseError};
pub use field::Field;
pub use fit::Misfit;
pub use parts::{Effort, Parts};
pub use rays::Rays;
pub use residual::Residual;
pub use risk::controlled_factor;
pub use shares::Shares;
pub use spread::spread;
pub use unlike::{Look, TrainingLooks};
