//! Wall time of the parts of a reconstruction: `cargo bench --bench wall_time`.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use common::{Passes, Projections, algorithm_2, measurement};
use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use std::time::Duration;

fn network(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("network 128x128");
    for batch in [1, 8] {
        let mut passes = Passes::new(128, batch).unwrap();
        group.bench_function(format!("energy, batch {batch}"), |b| b.iter(|| passes.energy()));
        group.bench_function(format!("energy and score, batch {batch}"), |b| {
            b.iter(|| {
                black_box(passes.score());
            });
        });
    }
    group.finish();
}

fn projector(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("projector, 60 views");
    for size in [128, 256] {
        let mut projections = Projections::new(size).unwrap();
        group.bench_function(format!("forward {size}x{size}"), |b| {
            b.iter(|| {
                black_box(projections.forward_project().unwrap());
            });
        });
        group.bench_function(format!("adjoint {size}x{size}"), |b| {
            b.iter(|| {
                black_box(projections.adjoint().unwrap());
            });
        });
    }
    group.finish();
}

/// Each run takes the first 20 levels, whatever criterion asks for: trials an iteration change along the schedule.
fn solver(criterion: &mut Criterion) {
    let measurement = measurement(128).unwrap();
    criterion.bench_function("iteration of Algorithm 2, 128x128", |b| {
        b.iter_custom(|iterations| {
            let run = algorithm_2(&measurement, 20).unwrap();
            Duration::from_secs_f64(run.seconds_per_iteration * iterations as f64)
        });
    });
}

criterion_group! {
    name = wall_time;
    config = Criterion::default()
        .sample_size(12)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1500));
    targets = network, projector, solver
}
criterion_main!(wall_time);
