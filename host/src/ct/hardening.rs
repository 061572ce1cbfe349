//! Beam hardening: line integrals of a beam of many energies, made those of one.

use super::fbp::FilteredBackprojector;
use super::geometry::Geometry;
use super::geometry_error::GeometryError;
use super::projection_error::ProjectionError;
use super::window::Window;
use serde::{Deserialize, Serialize};

/// Powers that a fit takes.
const ORDER: usize = 3;
/// Blocks along the shorter side of the image, whose means are fitted: noise of the powers, which is not independent of
/// that of the image, would otherwise be fitted with them.
const BLOCKS: usize = 64;
/// Pixels so near to an edge are not looked at: they are neither the object nor air.
const EDGE: usize = 4;
/// Most coefficients.
const MOST: usize = 8;

/// A polynomial without constant term that line integrals are put through: c_1 y + c_2 y^2 + ...
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<f64>", into = "Vec<f64>")]
pub struct Hardening(Vec<f64>);

/// A correction that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum HardeningError {
    /// Coefficients that make no correction.
    #[error("a correction of beam hardening has 1 to {MOST} finite coefficients of y, y^2, ..., the first positive")]
    Coefficients,
    /// A scan in which no object stands out.
    #[error("no homogeneous object stands out from the air around it; give the coefficients, from a scan of one")]
    NoObject,
    /// A sinogram of another length.
    #[error(transparent)]
    Length(#[from] ProjectionError),
    /// A geometry that makes no sense.
    #[error(transparent)]
    Geometry(#[from] GeometryError),
}

impl TryFrom<Vec<f64>> for Hardening {
    type Error = HardeningError;

    fn try_from(coefficients: Vec<f64>) -> Result<Self, HardeningError> {
        let finite = coefficients.iter().all(|c| c.is_finite());
        let positive = coefficients.first().is_some_and(|c| *c > 0.0);
        if finite && positive && coefficients.len() <= MOST {
            Ok(Self(coefficients))
        } else {
            Err(HardeningError::Coefficients)
        }
    }
}

impl From<Hardening> for Vec<f64> {
    fn from(hardening: Hardening) -> Self {
        hardening.0
    }
}

impl Hardening {
    /// The polynomial that makes a homogeneous object flat and the air around it empty.
    ///
    /// **Method.** Kachelriess, Sourbelle and Kalender 2006, Med. Phys. 33, 1269: backprojection is linear, so the
    /// image of a polynomial is that polynomial of the images of y, y^2, ...; least squares fit their sum to a
    /// template, the object's mean within the object and 0 outside. The object is what is above the threshold that
    /// separates it best (Otsu 1979), less its edges.
    ///
    /// # Errors
    /// [`HardeningError`] when no object stands out, or the buffers do not fit.
    pub fn of_homogeneous(geometry: &Geometry, sinogram: &[f32]) -> Result<Self, HardeningError> {
        let largest = sinogram.iter().fold(0.0, |most: f32, value| most.max(*value));
        if largest <= 0.0 {
            return Err(HardeningError::NoObject);
        }
        let mut fbp = FilteredBackprojector::new(geometry.clone(), Window::Hann)?;
        let mut images = Vec::new();
        // In units of the largest value, so that the powers are alike.
        for power in 1..=ORDER as i32 {
            let raised: Vec<f32> = sinogram.iter().map(|y| (y / largest).powi(power)).collect();
            let mut image = vec![0.0; geometry.image_len()];
            fbp.filtered_backproject(&raised, &mut image)?;
            images.push(image);
        }
        let inside = threshold(&images[0]).ok_or(HardeningError::NoObject)?;
        let kind = kinds(geometry, &images[0], inside);
        let object =
            || images[0].iter().zip(&kind).filter(|(_, kind)| **kind == Some(true)).map(|(x, _)| f64::from(*x));
        let n_object = object().count();
        if n_object < ORDER || n_object == images[0].len() {
            return Err(HardeningError::NoObject);
        }
        let mean = object().sum::<f64>() / n_object as f64;
        let template = kind.iter().map(|kind| kind.map(|is_object| if is_object { mean } else { 0.0 }));
        let fitted = least_squares(&blocks(geometry, &images, template)).ok_or(HardeningError::NoObject)?;
        let scale = |(c, power): (f64, i32)| c * f64::from(largest).powi(1 - power);
        Self::try_from(fitted.into_iter().zip(1..).map(scale).collect::<Vec<_>>())
    }

    /// Puts line integrals through the polynomial, in place.
    pub fn correct(&self, sinogram: &mut [f32]) {
        sinogram.iter_mut().for_each(|y| {
            let value = f64::from(*y);
            *y = (value * self.0.iter().rev().fold(0.0, |sum, c| sum * value + c)) as f32;
        });
    }

    /// The coefficients of y, y^2, ...
    #[must_use]
    pub fn coefficients(&self) -> &[f64] {
        &self.0
    }
}

impl std::fmt::Display for Hardening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let coefficients: Vec<String> = self.0.iter().map(f64::to_string).collect();
        f.pad(&coefficients.join(","))
    }
}

