//! Scans on which a method was once worse than it should be, against their right values.

use gradus::ct::{Geometry, hu_to_network, poisson};
use gradus::data::samples::Sample;
use gradus::data::scan::Scan;
use gradus::image::Image;
use gradus::metrics::psnr;
use gradus::prior::Prior;
use gradus::reconstruct::{Measurement, Method, PlacedPrior, Settings, SolvedSettings, reconstruct};
use gradus::simulate::{Simulation, simulate};
use std::ops::ControlFlow;

/// Pixels a side, their size in mm, and the attenuation of water and of the prior's 1, in 1/mm.
const SIDE: usize = 128;
const PIXEL_MM: f64 = 2.5;
const WATER: f64 = 0.02;
const UNIT: f64 = 0.081_358_58;

/// Discs: attenuation over what lies below in 1/mm, radius and centre in mm. Water with bone (+800 HU), fat (-100) and
/// a lung (-800).
const BODY: [(f64, f64, [f64; 2]); 4] = [
    (WATER, 120.0, [0.0, 0.0]),
    (0.8 * WATER, 12.0, [50.0, 30.0]),
    (-0.1 * WATER, 20.0, [-50.0, 40.0]),
    (-0.8 * WATER, 25.0, [-10.0, -60.0]),
];

/// The exact line integrals of the body with Poisson's noise, in bins of which so many are as wide as a pixel.
fn body(photons: f64, views: usize, in_pixel: usize) -> Scan {
    let covering = Geometry::covering(SIDE, SIDE, views);
    let (n_bins, bin_width_mm) = (in_pixel * covering.n_bins, PIXEL_MM / in_pixel as f64);
    let geometry = Geometry { pixel_mm: PIXEL_MM, n_bins, bin_width_mm, ..covering };
    let n_bins = geometry.n_bins;
    let integral = |ray: usize| {
        let (angle, s) = (geometry.angles_rad[ray / n_bins], geometry.bin_position_mm((ray % n_bins) as f64));
        let chord = |(value, radius, [x, y]): &(f64, f64, [f64; 2])| {
            let away = s - x * angle.cos() - y * angle.sin();
            2.0 * value * (radius * radius - away * away).max(0.0).sqrt()
        };
        BODY.iter().map(chord).sum::<f64>() as f32
    };
    let mut sinogram: Vec<f32> = (0..views * n_bins).map(integral).collect();
    poisson(&mut sinogram, photons, 1).unwrap();
    Scan {
        geometry,
        sinogram,
        truth: None,
        photons: Some(photons),
        noise_std: None,
        attenuation_per_unit_per_mm: Some(UNIT),
        prior: Some("ct".to_owned()),
        note: String::new(),
        warnings: Vec::new(),
    }
}

/// The result of a method, in network units.
fn result(scan: &Scan, method: Method, prior: &Prior) -> Image {
    let measurement = Measurement::suiting(scan, prior).unwrap();
    let placed = PlacedPrior::on_cpu(prior);
    reconstruct(&measurement, &Settings::from(method), Some(&placed), &mut |_| ControlFlow::Continue(())).unwrap().image
}

/// Mean in HU over the inner half of the radius of a disc of the body.
fn hu(image: &Image, (_, radius, [x, y]): (f64, f64, [f64; 2])) -> f64 {
    let middle = (SIDE as f64 - 1.0) / 2.0;
    let is_inside = |k: usize| {
        let (row, col) = ((k / SIDE) as f64, (k % SIDE) as f64);
        ((col - middle) * PIXEL_MM - x).hypot((middle - row) * PIXEL_MM - y) < 0.5 * radius
    };
    let inside: Vec<f64> = (0..SIDE * SIDE).filter(|k| is_inside(*k)).map(|k| f64::from(image.pixels[k])).collect();
    1000.0 * (inside.iter().sum::<f64>() / inside.len() as f64 * UNIT / WATER - 1.0)
}

/// Behind 240 mm of water rays weigh a hundredth of those beside it: the linear systems take many steps.
#[test]
fn bone_in_a_body_of_water_has_its_value() {
    let (scan, prior) = (body(1e5, 180, 1), Prior::named("ct").unwrap());
    let image = result(&scan, Method::Solved, &prior);
    for (disc, right) in BODY[1..].iter().zip([800.0, -100.0, -800.0]) {
        let found = hu(&image, *disc);
        println!("{right} HU: {found:.1}");
        assert!((found - right).abs() < 20.0, "{found:.1} for {right} HU");
    }
}

