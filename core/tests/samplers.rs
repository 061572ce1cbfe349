//! The rivals: their papers' recurrences in the papers' coordinates, Gaussian priors in closed form, saved states.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::cast_precision_loss)]

use core::convert::Infallible;
use core::fmt::Debug;
use gradus_core::prior::Component;
use gradus_core::{
    Answer as Tell, AnswerError, Buffers, DecomposedDiffusion, DiffPir, Draw, Evaluator, GaussianMixture, Homotopy,
    Level, LinearModel, Outcome, PerturbationKernel, Problem, Record, RegularisationWeight, Request as Ask, Schedule,
    SettingsError, Solved, Solver, Spacing, StateError, Status, drive,
};
use proptest::prelude::*;
use std::ops::ControlFlow;

const KERNEL: PerturbationKernel = PerturbationKernel::VP;
const MEAN: [f32; 2] = [0.7, -0.3];

/// Gaussian images of two pixels with known values of `A x`, `A` diagonal: what it does not see, it multiplies by 0.
struct Pixels {
    prior: GaussianMixture<1, 2>,
    a: [f32; 2],
    y: [f32; 2],
}

impl Pixels {
    fn new(variance: f32, a: [f32; 2]) -> Self {
        let prior = GaussianMixture::new([Component { weight: 1.0, mean: MEAN, variance }], KERNEL).unwrap();
        Self { prior, a, y: [1.5, 0.25] }
    }
}

impl Problem for Pixels {
    type Error = Infallible;

    fn dimension(&self) -> usize {
        2
    }

    fn gradient(&mut self, _: &[f32], _: Level, _: &mut [f32]) -> Result<(), Infallible> {
        panic!("a sampler looks at no gradient of f")
    }

    fn change(&mut self, _: &[f32], _: &[f32], _: f32, _: Level) -> Result<f32, Infallible> {
        panic!("a sampler searches along no line")
    }

    fn linear_model(&mut self) -> Option<&mut dyn LinearModel<Error = Infallible>> {
        Some(self)
    }
}

impl LinearModel for Pixels {
    fn data_gradient(&mut self, x: &[f32], out: &mut [f32]) -> Result<(), Infallible> {
        (0..2).for_each(|k| out[k] = self.a[k] * (self.a[k] * x[k] - self.y[k]));
        Ok(())
    }

    /// Without drift: `R(x, t) = -log p_t(gamma_t x)`.
    fn prior_gradient(&mut self, x: &[f32], level: Level, turn: u32, out: &mut [f32]) -> Result<(), Infallible> {
        assert_eq!(turn, 0, "a sampler looks in no mirror");
        let gamma = KERNEL.mean_scale(level.t);
        let score = self.prior.score(&[gamma * x[0], gamma * x[1]], level.t);
        (0..2).for_each(|k| out[k] = -gamma * score[k]);
        Ok(())
    }

    fn normal(&mut self, p: &[f32], out: &mut [f32]) -> Result<(), Infallible> {
        (0..2).for_each(|k| out[k] = self.a[k] * self.a[k] * p[k]);
        Ok(())
    }
}

fn homotopy(spacing: Spacing, len: u32, alpha: f32) -> Homotopy {
    let schedule = Schedule::new(spacing, 1.0, 1e-3, len).unwrap();
    Homotopy { schedule, weight: RegularisationWeight::Constant(alpha) }
}

fn result(solver: &mut dyn Solver, mut problem: Pixels) -> [f64; 2] {
    let (mut memory, mut solve) = ([0.0; 8], [0.0; 6]);
    let buffers = Buffers::new(&mut problem, &mut memory, solver.objective()).unwrap();
    let mut buffers = buffers.with_solve(&mut solve).unwrap();
    let mut images = 0;
    let status = drive(solver, &mut buffers, |record, _| {
        assert_eq!((record.iteration, record.outcome, record.step), (images, Outcome::Approach, 1.0));
        images += 1;
        ControlFlow::Continue(())
    });
    assert_eq!(status, Ok(Status::ScheduleDone));
    [f64::from(buffers.iterate()[0]), f64::from(buffers.iterate()[1])]
}

/// A paper's step: from `abar_t`, `abar_{t-1}`, `x_t`, `E[x_0 | x_t]`, the same image with the data solved for, and new
/// noise to `x_{t-1}`.
type Step = fn([f64; 2], [f64; 3], f64) -> f64;

