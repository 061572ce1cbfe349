//! Closed polygons: cut along lines, with rounded corners, and drawn by the share of each pixel that they cover.

use crate::image::Image;
use std::f64::consts::TAU;

/// A point or a vector in the plane.
pub(super) type Point = [f64; 2];

/// Corners in order; the last one is joined to the first.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Polygon(pub(super) Vec<Point>);

/// Square pixels of the plane: pixel `[i][j]` covers x from `corner[0] + j pixel` and y from `corner[1] + i pixel` on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Window {
    pub(super) corner: Point,
    pub(super) pixel: f64,
    /// Rows and columns.
    pub(super) size: usize,
}

pub(super) fn dot(a: Point, b: Point) -> f64 {
    a[0] * b[0] + a[1] * b[1]
}

fn towards(from: Point, to: Point, share: f64) -> Point {
    [from[0] + share * (to[0] - from[0]), from[1] + share * (to[1] - from[1])]
}

impl Polygon {
    /// `n` corners at even angles around the origin, at the distances that `radius` gives.
    pub(super) fn around(n: usize, mut radius: impl FnMut(f64) -> f64) -> Self {
        let corner = |k| {
            let angle = TAU * k as f64 / n as f64;
            let ((sine, cosine), r) = (libm::sincos(angle), radius(angle));
            [r * cosine, r * sine]
        };
        Self((0..n).map(corner).collect())
    }

    pub(super) fn mapped(&self, map: impl FnMut(Point) -> Point) -> Self {
        Self(self.0.iter().copied().map(map).collect())
    }

    /// Each edge with its two corners.
    fn edges(&self) -> impl Iterator<Item = (Point, Point)> {
        self.0.iter().zip(self.0.iter().cycle().skip(1)).map(|(&from, &to)| (from, to))
    }

    /// The part with `<normal, p> <= bound` \[SH74\].
    pub(super) fn cut(&self, normal: Point, bound: f64) -> Self {
        let mut kept = Vec::with_capacity(self.0.len() + 2);
        for (from, to) in self.edges() {
            let [before, after] = [from, to].map(|corner| dot(normal, corner) - bound);
            if before <= 0.0 {
                kept.push(from);
            }
            if (before <= 0.0) != (after <= 0.0) {
                kept.push(towards(from, to, before / (before - after)));
            }
        }
        Self(kept)
    }

    /// The same with every corner cut off, `reach` from it along both edges but at most a third of an edge.
    pub(super) fn rounded(&self, reach: f64) -> Self {
        let cut = |(from, to): (Point, Point)| {
            let length = (dot(from, from) + dot(to, to) - 2.0 * dot(from, to)).max(0.0).sqrt();
            let share = if 3.0 * reach < length { reach / length } else { 1.0 / 3.0 };
            [towards(from, to, share), towards(to, from, share)]
        };
        Self(self.edges().flat_map(cut).collect())
    }

    pub(super) fn area(&self) -> f64 {
        let twice: f64 = self.edges().map(|(from, to)| from[0] * to[1] - to[0] * from[1]).sum();
        0.5 * twice.abs()
    }

    /// Adds `value` times the covered share of each pixel of the window.
    ///
    /// Every edge adds, to all that lies to its right, the height that it passes in a row; the sum over the edges of a
    /// closed line is the covered area.
    pub(super) fn add_to(&self, image: &mut Image, window: &Window, value: f64) {
        let place = |p: Point| [0, 1].map(|axis| (p[axis] - window.corner[axis]) / window.pixel);
        let placed = self.mapped(place);
        let size = window.size as f64;
        let (low, high) = placed.0.iter().fold((size, 0.0), |(low, high), y| (y[1].min(low), y[1].max(high)));
        let rows = low.max(0.0) as usize..high.ceil().clamp(0.0, size) as usize;
        if rows.is_empty() {
            return;
        }
        let mut steps = vec![0.0; rows.len() * window.size];
        for (from, to) in placed.edges() {
            for (k, steps) in steps.chunks_exact_mut(window.size).enumerate() {
                add_edge(steps, (rows.start + k) as f64, from, to);
            }
        }
        let lines = image.pixels.chunks_exact_mut(window.size).skip(rows.start);
        for (line, steps) in lines.zip(steps.chunks_exact(window.size)) {
            let mut covered = 0.0;
            for (pixel, step) in line.iter_mut().zip(steps) {
                covered += step;
                *pixel += (value * covered.abs()) as f32;
            }
        }
    }
}