impl std::str::FromStr for Hardening {
    type Err = HardeningError;

    /// From coefficients with commas between them.
    fn from_str(text: &str) -> Result<Self, HardeningError> {
        let coefficients = text.split(',').map(|c| c.trim().parse().map_err(|_| HardeningError::Coefficients));
        Self::try_from(coefficients.collect::<Result<Vec<f64>, _>>()?)
    }
}

/// The threshold with the largest variance between what is below and what is above it (Otsu 1979).
fn threshold(image: &[f32]) -> Option<f32> {
    const CLASSES: usize = 256;
    let (low, high) = image.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(l, h), x| (l.min(*x), h.max(*x)));
    let width = (high - low) / CLASSES as f32;
    if !width.is_finite() || width <= 0.0 {
        return None;
    }
    let mut counts = [0.0f64; CLASSES];
    image.iter().for_each(|x| counts[(((x - low) / width) as usize).min(CLASSES - 1)] += 1.0);
    let total = image.len() as f64;
    let mean = counts.iter().zip(0..).map(|(n, class)| n * f64::from(class)).sum::<f64>() / total;
    let (mut below, mut sum, mut best) = (0.0, 0.0, (0.0, None));
    for (class, n) in counts.iter().enumerate().take(CLASSES - 1) {
        below += n;
        sum += n * class as f64;
        let between = (mean * below - sum).powi(2) / (below * (total - below));
        if between > best.0 {
            best = (between, Some(low + width * (class as f32 + 1.0)));
        }
    }
    best.1
}

/// Of each pixel within the circle that all views see, whether it is the object; `None` near edges and outside.
fn kinds(geometry: &Geometry, image: &[f32], threshold: f32) -> Vec<Option<bool>> {
    let (height, width) = (geometry.height, geometry.width);
    let radius = 0.5 * height.min(width) as f64;
    let is_object = |row: usize, col: usize| image[row * width + col] > threshold;
    let kind = |at: usize| {
        let (row, col) = (at / width, at % width);
        let from_middle = (row as f64 - (height as f64 - 1.0) / 2.0).hypot(col as f64 - (width as f64 - 1.0) / 2.0);
        let own = is_object(row, col);
        let rows = row.saturating_sub(EDGE)..(row + EDGE + 1).min(height);
        let same = |row| (col.saturating_sub(EDGE)..(col + EDGE + 1).min(width)).all(|col| is_object(row, col) == own);
        (from_middle < radius && rows.into_iter().all(same)).then_some(own)
    };
    (0..image.len()).map(kind).collect()
}

/// Means over square blocks of which all pixels are the object, or all are air: of the images, and of the template.
fn blocks(
    geometry: &Geometry,
    images: &[Vec<f32>],
    template: impl Iterator<Item = Option<f64>>,
) -> Vec<[f64; ORDER + 1]> {
    let (height, width) = (geometry.height, geometry.width);
    let side = (height.min(width) / BLOCKS).max(1);
    let across = width.div_ceil(side);
    let mut blocks = vec![Some([0.0; ORDER + 1]); across * height.div_ceil(side)];
    let pixels = (side * side) as f64;
    for (at, wanted) in template.enumerate() {
        let block = &mut blocks[at / width / side * across + at % width / side];
        *block = block.zip(wanted).map(|(mut sums, wanted)| {
            sums.iter_mut().zip(images).for_each(|(sum, image)| *sum += f64::from(image[at]) / pixels);
            sums[ORDER] += wanted / pixels;
            sums
        });
    }
    blocks.into_iter().flatten().collect()
}