/// The papers' loop in `f64` for pixels of prior variance 0.3, with `rho` of the levels' `(1 - abar)/abar`.
fn papers(levels: Schedule, a: [f32; 2], rho: impl Fn(f64) -> f64, seed: u64, step: Step) -> [f64; 2] {
    let noise = |number: u32, k: usize| f64::from(Draw { seed, number }.four(0)[k]);
    let abar = |i: u32| f64::from(KERNEL.mean_scale(levels.t(i))).powi(2);
    let y = Pixels::new(0.3, a).y.map(f64::from);
    std::array::from_fn(|k| {
        let (a, m, v) = (f64::from(a[k]), f64::from(MEAN[k]), f64::from(0.3_f32));
        // At abar = 4.5e-5 the paper's N(0, 1) is the noise alone.
        let mut x = (1.0 - abar(0)).sqrt() * noise(0, k);
        let mut clean = 0.0;
        for i in 0..levels.len() {
            let at = abar(i);
            let score = -(x - at.sqrt() * m) / (at * v + 1.0 - at);
            let tweedie = (x + (1.0 - at) * score) / at.sqrt();
            let rho = rho((1.0 - at) / at);
            clean = if a == 0.0 { tweedie } else { (a * y[k] + rho * tweedie) / (a * a + rho) };
            let next = if i + 1 < levels.len() { abar(i + 1) } else { 1.0 };
            x = step([at, next], [x, tweedie, clean], noise(i + 1, k));
        }
        assert!((x - clean).abs() < 1e-12, "without noise the last step is the clean image");
        clean
    })
}

fn ddim<const PERCENT: u8>([at, next]: [f64; 2], [x, tweedie, clean]: [f64; 3], z: f64) -> f64 {
    let eta = f64::from(PERCENT) / 100.0;
    let eps = (x - at.sqrt() * tweedie) / (1.0 - at).sqrt();
    let beta = ((1.0 - next) / (1.0 - at)).sqrt() * (1.0 - at / next).sqrt();
    next.sqrt() * clean + (1.0 - next - (eta * beta).powi(2)).max(0.0).sqrt() * eps + eta * beta * z
}

fn between<const PERCENT: u8>([at, next]: [f64; 2], [x, _, clean]: [f64; 3], z: f64) -> f64 {
    let zeta = f64::from(PERCENT) / 100.0;
    let eps = (x - at.sqrt() * clean) / (1.0 - at).sqrt();
    next.sqrt() * clean + (1.0 - next).sqrt() * ((1.0 - zeta).sqrt() * eps + zeta.sqrt() * z)
}

fn assert_close(found: [f64; 2], wanted: [f64; 2], tolerance: f64) {
    for (found, wanted) in found.into_iter().zip(wanted) {
        assert!((found - wanted).abs() < tolerance * (1.0 + wanted.abs()), "{found} {wanted}");
    }
}

#[test]
fn both_follow_their_papers_recurrences() {
    let (a, seed, alpha) = ([2.0, 0.5], 11, 0.4);
    for (spacing, len) in [(Spacing::Linear, 7), (Spacing::Quadratic, 20), (Spacing::Logarithmic, 3)] {
        let levels = homotopy(spacing, len, alpha);
        let of = |rho: &dyn Fn(f64) -> f64, step| papers(levels.schedule, a, rho, seed, step);
        for (eta, step) in [(0.0, ddim::<0> as Step), (0.85, ddim::<85>), (1.0, ddim::<100>)] {
            let dds = |gamma: Option<f32>| {
                let solver = DecomposedDiffusion::new(levels, KERNEL, 2, eta, seed).unwrap();
                let mut solver = gamma.map_or(Ok(solver), |gamma| solver.with_gamma(gamma)).unwrap();
                result(&mut solver, Pixels::new(0.3, a))
            };
            assert_close(dds(None), of(&|_| 0.0, step), 1e-4);
            assert_close(dds(Some(0.5)), of(&|_| 2.0, step), 1e-4);
        }
        for (zeta, step) in [(0.0, between::<0> as Step), (0.3, between::<30>), (1.0, between::<100>)] {
            let mut solver = DiffPir::new(levels, KERNEL, 2, zeta, seed).unwrap();
            let wanted = of(&|variance| f64::from(alpha) / variance, step);
            assert_close(result(&mut solver, Pixels::new(0.3, a)), wanted, 1e-4);
        }
    }
}

