//! The projector against the CPU's, and its adjointness.

use crate::support::{assert_close, lanes, upload};
use gradus::backend::cuda::ProjectorError;
use gradus::backend::cuda::projector::CudaProjector;
use gradus::backend::cuda::{Buffer, Device};
use gradus::ct::{Detector, Fan, Geometry, Projector};
use gradus_tests::fixtures::{dot, signed};
use std::rc::Rc;

/// Each side is within 1e-6 of sums in f64.
const BOUND: f64 = 3e-6;

/// Odd sizes, coarse and fine bins, a shifted detector, angles along the axes.
fn geometries() -> Vec<Geometry> {
    let axes = vec![0.0, std::f64::consts::FRAC_PI_2, std::f64::consts::PI, 0.25 * std::f64::consts::PI, -2.0];
    vec![
        Geometry::covering(33, 33, 7),
        Geometry { bin_width_mm: 0.3, detector_offset_mm: -1.7, ..Geometry::covering(17, 29, 6) },
        Geometry { bin_width_mm: 3.1, pixel_mm: 0.7, detector_offset_mm: 2.2, ..Geometry::covering(40, 9, 5) },
        Geometry { angles_rad: axes, n_bins: 21, ..Geometry::covering(24, 31, 5) },
        Geometry::covering(1, 1, 3),
        // More bins than a block has threads, and more views than the default.
        Geometry { bin_width_mm: 0.1, n_bins: 270, ..Geometry::covering(10, 21, 70) },
    ]
    .into_iter()
    .chain(fans())
    .collect()
}

/// Both detectors, near and far sources, coarse and fine bins, off the middle, angles of every quadrant and along axes.
fn fans() -> Vec<Geometry> {
    let angles_rad: Vec<f64> =
        (0..9).map(|k| 2.2831 * f64::from(k) - 0.7).chain([0.0, 1.0, 2.0].map(quarter)).collect();
    let fan = |detector, (height, width), distance: f64, bins: f64, offset_bins: f64| {
        let source_to_axis_mm = distance * (1.0 + (height as f64).hypot(width as f64) / 2.0);
        let fan = Fan { detector, source_to_axis_mm, source_to_detector_mm: 1.4 * source_to_axis_mm };
        let g = Geometry::covering_by_fan(height, width, 1, fan).scaled(0.7);
        Geometry {
            angles_rad: angles_rad.clone(),
            n_bins: (g.n_bins as f64 / bins).ceil() as usize,
            detector_offset_mm: offset_bins * g.bin_width_mm,
            bin_width_mm: bins * g.bin_width_mm,
            ..g
        }
    };
    vec![
        fan(Detector::Flat, (33, 20), 1.1, 1.0, 0.0),
        fan(Detector::Curved, (17, 29), 1.6, 0.3, 2.2),
        fan(Detector::Flat, (24, 31), 1e4, 0.7, -3.2),
        fan(Detector::Curved, (40, 9), 20.0, 3.1, 0.5),
        fan(Detector::Flat, (1, 9), 5.0, 0.1, 0.4),
        fan(Detector::Curved, (1, 1), 3.0, 1.0, 0.0),
    ]
}

fn quarter(k: f64) -> f64 {
    k * std::f64::consts::FRAC_PI_2
}

pub fn forward_and_adjoint(device: &Rc<Device>) {
    for geometry in geometries() {
        for list in [vec![0], vec![3, 1, 4, 0, 2]] {
            compare(device, &geometry, &list);
        }
    }
    let far = Geometry { detector_offset_mm: 1e9, bin_width_mm: 1e4, ..Geometry::covering(8, 8, 3) };
    assert!(matches!(CudaProjector::new(device, far, 1), Err(ProjectorError::TooFar { .. })));
}

fn compare(device: &Rc<Device>, geometry: &Geometry, list: &[usize]) {
    let (pixels, values) = (geometry.image_len(), geometry.sinogram_len());
    let (images, sinograms) = (signed(list.len() * pixels, 1), signed(list.len() * values, 2));
    let there = CudaProjector::new(device, geometry.clone(), list.len()).unwrap();
    let mut here = Projector::new(geometry.clone()).unwrap();
    let lanes = lanes(device, list);
    let projected = Buffer::new(device, list.len() * values).unwrap();
    let smeared = Buffer::new(device, list.len() * pixels).unwrap();
    let (images_there, sinograms_there) = (upload(device, &images), upload(device, &sinograms));
    there.forward_project(&lanes, images_there.address(), projected.address()).unwrap();
    there.adjoint(&lanes, sinograms_there.address(), smeared.address()).unwrap();
    let (projected, smeared) = (projected.to_vec().unwrap(), smeared.to_vec().unwrap());
    let (mut sinogram, mut image) = (vec![0.0; values], vec![0.0; pixels]);
    let (mut all_sinograms, mut all_images) = (vec![], vec![]);
    for lane in 0..list.len() {
        here.forward_project(&images[lane * pixels..][..pixels], &mut sinogram).unwrap();
        here.adjoint(&sinograms[lane * values..][..values], &mut image).unwrap();
        all_sinograms.extend_from_slice(&sinogram);
        all_images.extend_from_slice(&image);
    }
    assert_close("forward projection", &projected, &all_sinograms, BOUND);
    assert_close("adjoint", &smeared, &all_images, BOUND);
}

/// |<Ax, y> - <x, A^T y>| <= 1e-6 ||A|| ||x|| ||y||, and the scale between the two, for random signed x and y.
pub fn transposes(device: &Rc<Device>) {
    for (seed, geometry) in geometries().into_iter().enumerate() {
        let (x, y) = (signed(geometry.image_len(), seed as u64), signed(geometry.sinogram_len(), 50 + seed as u64));
        let projector = CudaProjector::new(device, geometry.clone(), 1).unwrap();
        let lanes = lanes(device, &[0]);
        let (projected, smeared) = (Buffer::new(device, y.len()).unwrap(), Buffer::new(device, x.len()).unwrap());
        let (x_there, y_there) = (upload(device, &x), upload(device, &y));
        projector.forward_project(&lanes, x_there.address(), projected.address()).unwrap();
        projector.adjoint(&lanes, y_there.address(), smeared.address()).unwrap();
        let (left, right) = (dot(&projected.to_vec().unwrap(), &y), dot(&x, &smeared.to_vec().unwrap()));
        let norm = Projector::new(geometry).unwrap().norm(50) * (dot(&x, &x) * dot(&y, &y)).sqrt();
        assert!((left - right).abs() <= 1e-6 * norm, "<Ax, y> = {left}, <x, A^T y> = {right}, scale {norm}");
    }
}
