//! Buffers and bounds for the checks.

use gradus::backend::cuda::vector::Lanes;
use gradus::backend::cuda::{Buffer, Device};
use gradus_tests::fixtures::distance;
use std::rc::Rc;

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
