//! Changes of f that the solver is told of, judged in `f64` by an independent network and a dense matrix.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use gradus::backend::cpu::CpuSlices;
use gradus::backend::{Drift, Slice};
use gradus::ct::{Geometry, Projector, relative_gaussian};
use gradus::data::ellipses::ellipses;
use gradus::prior::Prior;
use gradus::unet::Parametrisation;
use gradus_core::{
    Answer, Backtracking, Batch, Directional, Effort, End, GradientLike, Homotopy, Level, Outcome, PerturbationKernel,
    Preconditioned, Record, RegularisationWeight, Request, Room, Run, Schedule, Solver, Spacing, Status, StepCandidate,
    drive_in_lockstep,
};
use gradus_tests::reference_network::{Architecture, ReferenceNetwork};

const SIDE: usize = 32;
const VIEWS: usize = 15;

fn prior() -> Prior {
    Prior::named("ellipses").unwrap()
}

/// f in f64: the matrix of A, the data, and the network in plain loops.
struct Judge {
    /// Columns of A.
    columns: Vec<Vec<f64>>,
    data: Vec<f64>,
    /// One for each line integral.
    weights: Vec<f64>,
    network: ReferenceNetwork,
    drift: Drift,
    level: Level,
}

impl Judge {
    fn new(data: &[f32], weights_of_data: &[f32], drift: Drift, level: Level) -> Self {
        let mut projector = projector();
        let columns = (0..SIDE * SIDE)
            .map(|pixel| {
                let mut image = vec![0.0; SIDE * SIDE];
                image[pixel] = 1.0;
                let mut column = vec![0.0; data.len()];
                projector.forward_project(&image, &mut column).unwrap();
                column.into_iter().map(f64::from).collect()
            })
            .collect();
        let prior = prior();
        let a = prior.weights().architecture();
        let architecture = Architecture {
            pixel_unshuffle: a.pixel_unshuffle,
            model_channels: a.model_channels,
            channel_mult: a.channel_mult.clone(),
            num_res_blocks: a.num_res_blocks,
            attention_resolutions: a.attention_resolutions.clone(),
            norm_groups: a.norm_groups,
        };
        let tensors = prior.weights().tensors().iter();
        let named = tensors.map(|(name, t)| (name.clone(), t.data.iter().copied().map(f64::from).collect())).collect();
        let network = ReferenceNetwork { architecture, weights: named };
        let exact = |values: &[f32]| values.iter().copied().map(f64::from).collect();
        Self { columns, data: exact(data), weights: exact(weights_of_data), network, drift, level }
    }

    fn residual(&self, x: &[f64]) -> Vec<f64> {
        let mut residual: Vec<f64> = self.data.iter().map(|y| -y).collect();
        for (column, x) in self.columns.iter().zip(x) {
            residual.iter_mut().zip(column).for_each(|(r, a)| *r += a * x);
        }
        residual
    }

    /// h(x, t_min), or h(gamma x, t_min) without drift, in the residual parametrisation.
    fn features(&self, x: &[f64]) -> Vec<f64> {
        let t = f64::from(self.level.t);
        let ln_gamma = -t * t * 19.9 / 4.0 - t * 0.05;
        let (gamma, nu) = (ln_gamma.exp(), (-(2.0 * ln_gamma).exp_m1()).sqrt());
        let Parametrisation::Residual { data_mean: mean, data_std: spread } = *prior().weights().parametrisation()
        else {
            panic!("the embedded prior has the residual parametrisation");
        };
        let sigma = nu / gamma;
        let total = sigma.hypot(spread);
        let factor = if self.drift == Drift::Diffused { gamma } else { 1.0 };
        let centred: Vec<f64> = x.iter().map(|x| x / factor - mean).collect();
        let input: Vec<f64> = centred.iter().map(|x| x / total).collect();
        let u = self.network.forward(&input, SIDE, SIDE, t);
        centred.iter().zip(u).map(|(x, u)| sigma / (total * total) * x - spread / total * u).collect()
    }

    fn change(&self, from: &[f32], to: &[f32]) -> f64 {
        let [from, to] = [from, to].map(|x| x.iter().copied().map(f64::from).collect::<Vec<f64>>());
        let half = |a: Vec<f64>, b: Vec<f64>| 0.5 * a.iter().zip(b).map(|(a, b)| (b - a) * (b + a)).sum::<f64>();
        let weigh = |residual: Vec<f64>| residual.iter().zip(&self.weights).map(|(r, w)| r * w.sqrt()).collect();
        half(weigh(self.residual(&from)), weigh(self.residual(&to)))
            + f64::from(self.level.prior_weight) * half(self.features(&from), self.features(&to))
    }
}

