//! The solver's vectors against sums in f64.

use crate::support::{assert_close, lanes, upload};
use gradus::backend::cuda::vector::{DirectionVectors, Vectors};
use gradus::backend::cuda::{Buffer, Device};
use gradus_cuda_kernels::vector::DirectionScalars;
use gradus_tests::fixtures::{dot, signed};
use std::rc::Rc;

const N_LANES: usize = 5;

/// One of five lanes, and all of them in an order of their own.
pub fn check(device: &Rc<Device>) {
    for (n, list) in [1, 255, 1000].into_iter().flat_map(|n| [(n, &[2][..]), (n, &[3, 1, 4, 0, 2])]) {
        directions(device, n, list);
        updates(device, n, list);
        products(device, n, list);
    }
}

/// For each of a list of lanes one of the given values, in turn.
fn in_turn<T: Copy>(values: [T; 3], list: &[usize]) -> Vec<T> {
    values.into_iter().cycle().take(list.len()).collect()
}

/// Lanes that take no part.
fn at_rest(list: &[usize]) -> impl Iterator<Item = usize> + '_ {
    (0..N_LANES).filter(|lane| !list.contains(lane))
}

fn lane(values: &[f32], lane: usize) -> &[f32] {
    let n = values.len() / N_LANES;
    &values[lane * n..(lane + 1) * n]
}

#[track_caller]
fn assert_near(what: &str, found: f64, wanted: f64, scale: f64) {
    assert!((found - wanted).abs() <= 1e-6 * scale, "{what}: {found} for {wanted}");
}

fn directions(device: &Rc<Device>, n: usize, take_part: &[usize]) {
    let host: Vec<Vec<f32>> = (0..4).map(|seed| signed(N_LANES * n, seed)).collect();
    let on_device: Vec<Buffer<f32>> = host.iter().map(|values| upload(device, values)).collect();
    let (gradient, direction) = (upload(device, &host[0]), upload(device, &host[0]));
    let scalars = [
        DirectionScalars { t: 0.5, objective_weight: 2.0, level_weight: 3.0, smoothed: 1, has_previous: 1 },
        DirectionScalars { t: 0.25, objective_weight: 0.5, level_weight: f32::NAN, smoothed: 0, has_previous: 1 },
        DirectionScalars { t: 1.0, objective_weight: 1.5, level_weight: 0.1, smoothed: 1, has_previous: 0 },
    ];
    let scalars = in_turn(scalars, take_part);
    let vectors = DirectionVectors {
        data_gradient: on_device[0].address(),
        at_objective: on_device[1].address(),
        at_level: on_device[2].address(),
        previous: on_device[3].address(),
        gradient: gradient.address(),
        direction: direction.address(),
    };
    let list = lanes(device, take_part);
    let sums = Vectors::new(device, N_LANES).unwrap().direction(&list, &scalars, n, vectors).unwrap();
    let (gradient, direction) = (gradient.to_vec().unwrap(), direction.to_vec().unwrap());
    for ((&at, scalars), sums) in take_part.iter().zip(&scalars).zip(sums) {
        let term = |i: usize| lane(&host[i], at).iter();
        let plus = |i: usize, weight: f32| -> Vec<f32> { term(0).zip(term(i)).map(|(g, p)| g + weight * p).collect() };
        let wanted = plus(1, scalars.objective_weight);
        let smooth = if scalars.smoothed == 1 { plus(2, scalars.level_weight) } else { wanted.clone() };
        let d: Vec<f32> = smooth.iter().map(|s| -scalars.t * s).collect();
        assert_close("gradient", lane(&gradient, at), &wanted, 1e-6);
        assert_close("direction", lane(&direction, at), &d, 1e-6);
        let difference: Vec<f32> = term(3).zip(&d).map(|(p, d)| p - d).collect();
        let had = f64::from(scalars.has_previous);
        let scale = dot(&wanted, &wanted) + dot(&d, &d) + had * dot(&difference, &difference);
        assert_near("|grad f|^2", sums[0], dot(&wanted, &wanted), scale);
        assert_near("<grad f, d>", sums[1], dot(&wanted, &d), scale);
        assert_near("|d|^2", sums[2], dot(&d, &d), scale);
        assert_near("<d', d' - d>", sums[3], had * dot(lane(&host[3], at), &difference), scale);
        assert_near("|d' - d|^2", sums[4], had * dot(&difference, &difference), scale);
    }
    at_rest(take_part).for_each(|rest| assert_eq!(lane(&direction, rest), lane(&host[0], rest)));
}

fn updates(device: &Rc<Device>, n: usize, take_part: &[usize]) {
    let (x, d) = (signed(N_LANES * n, 7), signed(N_LANES * n, 8));
    let steps = in_turn([0.5, -2.0, 0.125], take_part);
    let moved = |values: &[f32]| -> Vec<f32> {
        let mut values = values.to_vec();
        for (&at, step) in take_part.iter().zip(&steps) {
            (at * n..(at + 1) * n).for_each(|i| values[i] += step * d[i]);
        }
        values
    };
    let mut vectors = Vectors::new(device, N_LANES).unwrap();
    let list = lanes(device, take_part);
    let (x_there, d_there) = (upload(device, &x), upload(device, &d));
    let out = upload(device, &x);
    vectors.trial(&list, &steps, n, (x_there.address(), d_there.address()), out.address()).unwrap();
    assert_close("trial", &out.to_vec().unwrap(), &moved(&x), 1e-6);
    let previous = upload(device, &x);
    vectors.update(&list, &steps, n, d_there.address(), (x_there.address(), previous.address())).unwrap();
    assert_close("update", &x_there.to_vec().unwrap(), &moved(&x), 1e-6);
    assert_eq!(lane(&previous.to_vec().unwrap(), 2), lane(&d, 2));
    vectors.add_scaled(&list, &steps, n, d_there.address(), x_there.address()).unwrap();
    assert_close("add scaled", &x_there.to_vec().unwrap(), &moved(&moved(&x)), 1e-6);
    vectors.copy(&list, n, (1.0, d_there.address()), x_there.address()).unwrap();
    let (copied, last) = (x_there.to_vec().unwrap(), take_part[0]);
    assert_eq!(lane(&copied, last), lane(&d, last));
    at_rest(take_part).for_each(|rest| assert_eq!(lane(&copied, rest), lane(&x, rest)));
}

fn products(device: &Rc<Device>, n: usize, take_part: &[usize]) {
    let (a, b) = (signed(N_LANES * n, 9), signed(N_LANES * n, 10));
    let (a_there, b_there) = (upload(device, &a), upload(device, &b));
    let (vectors, list) = (Vectors::new(device, N_LANES).unwrap(), lanes(device, take_part));
    let sums = vectors.products(&list, n, a_there.address(), b_there.address()).unwrap();
    let changes = vectors.half_square_change(&list, n, a_there.address(), b_there.address()).unwrap();
    for ((&at, [product, square, other]), change) in take_part.iter().zip(sums).zip(changes) {
        let (a, b) = (lane(&a, at), lane(&b, at));
        let (aa, bb) = (dot(a, a), dot(b, b));
        assert_near("<a, b>", product, dot(a, b), aa + bb);
        assert_near("<b, b>", square, bb, bb);
        assert_near("<a, a>", other, aa, aa);
        assert_near("half square change", change, 0.5 * (bb - aa), aa + bb);
    }
}
