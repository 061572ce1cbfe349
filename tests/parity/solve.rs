//! Linear solves against the CPU's, mirrors and weights against plain loops.

use crate::support::{assert_close, lanes, upload};
use gradus::backend::cpu::CpuSlices;
use gradus::backend::cuda::vector::Vectors;
use gradus::backend::cuda::{CudaSlices, Device};
use gradus::backend::{Mirror, Slice, Slices};
use gradus::ct::{Detector, Fan, Geometry, Projector};
use gradus_core::{Answer, Batch, ConjugateGradient, Effort, Level, Request, Solved};
use gradus_tests::fixtures::signed;
use std::rc::Rc;

const N_LANES: usize = 6;

pub fn check(device: &Rc<Device>) {
    // Squares and shares beyond the first, more pixels than values, and a fan.
    systems(device, &Geometry::covering(34, 5, 9));
    let fan = Fan { detector: Detector::Flat, source_to_axis_mm: 40.0, source_to_detector_mm: 70.0 };
    systems(device, &Geometry::covering_by_fan(6, 35, 13, fan));
    solved_before(device, &Geometry::covering(12, 20, 7));
    mirrors(device, (1, 1));
    mirrors(device, (7, 45));
    weights(device);
}

/// Every mirror, stored and added, of two lanes of six.
fn mirrors(device: &Rc<Device>, (height, width): (usize, usize)) {
    let n = height * width;
    let (x, held) = (signed(N_LANES * n, 1), signed(N_LANES * n, 2));
    let (mut vectors, list) = (Vectors::new(device, N_LANES).unwrap(), lanes(device, &[3, 1]));
    for turns in [[0, 1], [2, 3]] {
        for factors in [None, Some([0.5, -2.0])] {
            let (from, out) = (upload(device, &x), upload(device, &held));
            let mirrors = turns.map(Mirror::of_turn);
            let given = factors.as_ref().map(|factors| factors.as_slice());
            vectors.mirror(&list, (&mirrors, given), (height, width), (from.address(), out.address())).unwrap();
            let (out, mut wanted) = (out.to_vec().unwrap(), held.clone());
            for (entry, lane) in [3, 1].into_iter().enumerate() {
                let part = lane * n..(lane + 1) * n;
                let mut mirrored = vec![0.0; n];
                mirrors[entry].apply(factors.map_or(1.0, |f| f[entry]), &x[part.clone()], width, &mut mirrored);
                let there = wanted[part].iter_mut().zip(mirrored);
                there.for_each(|(there, new)| *there = if factors.is_some() { *there + new } else { new });
            }
            assert_eq!(out, wanted, "turns {turns:?}, factors {factors:?}");
        }
    }
}

/// Systems of four slices on either backend, where the CPU follows core's recurrence: two are solved with different
/// dampings and numbers of iterations, one has nothing to solve, and one rests.
fn systems(device: &Rc<Device>, geometry: &Geometry) {
    let objective = Level { t: 1e-3, prior_weight: 0.5 };
    let mut slices: Vec<Slice> = (0..4).map(|seed| crate::run::slice(geometry, seed, objective)).collect();
    slices[2] = Slice { data: vec![0.0; geometry.sinogram_len()], start: vec![0.0; geometry.image_len()], objective };
    slices[2].objective.prior_weight = 0.0;
    let chosen: Vec<f32> = signed(geometry.sinogram_len(), 9).iter().map(|w| 1.0 + w).collect();
    let weights = [None, Some(chosen.as_slice()), None, None];
    let prior = crate::network::tiny();
    let mut there = CudaSlices::new(device, geometry.clone(), &prior, &slices).unwrap().with_weights(&weights).unwrap();
    let here = CpuSlices::new(geometry.clone(), &prior, slices).unwrap();
    let mut here = here.with_weights(&weights).unwrap();
    let gradient = |slice: usize| {
        let level = Level { prior_weight: if slice == 2 { 0.0 } else { 0.5 }, ..objective };
        (slice, Request::Gradient { level, new_iterate: true })
    };
    let solve = |(slice, damping, iterations)| (slice, Request::Solve { damping, effort: Effort::fixed(iterations) });
    let asked = [
        [1, 2, 3].map(gradient),
        [(1, 3.0, 3), (2, 1.0, 4), (3, 0.25, 2)].map(solve),
        [1, 2, 3].map(|slice| (slice, Request::Products)),
        [1, 2, 3].map(|slice| (slice, Request::Update { step: 0.5 })),
    ];
    for requests in &asked {
        let (mut wanted, mut found) = ([Answer::Ready; 3], [Answer::Ready; 3]);
        here.answer(requests, &mut wanted).unwrap();
        there.answer(requests, &mut found).unwrap();
        wanted.iter().zip(&found).for_each(|(wanted, found)| assert_same(wanted, found));
    }
    for slice in 0..4 {
        let (mut wanted, mut found) = (vec![0.0; geometry.image_len()], vec![0.0; geometry.image_len()]);
        here.copy_iterate(slice, &mut wanted).unwrap();
        there.copy_iterate(slice, &mut found).unwrap();
        let zero = wanted.iter().all(|&value| value == 0.0);
        assert_eq!(zero, slice == 2);
        if zero {
            assert_eq!(found, wanted)
        } else {
            assert_close("x + d / 2", &found, &wanted, 1e-5)
        }
        assert_eq!(here.counters(slice), there.counters(slice));
        let (mut wanted, mut found) = ([0.0], [0.0]);
        here.objectives(&[slice], &mut wanted).unwrap();
        there.objectives(&[slice], &mut found).unwrap();
        // With the residual that the update made from the A d of the solve.
        assert!((found[0] - wanted[0]).abs() <= 1e-4 * wanted[0], "{found:?} for {wanted:?}");
    }
}

