//! Random discs with holes, made on the fly from a seed: one material, and air.

use super::ellipses::uniform;
use super::hole::{HOLES, Hole, between};
use super::polygon::{Point, Polygon, Window, dot};
use super::waves::Waves;
use crate::image::Image;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use std::f64::consts::{PI, TAU};

/// Key of the generator; the image's seed chooses the stream under it.
const KEY: [u8; 32] = *b"gradus: pictures: discs of holes";
/// Corners of the disc.
const CORNERS: usize = 256;
/// Corners of the line that holes keep from the disc's edge.
const RIM_CORNERS: usize = 48;
/// Trials to place a hole.
const TRIALS: usize = 600;
/// Share of discs without holes.
const SOLID: f64 = 0.02;
/// Holes with less area than this are left out.
const SMALLEST_AREA: f64 = 2.5e-4;

/// Image number `seed` of the discs: `size` x `size` pixels, 1 where there is material, 0 where there is air, and
/// in-between where a pixel holds both.
///
/// The side of the image is the unit of length. The disc's radius is uniform on 0.46 +- 1 %, its centre within 0.025 of
/// the middle, and the holes keep away from its edge and from each other. They are of one of eight kinds: round,
/// polygons, bricks, stars, blobs, slots, cells of a foam, and where a random field exceeds a level; a linear map of
/// determinant 1, one for the image, stretches and turns them and the pattern in which they lie.
///
/// Each seed has a ChaCha8 stream of its own, and only the generator's integers, IEEE arithmetic and `libm` enter, so a
/// seed gives the same bits on every machine.
///
/// ```
/// let image = gradus::data::disc::disc(7, 128);
/// assert_eq!(image.range(), (0.0, 1.0));
/// ```
#[must_use]
pub fn disc(seed: u64, size: usize) -> Image {
    Disc::of(seed).drawn(size)
}

/// The disc of one image.
struct Disc {
    centre: Point,
    radius: f64,
    /// Material between the edge and the holes at least.
    rim: f64,
    holes: Holes,
}

enum Holes {
    Shapes(Vec<Polygon>),
    Waves(Box<Waves>),
}

/// Uniform in the logarithm.
fn log_between(rng: &mut ChaCha8Rng, low: f64, high: f64) -> f64 {
    low * libm::pow(high / low, uniform(rng))
}

impl Disc {
    fn of(seed: u64) -> Self {
        let mut rng = ChaCha8Rng::from_seed(KEY);
        rng.set_stream(seed);
        Self::random(&mut rng)
    }

    fn random(rng: &mut ChaCha8Rng) -> Self {
        let radius = 0.46 * between(rng, 0.99, 1.01);
        let centre = [between(rng, -0.025, 0.025), between(rng, -0.025, 0.025)];
        let rim = between(rng, 0.015, 0.06);
        let (is_solid, kind) = (uniform(rng) < SOLID, (uniform(rng) * (HOLES.len() + 1) as f64) as usize);
        let pattern = Pattern::random(rng);
        let holes = match HOLES.get(kind) {
            _ if is_solid => Holes::Shapes(Vec::new()),
            Some(kind) => Holes::Shapes(pattern.holes(rng, *kind, radius - rim)),
            None => Holes::Waves(Box::new(Waves::random(rng, &pattern.inverse))),
        };
        Self { centre, radius, rim, holes }
    }

    fn drawn(&self, size: usize) -> Image {
        let mut image = Image::zeros(size, size);
        let window = &Window { corner: self.centre.map(|middle| -0.5 - middle), pixel: 1.0 / size as f64, size };
        let inside = |radius: f64| Polygon::around(CORNERS, |_| radius);
        match &self.holes {
            Holes::Shapes(holes) => {
                inside(self.radius).add_to(&mut image, window, 1.0);
                holes.iter().for_each(|hole| hole.add_to(&mut image, window, -1.0));
            }
            Holes::Waves(waves) => {
                inside(self.radius - self.rim).add_to(&mut image, window, -1.0);
                waves.multiply(&mut image, window);
                inside(self.radius).add_to(&mut image, window, 1.0);
            }
        }
        image.pixels.iter_mut().for_each(|pixel| *pixel = pixel.clamp(0.0, 1.0));
        image
    }
}

