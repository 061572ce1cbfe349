//! Likely causes of data that an image does not explain: each is tried before it is named.

use super::fit::Misfit;
use super::outliers::{median, outliers};
use super::rays::Rays;
use super::residual::Residual;
use crate::ct::{
    Beam, FilteredBackprojector, Geometry, GeometryError, ProjectionError, Projector, Window, differences_over,
    find_axis,
};
use crate::image::Image;
use std::f64::consts::TAU;

/// A cause counts as found where what the scan leaves without it is less than this share of what it leaves with it.
const REMEDIED: f64 = 0.75;
/// The axis is looked at again where the data place it this many bins, and standard deviations, from where the scan
/// does.
const AXIS_BINS: f64 = 0.6;
const AXIS_STDS: f64 = 5.0;
/// The least [`fall`] of chi squared that is none of the noise. Of 450 scans of 50 and 100 % noise, moved to the axis
/// that suited the noise best, the largest was 0.27; an axis that is off by 1 bin in 60 views of 64 pixels with 10 %
/// noise makes 3.8 and more.
const LEAST_FALL: f64 = 0.5;
/// Views at most that may be turned, of all.
const MOST_VIEWS: f64 = 0.1;
/// The share that views have, at most, of the misfit of a turned one beside them.
const SHARED: f64 = 0.5;
/// A view of which another image leaves no more, in units of its noise, is where it belongs.
const EXPLAINED: f64 = 2.0;
/// The most that a turned view leaves where it belongs: so many times what others do, or the share of what it leaves at
/// its stated angle. A view that a drift of tube or object sets apart fits a little better elsewhere, and nowhere well:
/// the last of the Helsinki challenge's solid disc leave 0.64 to 0.70 there, 2.2 to 2.4 times what others do.
const AS_OTHERS: f64 = 2.0;
const FAR_BETTER: f64 = 0.5;
/// Angles at which a doubtful view is tried, in a whole turn.
const TRIALS: usize = 360;
/// A noise that the data show to be so many times what is stated is misstated; edges pass for some of it.
const MISSTATED: f64 = 1.4;

/// A fault of a scan.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cause {
    /// The rotation axis is so many bins from where the scan has it: the value of `detector_offset_mm` that the data
    /// show, in the geometry's unit of length.
    Axis {
        /// From the stated to the found place.
        bins: f64,
        /// The found place.
        offset: f64,
    },
    /// A view was not taken at its angle.
    View {
        /// Its number, from 0.
        view: usize,
        /// The angle that it fits to best, from 0 to 2 pi.
        angle_rad: f64,
    },
    /// The angles run the other way, or the bins do. A parallel beam does not tell: its image is mirrored.
    Reversed,
    /// Distances of a fan are to be taken times this factor.
    Distances(f64),
    /// Views and bins are exchanged.
    Transposed,
    /// Transmissions stand where line integrals belong.
    Logarithm,
    /// The noise is so many times what is stated.
    Noise(f64),
}

/// An image with its data.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// The geometry of the scan.
    pub geometry: &'a Geometry,
    /// Its data.
    pub rays: Rays<'a>,
    /// The image that should explain them.
    pub image: &'a Image,
    /// Its residual.
    pub residual: &'a Residual,
    /// The residual of another image, which explains them better.
    pub better: Option<&'a Residual>,
    /// More is left than the noise and the method can leave.
    pub is_doubtful: bool,
    /// All views see all of the object: else nothing tells the axis.
    pub is_whole: bool,
}

