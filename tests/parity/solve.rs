//! Conjugate gradient steps and weights against plain loops.

use crate::support::{assert_close, lanes, upload};
use gradus::backend::cuda::vector::Vectors;
use gradus::backend::cuda::{Buffer, CudaSlices, Device};
use gradus::backend::{Mirror, Slice, Slices};
use gradus::ct::{Geometry, Projector};
use gradus_core::Level;
use gradus_tests::fixtures::{dot, signed};
use std::rc::Rc;

const N_LANES: usize = 6;

/// One of six lanes, and five in an order of their own; the first one rests.
pub fn check(device: &Rc<Device>) {
    for n in [1, 257, 900] {
        steps(device, n, &[3]);
        steps(device, n, &[3, 1, 5, 2, 4]);
    }
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

fn steps(device: &Rc<Device>, n: usize, take_part: &[usize]) {
    let host: Vec<Vec<f32>> = (0..4).map(|seed| signed(N_LANES * n, seed)).collect();
    let [r, p, normal, d]: [Buffer<f32>; 4] = std::array::from_fn(|i| upload(device, &host[i]));
    let (mut vectors, list) = (Vectors::new(device, N_LANES).unwrap(), lanes(device, take_part));
    let momenta = &[0.0, 0.5, -1.5, 0.25, 1.0][..take_part.len()];
    let scalars = &[[0.25, 2.0], [-0.5, 1.0], [1.0, 0.0], [0.5, 0.5], [2.0, 0.125]][..take_part.len()];
    vectors.conjugate(&list, momenta, n, (r.address(), p.address())).unwrap();
    let squares = vectors.squares(&list, n, normal.address()).unwrap();
    let (from, to) = ((p.address(), normal.address()), (d.address(), r.address()));
    let rests = vectors.advance(&list, scalars, n, from, to).unwrap();
    vectors.clear(&list, n, normal.address()).unwrap();
    let [r, p, normal, d] = [r, p, normal, d].map(|buffer| buffer.to_vec().unwrap());
    for (entry, &lane) in take_part.iter().enumerate() {
        let of = |values: &[f32]| values[lane * n..(lane + 1) * n].to_vec();
        let plus = |a: &[f32], scale: f32, b: &[f32]| a.iter().zip(b).map(|(a, b)| a + scale * b).collect::<Vec<f32>>();
        let ([length, damping], before) = (scalars[entry], host.iter().map(|v| of(v)).collect::<Vec<_>>());
        let conjugate = plus(&before[0], momenta[entry], &before[1]);
        let rest = plus(&plus(&before[0], -length, &before[2]), -length * damping, &conjugate);
        assert!(of(&normal).iter().all(|&value| value == 0.0));
        assert_close("p", &of(&p), &conjugate, 1e-6);
        assert_close("d", &of(&d), &plus(&before[3], length, &conjugate), 1e-6);
        assert_close("r", &of(&r), &rest, 1e-6);
        let wanted = [dot(&conjugate, &conjugate), dot(&before[2], &before[2]), dot(&rest, &rest)];
        for (found, wanted) in [squares[entry][0], squares[entry][1], rests[entry]].into_iter().zip(wanted) {
            assert!((found - wanted).abs() <= 1e-5 * wanted, "{found} for {wanted}");
        }
    }
    // Lanes that take no part keep what they had.
    assert_eq!((&p[..n], &d[..n], &r[..n]), (&host[1][..n], &host[3][..n], &host[0][..n]));
    assert_eq!(&normal[..n], &host[2][..n]);
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