/// The places and the looks of an image's holes.
struct Pattern {
    /// From the pattern's plane, in which nothing is stretched, to that of the image.
    map: [Point; 2],
    inverse: [Point; 2],
    /// Least distance between the middles of holes, in the pattern's plane.
    spacing: f64,
    /// Size of a hole over `spacing`, and the share by which holes differ in it.
    size: f64,
    size_varies: f64,
    /// Angle of a hole, and the range in which holes differ in it.
    angle: f64,
    angle_varies: f64,
    /// Numbers that a kind of hole reads as it likes, the same for all holes of the image.
    taste: [f64; 3],
    /// Share of places that hold a hole.
    share: f64,
    /// Radius within which the places lie, over that within which the holes lie.
    spread: f64,
    /// Material between holes.
    wall: f64,
    /// Length that a round corner takes of an edge.
    rounding: f64,
}

fn times(matrix: &[Point; 2], point: Point) -> Point {
    matrix.map(|row| dot(row, point))
}

impl Pattern {
    fn random(rng: &mut ChaCha8Rng) -> Self {
        let stretch = if uniform(rng) < 0.35 { 1.0 } else { between(rng, 1.0, 1.8) };
        let (s, c) = libm::sincos(between(rng, 0.0, PI));
        let to = [stretch, 1.0 / stretch];
        // Q^T diag(to) Q, which is symmetric; its inverse stretches the other way.
        let stretched =
            |[a, b]: [f64; 2]| [[c * c * a + s * s * b, c * s * (a - b)], [c * s * (a - b), s * s * a + c * c * b]];
        Self {
            map: stretched(to),
            inverse: stretched([to[1], to[0]]),
            spacing: log_between(rng, 0.11, 0.42),
            size: between(rng, 0.2, 0.7),
            size_varies: between(rng, 0.0, 0.4),
            angle: between(rng, 0.0, TAU),
            angle_varies: if uniform(rng) < 0.6 { 0.5 } else { TAU },
            taste: [uniform(rng), uniform(rng), uniform(rng)],
            share: between(rng, 0.4, 1.3),
            spread: between(rng, 0.75, 1.0),
            wall: between(rng, 0.012, 0.05),
            rounding: between(rng, 0.003, 0.02),
        }
    }

    /// The holes, around the middle of the disc, within `radius` of it.
    fn holes(&self, rng: &mut ChaCha8Rng, kind: Hole, radius: f64) -> Vec<Polygon> {
        let places = self.places(rng, self.spread * radius);
        let mut holes = Vec::new();
        for (k, &place) in places.iter().enumerate() {
            if k > 0 && uniform(rng) > self.share {
                continue;
            }
            let mut hole = self.shape(rng, kind).mapped(|p| times(&self.map, [p[0] + place[0], p[1] + place[1]]));
            for other in places.iter().filter(|other| **other != place) {
                hole = self.halved(&hole, place, *other);
            }
            for corner in Polygon::around(RIM_CORNERS, |_| 1.0).0 {
                hole = hole.cut(corner, radius);
            }
            if hole.area() > SMALLEST_AREA {
                holes.push([1.0, 0.4, 0.16].iter().fold(hole, |hole, share| hole.rounded(share * self.rounding)));
            }
        }
        holes
    }

    /// Middles of holes, in the pattern's plane.
    fn places(&self, rng: &mut ChaCha8Rng, radius: f64) -> Vec<Point> {
        let mut places: Vec<Point> = Vec::new();
        for _ in 0..TRIALS {
            let place = [between(rng, -radius, radius), between(rng, -radius, radius)];
            if dot(place, place) > radius * radius {
                continue;
            }
            let place = times(&self.inverse, place);
            let is_far = |other: &Point| {
                let way = [place[0] - other[0], place[1] - other[1]];
                dot(way, way) > self.spacing * self.spacing
            };
            if places.iter().all(is_far) {
                places.push(place);
            }
        }
        places
    }

