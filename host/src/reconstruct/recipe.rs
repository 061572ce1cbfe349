//! From the settings of a learned method to what a run needs to know, whatever the method.

use super::method_settings::{BacktrackingSettings, GraduatedSettings, SolvedSettings, Start, WeightRule};
use super::sampler_settings::{DdsSettings, DiffPirSettings};
use super::settings::Settings;
use super::{Measurement, ReconstructError};
use crate::backend::Drift;
use crate::ct::missing_wedge_rad;
use crate::prior::Prior;
use gradus_core::{
    Backtracking, DecomposedDiffusion, DiffPir, Effort, FlowStep, GradientLike, GraduatedFlow, Homotopy,
    PerturbationKernel, Preconditioned, RegularisationWeight, Schedule, SettingsError, Solver, Spacing, StepCandidate,
};
use std::f64::consts::PI;

/// A fresh solver, as often as one is asked for.
pub(super) type Solvers = Box<dyn Fn() -> Box<dyn Solver>>;

/// The way of a learned method from a measurement to an image.
pub(super) struct Recipe {
    pub(super) solver: Solvers,
    /// Its records are evidence for descent.
    pub(super) claims: bool,
    /// Levels at most, one iteration each.
    pub(super) steps: u32,
    pub(super) seed: u64,
    pub(super) start: Start,
    /// The weight of the prior, `alpha`.
    pub(super) alpha: f64,
    /// The rule for `alpha`, by which it may have to be searched for.
    pub(super) rule: WeightRule,
    pub(super) drift: Drift,
    pub(super) mirrors: bool,
    /// Line integrals count by their own variance, where it differs from ray to ray.
    pub(super) weighted: bool,
    /// Runs after the first one, for the mean of all.
    pub(super) restarts: Option<Restarts>,
    /// The level at which the last iterate is denoised.
    pub(super) denoised_at: Option<f64>,
}

/// Runs that start from the first result under new noise.
pub(super) struct Restarts {
    pub(super) solver: Solvers,
    pub(super) steps: u32,
    pub(super) count: u32,
    /// Standard deviation of the noise.
    pub(super) noise_std: f32,
}

impl Recipe {
    /// True if `alpha` is not known before a run.
    pub(super) fn searches(&self) -> bool {
        self.rule != WeightRule::Posterior
    }

    /// Iterations of all runs together.
    pub(super) fn total_steps(&self) -> u64 {
        let again = self.restarts.as_ref().map_or(0, |again| again.count.saturating_mul(again.steps));
        self.steps.saturating_add(again).into()
    }
}

impl Settings {
    /// The same settings, with those that are left to the prior and to the measurement.
    #[must_use]
    pub fn suiting(self, prior: &Prior, measurement: &Measurement) -> Self {
        match self {
            Self::Solved(own) => {
                let usual = prior.levels().unwrap_or(SolvedSettings::STEPS);
                Self::Solved(own.filled(levels(usual, measurement), has_wedge(measurement)))
            }
            other => other,
        }
    }

    /// The recipe of a learned method; `alpha` takes the place of any rule for the weight of the prior.
    pub(super) fn recipe(
        &self,
        measurement: &Measurement,
        prior: &Prior,
        alpha: Option<f64>,
    ) -> Result<Option<Recipe>, ReconstructError> {
        let (noise_std, variance) = (measurement.noise_std, variance(measurement));
        let problem = Problem { noise_std, variance, prior, alpha };
        Ok(Some(match self.clone().suiting(prior, measurement) {
            Self::Solved(own) => solved(&own, &problem)?,
            Self::GradientLike(own) => graduated(&own.graduated, own.t_max, &problem, |homotopy, (first, search)| {
                GradientLike::new(homotopy, first, search, own.tolerance as f32).map(fresh)
            })?,
            Self::GradientDescent(own) => {
                graduated(&own.graduated, own.graduated.t_min, &problem, |homotopy, (first, search)| {
                    GradientLike::new(homotopy, first, search, own.tolerance as f32).map(fresh)
                })?
            }
            Self::Flow(own) => graduated(&own.graduated, own.t_max, &problem, |homotopy, (first, search)| {
                let constant = own.constant_step.map(|step| FlowStep::Constant(step as f32));
                GraduatedFlow::new(homotopy, constant.unwrap_or(FlowStep::LineSearch(first, search))).map(fresh)
            })?,
            Self::Dds(own) => dds(&own, &problem)?,
            Self::DiffPir(own) => diffpir(&own, &problem)?,
            Self::Fbp(_) | Self::Tv(_) => return Ok(None),
        }))
    }
}

