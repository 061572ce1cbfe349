//! The field of view: an object that reaches beyond the detector or the image grid, and rays that measured nothing.
//!
//! All of it is seen in the data before any reconstruction.

use super::air;
use super::bins::{dark_rays, dead_bins, fill_bins, named};
use crate::ct::{Beam, Cylinder, Geometry, GeometryError, Projector, estimate_noise};
use std::f64::consts::{PI, TAU};

/// Bounds of no object: less than this share of the largest line integrals, or than so many standard deviations.
const LEAST_SHARE: f64 = 0.03;
const LEAST_STDS: f64 = 5.0;
/// Views at least that must show an object beyond an end, of all.
const LEAST_VIEWS: f64 = 0.05;
/// An object ends within so many bins of the detector's end, where it ends there at all.
const NEAR_END: f64 = 1.5;
/// Largest side of a wider grid over that of the image.
const WIDEST: usize = 3;
/// Sides of images that every prior takes are multiples of this.
const MULTIPLE: usize = 16;

/// The part of the object that detector and image grid do not hold, and the rays that measured nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Field {
    /// Bins by which the object is expected to reach beyond the detector's lower and upper end.
    pub beyond_detector: [usize; 2],
    /// Rows and columns of the image that holds the object, where the scan's own does not.
    pub wider: Option<(usize, usize)>,
    /// The value of free rays, where it is not 0; then nothing can be said of what lies beyond.
    pub offset: Option<f64>,
    /// Bins that say the same, or something of their own, in all views.
    pub dead_bins: Vec<usize>,
    /// Rays that counted no photon: what they say is a bound.
    pub dark_rays: Vec<usize>,
}

impl Field {
    /// Looks at a sinogram `[angle][bin]`; `photons` are what a free ray counts, where that is known.
    ///
    /// # Errors
    /// When the geometry makes no sense.
    pub fn of(geometry: &Geometry, sinogram: &[f32], photons: Option<f64>) -> Result<Self, GeometryError> {
        let level = level(sinogram, geometry.n_bins);
        let dead_bins = dead_bins(sinogram, geometry.n_bins, level);
        let mut live = sinogram.to_vec();
        fill_bins(&mut live, geometry.n_bins, &dead_bins);
        let offset = air::offset(&live, geometry.n_bins);
        let (mut ends, mut missed_mm) = ([None, None], 0.0);
        if offset.is_none() {
            (ends, missed_mm) = (ends_within(geometry, &live, level), beside_grid_mm(geometry, &live, level)?);
        }
        let needed_mm = ends.iter().flatten().fold(missed_mm, |most, (_, reach_mm)| most.max(*reach_mm));
        let dark_rays = photons.map_or_else(Vec::new, |photons| dark_rays(sinogram, photons));
        let beyond_detector = ends.map(|end| end.map_or(0, |(bins, _)| bins));
        Ok(Self { beyond_detector, wider: wider(geometry, needed_mm), offset, dead_bins, dark_rays })
    }

    /// Warnings for a reader, and what is done about each.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        warnings.extend(self.offset.map(|offset| {
            format!(
                "free rays are at {offset:.3} in all views, not at 0: look at photons and flat field, and whether -ln \
                 of counts over photons was taken"
            )
        }));
        let grid = self.wider.map(|(rows, columns)| format!("{rows} x {columns} pixels"));
        if self.beyond_detector != [0, 0] {
            let treated = grid.as_ref().map_or_else(String::new, |grid| format!(", on a grid of {grid}"));
            warnings.push(format!(
                "the object reaches beyond the detector, whose end bins are far from 0: it is continued there\
                 {treated}, and values may be off by a constant that no data determine. If the object is all within \
                 the detector, free rays are not at 0: look at photons and flat field"
            ));
        } else if let Some(grid) = &grid {
            warnings.push(format!(
                "the object reaches beyond the image, as rays that miss the image are attenuated: reconstructed on \
                 {grid} and cut to the image. If the image holds all of the object, pixel_mm, bin_width_mm or \
                 detector_offset_mm is wrong, or free rays are not at 0"
            ));
        }
        if !self.dead_bins.is_empty() {
            let bins = named(&self.dead_bins);
            warnings.push(format!("bins {bins} of the detector are dead: they weigh nothing and are interpolated"));
        }
        if !self.dark_rays.is_empty() {
            warnings.push(format!("{} rays counted no photon: they weigh nothing", self.dark_rays.len()));
        }
        warnings
    }
}

