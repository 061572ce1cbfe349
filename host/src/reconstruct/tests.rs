//! Results over the range of scans: better data, better picture.

use super::{
    GradientLikeSettings, GraduatedSettings, Measurement, Method, PlacedPrior, Reconstruction, Settings, reconstruct,
};
use crate::ct::ATTENUATION_PER_UNIT;
use crate::data::ellipses::ellipses;
use crate::data::scan::Scan;
use crate::image::Image;
use crate::metrics::psnr;
use crate::prior::Prior;
use crate::simulate::{Simulation, simulate};
use std::ops::ControlFlow;

fn run(measurement: &Measurement, settings: &Settings) -> Reconstruction {
    let prior = Prior::named("ellipses").unwrap();
    reconstruct(measurement, settings, Some(&PlacedPrior::on_cpu(&prior)), &mut |_| ControlFlow::Continue(())).unwrap()
}

/// PSNR of a method on the scan of an image.
fn quality(truth: &Image, simulation: &Simulation, settings: &Settings) -> f64 {
    let measurement = Measurement::new(&simulate(truth, 1.0, simulation).unwrap()).unwrap();
    psnr(truth, &run(&measurement, settings).image, 1.0).unwrap()
}

/// Twelve steps of conjugate gradients do not solve the systems of rays that count by their photons: 38.63 dB.
#[test]
fn systems_with_weights_are_solved() {
    let truth = ellipses(101, 128);
    let scan = simulate(&truth, 1.0, &Simulation { photons: Some(1e4), ..Simulation::default() }).unwrap();
    let result = run(&Measurement::new(&scan).unwrap(), &Settings::default());
    let found = psnr(&truth, &result.image, 1.0).unwrap();
    assert!(found > 40.5, "{found}");
    assert!(result.trace.iter().all(|row| row.record.unsolved <= 1.0), "{:?}", result.trace);
    assert_eq!(result.certificate.unwrap().unsolved_systems, 0);
}

/// On a grid that is not that of the simulation, where pixels have an error of their own.
#[test]
fn more_photons_make_no_picture_worse() {
    let truth = ellipses(101, 64);
    let simulation = |photons| Simulation { angles: 90, photons: Some(photons), parts: 3, ..Simulation::default() };
    let found = [1e3, 1e4, 1e5, 1e6].map(|photons| quality(&truth, &simulation(photons), &Settings::default()));
    assert!(found.windows(2).all(|pair| pair[1] > pair[0] + 0.1), "{found:?}");
}

#[test]
fn a_level_of_noise_that_the_data_contradict_does_no_harm() {
    let truth = ellipses(101, 64);
    let right = simulate(&truth, 1.0, &Simulation::default()).unwrap();
    let at = |factor: f64| {
        let scan = Scan { noise_std: right.noise_std.map(|std| factor * std), ..right.clone() };
        let measurement = Measurement::new(&scan).unwrap();
        assert_eq!(measurement.warnings.is_empty(), factor == 1.0, "{factor}");
        psnr(&truth, &run(&measurement, &Settings::default()).image, 1.0).unwrap()
    };
    let wanted = at(1.0);
    for factor in [0.1, 1.0 / 3.0, 3.0, 10.0] {
        assert!((at(factor) - wanted).abs() < 0.3, "{factor}");
    }
}

/// Of 1 % noise 300 iterations keep the starting noise, where they begin with it.
#[test]
fn algorithm_2_is_no_worse_than_filtered_backprojection() {
    let (truth, simulation) = (ellipses(1, 64), Simulation { noise: 0.01, ..Simulation::default() });
    let graduated = GraduatedSettings { steps: 60, ..GraduatedSettings::default() };
    let settings = Settings::GradientLike(GradientLikeSettings { graduated, ..GradientLikeSettings::default() });
    let (found, fbp) = (quality(&truth, &simulation, &settings), quality(&truth, &simulation, &Method::Fbp.into()));
    assert!(found > fbp + 1.0, "{found} {fbp}");
}

#[test]
fn a_scan_without_scale_has_that_of_its_prior_where_it_has_one() {
    let [bodies, shapes] = ["ct", "ellipses"].map(|name| Prior::named(name).unwrap());
    // A body of water, 0.0200/mm, with bone of 0.0400/mm in it.
    let mut body = Image::zeros(64, 64);
    for (at, pixel) in body.pixels.iter_mut().enumerate() {
        let away = (at % 64).abs_diff(32).pow(2) + (at / 64).abs_diff(32).pow(2);
        *pixel = if away < 25 {
            0.5
        } else if away < 500 {
            0.25
        } else {
            0.0
        };
    }
    let scan = simulate(&body, 5.0, &Simulation { noise: 0.02, ..Simulation::default() }).unwrap();
    let without = Scan { attenuation_per_unit_per_mm: None, ..scan };
    let unit = |measurement: Measurement| measurement.attenuation_per_unit;
    let own = f64::from(ATTENUATION_PER_UNIT);
    assert!((unit(Measurement::suiting(&without, &bodies).unwrap()) / own - 1.0).abs() < 1e-9);
    let brightest = unit(Measurement::new(&without).unwrap());
    assert!((brightest / own - 0.5).abs() < 0.1, "{brightest}");
    assert_eq!(unit(Measurement::suiting(&without, &shapes).unwrap()), brightest);
    // What attenuates a hundred times as little is no body.
    let sinogram = without.sinogram.iter().map(|p| 0.01 * p).collect();
    let faint = unit(Measurement::suiting(&Scan { sinogram, ..without }, &bodies).unwrap());
    assert!((faint / brightest - 0.01).abs() < 1e-4, "{faint}");
}
