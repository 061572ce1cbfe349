//! Whole runs of the core on the two-dimensional problem.
#![allow(missing_docs, clippy::unwrap_used)]

use core::ops::ControlFlow;
use gradus_core::{
    Answer, Buffers, BuffersError, Effort, Evaluator, Level, Problem, Request, Solver, WrongLength, drive, toy,
};

fn run(mut solver: impl Solver, start: [f32; 2]) -> [f32; 2] {
    let mut problem = toy::Toy::new();
    let mut memory = [0.0; Buffers::<toy::Toy>::floats(2)];
    let mut buffers = Buffers::new(&mut problem, &mut memory, solver.objective()).unwrap();
    buffers.set_iterate(&start).unwrap();
    drive(&mut solver, &mut buffers, |_, _| ControlFlow::Continue(())).unwrap();
    buffers.iterate().try_into().unwrap()
}

/// Share of the starts from which the run ends at the global minimiser.
fn rate<S: Solver + Copy + Send>(solver: S, side: usize) -> f64 {
    let at = |k: usize| -10.0 + 20.0 * k as f32 / (side - 1) as f32;
    let halves = [0, 1].map(|half| (half * side / 2)..((half + 1) * side / 2));
    let reached: usize = std::thread::scope(|scope| {
        let workers = halves.map(|rows| {
            scope.spawn(move || {
                rows.flat_map(|i| (0..side).map(move |j| (i, j)))
                    .filter(|&(i, j)| toy::has_reached_minimiser(&run(solver, [at(j), at(i)])))
                    .count()
            })
        });
        workers.into_iter().map(|worker| worker.join().unwrap()).sum()
    });
    reached as f64 / (side * side) as f64
}

/// logspace(10 -> 0.01, 100 values), as in the paper.
fn t_max(index: i32) -> f32 {
    10_f64.powf(1.0 - 3.0 * f64::from(index) / 99.0) as f32
}

#[test]
fn the_flow_reaches_the_minimum_as_often_as_in_the_paper() {
    let found = rate(toy::graduated_flow(t_max(30), 1300).unwrap(), 100);
    assert!((found - 0.9073).abs() <= 0.005, "{found}");
}

#[test]
fn the_gradient_like_method_reaches_it_as_often_as_in_the_paper() {
    let found = rate(toy::gradient_like(t_max(30), 1300).unwrap(), 100);
    assert!((found - 0.1622).abs() <= 0.005, "{found}");
}

#[test]
fn every_accepted_step_lowers_f_in_f64() {
    let mut problem = toy::Toy::new();
    let mut memory = [0.0; 8];
    let mut solver = toy::gradient_like(1.2, 1300).unwrap();
    let mut buffers = Buffers::new(&mut problem, &mut memory, solver.objective()).unwrap();
    buffers.set_iterate(&[3.0, 7.0]).unwrap();
    let mut path = vec![[3.0_f32, 7.0]];
    drive(&mut solver, &mut buffers, |record, buffers| {
        if record.step > 0.0 {
            path.push(buffers.iterate().try_into().unwrap());
        }
        ControlFlow::Continue(())
    })
    .unwrap();
    assert!(path.len() > 100);
    for pair in path.windows(2) {
        assert!(objective_f64(pair[1]) < objective_f64(pair[0]), "{pair:?}");
    }
}

/// f in f64 from the table of the paper, independent of the crate's prior.
fn objective_f64([x, y]: [f32; 2]) -> f64 {
    let (x, y) = (f64::from(x), f64::from(y));
    let noise = (100_f64.powf(1e-3) - 1.0) / (2.0 * 10_f64.ln());
    let components = [
        (1.0, 1.0, 0.1),
        (-8.084627151, 2.283143997, 1.423194766),
        (-8.853446007, 1.314280033, 0.410068393),
        (0.664578676, -2.198983431, 0.615565538),
        (8.176969528, 0.667368174, 1.961718082),
    ];
    let exponent = |(a, b, v): (f64, f64, f64)| {
        let v = v + noise;
        -0.5 * ((x - a).powi(2) + (y - b).powi(2)) / v - (core::f64::consts::TAU * v).ln()
    };
    let largest = components.map(exponent).into_iter().fold(f64::NEG_INFINITY, f64::max);
    let total: f64 = components.map(|c| (exponent(c) - largest).exp()).iter().sum();
    0.005 * (x + y - 2.0).powi(2) - 0.05 * ((total / 5.0).ln() + largest)
}

