//! Phantoms with known line integrals, and norms, for the tests of this module.

use super::geometry::{Beam, Detector, Fan, Geometry};
pub(super) use crate::test_support::{dot, signed};

/// An ellipse of constant value: half-axes, centre and rotation in mm and radians.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ellipse {
    pub(super) value: f64,
    pub(super) half_axes: (f64, f64),
    pub(super) centre: (f64, f64),
    pub(super) rotation_rad: f64,
}

impl Ellipse {
    pub(super) fn disc(value: f64, radius: f64, centre: (f64, f64)) -> Self {
        Self { value, half_axes: (radius, radius), centre, rotation_rad: 0.0 }
    }

    pub(super) fn contains(&self, x: f64, y: f64) -> bool {
        let (sin, cos) = self.rotation_rad.sin_cos();
        let (dx, dy) = (x - self.centre.0, y - self.centre.1);
        let (u, v) = ((dx * cos + dy * sin) / self.half_axes.0, (dy * cos - dx * sin) / self.half_axes.1);
        u * u + v * v <= 1.0
    }

    /// Integral along x cos t + y sin t = s: value 2 a b sqrt(r^2 - d^2) / r^2 with r the half-width seen from t.
    pub(super) fn line_integral(&self, theta: f64, s: f64) -> f64 {
        let (sin, cos) = (theta - self.rotation_rad).sin_cos();
        let (a, b) = self.half_axes;
        let r2 = (a * cos).powi(2) + (b * sin).powi(2);
        let d = s - self.centre.0 * theta.cos() - self.centre.1 * theta.sin();
        2.0 * self.value * a * b * (r2 - d * d).max(0.0).sqrt() / r2
    }
}

/// The mean of the ellipses over each pixel, from `n` x `n` samples.
pub(super) fn draw(g: &Geometry, ellipses: &[Ellipse], n: usize) -> Vec<f32> {
    let inner = |i: usize| (i as f64 + 0.5) / n as f64 - 0.5;
    let mut image = Vec::with_capacity(g.image_len());
    for (row, col) in (0..g.height).flat_map(|r| (0..g.width).map(move |c| (r, c))) {
        let mut sum = 0.0;
        for (i, j) in (0..n).flat_map(|i| (0..n).map(move |j| (i, j))) {
            let (x, y) = (g.column_x_mm(col as f64 + inner(j)), g.row_y_mm(row as f64 + inner(i)));
            sum += ellipses.iter().filter(|e| e.contains(x, y)).map(|e| e.value).sum::<f64>();
        }
        image.push((sum / (n * n) as f64) as f32);
    }
    image
}

/// The exact sinogram of the ellipses.
pub(super) fn analytic_sinogram(g: &Geometry, ellipses: &[Ellipse]) -> Vec<f32> {
    let ray = |angle: f64, s: f64| match g.beam {
        Beam::Parallel => (angle, s),
        Beam::Fan(fan) => {
            let gamma = match fan.detector {
                Detector::Flat => (s / fan.source_to_detector_mm).atan(),
                Detector::Curved => s / fan.source_to_detector_mm,
            };
            (angle - gamma, fan.source_to_axis_mm * gamma.sin())
        }
    };
    let rays = g.angles_rad.iter().flat_map(|&a| (0..g.n_bins).map(move |k| ray(a, g.bin_position_mm(k as f64))));
    rays.map(|(angle, s)| ellipses.iter().map(|e| e.line_integral(angle, s)).sum::<f64>() as f32).collect()
}

/// Fans with both detectors, near and far sources, sizes odd and even, not square, off centre, coarse and fine bins,
/// angles of every quadrant in no order.
pub(super) fn fans() -> Vec<Geometry> {
    let mut all = Vec::new();
    let sizes = [(16, 16), (17, 17), (33, 20), (21, 48), (1, 9), (7, 1)];
    for (which, (height, width)) in sizes.into_iter().enumerate() {
        for (pixel_mm, bins, offset_bins, distance) in [
            (1.0, 1.0, 0.0, 1.6),
            (0.7, 0.7, 3.2, 5.5),
            (0.5, 1.4, -2.2, 12.0),
            (1.0, 0.3, 0.4, 20.0),
            (0.3, 3.0, 0.5, 9.0),
        ] {
            let side = (height as f64).hypot(width as f64) / 2.0 + 1.0;
            for detector in [Detector::Flat, Detector::Curved] {
                let source_to_axis_mm = distance * side;
                let fan = Fan { detector, source_to_axis_mm, source_to_detector_mm: 1.4 * source_to_axis_mm };
                let g = Geometry::covering_by_fan(height, width, 1, fan).scaled(pixel_mm);
                let angles_rad = (0..19).map(|k| f64::from(k) * 2.2831 - 0.7).chain([0.0, 1.0, 2.0, 3.0].map(quarter));
                all.push(Geometry {
                    angles_rad: angles_rad.collect(),
                    n_bins: (g.n_bins as f64 / bins) as usize + which % 2,
                    detector_offset_mm: offset_bins * g.bin_width_mm,
                    bin_width_mm: bins * g.bin_width_mm,
                    ..g
                });
            }
        }
    }
    all
}

pub(super) fn quarter(k: f64) -> f64 {
    k * std::f64::consts::FRAC_PI_2
}

pub(super) fn norm(a: &[f32]) -> f64 {
    dot(a, a).sqrt()
}

/// ||a - b|| / ||b||.
pub(super) fn relative_error(a: &[f32], b: &[f32]) -> f64 {
    let difference: Vec<f32> = a.iter().zip(b).map(|(a, b)| a - b).collect();
    norm(&difference) / norm(b)
}

/// Peak signal-to-noise ratio in dB for a data range of 1.
pub(super) fn psnr(a: &[f32], truth: &[f32]) -> f64 {
    let mse = a.iter().zip(truth).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>() / a.len() as f64;
    -10.0 * mse.log10()
}
