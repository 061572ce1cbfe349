//! Intervals about the pixels of a mean of runs, where runs and scan are such as were calibrated.

use super::{Job, Measurement, Method, Reconstruction, Settings, SolvedSettings};
use crate::ct::{ATTENUATION_PER_UNIT, Beam, Geometry};
use crate::data::scan::Scan;
use crate::image::Image;
use crate::prior::Prior;
use crate::trust::{Calibration, Conditions, Noise, spread};
use gradus_core::Status;
use std::f64::consts::PI;

/// Views are evenly spaced where no gap between them is larger than so many of equal ones.
const WIDEST_GAP: f64 = 1.5;
/// An error of the model above this share of the noise is none that was calibrated.
const MOST_MODEL: f64 = 0.3;
/// Scales that differ by less than this share are one.
const SAME_SCALE: f64 = 1e-3;

/// Intervals that hold most pixels inside the body: that of a pixel is its value plus or minus half the width.
#[derive(Debug, Clone, PartialEq)]
pub struct Interval {
    /// Half of each pixel's width, in network units.
    pub half_width: Image,
    /// Its basis.
    pub calibration: Calibration,
    /// Half the width over the spread.
    pub factor: f64,
}

impl Interval {
    /// The interval of a mean of runs; `None` of a single run, and where the prior's weights bring no calibration.
    ///
    /// # Errors
    /// In words, where the calibration does not hold for these settings or this scan.
    #[must_use]
    pub fn of(result: &Reconstruction, prior: &Prior, scan: &Scan, job: Job<'_>) -> Option<Result<Self, String>> {
        let Job { measurement, settings } = job;
        let deviation = result.deviation.as_ref()?;
        let calibration = Calibration::of(prior.weights())?;
        let factor = |calibration: Calibration| {
            if result.status == Some(Status::Stopped) {
                return Err("the runs were stopped".to_owned());
            }
            is_usual(settings, prior, measurement, calibration.runs)?;
            let factor = calibration.factor(&conditions(scan, measurement)?)?;
            let half_width = times(spread(&result.image, deviation), factor as f32);
            Ok(Self { half_width, calibration, factor })
        };
        Some(calibration.and_then(factor))
    }
}

fn times(mut image: Image, factor: f32) -> Image {
    image.pixels.iter_mut().for_each(|pixel| *pixel *= factor);
    image
}

/// Settings are those of the calibration but for the seed.
fn is_usual(settings: &Settings, prior: &Prior, measurement: &Measurement, runs: u32) -> Result<(), String> {
    let Settings::Solved(own) = settings else {
        return Err(format!("calibrated is --method {}", Method::Solved));
    };
    if own.average != runs {
        return Err(format!("calibrated is --average {runs}, not {}", own.average));
    }
    let usual = SolvedSettings { seed: own.seed, average: runs, ..SolvedSettings::default() };
    let is_same = settings.clone().suiting(prior, measurement) == Settings::Solved(usual).suiting(prior, measurement);
    if is_same { Ok(()) } else { Err("calibrated are the default settings of the method".to_owned()) }
}

/// The conditions of a scan.
fn conditions(scan: &Scan, measurement: &Measurement) -> Result<Conditions, String> {
    if !is_even_half_turn(&scan.geometry) {
        return Err("calibrated are evenly spaced views of a parallel beam over half a turn".to_owned());
    }
    if measurement.beyond_detector != [0, 0] {
        return Err("calibrated are objects within the detector".to_owned());
    }
    if measurement.model_std > MOST_MODEL * measurement.noise_std {
        return Err("calibrated are scans in which pixels and bins are small against the noise".to_owned());
    }
    let own: f64 = ATTENUATION_PER_UNIT.into();
    if (measurement.attenuation_per_unit / own - 1.0).abs() > SAME_SCALE {
        return Err("calibrated are images in HU".to_owned());
    }
    let line_integrals = measurement.sinogram.iter().map(|y| f64::from(*y));
    let mean = line_integrals.sum::<f64>() / measurement.sinogram.len().max(1) as f64;
    let noise = match (scan.noise_std, scan.photons) {
        (None, Some(photons)) if measurement.warnings.is_empty() => Noise::Photons(photons),
        (None, Some(_)) => return Err("the noise is not what the scan states".to_owned()),
        _ => Noise::Relative(measurement.noise_std / mean),
    };
    let geometry = &scan.geometry;
    let size = [geometry.height, geometry.width];
    Ok(Conditions { views: geometry.angles_rad.len(), noise, size, pixel_mm: geometry.pixel_mm })
}