/// The number of levels from the one that suits usual scans: more where much is left to be told apart, by what few
/// views leave open and little noise shows.
fn levels(usual: u32, measurement: &Measurement) -> u32 {
    let grid = &measurement.geometry;
    let side = grid.height.max(grid.width) as f64;
    let by_views = (side / (USUAL_SIDE * grid.angles_rad.len() as f64)).max(1.0);
    let by_noise = (USUAL_NOISE / variance(measurement).sqrt()).sqrt();
    let least = if has_wedge(measurement) { WEDGE_LEVELS } else { 1.0 };
    (f64::from(usual) * (by_views * by_noise).clamp(least, MOST_LEVELS)).round() as u32
}

/// True if views over part of a turn leave a wedge of directions out.
fn has_wedge(measurement: &Measurement) -> bool {
    missing_wedge_rad(&measurement.geometry.angles_rad) > WEDGE_RAD
}

/// A wedge of directions from which on there is more to make up than noise took away.
///
/// Views over 60 degrees of `ellipses:1` with 2 % noise gain 0.5 dB by starting at 1, and 0.9 dB by twice the levels,
/// too; those over 90 degrees of `ellipses:101` 0.1 and 0.8.
const WEDGE_RAD: f64 = PI / 6.0;

/// The levels of such a scan over the usual ones, at least.
const WEDGE_LEVELS: f64 = 2.0;

/// The standard deviation of a line integral, in pixels times network units, from which on the number of levels is the
/// usual one, and the side of an image, in pixels for each view, up to which it is.
///
/// PSNR in dB by 8, 12, 16 and 24 levels, means of five to eight images:
///
/// | prior | pixels a view | noise | 8 | 12 | 16 | 24 |
/// |---|---|---|---|---|---|---|
/// | `ellipses` | 2.1 | 0.09 | 44.2 | 44.9 | 45.1 | |
/// | | 2.1 | 0.35 | 38.9 | 39.0 | 38.9 | |
/// | | 8.5 | 0.9 | 30.6 | 30.6 | 30.5 | |
/// | | 16 | 0.9 | 27.5 | 28.0 | 28.1 | 27.9 |
/// | `ct` | 4.3 | 1.0 | 38.2 | 38.1 | | |
/// | | 9.1 | 1.0 | 35.6 | 35.8 | | |
/// | | 12.8 | 1.0 | 34.1 | 34.5 | 34.7 | |
/// | | 12.8 | 0.4 | 35.5 | 36.2 | 36.5 | 36.9 |
/// | | 12.8 | 0.09 | | | 38.5 | 39.3 |
const USUAL_NOISE: f64 = 0.45;
const USUAL_SIDE: f64 = 5.0;
/// The most that the levels are multiplied by: more would gain where views are few and good, and cost as much time.
const MOST_LEVELS: f64 = 2.5;

/// The variance of a line integral, in which the error of the model counts as often as
/// [views repeat it](crate::ct::Geometry::views_for_each_place): an image makes up for much of it where they are few,
/// and for little where they are many.
///
/// PSNR in dB by what the variance of that error is multiplied with in place of v, the number of views for each place:
/// of `ellipses:1` simulated with `parts = 3`, which is made of its pixels, and of exact line integrals of ellipses,
/// whose edges run between them; 1e6 photons, and none lost in 180 views. There the weights of rays followed it, too:
///
/// | views | v | image | 0.07 | 0.3 | 1 | 4 |
/// |---|---|---|---|---|---|---|
/// | 20 | 0.1 | of pixels | 38.6 | 38.0 | 37.4 | 36.6 |
/// | | | of edges | 39.5 | 39.4 | 39.2 | 38.7 |
/// | 60 | 0.3 | of pixels | 47.4 | 47.4 | 46.8 | 44.7 |
/// | | | of edges | 41.9 | 42.0 | 42.0 | 41.5 |
/// | 180 | 0.9 | of pixels | | 49.8 | 50.3 | 48.7 |
/// | | | of edges | 40.5 | 42.4 | 44.4 | 44.8 |
///
/// In 720 views, v = 3.6, `ellipses:1` has 50.3 dB without noise, and 49.6 where that error counts once.
fn variance(measurement: &Measurement) -> f64 {
    let repeated = measurement.geometry.views_for_each_place();
    measurement.noise_std.powi(2) + (repeated - 1.0) * measurement.model_std.powi(2)
}

