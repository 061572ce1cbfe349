//! Flash of the exact Gaussian mixture: score and energy change.
#![no_std]
#![no_main]

use core::hint::black_box;
use cortex_m_rt::entry;
use firmware_image::exit;
use gradus_core::PerturbationKernel;
use gradus_core::prior::{Component, GaussianMixture};

#[entry]
fn main() -> ! {
    let component = Component { weight: 1.0, mean: [0.5; 16], variance: 0.01 };
    let Ok(mixture) = GaussianMixture::new(black_box([component; 15]), black_box(PerturbationKernel::VP)) else {
        exit(false)
    };
    let x = black_box([0.3; 16]);
    black_box(mixture.score(&x, black_box(0.1)));
    black_box(mixture.energy_change(&x, &black_box(x), black_box(0.5), black_box(0.1)));
    exit(true)
}
