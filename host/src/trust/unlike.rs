//! The distance of an image from those that a prior learned from, as the prior itself sees them.
//!
//! At each of a few smoothing levels the image gets noise, and the prior says what it takes for the noise. What it
//! takes wrongly, seen at a few scales, has characteristic sizes for training images; where those of an image are far
//! from them, the prior fills in what it knows from other kinds of images.

use super::spread::blurred;
use crate::backend::cpu::{Network, NetworkError};
use crate::image::Image;
use crate::prior::Prior;
use crate::unet::Weights;
use crate::vector::dot;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

/// The key of the weights' metadata.
const KEY: &str = "training_looks";
/// Levels at which images are looked at, and the standard deviations, in pixels, of the Gaussians through which the
/// residual of a level is seen: textures and shapes. The noise is of standard deviation 0.2 and 0.5 in network units,
/// under which the fine details that a reconstruction lacks do not count. RESULTS.md says how the scales were chosen.
const LEVELS: [(f64, [f64; 2]); 2] = [(0.06, [2.0, 4.0]), (0.15, [1.0, 4.0])];

/// An image as the prior sees it: logarithms of the mean square of the denoising residual, level by level and, within a
/// level, scale by scale.
#[derive(Debug, Clone, PartialEq)]
pub struct Look(pub Vec<f64>);

impl Look {
    /// A look at an image in network units, with noise `z` of a fixed seed: one forward pass a level.
    ///
    /// `h(s x + std z, t)` of an image `x` that the prior knows is nearly `z`. The denoising residual is `h - z`.
    ///
    /// # Errors
    /// When the image's size does not fit the network.
    pub fn at(image: &Image, prior: &Prior) -> Result<Self, NetworkError> {
        let (n, kernel) = (image.pixels.len(), prior.perturbation_kernel());
        let mut network = Network::new(prior, image.height, image.width, 1)?;
        let mut seen = Vec::new();
        for (seed, (t, scales)) in (0..).zip(LEVELS) {
            let (at, generator) = (kernel.at(t), ChaCha8Rng::seed_from_u64(seed));
            let (scale, std) = (at.mean_scale as f32, at.std as f32);
            let noise: Vec<f32> = StandardNormal.sample_iter(generator).take(n).collect();
            let noisy: Vec<f32> = image.pixels.iter().zip(&noise).map(|(x, z)| scale * x + std * z).collect();
            network.forward(0..1, &noisy, &[t as f32]);
            let left = network.h(0).iter().zip(&noise).map(|(h, z)| h - z).collect();
            let residual = Image { pixels: left, ..*image };
            seen.extend(scales.map(|std| {
                let seen = blurred(&residual, std).pixels;
                (dot(&seen, &seen) / n as f64).ln()
            }));
        }
        Ok(Self(seen))
    }
}

/// The looks of a prior at the images that it learned from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingLooks {
    /// The images, in words.
    pub images: String,
    /// Their rows and columns: drawn with more or fewer pixels, the same things look otherwise.
    pub sides: [usize; 2],
    /// Their mean.
    mean: Vec<f64>,
    /// The inverse of the Cholesky factor of their covariance, row by row up to the diagonal.
    whitening: Vec<Vec<f64>>,
    /// The distance that one in a hundred images exceeds that were left out.
    pub limit: f64,
}

impl TrainingLooks {
    /// From looks at images of these sides, of many patients, each patient's in a row.
    ///
    /// The limit is found by leaving out every other patient, and then the others. `None` where the looks do not span
    /// their space, or one is not finite.
    #[must_use]
    pub fn of(patients: &[Vec<Look>], images: String, sides: [usize; 2]) -> Option<Self> {
        let mut left_out = Vec::new();
        for odd in [0, 1] {
            let half = |parity: usize| patients.iter().skip(parity).step_by(2).flatten();
            let others = Self::fitted(&half(odd).collect::<Vec<_>>())?;
            left_out.extend(half(1 - odd).map(|look| others.distance(look)));
        }
        left_out.sort_by(f64::total_cmp);
        // As many of a hundred to come, on average, as conformal prediction has it.
        let rank = ((left_out.len() + 1) as f64 * 0.99).ceil() as usize;
        let limit = left_out.get(rank.min(left_out.len()).checked_sub(1)?).copied()?;
        let all: Vec<&Look> = patients.iter().flatten().collect();
        limit.is_finite().then_some(Self { images, sides, limit, ..Self::fitted(&all)? })
    }