fn geometry() -> Geometry {
    Geometry::covering(SIDE, SIDE, VIEWS)
}

fn projector() -> Projector {
    Projector::new(geometry()).unwrap()
}

/// Views of a small ellipses image with 5 % noise.
fn data() -> Vec<f32> {
    let mut projector = projector();
    let mut data = vec![0.0; projector.geometry().sinogram_len()];
    projector.forward_project(&ellipses(5, SIDE).pixels, &mut data).unwrap();
    relative_gaussian(&mut data, 0.05, 1).unwrap();
    data
}

/// Noise that needs no generator: a fixed irrational rotation.
fn start() -> Vec<f32> {
    (0..SIDE * SIDE).map(|k| 2.0 * ((k as f64 * 0.754_877_666).fract() as f32) - 1.0).collect()
}

/// A batch of one slice.
fn slices(data: &[f32], objective: Level) -> CpuSlices {
    CpuSlices::new(geometry(), &prior(), vec![Slice { data: data.to_vec(), start: start(), objective }]).unwrap()
}

fn ask(slices: &mut CpuSlices, request: Request) -> Answer {
    let mut answers = [Answer::Ready];
    slices.answer(&[(0, request)], &mut answers).unwrap();
    answers[0]
}

fn direction(slices: &mut CpuSlices, level: Level) -> Directional {
    match ask(slices, Request::Direction { level, new_iterate: true }) {
        Answer::Direction(products) => products,
        other => panic!("{other:?}"),
    }
}

/// Runs a solver; `observe` says whether it is to go on.
fn drive(solver: impl Solver, slices: &mut CpuSlices, mut observe: impl FnMut(&Record, &CpuSlices) -> bool) -> End {
    let mut runs = [Run::new(solver)];
    drive_in_lockstep(&mut runs, slices, &mut Room::<1>::new(), |completed, slices| {
        completed.iter().filter(|(_, record)| !observe(record, slices)).map(|(slice, _)| *slice).next()
    })
    .unwrap();
    runs[0].end().unwrap()
}

#[test]
fn changes_of_f_are_right_to_four_digits() {
    let data = data();
    let objective = Level { t: 1e-3, prior_weight: 0.3 };
    let judge = Judge::new(&data, &vec![1.0; data.len()], Drift::Diffused, objective);
    let mut slices = slices(&data, objective);
    for t in [0.8, 0.3, 0.05, 1e-3] {
        let level = if t == objective.t { objective } else { Level { t, prior_weight: 2.0 } };
        let norm = direction(&mut slices, level).direction_norm_sq.sqrt();
        for length in [1e-2, 1.0, 10.0] {
            let step = length / norm;
            let Answer::Change(found) = ask(&mut slices, Request::Change { step }) else { panic!("no change") };
            let (x, d) = (slices.iterate(0), slices.search_direction(0));
            let to: Vec<f32> = x.iter().zip(d).map(|(x, d)| x + step * d).collect();
            let wanted = judge.change(x, &to);
            assert!((f64::from(found) / wanted - 1.0).abs() < 1e-4, "t = {t}, |step d| = {length}: {found} {wanted}");
        }
        let short = 0.1 / norm;
        ask(&mut slices, Request::Change { step: short });
        ask(&mut slices, Request::Update { step: short });
    }
}

#[test]
fn every_accepted_step_lowers_f_in_f64() {
    let data = data();
    let schedule = Schedule::new(Spacing::Logarithmic, 1.0, 1e-3, 60).unwrap();
    let weight = RegularisationWeight::NoiseToSignal { alpha: 5.0, early: 0.0, kernel: PerturbationKernel::VP };
    let homotopy = Homotopy { schedule, weight };
    let solver = GradientLike::new(homotopy, StepCandidate::BARZILAI_BORWEIN, Backtracking::DEFAULT, 0.0).unwrap();
    let judge = Judge::new(&data, &vec![1.0; data.len()], Drift::Diffused, solver.objective());
    let mut slices = slices(&data, solver.objective());
    let (mut last, mut steps) = (start(), 0);
    let status = drive(solver, &mut slices, |record, slices| {
        if record.outcome == Outcome::Step {
            let change = judge.change(&last, slices.iterate(0));
            let told = f64::from(record.change.unwrap());
            assert!(change < 0.0, "iteration {} raises f by {change}", record.iteration);
            assert!((told / change - 1.0).abs() < 1e-2, "iteration {}: told {told}, is {change}", record.iteration);
            last.copy_from_slice(slices.iterate(0));
            steps += 1;
        }
        true
    });
    assert_eq!(status, Ok(Status::ScheduleDone));
    assert!(steps > 40, "{steps} steps");
}