/// The circumstances of settings.
struct Problem<'a> {
    /// Of a line integral.
    noise_std: f64,
    /// The weight of the posterior density.
    variance: f64,
    prior: &'a Prior,
    /// In place of any rule for it.
    alpha: Option<f64>,
}

impl Problem<'_> {
    fn kernel(&self) -> PerturbationKernel {
        self.prior.perturbation_kernel().for_solver()
    }
}

fn fresh<S: Solver + Copy + 'static>(solver: S) -> Solvers {
    Box::new(move || Box::new(solver))
}

impl BacktrackingSettings {
    fn rule(&self) -> Backtracking {
        Backtracking {
            sufficient_decrease: self.sufficient_decrease as f32,
            shrink: self.shrink as f32,
            max_trials: self.max_trials,
        }
    }
}

impl SolvedSettings {
    /// The settings with what they leave open.
    fn filled(self, levels: u32, has_wedge: bool) -> Self {
        let (t_max, solves) = if has_wedge { (Self::T_MAX_OF_PART, 3) } else { (Self::T_MAX, 1) };
        Self {
            steps: self.steps.or(Some(levels)),
            t_max: self.t_max.or(Some(t_max)),
            solve_steps: self.solve_steps.or(Some(solves * Self::SOLVE_STEPS)),
            ..self
        }
    }

    fn effort(&self) -> Effort {
        let (least, tolerance) = (self.solve_steps.unwrap_or(Self::SOLVE_STEPS), self.solve_tolerance as f32);
        Effort { least, most: self.solve_most.max(least), tolerance }
    }
}

/// Levels from `t_max` to `t_min`.
fn schedule(t_max: f64, t_min: f64, steps: u32) -> Result<Schedule, SettingsError> {
    Ok(Schedule::new(Spacing::Logarithmic, t_max as f32, t_min as f32, steps)?)
}

/// A method that steps along gradients, by the solver for a homotopy, a candidate step and a line search.
fn graduated(
    own: &GraduatedSettings,
    t_max: f64,
    problem: &Problem<'_>,
    solver: impl FnOnce(Homotopy, (StepCandidate, Backtracking)) -> Result<Solvers, SettingsError>,
) -> Result<Recipe, SettingsError> {
    let is_diffused = own.drift == Drift::Diffused;
    let usual = if is_diffused { GraduatedSettings::ALPHA_PER_STD * problem.noise_std } else { problem.variance };
    let alpha = problem.alpha.or(own.alpha).unwrap_or(usual);
    let weight = match own.drift {
        Drift::Diffused => RegularisationWeight::NoiseToSignal {
            alpha: alpha as f32,
            early: own.early_weight as f32,
            kernel: problem.kernel(),
        },
        Drift::DriftFree => RegularisationWeight::Constant(alpha as f32),
    };
    let search = &own.line_search;
    let (first, factor) = (search.first as f32, search.factor as f32);
    let candidate = StepCandidate::BarzilaiBorwein { first, factor, least: 1e-6, most: 1e6 };
    let homotopy = Homotopy { schedule: schedule(t_max, own.t_min, own.steps)?, weight };
    Ok(Recipe {
        solver: solver(homotopy, (candidate, search.backtracking.rule()))?,
        claims: true,
        steps: own.steps,
        seed: own.seed,
        start: own.start,
        alpha,
        rule: WeightRule::Posterior,
        drift: own.drift,
        mirrors: false,
        weighted: false,
        restarts: None,
        denoised_at: (own.denoise && is_diffused).then_some(own.t_min),
    })
}

/// The method that solves for its directions.
fn solved(own: &SolvedSettings, problem: &Problem<'_>) -> Result<Recipe, ReconstructError> {
    if own.average == 0 {
        return Err(ReconstructError::NoRuns);
    }
    let alpha = problem.alpha.or(own.alpha);
    let weight = RegularisationWeight::Constant(alpha.unwrap_or(problem.variance) as f32);
    let solver = |t_max, steps: u32| -> Result<Solvers, SettingsError> {
        let homotopy = Homotopy { schedule: schedule(t_max, own.t_min, steps)?, weight };
        let (search, tolerance) = (own.line_search.rule(), own.tolerance as f32);
        let solver = Preconditioned::new(homotopy, problem.kernel(), own.effort(), search, tolerance)?;
        Ok(fresh(solver.with_approach(steps.saturating_sub(own.tested_steps))))
    };
    let steps = own.steps.unwrap_or(SolvedSettings::STEPS);
    let noise = problem.prior.perturbation_kernel().at(own.restart_t);
    let restarts = (own.average > 1).then(|| {
        Ok(Restarts {
            solver: solver(own.restart_t, own.restart_steps)?,
            steps: own.restart_steps,
            count: own.average - 1,
            noise_std: (noise.std / noise.mean_scale) as f32,
        })
    });
    Ok(Recipe {
        solver: solver(own.t_max.unwrap_or(SolvedSettings::T_MAX), steps)?,
        claims: true,
        steps,
        seed: own.seed,
        start: own.start,
        alpha: alpha.unwrap_or(problem.variance),
        rule: if alpha.is_none() { own.weight } else { WeightRule::Posterior },
        drift: Drift::DriftFree,
        mirrors: own.mirrors,
        weighted: own.weighted,
        restarts: restarts.transpose().map_err(|error: SettingsError| error)?,
        denoised_at: None,
    })
}

