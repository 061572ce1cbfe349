//! Other makers of the steps: `cargo run --release --example alternatives -- [FIRST LAST]`, images
//! `ellipses:FIRST` to `LAST`, by default 101 to 108; 60 views, 10 % noise, the prior `ellipses` without drift, started
//! from zeros.
//!
//! The directions of the default method under three acceptances, none of them after an approach: Armijo's test on `f`,
//! the non-monotone test of Grippo, Lampariello and Lucidi (1986) against the largest of the last five values, and
//! none. And L-BFGS (Nocedal 1980) with eight pairs and Armijo's test: on `f` at once, and on each `F(x, t_i)` in turn.
#![allow(missing_docs)]

use gradus::backend::cpu::CpuSlices;
use gradus::backend::{Drift, Slice, Slices};
use gradus::data::ellipses::ellipses;
use gradus::image::Image;
use gradus::metrics::psnr;
use gradus::prior::Prior;
use gradus::reconstruct::Measurement;
use gradus::simulate::{Simulation, simulate};
use gradus::vector::dot;
use gradus_core::{
    Answer, Batch, Directional, Effort, Homotopy, Level, PerturbationKernel, RegularisationWeight, Request, Schedule,
    Spacing,
};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

const LEVELS: u32 = 8;
const SOLVE_STEPS: u32 = 12;
const DECREASE: f64 = 1e-3;
const MEMORY: usize = 8;

struct Case<'a> {
    measurement: &'a Measurement,
    prior: &'a Prior,
    homotopy: Homotopy,
}

impl Case<'_> {
    /// A batch of one slice.
    fn slices(&self) -> Outcome<CpuSlices> {
        let geometry = self.measurement.geometry.clone();
        let (data, start) = (self.measurement.sinogram.clone(), vec![0.0; geometry.image_len()]);
        let slice = Slice { data, start, objective: self.homotopy.objective() };
        Ok(CpuSlices::new(geometry, self.prior, vec![slice])?.with_drift(Drift::DriftFree))
    }

    /// The directions that solve; a trial passes below the largest of the last `remembered` values of `f`.
    fn solved(&self, remembered: usize) -> Outcome<(Vec<f32>, u64)> {
        let mut slices = self.slices()?;
        let mut values = vec![objective(&mut slices)?];
        for level in (0..LEVELS).map(|i| self.homotopy.level(i)) {
            let variance =
                PerturbationKernel::VP.variance(level.t) / PerturbationKernel::VP.mean_scale(level.t).powi(2);
            let damping = level.prior_weight / variance;
            ask(&mut slices, Request::Gradient { level, new_iterate: true })?;
            ask(&mut slices, Request::Solve { damping, effort: Effort::fixed(SOLVE_STEPS) })?;
            let slope = f64::from(products(ask(&mut slices, Request::Products)?)?.slope);
            let step = accepted(&mut slices, slope, &values, remembered)?;
            if step > 0.0 {
                ask(&mut slices, Request::Update { step })?;
            }
            values.push(objective(&mut slices)?);
        }
        Ok(result(&slices))
    }

    /// L-BFGS on each of `levels` in turn, `iterations` each.
    fn quasi_newton(&self, levels: &[Level], iterations: usize) -> Outcome<(Vec<f32>, u64)> {
        let mut slices = self.slices()?;
        for &level in levels {
            let x = slices.iterate(0).to_vec();
            slices.restart(0, &x, level)?;
            quasi_newton(&mut slices, level, iterations)?;
        }
        Ok(result(&slices))
    }
}

fn ask(slices: &mut CpuSlices, request: Request) -> Outcome<Answer> {
    let mut answers = [Answer::Ready];
    slices.answer(&[(0, request)], &mut answers)?;
    Ok(answers[0])
}

fn products(answer: Answer) -> Outcome<Directional> {
    if let Answer::Direction(products) = answer { Ok(products) } else { Err("no products".into()) }
}

fn objective(slices: &mut CpuSlices) -> Outcome<f64> {
    let mut values = [0.0];
    slices.objectives(&[0], &mut values)?;
    Ok(values[0])
}

/// The image, and the passes of the network.
fn result(slices: &CpuSlices) -> (Vec<f32>, u64) {
    let passes = slices.counters(0);
    (slices.iterate(0).to_vec(), passes.network_forwards + passes.network_vjps)
}

/// The first of 1, 1/2, 1/4, ... that passes, 0 where none does. Without a value to compare with, 1 passes; with
/// several, a direction that ascends may pass, too.
fn accepted(slices: &mut CpuSlices, slope: f64, values: &[f64], remembered: usize) -> Outcome<f32> {
    if remembered == 0 {
        return Ok(1.0);
    }
    let last = values.last().copied().unwrap_or(f64::INFINITY);
    let reference = values.iter().rev().take(remembered).fold(f64::NEG_INFINITY, |most, value| most.max(*value));
    let mut step = 1.0_f32;
    while step > 1e-3 && (slope < 0.0 || remembered > 1) {
        let Answer::Change(change) = ask(slices, Request::Change { step })? else { return Err("no change".into()) };
        let value = last + f64::from(change);
        if value <= reference - DECREASE * f64::from(step) * slope.abs() {
            return Ok(step);
        }
        step *= 0.5;
    }
    Ok(0.0)
}