#[test]
fn the_gradient_is_that_of_f() {
    let mut problem = toy::Toy::new();
    let objective = toy::gradient_like(1.0, 2).unwrap().objective();
    for [x, y] in [[0.3_f32, 0.9], [-8.0, 2.0], [4.0, 4.0]] {
        let mut gradient = [0.0; 2];
        problem.gradient(&[x, y], objective, &mut gradient).unwrap();
        let h = 1e-3_f32;
        for (k, [dx, dy]) in [[h, 0.0], [0.0, h]].into_iter().enumerate() {
            let (ahead, behind) = ([x + dx, y + dy], [x - dx, y - dy]);
            let width = f64::from(ahead[k]) - f64::from(behind[k]);
            let slope = (objective_f64(ahead) - objective_f64(behind)) / width;
            assert!((f64::from(gradient[k]) - slope).abs() < 1e-4 * (1.0 + slope.abs()), "{x} {y}");
        }
    }
}

#[test]
fn wrong_lengths_are_refused() {
    let mut problem = toy::Toy::new();
    let objective = toy::gradient_like(1.0, 2).unwrap().objective();
    let error = Buffers::new(&mut problem, &mut [0.0; 7], objective).unwrap_err();
    assert_eq!(error, WrongLength { expected: 8, found: 7 });
    let mut memory = [0.0; 8];
    let mut buffers = Buffers::new(&mut problem, &mut memory, objective).unwrap();
    assert_eq!(buffers.set_iterate(&[0.0; 3]), Err(WrongLength { expected: 2, found: 3 }));
}

/// The toy as one that knows its gradient only.
struct Opaque(toy::Toy);

impl Problem for Opaque {
    type Error = toy::NotPlanar;

    fn dimension(&self) -> usize {
        self.0.dimension()
    }

    fn gradient(&mut self, x: &[f32], level: Level, out: &mut [f32]) -> Result<(), toy::NotPlanar> {
        self.0.gradient(x, level, out)
    }

    fn change(&mut self, x: &[f32], d: &[f32], step: f32, level: Level) -> Result<f32, toy::NotPlanar> {
        self.0.change(x, d, step, level)
    }
}

#[test]
fn what_buffers_cannot_answer_is_an_error_that_says_why() {
    let level = toy::gradient_like(1.0, 2).unwrap().objective();
    let denoise = Request::Denoise { level, variance: 1.0, turn: 0, extrapolation: 0.0 };
    let gradient = Request::Gradient { level, new_iterate: true };
    let solve = Request::Solve { damping: 1.0, effort: Effort::fixed(1) };
    let (mut toy, mut opaque) = (toy::Toy::new(), Opaque(toy::Toy::new()));
    let (mut memory, mut others, mut more) = ([0.0; 8], [0.0; 8], [0.0; 6]);
    let mut small = Buffers::new(&mut toy, &mut memory, level).unwrap();
    assert_eq!(small.answer(denoise), Ok(Answer::Ready));
    assert_eq!(small.answer(solve), Err(BuffersError::NoSolve));
    let short = small.with_solve(&mut [0.0; 5]).unwrap_err();
    assert_eq!(short, WrongLength { expected: 6, found: 5 });
    let opaque = Buffers::new(&mut opaque, &mut others, level).unwrap();
    let mut opaque = opaque.with_solve(&mut more).unwrap();
    assert_eq!(opaque.answer(gradient), Ok(Answer::Ready));
    for request in [denoise, solve] {
        assert_eq!(opaque.answer(request), Err(BuffersError::NoLinearModel), "{request:?}");
    }
}
