//! Numbers for unit tests. Those of other crates cannot serve here: they link this library once more.

use crate::image::Image;
pub(crate) use crate::vector::dot;

/// Numbers in [-1, 1) from a fixed sequence.
pub(crate) fn signed(n: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut draw = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
    };
    (0..n).map(|_| draw()).collect()
}

/// FNV-1a over the pixels' bits.
pub(crate) fn checksum(image: &Image) -> u64 {
    let bytes = image.pixels.iter().flat_map(|p| p.to_bits().to_le_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}
