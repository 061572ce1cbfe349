//! Standard normal noise by number: the same bits on every target, in any order.
//!
//! A number of the noise is a function of its seed and its place, so that vectors may be filled in parts, by anyone.

use crate::math::{ln, real, sqrt};
use core::f32::consts::{FRAC_1_SQRT_2, FRAC_PI_2};

/// Numbers that [`Draw::four`] makes at a time.
const FOUR: usize = 4;

/// A draw of standard normal noise for a whole vector.
///
/// Entry `4 b + k` is the `k`-th of four numbers that Philox4x32-10 \[SMDS11\] makes of the counter `(b, number)` under
/// the key `seed`, two and two turned into normal ones by Box and Muller's transform. So a part of the vector can be
/// made without those before it. None is larger than 5.9.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Draw {
    /// Draws of other seeds are independent of this.
    pub seed: u64,
    /// So are those of the same seed and another number.
    pub number: u32,
}

impl Draw {
    /// `x <- x + factor z`, where `x` begins at entry `4 first` of the vector.
    pub fn add_to(self, factor: f32, first: u32, x: &mut [f32]) {
        let mut block = first;
        for part in x.chunks_mut(FOUR) {
            part.iter_mut().zip(self.four(block)).for_each(|(x, z)| *x += factor * z);
            block = block.wrapping_add(1);
        }
    }

    /// Entries `4 block` to `4 block + 3`.
    #[must_use]
    pub fn four(self, block: u32) -> [f32; FOUR] {
        let [low, high] = halves(self.seed);
        let [a, b, c, d] = philox([block, self.number, 0, 0], [low, high]);
        let ([x, y], [z, w]) = (pair(a, b), pair(c, d));
        [x, y, z, w]
    }
}

/// Two normal numbers of two words: a radius and an angle.
fn pair(radius: u32, angle: u32) -> [f32; 2] {
    // 24 bits, so that it is exact; in the middle of its cell, so that no logarithm is infinite.
    let length = sqrt(-2.0 * ln((real(radius >> 8) + 0.5) * (1.0 / 16_777_216.0)));
    direction(angle).map(|side| length * side)
}

/// Cosine and sine of 2 pi times the word over 2^32, to 2e-7. Those of libm need f64.
fn direction(word: u32) -> [f32; 2] {
    // From the middle of the quarter that the first two bits name, by 22 bits.
    let x = ((real(word << 2 >> 10) + 0.5) * (1.0 / 4_194_304.0) - 0.5) * FRAC_PI_2;
    let square = x * x;
    let sine = x * (1.0 - square * (1.0 / 6.0 - square * (1.0 / 120.0 - square * (1.0 / 5040.0))));
    let even = 1.0 / 24.0 - square * (1.0 / 720.0 - square * (1.0 / 40_320.0));
    let cosine = 1.0 - square * (0.5 - square * even);
    let (c, s) = ((cosine - sine) * FRAC_1_SQRT_2, (cosine + sine) * FRAC_1_SQRT_2);
    match word >> 30 {
        0 => [c, s],
        1 => [-s, c],
        2 => [-c, -s],
        _ => [s, -c],
    }
}

/// Low and high half.
fn halves(word: u64) -> [u32; 2] {
    let [a, b, c, d, e, f, g, h] = word.to_le_bytes();
    [u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h])]
}

/// Philox4x32 of ten rounds.
fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        let [a, b, c, d] = counter;
        let [low_a, high_a] = halves(u64::from(a).wrapping_mul(0xd251_1f53));
        let [low_c, high_c] = halves(u64::from(c).wrapping_mul(0xcd9e_8d57));
        counter = [high_c ^ b ^ key[0], low_c, high_a ^ d ^ key[1], low_a];
        key = [key[0].wrapping_add(0x9e37_79b9), key[1].wrapping_add(0xbb67_ae85)];
    }
    counter
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known answers of the Random123 library.
    #[test]
    fn philox_gives_the_known_answers() {
        assert_eq!(philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(philox([u32::MAX; 4], [u32::MAX; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        let digits = [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344];
        let wanted = [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1];
        assert_eq!(philox(digits, [0xa409_3822, 0x299f_31d0]), wanted);
    }

    #[test]
    fn directions_are_on_the_circle() {
        for word in (0..=u32::MAX).step_by(9_999_991) {
            let angle = core::f64::consts::TAU * (f64::from(word >> 8) + 0.5) / 16_777_216.0;
            let [c, s] = direction(word).map(f64::from);
            assert!((c - angle.cos()).abs() < 5e-7 && (s - angle.sin()).abs() < 5e-7, "{word}: {c} {s}");
        }
    }

    #[test]
    fn numbers_are_normal_and_independent() {
        let mut z = std::vec![0.0_f32; 1 << 16];
        Draw { seed: 7, number: 3 }.add_to(1.0, 0, &mut z);
        let mut other = std::vec![0.0_f32; z.len()];
        Draw { seed: 7, number: 4 }.add_to(1.0, 0, &mut other);
        let n = z.len() as f64;
        let mean = |value: &dyn Fn(usize) -> f64| (0..z.len()).map(value).sum::<f64>() / n;
        let at = |k: usize| f64::from(z[k]);
        // Standard errors are 0.004, 0.006, 0.04, 0.004.
        assert!(mean(&at).abs() < 0.012);
        assert!((mean(&|k| at(k).powi(2)) - 1.0).abs() < 0.02);
        assert!((mean(&|k| at(k).powi(4)) - 3.0).abs() < 0.12);
        assert!(mean(&|k| at(k) * f64::from(other[k])).abs() < 0.012);
        assert!(mean(&|k| at(k) * at((k + 1) % z.len())).abs() < 0.012);
    }

    #[test]
    fn a_part_needs_nothing_before_it() {
        let (draw, mut whole, mut part) = (Draw { seed: u64::MAX, number: 0 }, [0.0; 11], [0.0; 3]);
        draw.add_to(2.0, 0, &mut whole);
        draw.add_to(2.0, 2, &mut part);
        assert_eq!(whole[8..], part);
    }
}
