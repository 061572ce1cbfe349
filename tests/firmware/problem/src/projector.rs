//! A parallel-beam projector of 32 x 32 pixels, driven by a table of integers in flash.
//!
//! Joseph's method: a ray crosses each row (or column, whichever it is less parallel to) once, between two pixel
//! centres, and takes their values in proportion. Where it crosses advances by the same amount from bin to bin and
//! from line to line, so a view is three integers and a length, and a ray needs additions and shifts only. Lengths
//! are in pixels, an image `[row][col]` is in units of 1/pixel.

/// Pixels along a side.
pub const SIDE: usize = 32;
/// Pixels of an image.
pub const N_PIXELS: usize = SIDE * SIDE;
/// Bins of the detector, one pixel wide: they see the diagonal of the image.
pub const N_BINS: usize = 46;
/// Views over half a turn.
pub const N_VIEWS: usize = 24;
/// Numbers in a sinogram `[view][bin]`.
pub const N_RAYS: usize = N_VIEWS * N_BINS;

/// Bits behind the binary point of a position: 1e-6 of a pixel, with room for 2048 pixels in front of it.
const FRACTION_BITS: u32 = 20;
const ONE: f32 = (1 << FRACTION_BITS) as f32;

/// One view of the table.
#[derive(Debug, Clone, Copy)]
pub struct View {
    /// Set where lines are rows and positions columns; else it is the other way round.
    by_rows: bool,
    /// The place at which bin 0 crosses line 0.
    start: i32,
    per_bin: i32,
    per_line: i32,
    /// Length of a ray between two lines, in pixels.
    length: f32,
}

impl View {
    /// Rays `col cos + row sin = bin`, all counted from the centre.
    const fn new(cos: f32, sin: f32) -> Self {
        let by_rows = cos.abs() >= sin.abs();
        let (along, across) = if by_rows { (cos, sin) } else { (sin, cos) };
        let (first_bin, first_line) = (-0.5 * (N_BINS as f32 - 1.0), -0.5 * (SIDE as f32 - 1.0));
        let start = (first_bin - first_line * across) / along - first_line;
        Self {
            by_rows,
            start: (start * ONE) as i32,
            per_bin: (ONE / along) as i32,
            per_line: (-across / along * ONE) as i32,
            length: 1.0 / along.abs(),
        }
    }

    /// Pixels of a ray and their weights.
    fn ray(&self, bin: usize) -> impl Iterator<Item = (usize, f32)> + use<> {
        let (by_rows, per_line, length) = (self.by_rows, self.per_line, self.length);
        let mut position = self.start.wrapping_add((bin as i32).wrapping_mul(self.per_bin));
        (0..SIDE).flat_map(move |line| {
            let cell = position >> FRACTION_BITS;
            let fraction = (position & ((1 << FRACTION_BITS) - 1)) as f32 / ONE;
            position = position.wrapping_add(per_line);
            let pixel = move |cell: i32, weight: f32| {
                let cell = usize::try_from(cell).ok().filter(|cell| *cell < SIDE)?;
                Some((if by_rows { line * SIDE + cell } else { cell * SIDE + line }, length * weight))
            };
            [pixel(cell, 1.0 - fraction), pixel(cell + 1, fraction)].into_iter().flatten()
        })
    }

    /// `bins = A_view image`: overwrites.
    pub fn forward_project(&self, image: &[f32], bins: &mut [f32]) {
        for (bin, out) in bins.iter_mut().enumerate() {
            *out = self.ray(bin).map(|(pixel, weight)| weight * image.get(pixel).copied().unwrap_or_default()).sum();
        }
    }

    /// `image += A_view^T bins`: the same weights, so it is the exact transpose.
    pub fn add_adjoint(&self, bins: &[f32], image: &mut [f32]) {
        for (bin, value) in bins.iter().enumerate() {
            for (pixel, weight) in self.ray(bin) {
                if let Some(out) = image.get_mut(pixel) {
                    *out += weight * value;
                }
            }
        }
    }
}

/// `cos` of 0, 7.5, ..., 90 degrees, rounded to `f32`.
const COS: [f32; N_VIEWS / 2 + 1] = [
    1.0,
    0.991_444_9,
    0.965_925_8,
    0.923_879_5,
    0.866_025_4,
    0.793_353_3,
    0.707_106_77,
    0.608_761_4,
    0.5,
    0.382_683_43,
    0.258_819_04,
    0.130_526_19,
    0.0,
];

/// The table: view `k` looks along `7.5 k` degrees.
pub static VIEWS: [View; N_VIEWS] = {
    let mut views = [View::new(1.0, 0.0); N_VIEWS];
    let (mut k, quarter) = (0, N_VIEWS / 2);
    while k < N_VIEWS {
        views[k] = if k <= quarter {
            View::new(COS[k], COS[quarter - k])
        } else {
            View::new(-COS[N_VIEWS - k], COS[k - quarter])
        };
        k += 1;
    }
    views
};

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(seed: u32, n: usize) -> Vec<f32> {
        let mut random = crate::scan::Noise::new(seed);
        (0..n).map(|_| random.next_value()).collect()
    }

    #[test]
    fn the_adjoint_is_the_transpose() {
        for (k, view) in VIEWS.iter().enumerate() {
            let (x, y) = (noise(1, N_PIXELS), noise(2, N_BINS));
            let (mut ax, mut aty) = (vec![0.0; N_BINS], vec![0.0; N_PIXELS]);
            view.forward_project(&x, &mut ax);
            view.add_adjoint(&y, &mut aty);
            let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
            let norms = (dot(&ax, &ax) * dot(&y, &y)).sqrt();
            assert!((dot(&ax, &y) - dot(&x, &aty)).abs() < 1e-6 * norms, "view {k}");
        }
    }

    /// Parallel projections of a disc: chord lengths `2 sqrt(r^2 - s^2)`, whatever the angle.
    #[test]
    fn a_disc_casts_its_chords() {
        let radius = 12.0_f64;
        let centre = (SIDE as f64 - 1.0) / 2.0;
        // Area of the disc within each pixel, by 16 x 16 points.
        let covered = |pixel: usize| {
            let at = |i: usize, k: usize| i as f64 - centre + (k as f64 + 0.5) / 16.0 - 0.5;
            let points = (0..256).map(|k| (at(pixel / SIDE, k / 16), at(pixel % SIDE, k % 16)));
            points.filter(|(a, b)| a.hypot(*b) < radius).count() as f32 / 256.0
        };
        let disc: Vec<f32> = (0..N_PIXELS).map(covered).collect();
        for (k, view) in VIEWS.iter().enumerate() {
            let mut bins = [0.0; N_BINS];
            view.forward_project(&disc, &mut bins);
            for (bin, found) in bins.iter().enumerate() {
                let s = bin as f64 - (N_BINS as f64 - 1.0) / 2.0;
                let chord = 2.0 * (radius * radius - s * s).max(0.0).sqrt();
                let allowed = if s.abs() > radius - 2.0 { 4.0 } else { 0.4 };
                assert!((f64::from(*found) - chord).abs() < allowed, "view {k} bin {bin}: {found} {chord}");
            }
        }
    }

    #[test]
    fn the_table_holds_cosines() {
        for (k, cos) in COS.iter().enumerate() {
            assert_eq!(*cos, (7.5 * k as f64).to_radians().cos() as f32 * f32::from(k < 12), "{k}");
        }
    }
}
