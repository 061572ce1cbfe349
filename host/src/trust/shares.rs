//! Shares of an image's energy: by frequency, by direction, by place.

use crate::image::Image;
use rustfft::FftPlanner;
use rustfft::num_complex::Complex32;
use std::f64::consts::PI;

/// Bands of frequency from 0 to half a cycle a pixel, which takes those of the corners in.
pub const BANDS: usize = 8;
/// Sectors of the half turn that directions are in.
pub const SECTORS: usize = 12;
/// Blocks of the image along each of its sides.
pub const BLOCKS: usize = 8;
/// A block with less than this share of the mean energy of blocks is as good as empty, and counts as that much.
const EMPTY: f64 = 1e-3;

/// The energy of the second of two parts over that of both.
#[derive(Debug, Clone, PartialEq)]
pub struct Shares {
    /// Of the whole image.
    pub all: f64,
    /// By the length of the wave vector, from coarse to fine.
    pub by_frequency: [f64; BANDS],
    /// By its direction, without the coarsest band: sector 0 begins along the rows, and they turn as views do. A view
    /// at angle a measures waves of direction a.
    pub by_direction: [f64; SECTORS],
    /// By block, `[row][col]`.
    pub by_place: [[f64; BLOCKS]; BLOCKS],
}

/// Energies of two parts.
#[derive(Debug, Clone, Copy, Default)]
struct Pair([f64; 2]);

impl Pair {
    fn add(&mut self, first: f64, second: f64) {
        self.0 = [self.0[0] + first, self.0[1] + second];
    }

    fn sum(self) -> f64 {
        self.0[0] + self.0[1]
    }

    /// The second one's share, of at least so much.
    fn share(self, least: f64) -> f64 {
        let all = self.sum().max(least);
        if all > 0.0 { self.0[1] / all } else { 0.0 }
    }
}

impl Shares {
    /// Of two images of one size, whose sum is the image.
    #[must_use]
    pub fn of(first: &Image, second: &Image) -> Self {
        let (height, width) = (first.height, first.width);
        let spectra = [spectrum(first), spectrum(second)];
        let (mut all, mut bands, mut sectors) = (Pair::default(), [Pair::default(); BANDS], [Pair::default(); SECTORS]);
        for at in 0..height * width {
            // y runs up, rows run down.
            let (x, y) = (cycles(at % width, width), -cycles(at / width, height));
            let [a, b] = spectra.each_ref().map(|spectrum| f64::from(spectrum[at].norm_sqr()));
            all.add(a, b);
            let band = ((x.hypot(y) / 0.5 * BANDS as f64) as usize).min(BANDS - 1);
            bands[band].add(a, b);
            if band > 0 {
                let turn = y.atan2(x).rem_euclid(PI) / PI;
                sectors[((turn * SECTORS as f64) as usize).min(SECTORS - 1)].add(a, b);
            }
        }
        let mut blocks = [[Pair::default(); BLOCKS]; BLOCKS];
        for (at, (a, b)) in first.pixels.iter().zip(&second.pixels).enumerate() {
            let (row, col) = (at / width * BLOCKS / height, at % width * BLOCKS / width);
            blocks[row][col].add(f64::from(*a).powi(2), f64::from(*b).powi(2));
        }
        let mean = blocks.iter().flatten().map(|block| block.sum()).sum::<f64>() / (BLOCKS * BLOCKS) as f64;
        Self {
            all: all.share(0.0),
            by_frequency: bands.map(|band| band.share(0.0)),
            by_direction: sectors.map(|sector| sector.share(0.0)),
            by_place: blocks.map(|row| row.map(|block| block.share(EMPTY * mean))),
        }
    }
}

/// The frequency of a coefficient in cycles a pixel, from -1/2 to 1/2.
fn cycles(k: usize, n: usize) -> f64 {
    (if 2 * k <= n { k as f64 } else { k as f64 - n as f64 }) / n as f64
}

/// Fourier coefficients, `[row][col]`.
fn spectrum(image: &Image) -> Vec<Complex32> {
    let (height, width) = (image.height, image.width);
    let mut planner = FftPlanner::new();
    let mut values: Vec<Complex32> = image.pixels.iter().map(|x| Complex32::new(*x, 0.0)).collect();
    planner.plan_fft_forward(width).process(&mut values);
    let mut columns: Vec<Complex32> = (0..values.len()).map(|at| values[at % height * width + at / height]).collect();
    planner.plan_fft_forward(height).process(&mut columns);
    (0..values.len()).map(|at| columns[at % width * height + at / width]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A wave of this many cycles a pixel along x and y.
    fn wave(x: f64, y: f64) -> Image {
        let value = |at: usize| {
            let (col, row) = ((at % 48) as f64, (at / 48) as f64);
            (2.0 * PI * (x * col - y * row)).cos() as f32
        };
        Image { height: 32, width: 48, pixels: (0..32 * 48).map(value).collect() }
    }

    #[test]
    fn waves_are_found_in_their_band_and_their_sector() {
        // Along x, and at 45 degrees upwards.
        let (first, second) = (wave(0.125, 0.0), wave(0.25, 0.25));
        let shares = Shares::of(&first, &second);
        assert!((shares.all - 0.5).abs() < 1e-3, "{shares:?}");
        assert!(shares.by_frequency[2] < 1e-6 && shares.by_frequency[5] > 0.999, "{shares:?}");
        assert!(shares.by_direction[0] < 1e-6 && shares.by_direction[3] > 0.999, "{shares:?}");
        assert!(shares.by_place.iter().flatten().all(|share| (share - 0.5).abs() < 0.1), "{shares:?}");
        assert_eq!(Shares::of(&Image::zeros(4, 4), &Image::zeros(4, 4)).all, 0.0);
    }

    #[test]
    fn places_are_blocks_and_empty_ones_say_little() {
        let (mut first, mut second) = (Image::zeros(16, 16), Image::zeros(16, 16));
        (first.pixels[0], second.pixels[255], second.pixels[15]) = (1.0, 1.0, 1e-4);
        let shares = Shares::of(&first, &second);
        assert_eq!((shares.by_place[0][0], shares.by_place[7][7]), (0.0, 1.0));
        assert!(shares.by_place[0][7] < 1e-3);
    }
}