/// The part that the data see is known exactly; the rest moves along the probability flow of the prior, which
/// carries `(x - m)/sqrt(v + sigma^2)` unchanged from level to level.
#[test]
fn without_fresh_noise_many_levels_follow_the_flow_of_the_prior() {
    let (levels, v, seed) = (homotopy(Spacing::Logarithmic, 4000, 1.0), 0.3, 5);
    let mut solver = DecomposedDiffusion::new(levels, KERNEL, 2, 0.0, seed).unwrap();
    let found = result(&mut solver, Pixels::new(0.3, [2.0, 0.0]));
    let variance = |t: f32| f64::from(KERNEL.variance(t)) / f64::from(KERNEL.mean_scale(t)).powi(2);
    let (first, last) = (variance(1.0), variance(1e-3));
    let (m, start) = (f64::from(MEAN[1]), first.sqrt() * f64::from(Draw { seed, number: 0 }.four(0)[1]));
    let carried = (start - m) * ((v + last) / (v + first)).sqrt();
    assert_close(found, [0.75, m + v / (v + last) * carried], 3e-3);
}

/// With a prior that knows nothing the posterior is `N(y, alpha)`, and without fresh noise `(x - y)/sqrt(sigma^2 +
/// alpha)` is carried unchanged: the result is a sample of the posterior.
#[test]
fn under_a_flat_prior_restoration_samples_the_posterior() {
    let (levels, alpha, seed) = (homotopy(Spacing::Logarithmic, 4000, 0.09), f64::from(0.09_f32), 6);
    let mut solver = DiffPir::new(levels, KERNEL, 2, 0.0, seed).unwrap();
    let found = result(&mut solver, Pixels::new(1e9, [1.0, 1.0]));
    let variance = f64::from(KERNEL.variance(1.0)) / f64::from(KERNEL.mean_scale(1.0)).powi(2);
    let wanted = [0, 1].map(|k| {
        let (y, z) = (f64::from([1.5_f32, 0.25][k]), f64::from(Draw { seed, number: 0 }.four(0)[k]));
        y + (variance.sqrt() * z - y) * (alpha / (variance + alpha)).sqrt()
    });
    assert_close(found, wanted, 3e-3);
}

/// The mean of what the data do not see is the prior's, its variance too: 1000 samples of 100 levels each.
#[test]
fn samples_have_the_moments_of_the_posterior() {
    let levels = homotopy(Spacing::Logarithmic, 100, 1.0);
    let samples: Vec<f64> = (0..1000)
        .map(|seed| {
            let mut solver = DecomposedDiffusion::new(levels, KERNEL, 2, 1.0, seed).unwrap();
            let [seen, unseen] = result(&mut solver, Pixels::new(0.3, [2.0, 0.0]));
            assert!((seen - 0.75).abs() < 1e-5);
            unseen
        })
        .collect();
    let mean = samples.iter().sum::<f64>() / 1000.0;
    let variance = samples.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 999.0;
    // Standard errors 0.017 and 0.013; that many levels lose some of the variance.
    assert!((mean - f64::from(MEAN[1])).abs() < 0.05 && (0.25..0.34).contains(&variance), "{mean} {variance}");
}

/// The part of both that is tested here.
trait Saved: Solver + Copy + PartialEq + Debug {
    fn bytes(&self) -> Vec<u8>;
    fn read(bytes: &[u8]) -> Result<Self, StateError>;
}

macro_rules! saved {
    ($solver:ident) => {
        impl Saved for $solver {
            fn bytes(&self) -> Vec<u8> {
                self.to_bytes().to_vec()
            }
            fn read(bytes: &[u8]) -> Result<Self, StateError> {
                Self::from_bytes(bytes)
            }
        }
    };
}
saved!(DecomposedDiffusion);
saved!(DiffPir);

fn dds(len: u32) -> DecomposedDiffusion {
    let solver = DecomposedDiffusion::new(homotopy(Spacing::Linear, len, 0.4), KERNEL, 2, 0.85, u64::MAX - 1).unwrap();
    solver.with_gamma(3.0).unwrap()
}

fn diffpir(len: u32) -> DiffPir {
    DiffPir::new(homotopy(Spacing::Quadratic, len, 0.4), KERNEL, 2, 0.3, 1 << 40).unwrap()
}

