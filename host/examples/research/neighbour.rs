//! Slices that start from their neighbour: `cargo run --release --example neighbour -- FILE.npz:FIRST-LAST`
//!
//! Slices in HU, each measured with 60 views and 5 % noise; the prior `ct`, the default method without its first
//! levels, as many as the rows say. A run starts, under the noise of the first level that is left, from its filtered
//! backprojection, from the result of the slice before, or from that of the same slice measured again, which is the
//! most that thinner slices could give. Printed are means: the PSNR (dB) less that of the whole run, the network's
//! passes, and the share of the start's difference from the truth that is left in the result, less what the whole run
//! has of it: what a slice takes over from another.
#![allow(missing_docs)]

use gradus::backend::cpu::CpuSlices;
use gradus::backend::{Drift, Slice, Slices};
use gradus::ct::{Window, hu_to_network};
use gradus::data::image_files::read_image;
use gradus::image::Image;
use gradus::metrics::psnr;
use gradus::prior::Prior;
use gradus::reconstruct::{Measurement, Settings, SolvedSettings};
use gradus::simulate::{Simulation, simulate};
use gradus_core::{
    Backtracking, Effort, Homotopy, Level, Preconditioned, RegularisationWeight, Room, Run, Schedule, Solver, Spacing,
    drive_in_lockstep,
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

struct Case {
    truth: Image,
    measurement: Measurement,
    /// The whole run's result.
    whole: Vec<f32>,
    /// Of the same slice, measured again.
    again: Vec<f32>,
}

/// The default method for a scan, its levels but the first ones.
struct Method<'a> {
    prior: &'a Prior,
    own: SolvedSettings,
    alpha: f64,
}

impl<'a> Method<'a> {
    fn of(measurement: &Measurement, prior: &'a Prior) -> Outcome<Self> {
        let Settings::Solved(own) = Settings::default().suiting(prior, measurement) else {
            return Err("the default method is another".into());
        };
        let repeated = measurement.geometry.views_for_each_place();
        let alpha = measurement.noise_std.powi(2) + (repeated - 1.0) * measurement.model_std.powi(2);
        Ok(Self { prior, own, alpha })
    }

    fn levels(&self) -> u32 {
        self.own.steps.unwrap_or(SolvedSettings::STEPS)
    }

    /// The smoothing level of this number.
    fn t(&self, level: u32) -> f64 {
        let (first, last) = (self.own.t_max.unwrap_or(SolvedSettings::T_MAX), self.own.t_min);
        first * (last / first).powf(f64::from(level) / f64::from(self.levels() - 1))
    }

    fn solver(&self, skipped: u32) -> Outcome<Preconditioned> {
        let levels = self.levels() - skipped;
        let schedule = Schedule::new(Spacing::Logarithmic, self.t(skipped) as f32, self.own.t_min as f32, levels)?;
        let weight = RegularisationWeight::Constant(self.alpha as f32);
        let least = self.own.solve_steps.unwrap_or(SolvedSettings::SOLVE_STEPS);
        let effort = Effort { least, most: self.own.solve_most, tolerance: self.own.solve_tolerance as f32 };
        let kernel = self.prior.perturbation_kernel().for_solver();
        let search = Backtracking::DEFAULT;
        let solver = Preconditioned::new(Homotopy { schedule, weight }, kernel, effort, search, 0.0)?;
        Ok(solver.with_approach(levels - self.own.tested_steps))
    }

    /// The result from `start` under the noise of the first level that is left, and the network's passes.
    fn run(&self, measurement: &Measurement, start: &[f32], skipped: u32) -> Outcome<(Vec<f32>, u64)> {
        let solver = self.solver(skipped)?;
        let noise = self.prior.perturbation_kernel().at(self.t(skipped));
        let std = (noise.std / noise.mean_scale) as f32;
        let normals = StandardNormal.sample_iter(ChaCha8Rng::seed_from_u64(1));
        let start = start.iter().zip(normals).map(|(x, z): (&f32, f32)| x + std * z).collect();
        let objective: Level = solver.objective();
        let slice = Slice { data: measurement.sinogram.clone(), start, objective };
        let slices = CpuSlices::new(measurement.geometry.clone(), self.prior, vec![slice])?;
        let mut slices = slices.with_drift(Drift::DriftFree);
        let mut runs = [Run::new(solver)];
        drive_in_lockstep(&mut runs, &mut slices, &mut Room::<1>::new(), |_, _| 0..0)?;
        runs[0].end().ok_or("the run goes on")??;
        let counters = slices.counters(0);
        Ok((slices.iterate(0).to_vec(), counters.network_forwards + counters.network_vjps))
    }
}