/// Reasons why nothing could be tried.
#[derive(Debug, thiserror::Error)]
pub enum CauseError {
    /// The geometry makes no sense.
    #[error(transparent)]
    Geometry(#[from] GeometryError),
    /// The image or the data do not fit it.
    #[error(transparent)]
    Projection(#[from] ProjectionError),
}

impl Case<'_> {
    /// The causes that were found, the likeliest first: the one without which least is left. Of a picture that is not
    /// in doubt, only what is sure: an axis that is off, and turned views. These are looked for where nothing is wrong
    /// with all of them.
    ///
    /// # Errors
    /// When image, data and geometry do not fit together.
    pub fn causes(&self) -> Result<Vec<Cause>, CauseError> {
        let mut found = self.remedies()?;
        if found.is_empty() {
            found = self.turned_views()?;
        }
        found.sort_by(|a, b| a.1.total_cmp(&b.1));
        let noise = self.noise().filter(|_| self.is_doubtful);
        Ok(found.into_iter().map(|(cause, _)| cause).chain(noise).collect())
    }

    /// The scan's gross mistakes and its axis, each with the share that is left once it is mended.
    fn remedies(&self) -> Result<Vec<(Cause, f64)>, CauseError> {
        let hypotheses = if self.is_doubtful { self.hypotheses() } else { Vec::new() };
        let axis = self.axis();
        if axis.is_none() && hypotheses.is_empty() {
            return Ok(Vec::new());
        }
        let as_stated = left(self.geometry, self.rays)?;
        let mut found = Vec::new();
        for (cause, geometry, sinogram) in hypotheses {
            let rays = Rays { sinogram: &sinogram, noise_std: 1.0, weights: None };
            let gain = left(&geometry, rays)?.relative() / as_stated.relative();
            if gain < REMEDIED {
                found.push((cause, gain));
            }
        }
        if let Some((cause, geometry)) = axis {
            let moved = left(&geometry, self.rays)?;
            let gain = moved.relative() / as_stated.relative();
            // Beyond the noise is enough for what the data themselves say, unless picture and data do not belong
            // together.
            let most = if self.residual.misfit() == Misfit::Hopeless { REMEDIED } else { 1.0 };
            if gain < most && fall(&as_stated, &moved) > LEAST_FALL {
                found.push((cause, gain));
            }
        }
        Ok(found)
    }

    /// The axis that the data show, where it is surely not the stated one.
    fn axis(&self) -> Option<(Cause, Geometry)> {
        let geometry = self.geometry;
        let found = find_axis(geometry, self.rays.sinogram).ok().filter(|_| self.is_whole)?;
        let offset = found.detector_offset_mm;
        let bins = (offset - geometry.detector_offset_mm) / geometry.bin_width_mm;
        let least = AXIS_BINS.max(AXIS_STDS * found.uncertainty_mm / geometry.bin_width_mm);
        let moved = Geometry { detector_offset_mm: offset, ..geometry.clone() };
        (bins.abs() > least).then_some((Cause::Axis { bins, offset }, moved))
    }

    /// Views that stand out and fit to another angle much better, each with the share of its misfit that is left there.
    fn turned_views(&self) -> Result<Vec<(Cause, f64)>, CauseError> {
        let (geometry, n_bins) = (self.geometry, self.geometry.n_bins);
        let of_view = &self.residual.by_view;
        let mut doubtful = outliers(of_view, n_bins);
        // A turned view takes others with it, which are less wrong.
        let least = doubtful.first().map_or(0.0, |worst| SHARED * of_view[*worst]);
        let is_explained = |view: usize| self.better.is_some_and(|better| better.by_view[view] <= EXPLAINED);
        doubtful.retain(|view| of_view[*view] >= least && !is_explained(*view));
        if doubtful.is_empty() || doubtful.len() as f64 > MOST_VIEWS * geometry.angles_rad.len() as f64 {
            return Ok(Vec::new());
        }
        let angles_rad: Vec<f64> = (0..TRIALS).map(|k| k as f64 * TAU / TRIALS as f64).collect();
        let turned = Geometry { angles_rad, ..geometry.clone() };
        let mut trials = vec![0.0; turned.sinogram_len()];
        Projector::new(turned.clone())?.forward_project(&self.image.pixels, &mut trials)?;
        let usual = median(of_view.clone()).unwrap_or(0.0).max(1.0);
        let found = doubtful.into_iter().filter_map(|view| {
            let first = view * n_bins;
            let n_measured = (first..first + n_bins).filter(|ray| self.rays.weight(*ray) > 0.0).count();
            if n_measured < n_bins / 2 {
                return None;
            }
            let misfit = |bins: &[f32]| {
                let squares = bins.iter().enumerate().map(|(bin, value)| {
                    let difference = f64::from(*value) - f64::from(self.rays.sinogram[first + bin]);
                    self.rays.weight(first + bin) * difference * difference
                });
                squares.sum::<f64>() / (n_measured as f64 * self.rays.noise_std * self.rays.noise_std)
            };
            let misfits = trials.chunks_exact(n_bins).map(misfit).zip(&turned.angles_rad);
            let (least, angle_rad) = misfits.min_by(|a, b| a.0.total_cmp(&b.0))?;
            let gain = least / of_view[view];
            let fits = gain < FAR_BETTER || (gain < REMEDIED && least <= AS_OTHERS * usual);
            fits.then_some((Cause::View { view, angle_rad: *angle_rad }, gain))
        });
        Ok(found.collect())
    }

    /// The scan without each of the gross mistakes that it may have.
    fn hypotheses(&self) -> Vec<(Cause, Geometry, Vec<f32>)> {
        let (geometry, sinogram, n) = (self.geometry, self.rays.sinogram, self.geometry.n_bins);
        let mut all = Vec::new();
        if let Beam::Fan(fan) = geometry.beam {
            let angles_rad = geometry.angles_rad.iter().map(|angle| -angle).collect();
            all.push((Cause::Reversed, Geometry { angles_rad, ..geometry.clone() }, sinogram.to_vec()));
            for factor in [10.0, 0.1] {
                let mut scaled = fan;
                scaled.source_to_axis_mm *= factor;
                scaled.source_to_detector_mm *= factor;
                let geometry = Geometry { beam: Beam::Fan(scaled), ..geometry.clone() };
                if geometry.validate().is_ok() {
                    all.push((Cause::Distances(factor), geometry, sinogram.to_vec()));
                }
            }
        }
        if geometry.angles_rad.len() == n {
            let exchanged = (0..n * n).map(|ray| sinogram[ray % n * n + ray / n]).collect();
            all.push((Cause::Transposed, geometry.clone(), exchanged));
        }
        let most = sinogram.iter().fold(0.0_f32, |most, y| most.max(*y));
        if most > 0.0 && sinogram.iter().all(|y| *y > -0.5 * most) {
            let integrals = sinogram.iter().map(|y| -(y.max(1e-6 * most) / most).ln()).collect();
            all.push((Cause::Logarithm, geometry.clone(), integrals));
        }
        all
    }

    /// Misfit that is the same in all views and bins is noise, if the data show so much of it.
    fn noise(&self) -> Option<Cause> {
        let ratio = differences_over(self.rays.sinogram, self.geometry.n_bins, |ray| self.rays.variance(ray));
        let left = self.residual.chi_squared().sqrt();
        (ratio > MISSTATED && left > MISSTATED && left < 2.0 * ratio).then_some(Cause::Noise(ratio))
    }
}

/// The part of the data that filtered backprojection leaves.
fn left(geometry: &Geometry, rays: Rays<'_>) -> Result<Residual, CauseError> {
    let mut image = Image::zeros(geometry.height, geometry.width);
    let mut fbp = FilteredBackprojector::new(geometry.clone(), Window::Hann)?;
    fbp.filtered_backproject(rays.sinogram, &mut image.pixels)?;
    Ok(Residual::of(&image, &rays, &mut Projector::new(geometry.clone())?)?)
}

/// The fall of the chi squared of n rays from one reconstruction to another, in the largest deviation that noise alone
/// can give it.
///
/// Either leaves `z^T M z` of the noise `z`, in units of its standard deviation. With projections `M` the difference of
/// two has the standard deviation `sqrt(2) |M - M'|`, which is `2 sqrt(n)` at most; filtered backprojections about two
/// axes have most in common.
fn fall(before: &Residual, after: &Residual) -> f64 {
    (before.chi_squared() - after.chi_squared()) * (before.n_measured as f64).sqrt() / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ct::relative_gaussian;
    use crate::data::ellipses::ellipses;

    /// Causes found on the filtered backprojection of a scan of ellipses with 5 % noise, whose statement is spoilt.
    fn found(geometry: &Geometry, spoil: impl Fn(&mut Geometry)) -> (Vec<Cause>, Image) {
        found_in((3, 0.05), geometry, spoil)
    }

    /// The same of ellipses by their seed, with relative noise of another one.
    fn found_in((seed, noise): (u64, f32), geometry: &Geometry, spoil: impl Fn(&mut Geometry)) -> (Vec<Cause>, Image) {
        let mut sinogram = vec![0.0; geometry.sinogram_len()];
        Projector::new(geometry.clone()).unwrap().forward_project(&ellipses(seed, 64).pixels, &mut sinogram).unwrap();
        let noise_std = f64::from(relative_gaussian(&mut sinogram, noise, seed).unwrap());
        let mut geometry = geometry.clone();
        spoil(&mut geometry);
        let mut image = Image::zeros(64, 64);
        let fbp = FilteredBackprojector::new(geometry.clone(), Window::Hann);
        fbp.unwrap().filtered_backproject(&sinogram, &mut image.pixels).unwrap();
        let rays = Rays { sinogram: &sinogram, noise_std, weights: None };
        let residual = Residual::of(&image, &rays, &mut Projector::new(geometry.clone()).unwrap()).unwrap();
        let is_doubtful = !residual.is_small() && residual.relative() > 0.03;
        let (image, residual, better) = (&image, &residual, None);
        let case = Case { geometry: &geometry, rays, image, residual, better, is_doubtful, is_whole: true };
        (case.causes().unwrap(), image.clone())
    }

    #[test]
    fn each_fault_is_found_and_nothing_else() {
        let parallel = Geometry::covering(64, 64, 60);
        assert_eq!(found(&parallel, |_| {}).0, []);
        for bins in [1.0, -3.0] {
            let (causes, _) = found(&parallel, |g| g.detector_offset_mm += bins * g.bin_width_mm);
            assert!(
                matches!(causes[..], [Cause::Axis { bins: found, .. }] if (found + bins).abs() < 0.2),
                "{causes:?}"
            );
        }
        for turned in [0.2, 1.5] {
            let (causes, _) = found(&parallel, |g| g.angles_rad[20] += turned);
            let [Cause::View { view: 20, angle_rad }] = causes[..] else { panic!("{causes:?}") };
            assert!((angle_rad - parallel.angles_rad[20]).abs() < 0.06, "{angle_rad}");
        }
        let fan = crate::ct::Fan {
            detector: crate::ct::Detector::Flat,
            source_to_axis_mm: 200.0,
            source_to_detector_mm: 300.0,
        };
        let fan = Geometry::covering_by_fan(64, 64, 90, fan);
        assert_eq!(found(&fan, |_| {}).0, []);
        let (causes, _) = found(&fan, |g| g.angles_rad.reverse());
        assert_eq!(causes.first(), Some(&Cause::Reversed), "{causes:?}");
    }

    /// Noise alone: where hardly anything else is measured, the axis that suits it best is often bins away.
    #[test]
    fn noise_moves_no_axis() {
        let parallel = Geometry::covering(64, 64, 30);
        for seed in 80..100 {
            assert_eq!(found_in((seed, 1.0), &parallel, |_| {}).0, [], "{seed}");
            let (causes, _) = found_in((seed, 0.1), &parallel, |g| g.detector_offset_mm += 3.0 * g.bin_width_mm);
            assert!(matches!(causes[..], [Cause::Axis { .. }, ..]), "{seed}: {causes:?}");
        }
    }

    /// A view of another object, which fits a little better elsewhere.
    #[test]
    fn a_view_that_fits_nowhere_well_is_not_turned() {
        let geometry = Geometry::covering(64, 64, 60);
        let (image, n_bins) = (ellipses(3, 64), geometry.n_bins);
        let mut projector = Projector::new(geometry.clone()).unwrap();
        let mut causes = |seed: u64, from: usize| {
            let [mut sinogram, mut others] = [3, seed].map(|seed| {
                let mut sinogram = vec![0.0; geometry.sinogram_len()];
                projector.forward_project(&ellipses(seed, 64).pixels, &mut sinogram).unwrap();
                sinogram
            });
            let noise_std = f64::from(relative_gaussian(&mut sinogram, 0.01, 3).unwrap());
            relative_gaussian(&mut others, 0.01, 4).unwrap();
            sinogram[20 * n_bins..][..n_bins].copy_from_slice(&others[from * n_bins..][..n_bins]);
            let rays = Rays { sinogram: &sinogram, noise_std, weights: None };
            let residual = &Residual::of(&image, &rays, &mut projector).unwrap();
            let (geometry, image, better) = (&geometry, &image, None);
            let case = Case { geometry, rays, image, residual, better, is_doubtful: false, is_whole: false };
            case.causes().unwrap()
        };
        assert!(matches!(causes(3, 21)[..], [Cause::View { view: 20, .. }]), "{:?}", causes(3, 21));
        assert!(matches!(causes(3, 33)[..], [Cause::View { view: 20, .. }]));
        assert_eq!(causes(9, 20), []);
    }

    /// Of a parallel beam reversed angles are those of the mirrored object: no data tell one from the other.
    #[test]
    fn reversed_angles_of_a_parallel_beam_mirror_the_image() {
        let parallel = Geometry::covering(64, 64, 60);
        let (_, right) = found(&parallel, |_| {});
        let (causes, mirrored) = found(&parallel, |g| g.angles_rad.iter_mut().for_each(|angle| *angle = -*angle));
        assert_eq!(causes, []);
        let upside_down: Vec<f32> = mirrored.pixels.chunks_exact(64).rev().flatten().copied().collect();
        assert!(crate::vector::distance(&upside_down, &right.pixels) < 1e-3);
    }
}
