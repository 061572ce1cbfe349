//! Parts that the tests of the network share.
#![allow(clippy::unwrap_used)]

use gradus::prior::Prior;
use gradus::unet::{Architecture, Parametrisation};
use gradus_tests::fixtures::{self, RESIDUAL};

/// A small network with two residual blocks a level.
pub fn small(pixel_unshuffle: usize, channel_mult: Vec<usize>) -> Architecture {
    Architecture { num_res_blocks: 2, ..fixtures::small(pixel_unshuffle, channel_mult) }
}

/// A prior with random weights.
pub fn random(architecture: &Architecture, parametrisation: Parametrisation) -> Prior {
    fixtures::random(architecture, parametrisation).unwrap()
}

/// (prior, height, width) of networks with odd coarse levels, and with the widths 2, 1.
pub fn cases() -> [(Prior, usize, usize); 4] {
    let norm = Parametrisation::Norm;
    [
        (random(&small(2, vec![1, 2]), RESIDUAL), 12, 20),
        (random(&small(1, vec![1, 2, 2]), norm), 12, 20),
        (random(&small(1, vec![2, 1]), RESIDUAL), 10, 6),
        (random(&small(1, vec![1]), norm), 7, 3),
    ]
}
