//! Weights of each view, and in a fan of each ray, in the sum over views.

use super::axis_views::gaps;
use super::geometry::{Fan, Geometry};
use std::f64::consts::{FRAC_PI_2, PI, TAU};

/// A gap between neighbouring angles counts as a wedge nobody measured when it is this many times the mean gap.
const WEDGE: f64 = 8.0;

/// Of few views a gap is one when it is this many times the next largest.
const ALONE: f64 = 3.0;

/// In a fan, where a wedge may be most of the turn: when it is this many times the mean of the other gaps.
const FAN_WEDGE: f64 = 4.0;

/// Views whose angles differ by less are frames of one.
const SAME_RAD: f64 = 1e-9;

/// Rays at the ends of an arc of views fade over at least this angle into those that see the same line from behind.
const FADE_RAD: f64 = PI / 18.0;

/// The share of the half circle that each view of a parallel beam stands for; adds up to pi unless a wedge is missing.
pub(super) fn angle_weights(angles_rad: &[f64]) -> Vec<f64> {
    let n = n_distinct(angles_rad, PI) as f64;
    let is_alone = |gap, next| n > 2.0 && gap > ALONE * next;
    Shares::new(angles_rad, PI, |gap, next| gap > WEDGE * PI / n || is_alone(gap, next)).weights
}

/// The angle of the half circle of directions that no view measured, in radians: 0 unless a wedge is missing.
#[must_use]
pub fn missing_wedge_rad(angles_rad: &[f64]) -> f64 {
    (PI - angle_weights(angles_rad).iter().sum::<f64>()).max(0.0)
}

/// The bins that a displaced detector lacks at its lower or upper end, where views from all around make up for it.
pub(super) fn missing_bins(geometry: &Geometry) -> [usize; 2] {
    let ends = [0.0, geometry.n_bins as f64 - 1.0].map(|k| geometry.bin_position_mm(k));
    // How much farther the upper end reaches.
    let further = (ends[1] + ends[0]) / geometry.bin_width_mm;
    let wedges: f64 = full_turn(&geometry.angles_rad).wedges.iter().map(|(_, length)| length).sum();
    // Over half a turn and a little more, lines that are seen once would count beside those that are seen twice.
    if further.abs() <= 1.0 || wedges > 0.5 * FADE_RAD {
        return [0, 0];
    }
    let missing = further.abs().round().min(geometry.n_bins as f64) as usize;
    if further > 0.0 { [missing, 0] } else { [0, missing] }
}

/// The rays of a parallel beam whose detector stands to one side of the axis, `[angle][bin]`, over a full turn.
///
/// The line at s at angle a is that at -s at angle a + pi: each of the two rays counts as in a fan of angle 0.
pub(super) fn displaced_weights(geometry: &Geometry) -> Vec<f64> {
    shared(geometry, &full_turn(&geometry.angles_rad), |_| 0.0)
}

fn full_turn(angles_rad: &[f64]) -> Shares {
    let n = n_distinct(angles_rad, TAU) as f64;
    Shares::new(angles_rad, TAU, |gap, _| gap > FAN_WEDGE * (TAU - gap) / (n - 1.0))
}

/// Weights of a fan's rays, `[angle][bin]`: the share of the turn that its view stands for, times the share
/// of its line.
///
/// **Equation.** The ray of angle a that leaves the middle by g runs along the same line as that of angle a + pi - 2 g
/// that leaves it by -g. With c the fade of the views towards wedges nobody measured, times that of the bins towards
/// the detector's ends, a ray counts c / (c + c of the other) (Noo, Defrise, Clackdoyle and Kudo 2002, Phys. Med. Biol.
/// 47, 2525, eq. 34): 1/2 in a full turn, 1 where no other ray sees the line, and in between without a step.
pub(super) fn ray_weights(geometry: &Geometry, fan: &Fan) -> Vec<f64> {
    shared(geometry, &full_turn(&geometry.angles_rad), |s| {
        let (sin, cos) = fan.sin_cos(s);
        sin.atan2(cos)
    })
}

/// The share of each ray, which leaves the middle by an angle that its place on the detector says.
fn shared(geometry: &Geometry, shares: &Shares, leaving: impl Fn(f64) -> f64) -> Vec<f64> {
    let bins: Vec<[f64; 3]> = (0..geometry.n_bins).map(|k| bin_fades(geometry, &leaving, k)).collect();
    let views = geometry.angles_rad.iter().zip(&shares.weights);
    let rays = views.flat_map(|(&angle, share)| bins.iter().map(move |&bin| (angle, share, bin)));
    rays.map(|(angle, share, [leaving, own, opposite])| {
        let own = own * shares.fade(angle);
        if own > 0.0 { share * own / (own + opposite * shares.fade(angle + PI - 2.0 * leaving)) } else { 0.0 }
    })
    .collect()
}