/// Coefficients of the first values whose sum is nearest to the last, over all rows, by the normal equations.
fn least_squares(blocks: &[[f64; ORDER + 1]]) -> Option<Vec<f64>> {
    let n = ORDER;
    let mut rows = vec![vec![0.0; n + 1]; n];
    for values in blocks {
        for (row, value) in rows.iter_mut().zip(values) {
            row.iter_mut().zip(values).for_each(|(sum, other)| *sum += value * other);
        }
    }
    // Elimination of a symmetric positive matrix needs no exchange of rows.
    for pivot in 0..n {
        let of_pivot = rows[pivot].clone();
        if of_pivot[pivot].abs() < 1e-300 {
            return None;
        }
        for (_, row) in rows.iter_mut().enumerate().filter(|(other, _)| *other != pivot) {
            let factor = row[pivot] / of_pivot[pivot];
            row.iter_mut().zip(&of_pivot).for_each(|(value, own)| *value -= factor * own);
        }
    }
    Some(rows.iter().enumerate().map(|(k, row)| row[n] / row[k]).collect())
}

#[cfg(test)]
mod tests {
    use super::super::test_support::{Ellipse, analytic_sinogram};
    use super::*;

    /// The drop from the rim of a disc to its middle, over the mean.
    fn cupping(g: &Geometry, radius: f64, sinogram: &[f32]) -> f64 {
        let mut image = vec![0.0; g.image_len()];
        FilteredBackprojector::new(g.clone(), Window::Hann)
            .unwrap()
            .filtered_backproject(sinogram, &mut image)
            .unwrap();
        let mean = |from: f64, to: f64| {
            let at = |i: usize| g.column_x_mm((i % g.width) as f64).hypot(g.row_y_mm((i / g.width) as f64));
            let values: Vec<f32> =
                (0..image.len()).filter(|&i| (from..to).contains(&(at(i) / radius))).map(|i| image[i]).collect();
            f64::from(values.iter().sum::<f32>()) / values.len() as f64
        };
        (mean(0.75, 0.9) - mean(0.0, 0.3)) / mean(0.0, 0.9)
    }

    #[test]
    fn a_disc_is_flat_afterwards() {
        let g = Geometry::covering(128, 128, 180);
        let clean = analytic_sinogram(&g, &[Ellipse::disc(0.03, 45.0, (0.0, 0.0))]);
        // Two energies, one of which is absorbed twice as well.
        let mut hard: Vec<f32> =
            clean.iter().map(|y| -(0.5 * (-1.4 * y).exp() + 0.5 * (-0.6 * y).exp()).ln()).collect();
        let before = cupping(&g, 45.0, &hard);
        let correction = Hardening::of_homogeneous(&g, &hard).unwrap();
        correction.correct(&mut hard);
        let after = cupping(&g, 45.0, &hard);
        println!("{correction:?}: {before} to {after}");
        assert!(before > 0.05 && after.abs() < 0.005, "{before} {after}");
    }

    #[test]
    fn nothing_is_made_flat_of_nothing() {
        let g = Geometry::covering(32, 32, 9);
        assert!(matches!(Hardening::of_homogeneous(&g, &vec![0.0; g.sinogram_len()]), Err(HardeningError::NoObject)));
        assert!(Hardening::try_from(vec![-1.0]).is_err() && Hardening::try_from(vec![]).is_err());
        let mut values = [0.0, 0.5, 2.0];
        Hardening::try_from(vec![1.0, 0.5]).unwrap().correct(&mut values);
        assert_eq!(values, [0.0, 0.625, 4.0]);
    }
}
