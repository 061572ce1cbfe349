//! The CUDA backend against the CPU backend, on the stand-in driver: every kernel, in every order of its threads.
//!
//! Each check runs in four modes: `FORWARD` in the last test, the others in tests of their own. That every entry of every `.cu` file is launched by some check is a check, too.
#![allow(clippy::unwrap_used)]

mod evaluation;
mod layer;
mod network;
mod preconditioned;
mod projector;
mod run;
mod solve;
mod support;
mod vector;

use gradus::backend::cuda::Device;
use gradus_cuda_kernels::SOURCES;
use gradus_tests::stand_in::{Mode, StandIn};
use std::rc::Rc;

type Check = fn(&Rc<Device>);

const CHECKS: [Check; 7] = [
    vector::check,
    solve::check,
    projector::forward_and_adjoint,
    projector::transposes,
    layer::convolutions,
    layer::attentions,
    network::check,
];

fn in_modes(modes: &[Mode], check: Check) {
    let stand_in = StandIn::load().unwrap();
    let device = Device::open(0).unwrap();
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
fn attentions() {
    in_modes(&Mode::ALL[1..], layer::attentions);
}

#[test]
fn networks() {
    in_modes(&Mode::ALL[1..], network::check);
}

#[test]
fn runs() {
    in_modes(&[Mode::SEEDED], run::same_run);
}

#[test]
fn preconditioned_runs() {
    in_modes(&[Mode::SEEDED], preconditioned::same_runs);
}

#[test]
fn preconditioned_slices_in_lockstep() {
    in_modes(&[Mode::LAZY], preconditioned::lockstep);
}

#[test]
fn slices_in_lockstep() {
    in_modes(&[Mode::LAZY], run::lockstep);
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
fn every_entry_is_launched_by_a_check() {
    CHECKS.into_iter().for_each(|check| in_modes(&[Mode::FORWARD], check));
    let stand_in = StandIn::load().unwrap();
    for entry in SOURCES.iter().flat_map(|source| source.entries) {
        assert_ne!(stand_in.launches(entry.name).unwrap(), Some(0), "nothing launched {}", entry.name);
    }
}