/// Adds to a row of pixels, from `top` to `top + 1`, the changes of coverage from pixel to pixel that an edge makes.
fn add_edge(steps: &mut [f64], top: f64, from: Point, to: Point) {
    let rise = to[1] - from[1];
    let [enter, leave] = [from, to].map(|corner| corner[1].clamp(top, top + 1.0));
    let height = leave - enter;
    if height == 0.0 {
        return;
    }
    let x_at = |y: f64| from[0] + (y - from[1]) / rise * (to[0] - from[0]);
    let (a, b) = (x_at(enter), x_at(leave));
    let (left, right) = (a.min(b), a.max(b));
    // The mean over the edge of the share of pixel j, and of those before it, to the right of it.
    let share = |j: usize| {
        let next = (j + 1) as f64;
        if right - left < 1e-9 {
            (next - left).clamp(0.0, 1.0)
        } else {
            (ramp(next - left) - ramp(next - right)) / (right - left)
        }
    };
    let (first, mut before) = (left.max(0.0) as usize, 0.0);
    for (j, step) in steps.iter_mut().enumerate().skip(first) {
        let share = share(j);
        *step += height * (share - before);
        before = share;
        if (j as f64) > right {
            break;
        }
    }
}

/// The integral from 0 to `u` of a ramp from 0 to 1.
fn ramp(u: f64) -> f64 {
    if u <= 0.0 {
        0.0
    } else if u <= 1.0 {
        0.5 * u * u
    } else {
        u - 0.5
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Window = Window { corner: [-1.0; 2], pixel: 0.1, size: 20 };

    fn drawn(polygon: &Polygon, window: &Window) -> Image {
        let mut image = Image::zeros(window.size, window.size);
        polygon.add_to(&mut image, window, 1.0);
        image
    }

    fn square(half: f64) -> Polygon {
        Polygon(vec![[-half, -half], [half, -half], [half, half], [-half, half]])
    }

    #[test]
    fn pixels_hold_the_share_that_is_covered() {
        let image = drawn(&square(0.35), &WINDOW);
        let covered = |i: usize, j: usize| f64::from(image.pixels[i * 20 + j]);
        // Rows and columns 6 and 13 are half covered, 7 to 12 wholly.
        for (i, j, wanted) in [(9, 9, 1.0), (6, 9, 0.5), (9, 13, 0.5), (6, 6, 0.25), (5, 9, 0.0), (9, 14, 0.0)] {
            assert!((covered(i, j) - wanted).abs() < 1e-6, "{i} {j} {}", covered(i, j));
        }
    }

    /// Any polygon, slanted or not, covers its area; the half of it that a window sees is covered as in the whole one.
    #[test]
    fn coverage_adds_up_to_the_area() {
        for n in [3, 4, 7, 64] {
            let polygon = Polygon::around(n, |a| 0.5 + 0.2 * libm::sin(3.0 * a)).mapped(|p| [p[0] + 0.1, p[1] - 0.07]);
            let image = drawn(&polygon, &WINDOW);
            let sum: f64 = image.pixels.iter().map(|p| f64::from(*p)).sum();
            assert!((sum * 0.01 - polygon.area()).abs() < 1e-6, "{n}: {} {}", sum * 0.01, polygon.area());
            let part = drawn(&polygon, &Window { corner: [0.0, -0.3], size: 7, ..WINDOW });
            for (k, pixel) in part.pixels.iter().enumerate() {
                let whole = image.pixels[(k / 7 + 7) * 20 + k % 7 + 10];
                assert!((pixel - whole).abs() < 1e-6, "{n} {k}: {pixel} {whole}");
            }
        }
    }

    #[test]
    fn what_a_line_leaves_is_its_side() {
        let half = square(1.0).cut([1.0, 1.0], 0.0);
        assert!((half.area() - 2.0).abs() < 1e-12);
        assert!(half.0.iter().all(|p| p[0] + p[1] <= 1e-12));
        assert_eq!(square(1.0).cut([1.0, 0.0], -2.0), Polygon(Vec::new()));
        assert_eq!(square(1.0).cut([1.0, 0.0], 2.0), square(1.0));
        assert_eq!(Polygon(Vec::new()).area(), 0.0);
    }

    #[test]
    fn round_corners_lose_their_triangles() {
        let rounded = square(1.0).rounded(0.1);
        assert_eq!(rounded.0.len(), 8);
        assert!((rounded.area() - (4.0 - 4.0 * 0.005)).abs() < 1e-12);
        // At most a third of an edge.
        assert!((square(0.15).rounded(0.2).area() - (0.09 - 4.0 * 0.005)).abs() < 1e-12);
    }
}