/// The line integral from which on a ray has met an object.
fn level(sinogram: &[f32], n_bins: usize) -> f64 {
    let mut sorted: Vec<f32> = sinogram.to_vec();
    let most = sorted.len() - 1 - sorted.len() / 100;
    let largest = f64::from(*sorted.select_nth_unstable_by(most, f32::total_cmp).1);
    (LEAST_SHARE * largest).max(LEAST_STDS * estimate_noise(sinogram, n_bins))
}

/// Of each end that the object reaches beyond: in bins, and its distance from the axis. What touches the detector's end
/// ends near it.
fn ends_within(geometry: &Geometry, sinogram: &[f32], level: f64) -> [Option<(usize, f64)>; 2] {
    let n = geometry.n_bins;
    if n < 2 {
        return [None, None];
    }
    let places = [0.0, n as f64 - 1.0].map(|k| geometry.bin_position_mm(k));
    [false, true].map(|is_upper| {
        let [own, other] = if is_upper { [places[1], places[0]] } else { places };
        if own.abs() + geometry.bin_width_mm < other.abs() && is_full_turn(&geometry.angles_rad) {
            return None; // The other end looks beyond this one from behind.
        }
        let beyond = |view: &[f32]| -> Option<f64> {
            let end: f32 = if is_upper { view[n - 2..].iter().sum() } else { view[..2].iter().sum() };
            let bins = Cylinder::at_end(geometry, view, is_upper)?.bins_beyond();
            (f64::from(end) > 2.0 * level && bins > NEAR_END).then_some(bins)
        };
        let mut found: Vec<f64> = sinogram.chunks_exact(n).filter_map(beyond).collect();
        if !are_enough(found.len(), geometry) {
            return None;
        }
        let high = found.len() * 3 / 4;
        let bins = found.select_nth_unstable_by(high, f64::total_cmp).1.min(n as f64 / 2.0).ceil();
        Some((bins as usize, axis_distance_mm(geometry, own + own.signum() * bins * geometry.bin_width_mm)))
    })
}

/// True if an object was met in so many views that it is no accident.
fn are_enough(views: usize, geometry: &Geometry) -> bool {
    views as f64 >= (LEAST_VIEWS * geometry.angles_rad.len() as f64).max(2.0)
}

/// True if views go all around, without a gap of more than twenty times the usual one.
fn is_full_turn(angles_rad: &[f64]) -> bool {
    let mut sorted: Vec<f64> = angles_rad.iter().map(|angle| angle.rem_euclid(TAU)).collect();
    sorted.sort_by(f64::total_cmp);
    let (first, last) = (sorted.first().copied().unwrap_or(0.0), sorted.last().copied().unwrap_or(0.0));
    let around = first + TAU - last;
    let largest = sorted.windows(2).map(|pair| pair[1] - pair[0]).fold(around, f64::max);
    largest < (20.0 * TAU / sorted.len() as f64).min(PI / 4.0)
}

/// The distance from the axis of the line that the place `s_mm` on the detector sees.
fn axis_distance_mm(geometry: &Geometry, s_mm: f64) -> f64 {
    match geometry.beam {
        Beam::Parallel => s_mm.abs(),
        Beam::Fan(fan) => fan.source_to_axis_mm * fan.sin_cos(s_mm).0.abs(),
    }
}

/// The distance from the axis of rays that miss the image and have met an object all the same, at the end of them; 0
/// where there are none.
fn beside_grid_mm(geometry: &Geometry, sinogram: &[f32], level: f64) -> Result<f64, GeometryError> {
    let (n, ones) = (geometry.n_bins, vec![1.0; geometry.image_len()]);
    let mut lengths = vec![0.0; geometry.sinogram_len()];
    if Projector::new(geometry.clone())?.forward_project(&ones, &mut lengths).is_err() {
        return Ok(0.0);
    }
    let met = |bins: &[f32]| bins.iter().map(|y| f64::from(*y)).sum::<f64>() > level * bins.len() as f64;
    let farthest = |(view, lengths): (&[f32], &[f32])| -> Option<f64> {
        let beside = (1..n.saturating_sub(1)).filter(|&k| lengths[k - 1..=k + 1].iter().all(|length| *length == 0.0));
        let places = beside.filter(|&k| met(&view[k - 1..=k + 1])).map(|k| geometry.bin_position_mm(k as f64));
        places.map(|s| axis_distance_mm(geometry, s)).reduce(f64::max)
    };
    let views = sinogram.chunks_exact(n).zip(lengths.chunks_exact(n));
    let mut found: Vec<f64> = views.filter_map(farthest).collect();
    if !are_enough(found.len(), geometry) {
        return Ok(0.0);
    }
    let high = found.len() * 49 / 50;
    Ok(*found.select_nth_unstable_by(high, f64::total_cmp).1 + geometry.bin_width_mm)
}