/// The angle at which the ray of bin k leaves the middle, and the fades of that bin and of the one opposite.
fn bin_fades(geometry: &Geometry, leaving: &impl Fn(f64) -> f64, k: usize) -> [f64; 3] {
    let ends = [geometry.bin_position_mm(-0.5), geometry.bin_position_mm(geometry.n_bins as f64 - 0.5)];
    let s = geometry.bin_position_mm(k as f64);
    // The part of the detector that sees lines from both sides is as wide as twice its shorter half.
    let both = 2.0 * ends[1].min(-ends[0]).max(geometry.bin_width_mm);
    let fade = |s: f64| fade((s - ends[0]).min(ends[1] - s) / both);
    [leaving(s), fade(s), fade(-s)]
}

/// From 0 at 0 to 1 at 1, smooth at both ends.
fn fade(x: f64) -> f64 {
    (FRAC_PI_2 * x.clamp(0.0, 1.0)).sin().powi(2)
}

/// Views at different angles, of which several may be frames of one.
pub(super) fn n_distinct(angles_rad: &[f64], period: f64) -> usize {
    gaps(angles_rad, period).into_iter().filter(|gap| *gap > SAME_RAD).count().max(1)
}

/// Shares of the views in a circle of angles.
struct Shares {
    period: f64,
    weights: Vec<f64>,
    /// Gaps that no view stands for: beginning and length.
    wedges: Vec<(f64, f64)>,
}

impl Shares {
    /// `is_wedge` is told a gap and the largest of the others.
    fn new(angles_rad: &[f64], period: f64, is_wedge: impl Fn(f64, f64) -> bool) -> Self {
        let n = angles_rad.len();
        let mut order: Vec<(f64, usize)> = angles_rad.iter().map(|a| a.rem_euclid(period)).zip(0..).collect();
        order.sort_by(|a, b| a.0.total_cmp(&b.0));
        let gap = |i: usize| if i + 1 < n { order[i + 1].0 - order[i].0 } else { order[0].0 + period - order[i].0 };
        let two_largest =
            (0..n).map(gap).fold([0.0; 2], |[a, b]: [f64; 2], g| if g > a { [g, a] } else { [a, b.max(g)] });
        let is_wedge = |g: f64| is_wedge(g, if g < two_largest[0] { two_largest[0] } else { two_largest[1] });
        let missing: Vec<f64> = (0..n).map(gap).filter(|&g| is_wedge(g)).collect();
        let n_shared = n_distinct(angles_rad, period).saturating_sub(missing.len());
        let typical = (period - missing.iter().sum::<f64>()) / n_shared.max(1) as f64;
        let gaps: Vec<f64> = (0..n).map(gap).map(|g| if is_wedge(g) { typical } else { g }).collect();
        let mut weights = vec![0.0; n];
        for (i, &(_, view)) in order.iter().enumerate() {
            weights[view] = 0.5 * (gaps[i] + gaps[(i + n - 1) % n]);
        }
        // Frames of the same angle share what it stands for.
        for same in order.chunk_by(|a, b| b.0 - a.0 <= SAME_RAD) {
            let mean = same.iter().map(|(_, view)| weights[*view]).sum::<f64>() / same.len() as f64;
            same.iter().for_each(|(_, view)| weights[*view] = mean);
        }
        let wedges = (0..n).filter(|&i| is_wedge(gap(i)));
        let wedges = wedges.map(|i| (order[i].0 + 0.5 * typical, (gap(i) - typical).max(0.0))).collect();
        Self { period, weights, wedges }
    }

    /// 1 on what views stand for, falling to 0 towards wedges.
    fn fade(&self, angle: f64) -> f64 {
        let measured = self.period - self.wedges.iter().map(|(_, length)| length).sum::<f64>();
        let over = (0.5 * (measured - PI)).max(FADE_RAD);
        let of_wedge = |&(begin, length): &(f64, f64)| {
            let past_begin = (angle - begin).rem_euclid(self.period);
            fade((past_begin - length).min(self.period - past_begin) / over)
        };
        self.wedges.iter().map(of_wedge).fold(1.0, f64::min)
    }
}

#[cfg(test)]
mod tests {
    use super::super::geometry::Detector;
    use super::*;