/// Stops `solver` at each of its requests in turn, saves it and the vectors; the rest of the run must not notice.
fn resumes_anywhere<S: Saved>(solver: S) {
    let end = |stop: usize| {
        let (mut problem, mut memory, mut solve) = (Pixels::new(0.3, [2.0, 0.5]), [0.0; 8], [0.0; 6]);
        let buffers = Buffers::new(&mut problem, &mut memory, solver.objective()).unwrap();
        let mut buffers = buffers.with_solve(&mut solve).unwrap();
        let (mut solver, mut records) = (solver, Vec::<Record>::new());
        for _ in 0..stop {
            records.extend(solver.answer(buffers.answer(solver.request()).unwrap()).unwrap());
        }
        let mut resumed = S::read(&solver.bytes()).unwrap();
        assert_eq!((resumed, resumed.request()), (solver, solver.request()));
        let (mut problem, mut memory, mut solve) = (Pixels::new(0.3, [2.0, 0.5]), [f32::NAN; 8], [f32::NAN; 6]);
        let vectors = Buffers::resume(&mut problem, &mut memory, solver.objective(), &buffers.vectors()).unwrap();
        let mut buffers = vectors.with_solve(&mut solve).unwrap();
        while !matches!(resumed.request(), Ask::Done(_)) {
            records.extend(resumed.answer(buffers.answer(resumed.request()).unwrap()).unwrap());
        }
        (records, resumed, buffers.iterate().iter().map(|x| x.to_bits()).collect::<Vec<_>>())
    };
    let whole = end(0);
    assert_eq!((whole.0.len(), whole.1.request()), (6, Ask::Done(Status::ScheduleDone)));
    (1..=24).for_each(|stop| assert_eq!(end(stop), whole, "stopped at {stop}"));
}

#[test]
fn a_run_saved_at_any_request_ends_with_the_same_bits() {
    resumes_anywhere(dds(6));
    resumes_anywhere(diffpir(6));
}

#[test]
fn bad_settings_answers_and_bytes_are_refused() {
    let levels = homotopy(Spacing::Linear, 3, 1.0);
    let eta = |eta| DecomposedDiffusion::new(levels, KERNEL, 2, eta, 1);
    assert_eq!((eta(-0.1), eta(f32::NAN)), (Err(SettingsError::NoiseShare), Err(SettingsError::NoiseShare)));
    assert_eq!(eta(0.0).unwrap().with_gamma(0.0), Err(SettingsError::DataWeight));
    assert_eq!(DiffPir::new(levels, KERNEL, 2, 1.1, 1), Err(SettingsError::NoiseShare));
    assert_eq!(DiffPir::new(levels, KERNEL, 0, 1.0, 1), Err(SettingsError::SolveIterations));
    let negative = homotopy(Spacing::Linear, 3, -1.0);
    assert_eq!(DiffPir::new(negative, KERNEL, 2, 1.0, 1), Err(SettingsError::PriorWeight));
    let mut solver = diffpir(3);
    let solved = |residual_square| Tell::Solved(Solved { initial_square: 1.0, residual_square });
    let mut told = |told| (solver.answer(told), solver.request());
    assert_eq!(told(Tell::Change(0.0)).0, Err(AnswerError::NotAsked));
    told(Tell::Ready).0.unwrap();
    told(Tell::Ready).0.unwrap();
    assert_eq!(told(solved(f32::NAN)).0, Err(AnswerError::NotFinite));
    assert_eq!(told(Tell::Ready).0, Err(AnswerError::NotAsked));
    assert_eq!(told(solved(0.5)), (Ok(None), Ask::Update { step: 1.0 }));
    let good = dds(3).bytes();
    assert_eq!(DiffPir::read(&good), Err(StateError::WrongLength));
    for (word, value, error) in [
        (0, 1, StateError::WrongTag),
        (15, 2.0_f32.to_bits(), StateError::Settings(SettingsError::NoiseShare)),
        (17, 0, StateError::Settings(SettingsError::DataWeight)),
        (14, 9, StateError::Corrupt),
    ] {
        let mut bytes = good.clone();
        bytes[4 * word..4 * word + 4].copy_from_slice(&value.to_le_bytes());
        assert_eq!(DecomposedDiffusion::read(&bytes), Err(error), "word {word}");
    }
}

proptest! {
    /// Whatever they are told, they do not panic, and can be saved.
    #[test]
    fn any_answers_leave_a_state(answers in prop::collection::vec((0_u8..3, -1.0_f32..1e3), 1..100)) {
        let (mut one, mut other) = (dds(4), diffpir(5));
        for (kind, value) in answers {
            let solved = Solved { initial_square: 1.0, residual_square: value };
            let told = [Tell::Ready, Tell::Solved(solved), Tell::Change(value)][usize::from(kind)];
            let _ = (one.answer(told), other.answer(told));
            prop_assert_eq!(DecomposedDiffusion::read(&one.bytes()), Ok(one));
            prop_assert_eq!(DiffPir::read(&other.bytes()), Ok(other));
        }
    }
}
