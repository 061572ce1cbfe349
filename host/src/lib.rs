//! CT reconstruction by graduated optimisation with a learned, energy-based diffusion prior.
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
pub mod raw;
mod read;
pub mod reconstruct;
pub mod report;
pub mod simulate;
#[cfg(test)]
mod test_support;
pub mod train;
pub mod trust;
pub mod unet;
pub mod vector;