    #[test]
    fn weights_add_up_to_the_half_circle_and_skip_a_wedge() {
        let even: Vec<f64> = (0..60).map(|k| (f64::from(k) + 0.5) * PI / 60.0).collect();
        assert!(angle_weights(&even).iter().all(|w| (w - PI / 60.0).abs() < 1e-12));
        let wedge = angle_weights(&even[..40]);
        assert!(wedge.iter().all(|w| (w - PI / 60.0).abs() < 1e-12), "{wedge:?}");
        assert!((missing_wedge_rad(&even[..40]) - PI / 3.0).abs() < 1e-12 && missing_wedge_rad(&even) < 1e-12);
        let golden: Vec<f64> = (0..50).map(|k| f64::from(k) * 1.941_611).collect();
        assert!((angle_weights(&golden).iter().sum::<f64>() - PI).abs() < 1e-12);
        // Ten views over 90 degrees.
        let few = angle_weights(&(0..10).map(|k| f64::from(k) * PI / 20.0).collect::<Vec<f64>>());
        assert!(few.iter().all(|w| (w - PI / 20.0).abs() < 1e-12), "{few:?}");
        assert_eq!(angle_weights(&[0.4]), [PI]);
        assert!((angle_weights(&[0.4, 0.4]).iter().sum::<f64>() - PI).abs() < 1e-12);
    }

    fn fan(n_views: usize, turn: f64) -> (Geometry, Fan) {
        let fan = Fan { detector: Detector::Flat, source_to_axis_mm: 150.0, source_to_detector_mm: 250.0 };
        let angles_rad = (0..n_views).map(|k| 0.3 - k as f64 * turn / n_views as f64).collect();
        (Geometry { angles_rad, ..Geometry::covering_by_fan(64, 64, 1, fan) }, fan)
    }

    #[test]
    fn a_full_turn_shares_every_line_between_two_rays() {
        let (g, fan) = fan(90, TAU);
        assert!(ray_weights(&g, &fan).iter().all(|w| (w - PI / 90.0).abs() < 1e-12));
    }

    /// Frames that were taken again and again at each angle, in turn or one after the other, share what it stands for.
    #[test]
    fn repeated_frames_share_their_angle() {
        let even: Vec<f64> = (0..60).map(|k| f64::from(k) * PI / 60.0).collect();
        for angles in [even.repeat(9), even.iter().flat_map(|angle| [*angle; 9]).collect()] {
            assert!(angle_weights(&angles).iter().all(|w| (w - PI / 540.0).abs() < 1e-12));
            assert!(missing_wedge_rad(&angles) < 1e-9);
        }
        let wedge = even[..40].repeat(9);
        assert!((missing_wedge_rad(&wedge) - PI / 3.0).abs() < 1e-9, "{}", missing_wedge_rad(&wedge));
        let (mut g, fan) = fan(90, TAU);
        g.angles_rad = g.angles_rad.repeat(10);
        assert!(ray_weights(&g, &fan).iter().all(|w| (w - PI / 900.0).abs() < 1e-12));
        g.angles_rad = vec![0.2, 0.2];
        assert!(ray_weights(&g, &fan).iter().all(|w| w.is_finite()), "{:?}", ray_weights(&g, &fan));
    }

    /// On part of a half turn no line is seen from both sides: every ray counts as its view.
    #[test]
    fn lines_seen_once_count_once() {
        let (g, fan) = fan(40, 1.0);
        let share = 1.0 / 40.0;
        assert!(ray_weights(&g, &fan).iter().all(|w| (w - share).abs() < 1e-12), "{:?}", ray_weights(&g, &fan));
    }

    /// Every line of the object is seen once in all: the weights of both its rays add up to one share.
    #[test]
    fn a_short_scan_counts_every_line_once() {
        let n_views = 1200;
        let turn = 4.1; // pi and the fan of 0.62, and some more
        let (g, fan) = fan(n_views, turn);
        let (weights, share) = (ray_weights(&g, &fan), turn / n_views as f64);
        let mut n_twice = 0;
        for (view, &angle) in g.angles_rad.iter().enumerate() {
            for k in 0..g.n_bins {
                let leaving = (g.bin_position_mm(k as f64) / fan.source_to_detector_mm).atan();
                let other = (0.3 - (angle + PI - 2.0 * leaving)).rem_euclid(TAU) / share;
                let own = weights[view * g.n_bins + k] / share;
                if other < n_views as f64 - 1.0 {
                    let opposite = weights[other.round() as usize * g.n_bins + (g.n_bins - 1 - k)] / share;
                    assert!((own + opposite - 1.0).abs() < 0.02, "view {view}, bin {k}: {own} + {opposite}");
                    n_twice += 1;
                } else if other > n_views as f64 && other < TAU / share - 1.0 {
                    assert!((own - 1.0).abs() < 1e-9, "view {view}, bin {k}: {own}");
                }
            }
        }
        assert!(n_twice > n_views * g.n_bins / 4);
    }
}
