//! Bins of a detector that measure nothing.

/// Views at least in which a dead bin differs from its neighbours, of all: on one side is air.
const LEAST_VIEWS: f64 = 0.25;
/// The same for a bin that does not always say the same thing.
const MOST_VIEWS: f64 = 0.75;
/// Bins at most that are dead, of all.
const MOST_DEAD: f64 = 0.1;
/// Fewer views tell nothing.
const VIEWS: usize = 8;

/// Bins that say the same in all views while their neighbours do not, and bins that stick out of both their neighbours
/// in most views, all by more than `level`: no object does that but one of a bin's width on the axis.
pub(super) fn dead_bins(sinogram: &[f32], n_bins: usize, level: f64) -> Vec<usize> {
    let n_views = sinogram.len() / n_bins.max(1);
    if n_views < VIEWS || n_bins < 3 || level <= 0.0 {
        return Vec::new();
    }
    let column = |bin: usize| sinogram.iter().skip(bin).step_by(n_bins);
    let is_constant: Vec<bool> = (0..n_bins)
        .map(|bin| {
            let (least, most) = column(bin).fold((f32::MAX, f32::MIN), |(lo, hi), y| (lo.min(*y), hi.max(*y)));
            f64::from(most - least) < 1e-6 * level
        })
        .collect();
    // Without noise, or where air was set to 0, much is constant and nothing is dead.
    let n_constant = is_constant.iter().filter(|constant| **constant).count();
    let may_be_dead = |bin: usize| is_constant[bin] && n_constant as f64 <= MOST_DEAD * n_bins as f64;
    // The nearest bin on a side that varies.
    let beside = |bin: usize, up: bool| -> Option<usize> {
        let live = |other: &usize| !may_be_dead(*other);
        if up { (bin + 1..n_bins).find(live) } else { (0..bin).rev().find(live) }
    };
    let sticks_out = |bin: usize, views: f64| {
        let neighbours = [beside(bin, false), beside(bin, true)];
        let differs = |view: &[f32]| {
            let steps = neighbours.map(|other| other.map(|other| f64::from(view[bin]) - f64::from(view[other])));
            match steps {
                [Some(a), Some(b)] => a * b > 0.0 && a.abs().min(b.abs()) > level,
                [a, b] => a.or(b).is_some_and(|step| may_be_dead(bin) && step.abs() > level),
            }
        };
        sinogram.chunks_exact(n_bins).filter(|view| differs(view)).count() as f64 > views * n_views as f64
    };
    (0..n_bins).filter(|&bin| sticks_out(bin, if may_be_dead(bin) { LEAST_VIEWS } else { MOST_VIEWS })).collect()
}

/// Rays whose line integral is that of less than one photon.
pub(super) fn dark_rays(sinogram: &[f32], photons: f64) -> Vec<usize> {
    let is_dark = |y: &f32| photons * (-f64::from(*y)).exp() < 1.0 - 1e-3;
    sinogram.iter().enumerate().filter(|(_, y)| is_dark(y)).map(|(ray, _)| ray).collect()
}

/// Fills dead bins in every view from the nearest live ones, along a line.
pub fn fill_bins(sinogram: &mut [f32], n_bins: usize, dead: &[usize]) {
    let is_live = |bin: &usize| !dead.contains(bin);
    for &bin in dead {
        let (below, above) = ((0..bin).rev().find(is_live), (bin + 1..n_bins).find(is_live));
        for view in sinogram.chunks_exact_mut(n_bins) {
            view[bin] = match (below, above) {
                (Some(a), Some(b)) => view[a] + (view[b] - view[a]) * (bin - a) as f32 / (b - a) as f32,
                (Some(k), None) | (None, Some(k)) => view[k],
                (None, None) => 0.0,
            };
        }
    }
}

/// `3, 17 and 20`, the first ten.
pub(super) fn named(bins: &[usize]) -> String {
    let mut names: Vec<String> = bins.iter().take(10).map(usize::to_string).collect();
    if bins.len() > 10 {
        names.push(format!("{} more", bins.len() - 10));
    }
    match names.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} and {last}", others.join(", ")),
        _ => names.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ct::{poisson, relative_gaussian};

    const N_BINS: usize = 60;

    /// A disc on the axis, and one beside it.
    fn sinogram() -> Vec<f32> {
        let chord = |radius: f32, s: f32| 2.0 * (radius * radius - s * s).max(0.0).sqrt() * 0.02;
        let ray = |ray: usize| {
            let (view, s) = (ray / N_BINS, (ray % N_BINS) as f32 - 29.5);
            chord(20.0, s) + chord(4.0, s - 12.0 * (view as f32 * 0.1).cos())
        };
        (0..N_BINS * 40).map(ray).collect()
    }

    #[test]
    fn live_bins_are_live_with_and_without_noise() {
        for noise in [0.0, 0.02, 0.2] {
            let mut sinogram = sinogram();
            relative_gaussian(&mut sinogram, noise, 3).unwrap();
            assert_eq!(dead_bins(&sinogram, N_BINS, 0.03), Vec::<usize>::new(), "{noise}");
        }
    }

    #[test]
    fn dead_and_wild_bins_are_found_and_filled() {
        let clean = sinogram();
        let mut broken = clean.clone();
        relative_gaussian(&mut broken, 0.02, 3).unwrap();
        for view in broken.chunks_exact_mut(N_BINS) {
            (view[20], view[21], view[40]) = (0.0, 0.0, 12.0);
            // Warm: too much, but not always the same.
            view[30] += 0.5;
        }
        assert_eq!(dead_bins(&broken, N_BINS, 0.05), [20, 21, 30, 40]);
        fill_bins(&mut broken, N_BINS, &[20, 21, 30, 40]);
        let worst = broken.iter().zip(&clean).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 0.15, "{worst}");
        assert_eq!(named(&[3, 17, 20]), "3, 17 and 20");
    }

    #[test]
    fn rays_without_a_photon_are_dark() {
        let mut counted = vec![0.0_f32, 1.0, 30.0, 2.0];
        poisson(&mut counted, 1e3, 1).unwrap();
        assert_eq!(dark_rays(&counted, 1e3), [2]);
    }
}