/// The preconditioned method, with weighted data and the drift-free prior: what it is told is right, and each tested
/// step lowers f.
#[test]
fn every_tested_step_of_the_preconditioned_method_lowers_f_in_f64() {
    let data = data();
    let weights: Vec<f32> = (0..data.len()).map(|k| 0.5 + (k % 7) as f32 / 6.0).collect();
    let schedule = Schedule::new(Spacing::Logarithmic, 0.3, 2e-3, 9).unwrap();
    let homotopy = Homotopy { schedule, weight: RegularisationWeight::Constant(0.05) };
    let kernel = PerturbationKernel::VP;
    let solver = Preconditioned::new(homotopy, kernel, Effort::fixed(8), Backtracking::DEFAULT, 0.0).unwrap();
    let solver = solver.with_approach(3);
    let judge = Judge::new(&data, &weights, Drift::DriftFree, solver.objective());
    let slices = slices(&data, solver.objective()).with_drift(Drift::DriftFree);
    let mut slices = slices.with_weights(&[Some(&weights)]).unwrap();
    let (mut last, mut steps) = (start(), 0);
    let end = drive(solver, &mut slices, |record, slices| {
        let iterate = slices.iterate(0);
        if record.outcome == Outcome::Step {
            let change = judge.change(&last, iterate);
            let told = f64::from(record.change.unwrap());
            assert!(
                change < 0.0 && (told / change - 1.0).abs() < 1e-3,
                "{}: told {told}, is {change}",
                record.iteration
            );
            steps += 1;
        }
        last.copy_from_slice(iterate);
        true
    });
    assert_eq!(end, Ok(Status::ScheduleDone));
    assert!(steps > 3, "{steps} steps");
}

/// `M d = -grad F(x, t)`, by a dense matrix: what is left after many conjugate gradient steps is small.
#[test]
fn directions_solve_the_damped_normal_equations() {
    let data = data();
    let schedule = Schedule::new(Spacing::Logarithmic, 0.1, 0.1, 1).unwrap();
    let homotopy = Homotopy { schedule, weight: RegularisationWeight::Constant(1.0) };
    let kernel = PerturbationKernel::VP;
    let solver = Preconditioned::new(homotopy, kernel, Effort::fixed(60), Backtracking::DEFAULT, 0.0).unwrap();
    let level = solver.objective();
    let judge = Judge::new(&data, &vec![1.0; data.len()], Drift::DriftFree, level);
    let mut at_gradient = slices(&data, level).with_drift(Drift::DriftFree);
    direction(&mut at_gradient, level);
    let gradient: Vec<f64> = at_gradient.search_direction(0).iter().map(|d| -f64::from(*d / level.t)).collect();
    let (mut slices, mut step) = (slices(&data, level).with_drift(Drift::DriftFree), 0.0);
    let end = drive(solver, &mut slices, |record, _| {
        step = f64::from(record.step);
        false
    });
    assert!(end.is_ok(), "{end:?}");
    let moved = slices.iterate(0).iter().zip(start());
    let d: Vec<f64> = moved.map(|(x, start)| f64::from(x - start) / step).collect();
    let projected = judge.columns.iter().zip(&d).fold(vec![0.0; data.len()], |mut sum, (column, d)| {
        sum.iter_mut().zip(column).for_each(|(sum, a)| *sum += a * d);
        sum
    });
    let (gamma, variance) = (f64::from(kernel.mean_scale(level.t)), f64::from(kernel.variance(level.t)));
    let damping = gamma * gamma / variance;
    let left = judge.columns.iter().zip(&d).zip(&gradient).map(|((column, d), gradient)| {
        column.iter().zip(&projected).map(|(a, p)| a * p).sum::<f64>() + damping * d + gradient
    });
    let norm = |square: f64| square.sqrt();
    let (left, all) = (norm(left.map(|r| r * r).sum()), norm(gradient.iter().map(|g| g * g).sum()));
    assert!(left < 1e-4 * all, "{left} of {all}");
}