fn measured(truth: &Image, seed: u64) -> Outcome<Measurement> {
    let simulation = Simulation { noise: 0.05, seed, ..Simulation::default() };
    Ok(Measurement::new(&simulate(truth, 1.0, &simulation)?)?)
}

fn cases(given: &str, prior: &Prior) -> Outcome<Vec<Case>> {
    let usage = "slices are FILE.npz:FIRST-LAST";
    let (file, which) = given.rsplit_once(':').ok_or(usage)?;
    let (first, last) = which.split_once('-').ok_or(usage)?;
    let case = |k: u64| -> Outcome<Case> {
        let image = read_image(format!("{file}:[{k}]"))?.image;
        let truth = Image { pixels: image.pixels.iter().map(|hu| hu_to_network(*hu)).collect(), ..image };
        let of = |seed| -> Outcome<(Measurement, Vec<f32>)> {
            let measurement = measured(&truth, seed)?;
            let start = vec![0.0; measurement.geometry.image_len()];
            let whole = Method::of(&measurement, prior)?.run(&measurement, &start, 0)?.0;
            Ok((measurement, whole))
        };
        let ((measurement, whole), (_, again)) = (of(k)?, of(k + 1000)?);
        Ok(Case { truth, measurement, whole, again })
    };
    (first.parse()?..=last.parse()?).map(case).collect()
}

/// `<x - truth, start - truth>/|start - truth|^2`.
fn share(x: &[f32], start: &[f32], truth: &[f32]) -> f64 {
    let (mut product, mut square) = (0.0, 0.0);
    for ((x, start), truth) in x.iter().zip(start).zip(truth) {
        let difference = f64::from(start - truth);
        product += f64::from(x - truth) * difference;
        square += difference * difference;
    }
    product / square
}

fn main() -> Outcome<()> {
    let given = std::env::args().nth(1).ok_or("slices are FILE.npz:FIRST-LAST")?;
    let prior = Prior::named("ct")?;
    let cases = cases(&given, &prior)?;
    println!("levels left out  t    passes | backprojection | slice before: dB, share | measured again: dB, share");
    for skipped in 0..7 {
        let (mut sums, mut passes, mut t) = ([0.0; 5], 0, 0.0);
        for (before, case) in cases.iter().zip(&cases[1..]) {
            let method = Method::of(&case.measurement, &prior)?;
            t = method.t(skipped);
            let db = |x: &[f32]| psnr(&case.truth, &Image { pixels: x.to_vec(), ..case.truth.clone() }, 1.0);
            let whole = db(&case.whole)?;
            let backprojection = case.measurement.filtered_backprojection(Window::Hann)?.pixels;
            for (at, start) in [&backprojection, &before.whole, &case.again].into_iter().enumerate() {
                let (x, cost) = method.run(&case.measurement, start, skipped)?;
                passes = cost;
                sums[at] += db(&x)? - whole;
                if at > 0 {
                    let share = |x: &[f32]| share(x, start, &case.truth.pixels);
                    sums[at + 2] += share(&x) - share(&case.whole);
                }
            }
        }
        let [filtered, beside, again, of_beside, of_again] = sums.map(|sum| sum / (cases.len() - 1) as f64);
        println!(
            "{skipped:15}  {t:.3} {passes:6} | {filtered:14.2} | {beside:13.2} {:7.2} % | {again:15.2} {:7.2} %",
            100.0 * of_beside,
            100.0 * of_again
        );
    }
    Ok(())
}