/// A system that is asked for many more iterations than `f32` has digits for ends where it is solved.
fn solved_before(device: &Rc<Device>, geometry: &Geometry) {
    let objective = Level { t: 1e-3, prior_weight: 0.5 };
    let slices = vec![crate::run::slice(geometry, 1, objective)];
    let prior = crate::network::tiny();
    let mut there = CudaSlices::new(device, geometry.clone(), &prior, &slices).unwrap();
    let mut here = CpuSlices::new(geometry.clone(), &prior, slices).unwrap();
    let asked = [
        Request::Gradient { level: objective, new_iterate: true },
        Request::Solve { damping: 3.0, effort: Effort::fixed(400) },
        Request::Products,
        Request::Update { step: 1.0 },
    ];
    for request in asked.map(|request| [(0, request)]) {
        let (mut wanted, mut found) = ([Answer::Ready], [Answer::Ready]);
        here.answer(&request, &mut wanted).unwrap();
        there.answer(&request, &mut found).unwrap();
        for answer in [wanted, found] {
            let [Answer::Solved(Solved { initial_square, residual_square })] = answer else { continue };
            // Not later either: the next squares lack digits, and the last is 0.
            let ends = residual_square > 0.0 && residual_square <= ConjugateGradient::NOTHING;
            assert!(ends, "{residual_square} is left for {initial_square}");
        }
    }
    let (mut wanted, mut found) = (vec![0.0; geometry.image_len()], vec![0.0; geometry.image_len()]);
    here.copy_iterate(0, &mut wanted).unwrap();
    there.copy_iterate(0, &mut found).unwrap();
    assert_close("x + d", &found, &wanted, 1e-5);
}

fn assert_same(wanted: &Answer, found: &Answer) {
    let within = |wanted: f32, found: f32, scale: f32| {
        assert!((found - wanted).abs() <= 1e-4 * scale, "{found} for {wanted}, of {scale}");
    };
    let near = |wanted: f32, found: f32| within(wanted, found, wanted.abs());
    match (wanted, found) {
        (Answer::Solved(wanted), Answer::Solved(found)) => {
            near(wanted.initial_square, found.initial_square);
            near(wanted.residual_square, found.residual_square);
        }
        (Answer::Direction(wanted), Answer::Direction(found)) => {
            near(wanted.gradient_norm_sq, found.gradient_norm_sq);
            let scale = (wanted.gradient_norm_sq * wanted.direction_norm_sq).sqrt();
            within(wanted.slope, found.slope, scale);
            near(wanted.direction_norm_sq, found.direction_norm_sq);
        }
        _ => assert_eq!(wanted, found),
    }
}

/// 1/2 sum_i w_i (A x - y)_i^2 with weights for one slice of two.
fn weights(device: &Rc<Device>) {
    let geometry = Geometry::covering(12, 20, 7);
    let objective = Level { t: 1e-3, prior_weight: 0.0 };
    let slices: Vec<Slice> = (0..2).map(|seed| crate::run::slice(&geometry, seed, objective)).collect();
    let chosen: Vec<f32> = signed(geometry.sinogram_len(), 9).iter().map(|w| 1.0 + w).collect();
    let prior = crate::network::small();
    let made = CudaSlices::new(device, geometry.clone(), &prior, &slices).unwrap();
    let mut made = made.with_weights(&[Some(&chosen), None]).unwrap();
    let ones = vec![1.0; chosen.len()];
    for (number, (slice, weights)) in slices.iter().zip([&chosen, &ones]).enumerate() {
        let mut residual = vec![0.0; slice.data.len()];
        Projector::new(geometry.clone()).unwrap().forward_project(&slice.start, &mut residual).unwrap();
        let misfits = residual.iter().zip(&slice.data).map(|(p, y)| f64::from(p - y).powi(2));
        let wanted: f64 = misfits.zip(weights).map(|(square, w)| 0.5 * square * f64::from(*w)).sum();
        let mut found = [f64::NAN];
        made.objectives(&[number], &mut found).unwrap();
        let [found] = found;
        assert!((found - wanted).abs() <= 1e-5 * wanted, "{found} for {wanted}");
    }
}
