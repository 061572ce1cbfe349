//! Numbers, buffers and norms for the checks.

use gradus::backend::cuda::vector::Lanes;
use gradus::backend::cuda::{Buffer, Device};
use std::rc::Rc;

/// Numbers in [-1, 1) from a fixed sequence.
pub fn signed(n: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut draw = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
    };
    (0..n).map(|_| draw()).collect()
}

pub fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}

/// |found - wanted| / |wanted|; NaN when anything is.
pub fn distance(found: &[f32], wanted: &[f32]) -> f64 {
    assert_eq!(found.len(), wanted.len());
    let difference: f64 = found.iter().zip(wanted).map(|(&f, &w)| (f64::from(f) - f64::from(w)).powi(2)).sum();
    (difference / dot(wanted, wanted)).sqrt()
}

/// Asserts that two vectors agree to `bound` in relative L2 norm.
#[track_caller]
pub fn assert_close(what: &str, found: &[f32], wanted: &[f32], bound: f64) {
    let distance = distance(found, wanted);
    assert!(distance <= bound, "{what}: relative distance {distance:.2e}, at most {bound:.0e}");
}

pub fn upload(device: &Rc<Device>, values: &[f32]) -> Buffer<f32> {
    Buffer::of(device, values).unwrap()
}

pub fn lanes(device: &Rc<Device>, list: &[usize]) -> Lanes {
    let mut lanes = Lanes::new(device, list.len()).unwrap();
    lanes.set(list).unwrap();
    lanes
}
