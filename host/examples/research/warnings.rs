//! Warnings of scans: `cargo run --release --example warnings [-- CLEAN FAULTY]`
//!
//! CLEAN scans (100) without a fault and FAULTY ones (12) with each fault, all of `ellipses:1`, `2` and so on at 64 by
//! 64 pixels: 60 views with 10 % noise, 30 views with 5 %, 90 views of 1e4 photons, fans of 90 views with 5 %, bodies
//! (pixels of 3 mm in place of 1) in 60 views of 1e5 photons; in turn by filtered backprojection, total variation and
//! the default method. Prints how many clean scans are warned of anything, and of each fault how often its warning
//! comes first or second.
#![allow(missing_docs)]

use gradus::ct::{Beam, Geometry};
use gradus::data::ellipses::ellipses;
use gradus::data::scan::Scan;
use gradus::prior::Prior;
use gradus::reconstruct::{Measurement, Method, PlacedPrior, Settings, TvSettings, field_of, in_field, reconstruct};
use gradus::simulate::{Simulation, simulate};
use gradus::trust::Cause;
use std::f64::consts::TAU;
use std::ops::ControlFlow;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;
type Fault = (&'static str, &'static str, fn(&mut Scan) -> bool);

/// A fault, the word that its warning has, and how it is made; false where a scan cannot have it.
const FAULTS: [Fault; 9] = [
    ("noise a third", "noise", |scan| misstate(scan, 1.0 / 3.0)),
    ("noise three times", "noise", |scan| misstate(scan, 3.0)),
    ("axis off by 1 bin", "Axis", |scan| shift(scan, 1.0)),
    ("axis off by 3 bins", "Axis", |scan| shift(scan, 3.0)),
    ("a view turned by 10 degrees", "View", |scan| turn(scan, 10.0)),
    ("a view turned by 90 degrees", "View", |scan| turn(scan, 90.0)),
    ("angles reversed (fan)", "Reversed", reverse),
    ("detector too small", "beyond the detector", truncate),
    ("two dead bins", "dead", deaden),
];

fn main() -> Outcome<()> {
    let numbers: Vec<u64> = std::env::args().skip(1).map(|word| word.parse()).collect::<Result<_, _>>()?;
    let (clean, faulty) = if let [clean, faulty] = numbers[..] { (clean, faulty) } else { (100, 12) };
    let prior = Prior::named("ellipses")?;
    let mut warned = 0;
    for seed in 1..=clean {
        let said = warnings(&scan(seed)?, method(seed), &prior)?;
        if !said.is_empty() {
            println!("clean scan {seed}, {}: {said:?}", method(seed).method());
            warned += 1;
        }
    }
    println!("{warned} of {clean} clean scans are warned of something");
    for (what, word, make) in FAULTS {
        let (mut made, mut named) = (0, 0);
        for seed in 1..=faulty {
            let mut wrong = scan(seed)?;
            if make(&mut wrong) {
                let said = warnings(&wrong, method(seed), &prior)?;
                made += 1;
                if said.iter().take(2).any(|warning| warning.contains(word)) {
                    named += 1;
                } else {
                    println!("    {what}, scan {seed}, {}: {said:?}", method(seed).method());
                }
            }
        }
        println!("{what}: named first or second in {named} of {made} scans");
    }
    Ok(())
}

fn scan(seed: u64) -> Outcome<Scan> {
    let usual = Simulation { seed, ..Simulation::default() };
    let (simulation, pixel_mm) = match seed / 3 % 5 {
        0 => (usual, 1.0),
        1 => (Simulation { angles: 30, noise: 0.05, ..usual }, 1.0),
        2 => (Simulation { angles: 90, photons: Some(1e4), ..usual }, 1.0),
        3 => (Simulation { angles: 90, noise: 0.05, source_to_axis_mm: Some(200.0), ..usual }, 1.0),
        _ => (Simulation { photons: Some(1e5), ..usual }, 3.0),
    };
    Ok(simulate(&ellipses(seed, 64), pixel_mm, &simulation)?)
}

fn method(seed: u64) -> Settings {
    match seed % 3 {
        0 => Method::Fbp.into(),
        1 => Settings::Tv(TvSettings { tv_iterations: 200, ..TvSettings::default() }),
        _ => Settings::default(),
    }
}

/// The warnings of a run, in its order.
fn warnings(scan: &Scan, settings: Settings, prior: &Prior) -> Outcome<Vec<String>> {
    let field = field_of(scan)?;
    let measurement = Measurement::suiting(&in_field(scan, &field), prior)?.within(&field);
    let placed = PlacedPrior::on_cpu(prior);
    let result = reconstruct(&measurement, &settings, Some(&placed), &mut |_| ControlFlow::Continue(()))?;
    let causes: Vec<Cause> = measurement.causes(settings.method(), &result, None)?;
    let own = result.residual.as_ref();
    let own = own.and_then(|residual| measurement.fit_warning(settings.method(), residual, true));
    let causes = causes.iter().map(|cause| format!("{cause:?}"));
    Ok(field.warnings().into_iter().chain(causes).chain(own).chain(measurement.warnings.clone()).collect())
}

fn misstate(scan: &mut Scan, times: f64) -> bool {
    scan.noise_std = scan.noise_std.map(|std| times * std);
    scan.photons = scan.photons.map(|photons| photons / (times * times));
    true
}

fn shift(scan: &mut Scan, bins: f64) -> bool {
    scan.geometry.detector_offset_mm += bins * scan.geometry.bin_width_mm;
    true
}

fn turn(scan: &mut Scan, degrees: f64) -> bool {
    let view = scan.geometry.angles_rad.len() / 3;
    scan.geometry.angles_rad[view] = (scan.geometry.angles_rad[view] + degrees.to_radians()).rem_euclid(TAU);
    true
}

/// A parallel beam does not tell: the image is mirrored.
fn reverse(scan: &mut Scan) -> bool {
    scan.geometry.angles_rad.iter_mut().for_each(|angle| *angle = -*angle);
    matches!(scan.geometry.beam, Beam::Fan(_))
}

/// Of as many bins as see the middle two fifths of the image.
fn truncate(scan: &mut Scan) -> bool {
    let n_bins = scan.geometry.n_bins;
    let cut = n_bins * 3 / 10;
    let views = scan.sinogram.chunks_exact(n_bins).flat_map(|view| &view[cut..n_bins - cut]);
    scan.sinogram = views.copied().collect();
    scan.geometry = Geometry { n_bins: n_bins - 2 * cut, ..scan.geometry.clone() };
    true
}

fn deaden(scan: &mut Scan) -> bool {
    let n_bins = scan.geometry.n_bins;
    scan.sinogram.chunks_exact_mut(n_bins).for_each(|view| (view[n_bins / 2], view[n_bins / 2 + 3]) = (0.0, 9.0));
    true
}
