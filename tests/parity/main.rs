//! The CUDA backend against the CPU backend, on the stand-in driver: every kernel, in every order of its threads, for
//! one image and for five.
//!
//! Each check runs in four modes: `FORWARD` in the last test, the others in tests of their own. That every entry of
//! every `.cu` file is launched by some check is a check, too.
//!
//! Whole networks, the projector, losses and runs are held against the CPU backend. Single layers are held against
//! their definition in f64: the CPU's layers are private, of packed weights and blocked loops, and have f32 errors of
//! their own, which a bound of 1e-5 on the distance would have to share. They meet such loops in their own tests
//! (`host/src/backend/cpu`).
#![allow(clippy::unwrap_used)]

mod conv_weights;
mod estimates;
mod evaluation;
mod layer;
mod mistakes;
mod network;
mod projector;
mod run;
mod solve;
mod support;
mod training;
mod training_layer;
mod vector;
mod verdict;

use gradus::backend::cuda::Device;
use gradus_cuda_kernels::SOURCES;
use gradus_tests::stand_in::{Mode, StandIn};
use std::rc::Rc;

type Check = fn(&Rc<Device>);

const CHECKS: [Check; 16] = [
    vector::check,
    solve::check,
    projector::forward_and_adjoint,
    projector::transposes,
    layer::convolutions,
    layer::on_tensor_cores,
    layer::attentions,
    conv_weights::check,
    conv_weights::tf32,
    conv_weights::packing,
    conv_weights::losses,
    network::check,
    training::losses,
    training_layer::norms,
    training_layer::attentions,
    training_layer::embeddings,
];

fn in_modes(modes: &[Mode], check: Check) {
    let stand_in = StandIn::load().unwrap();
    let device = Device::open(0).unwrap();
    device.keep_buffers_apart();
    for &mode in modes {
        stand_in.set(mode).unwrap();
        check(&device);
        device.synchronise().unwrap();
    }
}

#[test]
fn vectors() {
    in_modes(&Mode::ALL[1..], vector::check);
}

#[test]
fn solves() {
    in_modes(&Mode::ALL[1..], solve::check);
}

#[test]
fn projections() {
    in_modes(&Mode::ALL[1..], projector::forward_and_adjoint);
}

#[test]
fn the_adjoint_is_the_transpose() {
    in_modes(&[Mode::SEEDED], projector::transposes);
}

#[test]
fn convolutions() {
    in_modes(&Mode::ALL[1..], layer::convolutions);
}

#[test]
fn convolutions_on_tensor_cores() {
    in_modes(&Mode::ALL[1..], layer::on_tensor_cores);
}

#[test]
fn attentions() {
    in_modes(&Mode::ALL[1..], layer::attentions);
}

#[test]
fn weight_gradients() {
    in_modes(&Mode::ALL[1..], conv_weights::check);
}

#[test]
fn weight_gradients_on_tensor_cores() {
    in_modes(&Mode::ALL[1..], conv_weights::tf32);
}

#[test]
fn packed_weights() {
    in_modes(&Mode::ALL[1..], conv_weights::packing);
}

#[test]
fn training_losses() {
    in_modes(&Mode::ALL[1..], conv_weights::losses);
}

#[test]
fn norms_in_training() {
    in_modes(&Mode::ALL[1..], training_layer::norms);
}

#[test]
fn attentions_in_training() {
    in_modes(&Mode::ALL[1..], training_layer::attentions);
}

#[test]
fn embeddings_in_training() {
    in_modes(&Mode::ALL[1..], training_layer::embeddings);
}

#[test]
fn networks() {
    in_modes(&Mode::ALL[1..], network::check);
}

#[test]
fn launches_of_a_pass() {
    in_modes(&[Mode::FORWARD], network::launches);
}

#[test]
fn networks_on_tensor_cores() {
    in_modes(&[Mode::SEEDED], network::tf32);
}

#[test]
fn runs() {
    in_modes(&[Mode::SEEDED], run::same_run);
}

#[test]
fn runs_without_drift() {
    in_modes(&[Mode::SEEDED], run::same_runs_without_drift);
}

#[test]
fn samples() {
    in_modes(&[Mode::SEEDED], run::same_samples);
}

#[test]
fn slices_that_solve_in_lockstep() {
    in_modes(&[Mode::LAZY], run::solves_in_lockstep);
}

#[test]
fn waits_of_a_level() {
    in_modes(&[Mode::LAZY], run::waits);
}

#[test]
fn memory_and_waits_at_the_start() {
    let stand_in = StandIn::load().unwrap();
    stand_in.set(Mode::LAZY).unwrap();
    run::start(&Device::open(0).unwrap());
}

#[test]
fn slices_in_lockstep() {
    in_modes(&[Mode::LAZY], run::lockstep);
}

#[test]
fn losses_of_training() {
    in_modes(&[Mode::SEEDED], training::losses);
}

#[test]
fn training_runs() {
    in_modes(&[Mode::LAZY], training::run);
}

#[test]
fn evaluations() {
    in_modes(&[Mode::LAZY], evaluation::same_rows);
}

#[test]
fn runs_together() {
    in_modes(&[Mode::LAZY], evaluation::together);
}

#[test]
fn verdicts_are_kept() {
    in_modes(&[Mode::LAZY], verdict::check);
}

/// Nothing is launched for it.
#[test]
fn estimates_are_up_to_date() {
    in_modes(&[Mode::FORWARD], estimates::check);
}

#[test]
fn mistakes_beyond_one_block_are_seen() {
    mistakes::all_are_seen();
}

#[test]
fn every_entry_is_launched_by_a_check() {
    CHECKS.into_iter().for_each(|check| in_modes(&[Mode::FORWARD], check));
    let stand_in = StandIn::load().unwrap();
    for entry in SOURCES.iter().flat_map(|source| source.entries) {
        assert_ne!(stand_in.launches(entry.name).unwrap(), Some(0), "nothing launched {}", entry.name);
    }
}
