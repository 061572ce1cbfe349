//! Shapes of holes, by kind.

use super::ellipses::uniform;
use super::polygon::Polygon;
use rand_chacha::ChaCha8Rng;
use std::f64::consts::TAU;

/// A kind of holes that have a line around them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hole {
    Round,
    Polygon,
    Brick,
    Star,
    Blob,
    Slot,
    /// All that its neighbours leave.
    Cell,
}

pub(super) const HOLES: [Hole; 7] =
    [Hole::Round, Hole::Polygon, Hole::Brick, Hole::Star, Hole::Blob, Hole::Slot, Hole::Cell];

pub(super) fn between(rng: &mut ChaCha8Rng, low: f64, high: f64) -> f64 {
    low + (high - low) * uniform(rng)
}

/// The rectangle between (-x, -y) and (x, y).
fn rectangle(x: f64, y: f64) -> Polygon {
    Polygon(vec![[-x, -y], [x, -y], [x, y], [-x, y]])
}

impl Hole {
    /// A hole of about this size around the origin; `taste` is three numbers from 0 to 1 that holes of one image share.
    pub(super) fn drawn(self, rng: &mut ChaCha8Rng, size: f64, [first, second, third]: [f64; 3]) -> Polygon {
        match self {
            Self::Round => Polygon::around(48, |_| size),
            Self::Polygon => {
                let corners = 3 + (4.0 * first) as usize;
                Polygon::around(corners, |_| 1.2 * size * between(rng, 1.0 - 0.4 * second, 1.0))
            }
            Self::Brick => {
                let (wide, shear) = (size * (0.4 + 0.8 * first), 1.2 * (second - 0.5));
                rectangle(1.3 * size, wide).mapped(|[x, y]| {
                    let [dx, dy] = [0, 1].map(|_| 0.3 * third * size * between(rng, -1.0, 1.0));
                    [x + shear * y + dx, y + dy]
                })
            }
            Self::Star => {
                let lobes = [4.0, 4.0, 3.0, 5.0][(4.0 * first) as usize % 4];
                let depth = between(rng, 0.2, 0.45 + 0.1 * second);
                let skew = between(rng, -0.3, 0.3);
                let shape = |a: f64| 1.0 - depth + depth * libm::cos(lobes * a) + skew * depth * libm::sin(a);
                Polygon::around(64, |a| 1.2 * size * shape(a))
            }
            Self::Blob => {
                let waves = [2.0, 3.0, 4.0, 5.0]
                    .map(|k| (k, between(rng, -1.0, 1.0) * 0.9 * (0.3 + 0.7 * first) / k, between(rng, 0.0, TAU)));
                let wavy = |a: f64| waves.iter().map(|(k, share, phase)| share * libm::cos(k * a + phase)).sum::<f64>();
                Polygon::around(64, |a| size * (1.0 + wavy(a)).max(0.25))
            }
            Self::Slot => rectangle(size * (1.0 + 3.0 * first), size * (0.1 + 0.3 * second)),
            Self::Cell => rectangle(2.0, 2.0),
        }
    }
}