/// True for a parallel beam whose views are spread over half a turn, in any order.
fn is_even_half_turn(geometry: &Geometry) -> bool {
    let mut angles: Vec<f64> = geometry.angles_rad.iter().map(|angle| angle.rem_euclid(PI)).collect();
    angles.sort_by(f64::total_cmp);
    let again = angles.first().map(|first| first + PI);
    let after = angles.iter().copied().skip(1).chain(again);
    let widest = angles.iter().zip(after).map(|(angle, next)| next - angle).fold(0.0, f64::max);
    geometry.beam == Beam::Parallel && widest <= WIDEST_GAP * PI / angles.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::ellipses::ellipses;
    use crate::simulate::{Simulation, simulate};
    use crate::trust::CalibratedScan;

    const VIEWS: usize = 20;
    /// Much, so that coarse pixels do not matter.
    const NOISE: f64 = 0.25;

    fn prior() -> Prior {
        let scan = CalibratedScan { views: VIEWS, noise: Noise::Relative(NOISE), patients: 20, factor: 3.0 };
        let (patients, scans) = ("of a test".to_owned(), vec![scan]);
        let own = Calibration { level: 0.9, runs: 4, patients, sides: [32, 32], pixel_mm: [1.0, 2.0], scans };
        Prior::from(own.into_weights(Prior::named("ct").unwrap().weights().clone()).unwrap())
    }

    /// The interval of a mean that differs by 0.01 from run to run, as a caller asks for it.
    fn interval(simulation: &Simulation, settings: &SolvedSettings) -> Result<Interval, String> {
        let (prior, settings) = (prior(), Settings::Solved(settings.clone()));
        let scan = simulate(&ellipses(3, 32), 1.5, simulation).unwrap();
        let scan = Scan { attenuation_per_unit_per_mm: Some(ATTENUATION_PER_UNIT.into()), ..scan };
        let measurement = Measurement::new(&scan).unwrap();
        let deviation = Image { height: 32, width: 32, pixels: vec![0.01; 32 * 32] };
        let mean = Image { height: 32, width: 32, pixels: vec![0.2; 32 * 32] };
        let result = Reconstruction { deviation: Some(deviation), ..Reconstruction::of(mean) };
        let job = Job { measurement: &measurement, settings: &settings };
        let single = Reconstruction { deviation: None, ..result.clone() };
        assert!(Interval::of(&single, &prior, &scan, job).is_none());
        Interval::of(&result, &prior, &scan, job).unwrap()
    }

    #[test]
    fn intervals_are_said_as_calibrated_and_otherwise_refused() {
        let simulation = Simulation { angles: VIEWS, noise: NOISE, ..Simulation::default() };
        let settings = SolvedSettings { average: 4, ..SolvedSettings::default() };
        let own = interval(&simulation, &settings).unwrap();
        assert!(own.half_width.pixels.iter().all(|half| (0.015..0.05).contains(half)), "3 times about 0.006");
        let seeded = SolvedSettings { seed: 7, ..settings.clone() };
        assert_eq!(interval(&simulation, &seeded).unwrap(), own);
        let refused = |simulation: Simulation, settings: SolvedSettings, words: &str| {
            let reason = interval(&simulation, &settings).unwrap_err();
            assert!(reason.contains(words), "{reason}");
        };
        let scanned = |simulation: Simulation, words| refused(simulation, settings.clone(), words);
        scanned(Simulation { angles: 40, ..simulation.clone() }, "the scan has 40 views");
        scanned(Simulation { noise: 0.4, ..simulation.clone() }, "the scan has 20 views");
        scanned(Simulation { noise: 0.01, ..simulation.clone() }, "small against the noise");
        scanned(Simulation { photons: Some(50.0), ..simulation.clone() }, "photons a ray; calibrated are 20 views");
        scanned(Simulation { arc_deg: Some(120.0), ..simulation.clone() }, "over half a turn");
        scanned(Simulation { source_to_axis_mm: Some(200.0), ..simulation.clone() }, "parallel beam");
        refused(simulation.clone(), SolvedSettings { average: 8, ..settings.clone() }, "--average 4, not 8");
        refused(simulation.clone(), SolvedSettings { mirrors: false, ..settings.clone() }, "default settings");
    }
}
