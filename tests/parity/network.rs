//! The whole network against the CPU's: h and J_h^T v, lane by lane.

use crate::support::{assert_close, lanes, upload};
use gradus::backend::cpu::Network;
use gradus::backend::cuda::{Buffer, CudaNetwork, Device, Precision};
use gradus::prior::Prior;
use gradus::unet::{Architecture, Parametrisation};
use gradus_tests::fixtures::{self, RESIDUAL, signed, small as architecture};
use gradus_tests::stand_in::Watch;
use std::collections::BTreeMap;
use std::rc::Rc;

/// A prior with random weights.
pub fn random(architecture: &Architecture, parametrisation: Parametrisation) -> Prior {
    fixtures::random(architecture, parametrisation).unwrap()
}

/// A network small enough for whole runs.
pub fn small() -> Prior {
    random(&small_architecture(), RESIDUAL)
}

/// The smallest one.
pub fn tiny() -> Prior {
    random(&architecture(1, vec![1]), Parametrisation::Norm)
}

/// Its description.
pub fn small_architecture() -> Architecture {
    architecture(2, vec![1, 2])
}

/// A network that sees images of 128 x 128 pixels as channels of 16 x 16.
pub fn coarse() -> Prior {
    random(&architecture(8, vec![1]), RESIDUAL)
}

/// Odd sizes at the coarse levels, down to one pixel; more pixels than a tile; batches of 1 and 5.
pub fn check(device: &Rc<Device>) {
    let cases = [
        (small(), (12, 20), vec![0]),
        (random(&architecture(1, vec![1, 2, 2]), Parametrisation::Norm), (12, 4), vec![2, 0, 4, 1, 3]),
        (random(&architecture(1, vec![2, 1]), RESIDUAL), (10, 38), vec![1]),
        (random(&architecture(1, vec![1]), Parametrisation::Norm), (7, 3), vec![1, 0]),
        // More pixels than a share of the norms' sums, the last share with a tail.
        (random(&architecture(1, vec![1]), Parametrisation::Norm), (34, 42), vec![1, 0]),
    ];
    // Compensated convolutions take minutes to search for races, and layers are searched one by one.
    if Watch::of_this_process() != Watch::Races {
        device.pretend((8, 0));
        for (prior, size, list) in &cases {
            compare(device, prior, *size, list, 1e-5);
        }
    }
    // On a card whose tensor cores are slow.
    device.pretend((8, 6));
    for (prior, size, list) in &cases[2..] {
        compare(device, prior, *size, list, 1e-5);
    }
}

/// A forward pass of the main job's network and a vjp; nothing is launched for it.
pub fn launches(device: &Rc<Device>) {
    let prior = Prior::named("ellipses").unwrap();
    let mut network = CudaNetwork::new(device, &prior, (128, 128), 1).unwrap();
    let (image, list) = (upload(device, &vec![0.0; 128 * 128]), lanes(device, &[0]));
    let listed = device.listed(|| {
        network.forward(&list, &[(0, 0.1)], image.address())?;
        network.vjp(&list, network.h(), image.address())
    });
    let mut kernels = BTreeMap::new();
    listed.unwrap().iter().for_each(|launched| *kernels.entry(launched.kernel).or_insert(0) += 1);
    assert!(kernels.values().sum::<usize>() <= 88, "{kernels:?}");
}

/// Whole passes on tensor cores, with the error that `Precision::Tf32` states. The second network shows it: in the
/// first most of h is the image itself.
pub fn tf32(device: &Rc<Device>) {
    device.set_precision(Precision::Tf32);
    compare(device, &small(), (12, 20), &[0], 2e-3);
    compare(device, &random(&architecture(1, vec![1, 2]), Parametrisation::Norm), (6, 10), &[3, 1, 4, 0, 2], 2e-3);
    device.set_precision(Precision::Full);
}

fn compare(device: &Rc<Device>, prior: &Prior, (height, width): (usize, usize), list: &[usize], bound: f64) {
    let (n_lanes, n) = (list.iter().max().unwrap() + 1, height * width);
    let mut there = CudaNetwork::new(device, prior, (height, width), n_lanes).unwrap();
    let mut here = Network::new(prior, height, width, 1).unwrap();
    let on_device = lanes(device, list);
    let [mut x_there, mut v_there] = [(); 2].map(|()| upload(device, &vec![0.0; n_lanes * n]));
    let gradient = Buffer::new(device, n_lanes * n).unwrap();
    // The second time graphs are made, and the third time launched again, on other images at other levels.
    let rounds = if list == [0] { 3 } else { 1 };
    for round in 0..rounds {
        let (x, v) = (signed(n_lanes * n, 1 + 2 * round), signed(n_lanes * n, 2 + 2 * round));
        let at = |lane: usize| 0.9 / (1.0 + lane as f32 + round as f32);
        let levels: Vec<(usize, f32)> = list.iter().map(|&lane| (lane, at(lane))).collect();
        x_there.upload(0, &x).unwrap();
        v_there.upload(0, &v).unwrap();
        there.forward(&on_device, &levels, x_there.address()).unwrap();
        there.vjp(&on_device, v_there.address(), gradient.address()).unwrap();
        let (mut found, mut wanted) = (vec![0.0; n], vec![0.0; n]);
        for (lane, t) in levels {
            let range = lane * n..(lane + 1) * n;
            here.forward(0..1, &x[range.clone()], &[t]);
            here.vjp(0..1, &v[range.clone()], &mut wanted);
            // Lanes that rest hold nothing that was written.
            there.h_buffer().download(range.start, &mut found).unwrap();
            assert_close(&format!("h of lane {lane}, {height} x {width}"), &found, here.h(0), bound);
            gradient.download(range.start, &mut found).unwrap();
            assert_close(&format!("vjp of lane {lane}, {height} x {width}"), &found, &wanted, bound);
        }
    }
    assert!(rounds == 1 || device.traffic().graphs > 0, "passes that are made again are graphs");
}