/// Decomposed diffusion sampling; its `f` is that of the posterior density.
fn dds(own: &DdsSettings, problem: &Problem<'_>) -> Result<Recipe, SettingsError> {
    let homotopy = own.spacing.homotopy((own.t_max, own.t_min, own.steps), problem.variance)?;
    let solver = DecomposedDiffusion::new(homotopy, problem.kernel(), own.solve_steps, own.eta as f32, own.seed)?;
    let solver = own.gamma.map_or(Ok(solver), |gamma| solver.with_gamma(gamma as f32))?;
    Ok(sampled(fresh(solver), (own.steps, own.seed), problem.variance, own.weighted))
}

/// DiffPIR.
fn diffpir(own: &DiffPirSettings, problem: &Problem<'_>) -> Result<Recipe, SettingsError> {
    let alpha = own.lambda * problem.variance;
    let homotopy = own.spacing.homotopy((own.t_max, own.t_min, own.steps), alpha)?;
    let solver = DiffPir::new(homotopy, problem.kernel(), own.solve_steps, own.zeta as f32, own.seed)?;
    Ok(sampled(fresh(solver), (own.steps, own.seed), alpha, own.weighted))
}

/// A method that draws its own noise, the starting noise too.
fn sampled(solver: Solvers, (steps, seed): (u32, u64), alpha: f64, weighted: bool) -> Recipe {
    Recipe {
        solver,
        claims: false,
        steps,
        seed,
        start: Start::Zeros,
        alpha,
        rule: WeightRule::Posterior,
        drift: Drift::DriftFree,
        mirrors: false,
        weighted,
        restarts: None,
        denoised_at: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::ellipses::ellipses;
    use crate::simulate::{Simulation, simulate};

    #[test]
    fn little_noise_and_few_views_have_more_levels() {
        let of = |noise_std, angles, arc_deg| {
            let simulation = Simulation { angles, arc_deg: Some(arc_deg), ..Simulation::default() };
            let scan = simulate(&ellipses(3, 64), 1.0, &simulation).unwrap();
            levels(8, &Measurement { noise_std, ..Measurement::new(&scan).unwrap() })
        };
        let by_noise = [1.0, 0.45, 0.2, 0.05, 0.0].map(|noise_std| of(noise_std, 60, 180.0));
        assert_eq!(by_noise, [8, 8, 12, 20, 20]);
        let by_views = [60, 13, 8, 4, 1].map(|angles| of(0.45, angles, 180.0));
        assert_eq!(by_views, [8, 8, 13, 20, 20]);
        // Fewer views of much noise are as usual ones; views that leave a wedge out are not.
        assert_eq!([of(0.9, 9, 180.0), of(1.0, 60, 140.0)], [8, 16]);
    }

    /// Views a pixel apart at the rim of 64 pixels are 100.5.
    #[test]
    fn the_error_of_the_model_counts_as_often_as_views_repeat_it() {
        let counted = |angles| {
            let simulation = Simulation { angles, noise: 0.0, photons: Some(1e8), parts: 3, ..Simulation::default() };
            let scan = simulate(&ellipses(3, 64), 1.0, &simulation).unwrap();
            let measurement = Measurement::new(&scan).unwrap();
            let (all, model) = (measurement.noise_std.powi(2), measurement.model_std.powi(2));
            assert!(model > 0.9 * all, "{model} of {all}");
            (variance(&measurement) - (all - model)) / model
        };
        for angles in [10, 50, 100, 400] {
            let right = angles as f64 / 100.53;
            assert!((counted(angles) / right - 1.0).abs() < 1e-3, "{angles}: {}", counted(angles));
        }
    }
}
