//! Work that is large enough for a GPU.
//!
//! A GPU is ready some time after it was asked for, when cores have long begun. From then on it is faster. The numbers
//! are those of runs of the default method: cores measured (16 of them beside a card, 0.117 s for 128 x 128 pixels and
//! 0.400 s for 256 x 256), the card's start measured, and its iterations estimated (`cuda-kernels/ROOFLINE.md`).

/// For a GPU to be ready.
const START_S: f64 = 0.25;
/// Of an iteration on a million pixels: on one core, and on a GPU that it does not fill.
const CORE_S: f64 = 11.0;
const GPU_S: f64 = 0.06;

/// True if iterations on images of so many pixels, together, are done sooner on a GPU than on so many cores.
#[must_use]
pub fn gains_by_gpu(pixels: usize, iterations: u64, cores: usize) -> bool {
    let work = 1e-6 * pixels as f64 * iterations as f64;
    START_S + GPU_S * work < CORE_S / cores.max(1) as f64 * work
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Eight levels, or twelve; the mean of eight runs has 29 iterations.
    #[test]
    fn cores_are_sooner_with_little_work_and_many_cores() {
        let side = |side: usize, iterations, cores| gains_by_gpu(side * side, iterations, cores);
        assert!(!side(128, 8, 16) && !side(64, 8, 2));
        assert!(side(128, 29, 16) && side(256, 12, 16) && side(128, 8, 2));
        assert!(!side(512, 100, 1000), "no card is faster than so many");
    }
}