/// The sides of the image that holds a circle of this radius, where the scan's own does not; as much larger on either
/// side, and at most three times as large.
fn wider(geometry: &Geometry, radius_mm: f64) -> Option<(usize, usize)> {
    let needed = (2.0 * radius_mm / geometry.pixel_mm).ceil() as usize;
    let sides = [geometry.height, geometry.width];
    if radius_mm <= 0.0 || sides.iter().all(|side| *side >= needed) {
        return None;
    }
    let [height, width] = sides.map(|side| {
        let step = if side.is_multiple_of(MULTIPLE) {
            MULTIPLE
        } else if side.is_multiple_of(8) {
            8
        } else {
            2
        };
        side + needed.min(WIDEST * side).saturating_sub(side).next_multiple_of(step)
    });
    Some((height, width))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ct::relative_gaussian;

    /// A disc of attenuation 0.02 in the middle, with noise.
    fn disc(geometry: &Geometry, radius: f64) -> Vec<f32> {
        let chord = |k: usize| {
            let s = geometry.bin_position_mm(k as f64);
            0.04 * (radius * radius - s * s).max(0.0).sqrt()
        };
        let views = geometry.angles_rad.len();
        let mut sinogram: Vec<f32> =
            (0..views * geometry.n_bins).map(|ray| chord(ray % geometry.n_bins) as f32).collect();
        relative_gaussian(&mut sinogram, 0.02, 1).unwrap();
        sinogram
    }

    fn detector(n_bins: usize) -> Geometry {
        Geometry { n_bins, bin_width_mm: 1.0, ..Geometry::covering(64, 64, 90) }
    }

    #[test]
    fn an_object_within_detector_and_grid_is_left_alone() {
        for (n_bins, radius) in [(64, 25.0), (64, 32.0), (91, 31.0), (181, 20.0)] {
            let geometry = detector(n_bins);
            let found = Field::of(&geometry, &disc(&geometry, radius), None).unwrap();
            assert_eq!(found, Field::default(), "{n_bins} {radius}");
            assert!(found.warnings().is_empty());
        }
    }

    #[test]
    fn the_detectors_ends_tell_of_an_object_beyond_them() {
        let geometry = detector(64);
        let found = Field::of(&geometry, &disc(&geometry, 45.0), None).unwrap();
        // 13 bins and a half beyond each end.
        assert!(found.beyond_detector.iter().all(|bins| (10..=18).contains(bins)), "{found:?}");
        let (height, width) = found.wider.unwrap();
        assert!(height == width && (90..=112).contains(&height), "{found:?}");
        assert!(found.warnings()[0].contains("beyond the detector"));
    }

    #[test]
    fn rays_beside_the_grid_tell_of_an_object_beyond_it() {
        let geometry = detector(128);
        let found = Field::of(&geometry, &disc(&geometry, 45.0), None).unwrap();
        assert_eq!((found.beyond_detector, found.wider), ([0, 0], Some((96, 96))), "{found:?}");
        assert!(found.warnings()[0].contains("96 x 96 pixels"));
        let odd = Geometry { height: 33, width: 48, ..geometry };
        assert_eq!(Field::of(&odd, &disc(&odd, 30.0), None).unwrap().wider, Some((63, 64)));
    }

    #[test]
    fn a_displaced_detector_is_no_truncation_over_a_full_turn() {
        let angles_rad: Vec<f64> = (0..180).map(|k| f64::from(k) * TAU / 180.0).collect();
        let full = Geometry { angles_rad, detector_offset_mm: -15.0, ..detector(50) };
        assert_eq!(Field::of(&full, &disc(&full, 30.0), None).unwrap(), Field::default());
        let half = Geometry { angles_rad: detector(1).angles_rad, ..full };
        assert_ne!(Field::of(&half, &disc(&half, 30.0), None).unwrap().beyond_detector, [0, 0]);
    }
}
