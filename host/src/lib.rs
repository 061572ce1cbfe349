//! CT reconstruction by graduated optimisation with a learned, energy-based diffusion prior.
//!
//! ```
//! use gradus::data::ellipses::ellipses;
//! use gradus::metrics::psnr;
//! use gradus::prior::Prior;
//! use gradus::reconstruct::{Measurement, PlacedPrior, Settings, reconstruct};
//! use gradus::simulate::{Simulation, simulate};
//! use std::ops::ControlFlow;
//!
//! let truth = ellipses(1, 32); // an image, which a scan is made of: or Scan::read("scan.npz")?
//! let scan = simulate(&truth, 1.0, &Simulation { angles: 30, ..Simulation::default() })?;
//! let measurement = Measurement::new(&scan)?;
//! let prior = Prior::named("ellipses")?;
//! let prior = PlacedPrior::on_cpu(&prior);
//! let result = reconstruct(&measurement, &Settings::default(), Some(&prior), &mut |_| ControlFlow::Continue(()))?;
//! assert!(psnr(&truth, &result.image, 1.0)? > 25.0);
//! assert_eq!(result.certificate.map(|certificate| certificate.ascending_steps), Some(0));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Map
//! | to | look at |
//! |---|---|
//! | read scans and images, write results | [`data`]; raw measurements of scanners: [`raw`] |
//! | make a scan of an image | [`simulate`] |
//! | reconstruct, with any method, one scan or many | [`reconstruct`] |
//! | know what to believe of a result | [`trust`], [`metrics`]; a page of it: [`report`] |
//! | project, backproject, or reconstruct without a prior | [`ct`] |
//! | load a prior, or train one | [`prior`], [`train`]; its network: [`unet`] |
//! | choose what computes | [`backend`]; its checks: [`doctor`] |
//! | repeat the paper's experiments | [`paper`] |
//!
//! The solver itself is the crate [`gradus_core`]: it decides everything and sees no vector, so that your own
//! projector, prior or device can take the place of any of these. `examples/` has a short program for each.
//!
//! Images are `[row][col]` with row 0 at the top, sinograms `[angle][bin]`, lengths in mm, angles in radians. Results
//! have the same bits for any number of threads.
pub mod backend;
pub mod ct;
pub mod data;
pub mod doctor;
pub mod image;
pub mod limits;
pub mod memory;
pub mod metrics;
pub mod paper;
pub mod prior;
pub mod ranks;
pub mod raw;
mod read;
pub mod reconstruct;
pub mod report;
pub mod series;
pub mod simulate;
#[cfg(test)]
mod test_support;
pub mod train;
pub mod trust;
pub mod unet;
pub mod vector;
