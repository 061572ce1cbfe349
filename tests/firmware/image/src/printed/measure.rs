//! The figures of the docs, measured: instructions, bytes of memory, depth of the stack.

use super::clock::Clock;
use super::stack;
use core::hint::black_box;
use core::mem::size_of;
use core::ops::ControlFlow;
use firmware_image::{NoProblem, settings};
use firmware_problem::fault::Fault;
use firmware_problem::lines::Lines;
use firmware_problem::named_runs::Buffers;
use firmware_problem::run::Observer;
use gradus_core::prior::{Component, GaussianMixture};
use gradus_core::{
    GradientLike, GraduatedFlow, Level, PerturbationKernel, Preconditioned, Problem, Record, Request, Solver, Status,
    drive,
};

const REPEATS: u32 = 200;

/// Writes one line per figure.
///
/// # Errors
/// When a run fails.
pub fn all(clock: Clock, buffers: &mut Buffers, lines: &mut impl Lines) -> Result<Status, Fault> {
    let mut put = |name: &str, value: u32| lines.line(name, &[value]);
    let ((one, longest), (twenty, _)) = (solver_alone(clock, 1)?, solver_alone(clock, 20)?);
    put("trial-1", one / REPEATS);
    put("trial-1-longest", longest);
    put("trial-20", twenty / REPEATS);
    // The depth of the stack only grows, so the shallow ones come first.
    put("stack-solver", stack::depth());
    put("save-restore", save_and_restore(clock)? / REPEATS);
    let memory = &mut buffers.measured;
    let (narrow, wide) = (buffers_alone::<64>(clock, memory)?, buffers_alone::<256>(clock, memory)?);
    put("vectors-per-pixel", wide.saturating_sub(narrow) / 192 / VECTOR_ITERATIONS);
    put("ram-gradient-like", size_of::<GradientLike>() as u32);
    put("ram-graduated-flow", size_of::<GraduatedFlow>() as u32);
    put("ram-record", size_of::<Record>() as u32);
    put("ram-preconditioned", size_of::<Preconditioned>() as u32);
    let mut counter = Counter { clock, last: clock.now(), counts: [0; 64], n: 0 };
    buffers.reconstruct(&mut counter)?;
    put("stack-reconstruction", stack::depth());
    counter.take(|count| put("iteration", count));
    let status = buffers.reconstruct_by_default(&mut counter)?;
    counter.take(|count| put("default-iteration", count));
    let (exact, preview) = scores(clock)?;
    put("score-exact", exact / REPEATS);
    put("score-preview", preview / REPEATS);
    Ok(status)
}

/// Instructions from one accepted step to the next.
struct Counter {
    clock: Clock,
    last: u32,
    counts: [u32; 64],
    n: usize,
}

impl Counter {
    /// Hands on the counts so far; the next run starts anew.
    fn take(&mut self, put: impl FnMut(u32)) {
        self.counts.iter().copied().take(self.n).for_each(put);
        (self.n, self.last) = (0, self.clock.now());
    }
}

impl Observer for Counter {
    fn accepted(&mut self, _: &[u8], _: &[f32]) {
        if let Some(count) = self.counts.get_mut(self.n) {
            *count = self.clock.since(self.last);
            self.n += 1;
        }
        self.last = self.clock.now();
    }

    fn record(&mut self, _: &Record) {}
}

/// Algorithm 2 with answers that cost nothing: all iterations, and the longest, to a tick of the clock.
#[inline(never)]
fn solver_alone(clock: Clock, n_trials: u32) -> Result<(u32, u32), Fault> {
    let (homotopy, candidate, backtracking) = settings(REPEATS)?;
    let mut solver = GradientLike::new(homotopy, candidate, backtracking, 0.0)?;
    let mut answers = NoProblem::new(black_box(n_trials));
    let start = clock.now();
    let (mut longest, mut last) = (0, start);
    while !matches!(solver.request(), Request::Done(_)) {
        if solver.answer(answers.answer(solver.request()))?.is_some() {
            longest = longest.max(clock.since(last));
            last = clock.now();
        }
    }
    Ok((clock.since(start), longest))
}

#[inline(never)]
fn save_and_restore(clock: Clock) -> Result<u32, Fault> {
    let (homotopy, candidate, backtracking) = settings(REPEATS)?;
    let mut solver = GradientLike::new(homotopy, candidate, backtracking, 0.0)?;
    let start = clock.now();
    for _ in 0..REPEATS {
        solver = GradientLike::from_bytes(&black_box(solver.to_bytes()))?;
    }
    black_box(solver);
    Ok(clock.since(start))
}

/// A problem of `N` pixels that costs nothing, so that only the vector work of the core's driver is counted.
struct Nothing<const N: usize>;

impl<const N: usize> Problem for Nothing<N> {
    type Error = Fault;

    fn dimension(&self) -> usize {
        N
    }

    fn gradient(&mut self, _: &[f32], _: Level, out: &mut [f32]) -> Result<(), Fault> {
        if let Some(first) = out.first_mut() {
            *first = 1.0;
        }
        Ok(())
    }

    fn change(&mut self, _: &[f32], _: &[f32], step: f32, _: Level) -> Result<f32, Fault> {
        Ok(-step)
    }
}

const VECTOR_ITERATIONS: u32 = 8;

#[inline(never)]
fn buffers_alone<const N: usize>(clock: Clock, memory: &mut [f32]) -> Result<u32, Fault> {
    let (homotopy, candidate, backtracking) = settings(VECTOR_ITERATIONS)?;
    let mut solver = GradientLike::new(homotopy, candidate, backtracking, 0.0)?;
    let mut problem = Nothing::<N>;
    let memory = memory.get_mut(..4 * N).unwrap_or_default();
    let mut buffers = gradus_core::Buffers::new(&mut problem, memory, solver.objective())?;
    let start = clock.now();
    drive(&mut solver, &mut buffers, |_, _| ControlFlow::Continue(()))?;
    Ok(clock.since(start))
}

/// Score of a mixture of 15 components in 16 dimensions at one point: exact, and for previews at a prepared level.
#[inline(never)]
fn scores(clock: Clock) -> Result<(u32, u32), Fault> {
    let component = |k: usize| Component { weight: 1.0, mean: [0.05 * k as f32; 16], variance: 0.01 };
    let components: [Component<16>; 15] = core::array::from_fn(component);
    let mixture = GaussianMixture::new(black_box(components), PerturbationKernel::VP)?;
    let start = clock.now();
    for _ in 0..REPEATS {
        black_box(mixture.score(&black_box([0.3; 16]), black_box(0.1)));
    }
    let exact = clock.since(start);
    let preview = mixture.preview(black_box(0.1));
    let start = clock.now();
    for _ in 0..REPEATS {
        black_box(preview.score(&black_box([0.3; 16])));
    }
    Ok((exact, clock.since(start)))
}
