//! Limits: the most that a file, a flag or an image may ask for.
//!
//! All are far beyond what scanners and networks need, and near enough that a mistake in a unit or a damaged file is
//! named before memory or hours are spent on it.
use std::ops::RangeInclusive;
use std::sync::OnceLock;

/// Rows or columns of an image.
pub const SIDE: usize = 1 << 16;
/// Bins of a detector, or views of a scan; keeps every index far inside `i32`.
pub const COUNT: usize = 1 << 20;
/// Pixels of an image, or values of a sinogram; as `f32` they take a gibibyte.
pub const PIXELS: usize = 1 << 28;
/// Side of a pixel, or width of a bin, in mm: a nanometre to ten metres.
pub const LENGTH_MM: RangeInclusive<f64> = 1e-6..=1e4;
/// Attenuation in 1/mm that 1 of a network stands for. Lead has 140 at 30 keV, air 2e-5 at 60 keV.
pub const ATTENUATION_PER_MM: RangeInclusive<f64> = 1e-6..=1e4;
/// Size of a line integral, which has no unit. A ray of which a photon in 10^12 is left has 28.
pub const LINE_INTEGRAL: f32 = 1e6;
/// Photons of a ray, or of a bin.
pub const PHOTONS: f64 = 1e18;
/// Iterations of a reconstruction, and levels of a schedule.
pub const ITERATIONS: u32 = 1_000_000;
/// Images of an evaluation, and starts for each.
pub const STARTS: usize = 1_000_000;
/// Steps of a training run.
pub const TRAINING_STEPS: u64 = 1_000_000_000;
/// Images of a training step, or of a validation.
pub const BATCH: usize = 1 << 16;
/// Rows or columns of training images.
pub const TRAINING_SIDE: usize = 1 << 12;
/// Parameters of a network, of which training keeps five copies.
pub const PARAMETERS: usize = 1 << 30;
/// Numbers that what is packed may unpack to, however little it takes: a slice of 4096 x 4096.
pub const UNPACKED: usize = 1 << 24;
/// Numbers of each packed byte, where these are more. Measurements hardly pack to a byte each.
pub const UNPACKED_TIMES: usize = 2;
/// Bytes of a description: TOML of a scan, a run or a training.
pub const DESCRIPTION_BYTES: u64 = 1 << 26;

/// Numbers that so many packed bytes may unpack to: files of a few bytes can claim any number, and packed zeros even
/// have them.
#[must_use]
pub const fn unpacked(packed: usize) -> usize {
    let of_bytes = packed.saturating_mul(UNPACKED_TIMES);
    if of_bytes > UNPACKED { of_bytes } else { UNPACKED }
}

static MEMORY: OnceLock<u64> = OnceLock::new();

/// Bytes of memory that the program may take, where the user has set a limit.
#[must_use]
pub fn memory() -> Option<u64> {
    MEMORY.get().copied()
}

/// Sets that limit, once; a second call changes nothing.
pub fn set_memory(bytes: u64) {
    // The first limit stays.
    let _ = MEMORY.set(bytes);
}