    fn fitted(looks: &[&Look]) -> Option<Self> {
        let (n, size) = (looks.len() as f64, looks.first()?.0.len());
        let mean: Vec<f64> = (0..size).map(|i| looks.iter().map(|look| look.0[i]).sum::<f64>() / n).collect();
        let product = |i: usize, j: usize| {
            looks.iter().map(|look| (look.0[i] - mean[i]) * (look.0[j] - mean[j])).sum::<f64>() / (n - 1.0)
        };
        let covariance: Vec<Vec<f64>> = (0..size).map(|i| (0..=i).map(|j| product(i, j)).collect()).collect();
        let whitening = inverse_cholesky(&covariance)?;
        Some(Self { images: String::new(), sides: [0; 2], mean, whitening, limit: f64::INFINITY })
    }

    /// The looks that weights bring along; an error in words where they cannot be read.
    #[must_use]
    pub fn in_weights(weights: &Weights) -> Option<Result<Self, String>> {
        let text = weights.note(KEY)?;
        let read = serde_json::from_str(text).map_err(|error| error.to_string());
        Some(read.and_then(|own: Self| if own.is_whole() { Ok(own) } else { Err("sizes differ".to_owned()) }))
    }

    /// The same weights with these looks in the place of any other.
    ///
    /// # Errors
    /// When a number is not finite.
    pub fn into_weights(&self, weights: Weights) -> Result<Weights, serde_json::Error> {
        Ok(weights.with_note(KEY, serde_json::to_string(self)?))
    }

    /// The warning of an image at this distance, by the prior of this name; none of one that is near.
    #[must_use]
    pub fn warning(&self, prior: &str, distance: f64) -> Option<String> {
        (distance > self.limit).then(|| {
            format!(
                "the image is unlike those that the prior {prior} learned from: its distance from them is \
                 {distance:.1}, and 1 in 100 of them is beyond {:.1}. What the data do not determine is made up from \
                 other kinds of images: compare with --method tv, or take another prior",
                self.limit
            )
        })
    }

    fn is_whole(&self) -> bool {
        let size: usize = LEVELS.iter().map(|(_, scales)| scales.len()).sum();
        self.mean.len() == size
            && self.whitening.len() == size
            && self.whitening.iter().zip(1..).all(|(row, length)| row.len() == length)
    }

    /// Mahalanobis' distance of a look from the mean, over the square root of the number of values: 1 for training
    /// images, roughly. Infinite where the image has no finite look.
    #[must_use]
    pub fn distance(&self, look: &Look) -> f64 {
        let away: Vec<f64> = look.0.iter().zip(&self.mean).map(|(value, mean)| value - mean).collect();
        let white = self.whitening.iter().map(|row| row.iter().zip(&away).map(|(w, d)| w * d).sum::<f64>());
        let distance = (white.map(|w| w * w).sum::<f64>() / away.len() as f64).sqrt();
        if distance.is_finite() { distance } else { f64::INFINITY }
    }
}

