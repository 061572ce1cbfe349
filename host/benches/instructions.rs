//! Instruction counts under valgrind: `cargo bench --bench instructions`, with `gungraun-runner` of the same version
//! as the `gungraun` dependency on the path.
//!
//! The gate is the absolute limit beside each function: 2 % above what was counted when it was last changed. Counts
//! depend on the compiler, so a new one may move all of them together. Valgrind translates AVX2 and not AVX-512, hides
//! the latter, and so the AVX2 path is counted wherever the host has either; a host with neither counts the portable
//! path, for which the limits are not, and fails.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use common::{Passes, Projections};
use gungraun::{Callgrind, EventKind, LibraryBenchmarkConfig, library_benchmark, library_benchmark_group, main};
use std::hint::black_box;

/// Fails above 1.02 times `counted` instructions.
fn at_most(counted: u64) -> LibraryBenchmarkConfig {
    let mut config = LibraryBenchmarkConfig::default();
    config.tool(Callgrind::default().hard_limits([(EventKind::Ir, counted + counted / 50)]));
    config
}

/// All work on the calling thread: valgrind counts nothing of another one's.
fn on_this_thread() {
    rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build_global().unwrap();
    assert_eq!(gradus::backend::cpu::simd_name(), "AVX2 and FMA", "the limits are for what valgrind can translate");
}

fn passes() -> Passes {
    on_this_thread();
    Passes::new(32, 1).unwrap()
}

fn projections() -> Projections {
    on_this_thread();
    Projections::new(64).unwrap()
}

#[library_benchmark(config = at_most(17_641_272))]
#[bench::size_32(setup = passes)]
fn network_forward(mut passes: Passes) -> Passes {
    black_box(passes.energy());
    passes
}

#[library_benchmark(config = at_most(17_506_201))]
#[bench::size_32(setup = passes)]
fn network_vjp(mut passes: Passes) -> Passes {
    black_box(passes.vjp());
    passes
}

#[library_benchmark(config = at_most(8_120_415))]
#[bench::size_64(setup = projections)]
fn projector_forward(mut projections: Projections) -> Projections {
    black_box(projections.forward_project().unwrap());
    projections
}

#[library_benchmark(config = at_most(12_499_995))]
#[bench::size_64(setup = projections)]
fn projector_adjoint(mut projections: Projections) -> Projections {
    black_box(projections.adjoint().unwrap());
    projections
}

library_benchmark_group!(
    name = reconstruction,
    benchmarks = [network_forward, network_vjp, projector_forward, projector_adjoint]
);
main!(library_benchmark_groups = reconstruction);
