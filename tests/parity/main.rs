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
use gradus_tests::stand_in::{Mode, StandIn, Watch};
use std::process::Command;
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
    // What is a race in one order is one in any.
    let skipped = if Watch::of_this_process() == Watch::Races { modes.len() - 1 } else { 0 };
    for &mode in &modes[skipped..] {
        stand_in.set(mode).unwrap();
        check(&device);
        device.synchronise().unwrap();
    }
}

/// Runs a test in a process of its own: a process has one stand-in, and this way tests run side by side. With another
/// driver they stay here, where a sanitizer may watch them.
fn apart(test: &str, run: impl FnOnce()) {
    const IS_CHILD: &str = "GRADUS_PARITY_CHILD";
    let is_driver_given = std::env::var("GRADUS_STAND_IN").is_ok_and(|value| value == "none");
    if is_driver_given || std::env::var_os(IS_CHILD).is_some() {
        return run();
    }
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", test, "--nocapture"]).env(IS_CHILD, "1");
    // A card whose tensor cores are slow, where a check does not say otherwise: here, other kernels run much faster.
    let done = child.env("GRADUS_STAND_IN_MINOR", "6").output().unwrap();
    let (said, complained) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success() && said.contains("1 passed"), "{}\n{said}\n{complained}", done.status);
}

/// Tests by name: the modes that a check runs in.
macro_rules! in_processes_of_their_own {
    ($($(#[$doc:meta])* $test:ident: $modes:expr, $check:expr;)*) => {
        $($(#[$doc])* #[test] fn $test() {
            apart(stringify!($test), || in_modes($modes, $check));
        })*
    };
}

in_processes_of_their_own! {
    vectors: &Mode::ALL[1..], vector::check;
    solves: &Mode::ALL[1..], solve::check;
    projections: &Mode::ALL[1..], projector::forward_and_adjoint;
    the_adjoint_is_the_transpose: &[Mode::SEEDED], projector::transposes;
    convolutions: &Mode::ALL[1..], layer::convolutions;
    convolutions_on_tensor_cores: &Mode::ALL[1..], layer::on_tensor_cores;
    attentions: &Mode::ALL[1..], layer::attentions;
    weight_gradients: &Mode::ALL[1..], conv_weights::check;
    weight_gradients_on_tensor_cores: &Mode::ALL[1..], conv_weights::tf32;
    packed_weights: &Mode::ALL[1..], conv_weights::packing;
    training_losses: &Mode::ALL[1..], conv_weights::losses;
    norms_in_training: &Mode::ALL[1..], training_layer::norms;
    attentions_in_training: &Mode::ALL[1..], training_layer::attentions;
    embeddings_in_training: &Mode::ALL[1..], training_layer::embeddings;
    networks: &Mode::ALL[1..], network::check;
    launches_of_a_pass: &[Mode::FORWARD], network::launches;
    networks_on_tensor_cores: &[Mode::SEEDED], network::tf32;
    runs: &[Mode::SEEDED], run::same_run;
    runs_without_drift: &[Mode::SEEDED], run::same_runs_without_drift;
    samples: &[Mode::SEEDED], run::same_samples;
    slices_that_solve_in_lockstep: &[Mode::LAZY], run::solves_in_lockstep;
    waits_of_a_level: &[Mode::LAZY], run::waits;
    slices_in_lockstep: &[Mode::LAZY], run::lockstep;
    losses_of_training: &[Mode::SEEDED], training::losses;
    training_runs: &[Mode::LAZY], training::run;
    evaluations: &[Mode::LAZY], evaluation::same_rows;
    runs_together: &[Mode::LAZY], evaluation::together;
    verdicts_are_kept: &[Mode::LAZY], verdict::check;
    /// Nothing is launched for it.
    estimates_are_up_to_date: &[Mode::FORWARD], estimates::check;
}

#[test]
fn memory_and_waits_at_the_start() {
    apart("memory_and_waits_at_the_start", || {
        let stand_in = StandIn::load().unwrap();
        stand_in.set(Mode::LAZY).unwrap();
        run::start(&Device::open(0).unwrap());
    });
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
