//! One slice of the benchmark DM4CT (diffusion models for CT, ICLR 2026), by its protocol for few views without noise.
//!
//! The image is square, 512 x 512 pixels there, with values in \[-1, 1\]. It is scanned in a parallel beam with as many
//! bins of one pixel as it has columns, from 40 angles from 0 to pi, both included, without noise. Results are compared
//! with it by PSNR and SSIM for the data range 2.
//!
//! A comparison lives in a folder: `dm4ct.toml` holds what determines its numbers, `results.csv` a row for every method
//! that is finished. One that was stopped goes on where it was; one of another image or with other settings is refused.

mod benchmark;
mod comparison;
mod contenders;

pub use benchmark::{Benchmark, Judged};
pub use comparison::{Comparison, Protocol, Row};
pub use contenders::{Contender, SIRT_ITERATIONS, Way, contenders};