/// Its image in network units, the mean over 4 x 4 points of each pixel.
fn body_image() -> Image {
    let middle = (SIDE as f64 - 1.0) / 2.0;
    let at = |x: f64, y: f64| {
        let inside = BODY.iter().filter(|(_, radius, [left, up])| (x - left).hypot(y - up) < *radius);
        inside.map(|(value, ..)| value).sum::<f64>() / UNIT
    };
    let pixel = |k: usize| {
        let parts = (0..16).map(|part| [part % 4, part / 4].map(|i| (f64::from(i) - 1.5) / 4.0));
        let (col, row) = ((k % SIDE) as f64 - middle, middle - (k / SIDE) as f64);
        (parts.map(|[x, y]| at((col + x) * PIXEL_MM, (row + y) * PIXEL_MM)).sum::<f64>() / 16.0) as f32
    };
    Image { height: SIDE, width: SIDE, pixels: (0..SIDE * SIDE).map(pixel).collect() }
}

/// Rays beside the body have a thousandth of the variance of those through it, and those along its rim the largest
/// error of pixels and bins: trusted by their noise alone they would spoil the picture.
#[test]
fn rays_count_by_their_noise_and_by_the_edges_they_pass() {
    let (scan, prior, truth) = (body(1e5, 180, 1), Prior::named("ct").unwrap(), body_image());
    let measurement = Measurement::suiting(&scan, &prior).unwrap();
    let psnr_of = |measurement: &Measurement, weighted| {
        let settings = Settings::Solved(SolvedSettings { weighted, ..SolvedSettings::default() });
        let placed = PlacedPrior::on_cpu(&prior);
        let result = reconstruct(measurement, &settings, Some(&placed), &mut |_| ControlFlow::Continue(())).unwrap();
        psnr(&truth, &result.image, 1.0).unwrap()
    };
    let without_edges = Measurement { edges: None, ..measurement.clone() };
    let found = [(&measurement, true), (&measurement, false), (&without_edges, true)];
    let [all, equal, by_noise] = found.map(|(measurement, weighted)| psnr_of(measurement, weighted));
    println!("{all:.2} dB, {equal:.2} by equal rays, {by_noise:.2} by their noise");
    assert!(all > equal && all > by_noise + 1.0, "{all:.2} dB, {equal:.2} by equal rays, {by_noise:.2} by their noise");
}

/// Bins half as wide as pixels see edges that no image of pixels renders: an error that no photon takes away, and that
/// a method must not follow.
#[test]
fn more_photons_in_narrow_bins_make_no_picture_worse() {
    let (prior, truth) = (Prior::named("ct").unwrap(), body_image());
    let of = |photons| {
        let scan = body(photons, 180, 2);
        [Method::Solved, Method::Tv, Method::Fbp]
            .map(|method| psnr(&truth, &result(&scan, method, &prior), 1.0).unwrap())
    };
    let found = [1e3, 1e4, 1e5, 1e6].map(of);
    for (photons, [solved, tv, fbp]) in ["1e3", "1e4", "1e5", "1e6"].iter().zip(found) {
        println!("{photons} photons: {solved:.2} dB, {tv:.2} by total variation, {fbp:.2} by filtered backprojection");
        assert!(solved > fbp && tv > fbp, "{photons} photons: {solved:.2} dB, {tv:.2}, {fbp:.2}");
    }
    for pair in found.windows(2) {
        assert!(pair[1][0] > pair[0][0] - 0.1 && pair[1][1] > pair[0][1], "{found:?}");
    }
}

/// The default weight of total variation follows the noise and the views.
#[test]
fn total_variation_is_no_worse_than_filtered_backprojection() {
    let (prior, spine) = (Prior::named("ct").unwrap(), Sample::parse("spine").unwrap().load().unwrap().image);
    let truth = Image { pixels: spine.pixels.iter().map(|hu| hu_to_network(*hu)).collect(), ..spine };
    for (angles, photons) in [(180, 1e4), (180, 1e6), (20, 1e4)] {
        let simulation = Simulation { angles, photons: Some(photons), ..Simulation::default() };
        let scan = simulate(&truth, 1.0, &simulation).unwrap();
        let [tv, fbp] = [Method::Tv, Method::Fbp].map(|method| {
            let image = result(&scan, method, &prior);
            psnr(&truth, &image, 1.0).unwrap()
        });
        println!("{angles} views, {photons:e} photons: {tv:.2} dB, {fbp:.2} by filtered backprojection");
        assert!(tv > fbp + 1.0, "{tv:.2} dB for {fbp:.2}");
    }
}