/// The inverse of the lower factor L of a matrix L L^T, of which the lower half is given; `None` where it is not
/// positive definite.
fn inverse_cholesky(matrix: &[Vec<f64>]) -> Option<Vec<Vec<f64>>> {
    let mut factor: Vec<Vec<f64>> = Vec::new();
    let mut inverse: Vec<Vec<f64>> = Vec::new();
    for (i, given) in matrix.iter().enumerate() {
        let mut row: Vec<f64> = Vec::new();
        for j in 0..i {
            let known: f64 = (0..j).map(|k| row[k] * factor[j][k]).sum();
            row.push((given[j] - known) / factor[j][j]);
        }
        let rest = given[i] - row.iter().map(|l| l * l).sum::<f64>();
        let diagonal = (rest > 1e-12 * given[i]).then(|| rest.sqrt())?;
        // Row i of the inverse from those above it: L L^-1 = 1.
        let column = |j: usize| -(j..i).map(|k| row[k] * inverse[k][j]).sum::<f64>() / diagonal;
        inverse.push((0..i).map(column).chain([1.0 / diagonal]).collect());
        row.push(diagonal);
        factor.push(row);
    }
    Some(inverse)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::ellipses::ellipses;
    use crate::test_support::signed;

    /// Looks whose values go together.
    fn patients(n: usize, seed: u64) -> Vec<Vec<Look>> {
        let draws = signed(5 * n, seed);
        let look = |z: &[f32]| Look((1..5).map(|i| f64::from(2.0 + z[0] + 0.1 * z[i])).collect());
        draws.chunks(5).map(|z| vec![look(z)]).collect()
    }

    #[test]
    fn a_factor_times_its_inverse_is_one() {
        let matrix = [vec![4.0], vec![2.0, 5.0], vec![1.0, -1.0, 3.0]];
        let inverse = inverse_cholesky(&matrix).unwrap();
        let full = |i: usize, j: usize| if i < j { matrix[j][i] } else { matrix[i][j] };
        for i in 0..3 {
            for j in 0..3 {
                // W M W^T = 1.
                let sum = |k: usize| (0..=j).map(|l| full(k, l) * inverse[j][l]).sum::<f64>();
                let value: f64 = (0..=i).map(|k| inverse[i][k] * sum(k)).sum();
                assert!((value - f64::from(i == j)).abs() < 1e-12, "{i} {j} {value}");
            }
        }
        assert_eq!(inverse_cholesky(&[vec![1.0], vec![1.0, 1.0]]), None);
    }

    #[test]
    fn one_in_a_hundred_is_beyond_the_limit() {
        let looks = TrainingLooks::of(&patients(400, 1), "of a test".to_owned(), [64; 2]).unwrap();
        let beyond = patients(1000, 9).iter().flatten().filter(|look| looks.distance(look) > looks.limit).count();
        assert!((3..=20).contains(&beyond), "{beyond} of 1000");
        // Each value is as usual, but not together.
        let torn = Look(vec![1.2, 2.8, 1.2, 2.8]);
        assert!(looks.distance(&torn) > 2.0 * looks.limit, "{}", looks.distance(&torn));
        assert_eq!(looks.distance(&Look(vec![f64::NAN; 4])), f64::INFINITY);
        assert_eq!(TrainingLooks::of(&[], String::new(), [64; 2]), None);
    }

    #[test]
    fn weights_bring_them_along() {
        let looks = TrainingLooks::of(&patients(40, 3), "of a test".to_owned(), [64; 2]).unwrap();
        let weights = Prior::named("ellipses").unwrap().weights().clone();
        let with = looks.into_weights(weights.clone()).unwrap();
        assert_eq!(TrainingLooks::in_weights(&with), Some(Ok(looks.clone())));
        let short = TrainingLooks { mean: Vec::new(), ..looks };
        let read = TrainingLooks::in_weights(&short.into_weights(weights).unwrap());
        assert_eq!(read, Some(Err("sizes differ".to_owned())));
    }

    #[test]
    fn a_look_tells_ellipses_from_a_checkerboard() {
        let prior = Prior::named("ellipses").unwrap();
        let board = (0..64 * 64).map(|k| f32::from((k / 512 + k % 64 / 8) % 2 == 0)).collect();
        let board = Look::at(&Image { height: 64, width: 64, pixels: board }, &prior).unwrap();
        let ellipses = Look::at(&ellipses(1, 64), &prior).unwrap();
        assert_eq!(ellipses, Look::at(&super::tests::ellipses(1, 64), &prior).unwrap());
        assert!(board.0.iter().zip(&ellipses.0).all(|(board, usual)| *board > usual + 0.2), "{board:?} {ellipses:?}");
    }
}