    /// The part of a hole, in the image's plane, that is nearer to its own `place` than to `other`, seen in the
    /// pattern's plane, without half a wall.
    fn halved(&self, hole: &Polygon, place: Point, other: Point) -> Polygon {
        // n q <= m is (M^-T n) p <= m for p = M q, and M is symmetric.
        let way = [other[0] - place[0], other[1] - place[1]];
        let bound = 0.5 * (dot(other, other) - dot(place, place));
        let normal = times(&self.inverse, way);
        hole.cut(normal, bound - 0.5 * self.wall * dot(normal, normal).sqrt())
    }

    /// A hole around the origin of the pattern's plane.
    fn shape(&self, rng: &mut ChaCha8Rng, kind: Hole) -> Polygon {
        let size = self.spacing * self.size * (1.0 + between(rng, -self.size_varies, self.size_varies));
        let angle = self.angle + self.angle_varies * between(rng, -0.5, 0.5);
        let shape = kind.drawn(rng, size, self.taste);
        if matches!(kind, Hole::Round | Hole::Cell) {
            return shape;
        }
        let (sine, cosine) = libm::sincos(angle);
        shape.mapped(|p| [cosine * p[0] - sine * p[1], sine * p[0] + cosine * p[1]])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::checksum;

    #[test]
    fn seeds_pin_the_bits() {
        let sums = [1, 5, 7].map(|seed| checksum(&disc(seed, 64)));
        assert_eq!(sums, [4_637_184_359_581_343_704, 9_014_571_173_104_585_940, 12_072_271_935_166_955_234]);
        assert_ne!(disc(5, 32), disc(6, 32));
    }

    #[test]
    fn every_kind_is_drawn_and_cuts_holes() {
        let mut seen = [0; HOLES.len() + 2];
        for seed in 0..120 {
            let disc = Disc::of(seed);
            let image = disc.drawn(64);
            let area = image.pixels.iter().map(|p| f64::from(*p)).sum::<f64>() / 4096.0;
            let solid = PI * disc.radius * disc.radius;
            let mut again = ChaCha8Rng::from_seed(KEY);
            again.set_stream(seed);
            let [.., is_solid, kind] = [(); 6].map(|()| uniform(&mut again));
            let kind = if is_solid < SOLID { HOLES.len() + 1 } else { (kind * (HOLES.len() + 1) as f64) as usize };
            seen[kind] += 1;
            let holes = solid - area;
            assert!(
                if is_solid < SOLID { holes.abs() < 1e-3 } else { holes > -1e-3 && holes < 0.9 * solid },
                "{seed} {holes}"
            );
        }
        assert!(seen[..=HOLES.len()].iter().all(|n| *n > 2), "{seen:?}");
    }

    /// Holes leave the rim whole, whatever their kind.
    #[test]
    fn the_rim_is_whole() {
        for seed in 0..60 {
            let drawn = Disc::of(seed);
            let image = drawn.drawn(200);
            for k in 0..90 {
                let (sine, cosine) = libm::sincos(TAU * f64::from(k) / 90.0);
                let radius = drawn.radius - 0.5 * drawn.rim;
                let place = [drawn.centre[1] + radius * sine, drawn.centre[0] + radius * cosine];
                let [i, j] = place.map(|p| ((p + 0.5) * 200.0) as usize);
                assert!(image.pixels[i * 200 + j] > 0.99, "{seed}: {i} {j} {}", image.pixels[i * 200 + j]);
            }
        }
    }

    #[test]
    fn small_sizes_end() {
        assert_eq!(disc(3, 0), Image::zeros(0, 0));
        assert_eq!(disc(3, 1).pixels.len(), 1);
    }
}