fn add(to: &mut [f32], factor: f64, other: &[f32]) {
    to.iter_mut().zip(other).for_each(|(to, other)| *to += factor as f32 * other);
}

fn gradient(slices: &mut CpuSlices, level: Level) -> Outcome<Vec<f32>> {
    ask(slices, Request::Direction { level, new_iterate: true })?;
    Ok(slices.search_direction(0).iter().map(|d| -d / level.t).collect())
}

fn quasi_newton(slices: &mut CpuSlices, level: Level, iterations: usize) -> Outcome<()> {
    let mut pairs: Vec<(Vec<f32>, Vec<f32>)> = Vec::new();
    let (mut x, mut g) = (slices.iterate(0).to_vec(), gradient(slices, level)?);
    for _ in 0..iterations {
        let direction = two_loops(&pairs, &g);
        let (value, slope) = (objective(slices)?, dot(&g, &direction));
        let mut step = if pairs.is_empty() { 1e-4 } else { 1.0 };
        let next = loop {
            let mut trial = x.clone();
            add(&mut trial, step, &direction);
            slices.restart(0, &trial, level)?;
            if objective(slices)? <= value + DECREASE * step * slope {
                break trial;
            }
            step *= 0.5;
            if step < 1e-9 {
                slices.restart(0, &x, level)?;
                return Ok(());
            }
        };
        let next_gradient = gradient(slices, level)?;
        let difference = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<f32>>();
        let (s, y) = (difference(&next, &x), difference(&next_gradient, &g));
        if dot(&s, &y) > 0.0 {
            pairs.push((s, y));
            pairs.drain(..pairs.len().saturating_sub(MEMORY));
        }
        (x, g) = (next, next_gradient);
    }
    Ok(())
}

/// `-H g` by the two loops of L-BFGS.
fn two_loops(pairs: &[(Vec<f32>, Vec<f32>)], g: &[f32]) -> Vec<f32> {
    let mut q: Vec<f32> = g.iter().map(|g| -g).collect();
    let mut shares = Vec::new();
    for (s, y) in pairs.iter().rev() {
        let share = dot(s, &q) / dot(s, y);
        add(&mut q, -share, y);
        shares.push(share);
    }
    if let Some((s, y)) = pairs.last() {
        let scale = dot(s, y) / dot(y, y);
        q.iter_mut().for_each(|q| *q *= scale as f32);
    }
    for ((s, y), share) in pairs.iter().zip(shares.iter().rev()) {
        let off = share - dot(y, &q) / dot(s, y);
        add(&mut q, off, s);
    }
    q
}

fn main() -> Outcome<()> {
    let arguments: Vec<u64> = std::env::args().skip(1).map(|word| word.parse()).collect::<Result<_, _>>()?;
    let (first, last) = if let [first, last] = arguments[..] { (first, last) } else { (101, 108) };
    let prior = Prior::named("ellipses")?;
    let names = [
        "solved, Armijo from the first level",
        "solved, non-monotone over 5 values",
        "solved, no test",
        "L-BFGS on f, 100 iterations",
        "L-BFGS over 8 levels, 12 iterations each",
    ];
    let mut sums = [[0.0; 2]; 5];
    let n = (last - first + 1) as f64;
    for seed in first..=last {
        let truth = ellipses(seed, 128);
        let measurement = Measurement::new(&simulate(&truth, 1.0, &Simulation::default())?)?;
        let alpha = measurement.noise_std.powi(2) as f32;
        let schedule = Schedule::new(Spacing::Logarithmic, 0.5, 1e-3, LEVELS)?;
        let homotopy = Homotopy { schedule, weight: RegularisationWeight::Constant(alpha) };
        let case = Case { measurement: &measurement, prior: &prior, homotopy };
        let levels: Vec<Level> = (0..LEVELS).map(|i| homotopy.level(i)).collect();
        let results = [
            case.solved(1)?,
            case.solved(5)?,
            case.solved(0)?,
            case.quasi_newton(&[homotopy.objective()], 100)?,
            case.quasi_newton(&levels, 12)?,
        ];
        for (sum, (pixels, passes)) in sums.iter_mut().zip(results) {
            sum[0] += psnr(&truth, &Image { pixels, ..truth }, 1.0)? / n;
            sum[1] += passes as f64 / n;
        }
    }
    println!("PSNR dB  network passes  steps by");
    names.iter().zip(sums).for_each(|(name, [psnr, passes])| println!("{psnr:7.2} {passes:15.0}  {name}"));
    Ok(())
}
