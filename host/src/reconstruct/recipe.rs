//! From the settings of a learned method to what a run needs to know, whatever the method.

use super::method_settings::{BacktrackingSettings, GraduatedSettings, SolvedSettings, Start, WeightRule};
use super::rules::{WEDGE_SOLVES, extrapolation, graduated_weight, has_wedge, levels, variance, weight};
use super::sampler_settings::{DdsSettings, DiffPirSettings};
use super::settings::Settings;
use super::{Measurement, ReconstructError};
use crate::backend::Drift;
use crate::prior::Prior;
use gradus_core::{
    Backtracking, DecomposedDiffusion, DiffPir, Effort, FlowStep, GradientLike, GraduatedFlow, Homotopy,
    PerturbationKernel, Preconditioned, RegularisationWeight, Schedule, SettingsError, Solver, Spacing, StepCandidate,
};
use std::rc::Rc;

/// A fresh solver for the run of a number, as often as one is asked for. Runs are counted from 0; solvers that draw
/// noise draw other noise in each.
pub(super) type Solvers = Rc<dyn Fn(u32) -> Box<dyn Solver>>;

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
    /// So weighted, rays along edges count less.
    pub(super) edges: bool,
    /// Runs after the first one, for the mean of all.
    pub(super) restarts: Option<Restarts>,
    /// The level at which the last iterate is denoised.
    pub(super) denoised_at: Option<f64>,
}

/// Runs after the first one.
pub(super) struct Restarts {
    pub(super) solver: Solvers,
    pub(super) steps: u32,
    pub(super) count: u32,
    /// Standard deviation of the noise that is added to the first result to start from; without it they start where the
    /// first run did.
    pub(super) noise_std: Option<f32>,
}

impl Recipe {
    /// True if `alpha` is not known before a run.
    pub(super) fn searches(&self) -> bool {
        self.rule != WeightRule::Noise
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
        self.suiting_pixels(prior, &measurement.for_pixels())
    }

    fn suiting_pixels(self, prior: &Prior, measurement: &Measurement) -> Self {
        match self {
            Self::Solved(own) => {
                let usual = prior.levels().unwrap_or(SolvedSettings::STEPS);
                let own = own.filled(levels(usual, measurement), has_wedge(measurement));
                let usual = prior.extrapolation().unwrap_or(0.0);
                let beta = own.extrapolation.unwrap_or_else(|| extrapolation(usual, measurement));
                let again = SolvedSettings::RESTART_STEPS + u32::from(beta > 0.0);
                let restart_steps = own.restart_steps.or(Some(again));
                Self::Solved(SolvedSettings { extrapolation: Some(beta), restart_steps, ..own })
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
        let measurement = &*measurement.for_pixels();
        let (noise_std, variance) = (measurement.noise_std, variance(measurement));
        let problem = Problem { noise_std, variance, prior, alpha };
        Ok(Some(match self.clone().suiting_pixels(prior, measurement) {
            Self::Solved(own) => solved(&own, &problem, measurement)?,
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
    Rc::new(move |_| Box::new(solver))
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
        let (t_max, solves) = if has_wedge { (Self::T_MAX_OF_PART, WEDGE_SOLVES) } else { (Self::T_MAX, 1) };
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
    let usual = if is_diffused { graduated_weight(problem.noise_std, problem.prior) } else { problem.variance };
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
        rule: WeightRule::Noise,
        drift: own.drift,
        mirrors: false,
        weighted: false,
        edges: false,
        restarts: None,
        denoised_at: (own.denoise && is_diffused).then_some(own.t_min),
    })
}

/// The method that solves for its directions.
fn solved(own: &SolvedSettings, problem: &Problem<'_>, measurement: &Measurement) -> Result<Recipe, ReconstructError> {
    let count = runs_after_the_first(own.average)?;
    let given = problem.alpha.or(own.alpha);
    let extrapolation = own.extrapolation.unwrap_or(0.0);
    let alpha = given.unwrap_or_else(|| weight(measurement, extrapolation));
    let weight = RegularisationWeight::Constant(alpha as f32);
    let solver = |t_max, steps: u32| -> Result<Solvers, SettingsError> {
        let homotopy = Homotopy { schedule: schedule(t_max, own.t_min, steps)?, weight };
        let (search, tolerance) = (own.line_search.rule(), own.tolerance as f32);
        let solver = Preconditioned::new(homotopy, problem.kernel(), own.effort(), search, tolerance)?;
        let solver = solver.with_approach(steps.saturating_sub(own.tested_steps));
        Ok(fresh(solver.with_extrapolation(extrapolation as f32)?))
    };
    let steps = own.steps.unwrap_or(SolvedSettings::STEPS);
    let noise = problem.prior.perturbation_kernel().at(own.restart_t);
    let again = own.restart_steps.unwrap_or(SolvedSettings::RESTART_STEPS);
    let restarts = (count > 0).then(|| {
        Ok(Restarts {
            solver: solver(own.restart_t, again)?,
            steps: again,
            count,
            noise_std: Some((noise.std / noise.mean_scale) as f32),
        })
    });
    Ok(Recipe {
        solver: solver(own.t_max.unwrap_or(SolvedSettings::T_MAX), steps)?,
        claims: true,
        steps,
        seed: own.seed,
        start: own.start,
        alpha,
        rule: if given.is_none() { own.weight } else { WeightRule::Noise },
        drift: Drift::DriftFree,
        mirrors: own.mirrors,
        weighted: own.weighted,
        edges: true,
        restarts: restarts.transpose().map_err(|error: SettingsError| error)?,
        denoised_at: None,
    })
}

/// The runs after the first one of so many in all.
fn runs_after_the_first(average: u32) -> Result<u32, ReconstructError> {
    average.checked_sub(1).ok_or(ReconstructError::NoRuns)
}

/// Decomposed diffusion sampling; its `f` is that of the posterior density.
fn dds(own: &DdsSettings, problem: &Problem<'_>) -> Result<Recipe, ReconstructError> {
    let (alpha, seed) = (problem.variance, own.seed);
    let homotopy = own.spacing.homotopy((own.t_max, own.t_min, own.steps), alpha).map_err(SettingsError::from)?;
    let solver = DecomposedDiffusion::new(homotopy, problem.kernel(), own.solve_steps, own.eta as f32, seed)?;
    let solver = own.gamma.map_or(Ok(solver), |gamma| solver.with_gamma(gamma as f32))?;
    let solvers: Solvers = Rc::new(move |run| Box::new(solver.with_seed(seed_of_run(seed, run))));
    sampled(solvers, own.average, (own.steps, seed), (alpha, own.weighted))
}

/// DiffPIR.
fn diffpir(own: &DiffPirSettings, problem: &Problem<'_>) -> Result<Recipe, ReconstructError> {
    let (alpha, seed) = (own.lambda * problem.variance, own.seed);
    let homotopy = own.spacing.homotopy((own.t_max, own.t_min, own.steps), alpha).map_err(SettingsError::from)?;
    let solver = DiffPir::new(homotopy, problem.kernel(), own.solve_steps, own.zeta as f32, seed)?;
    let solvers: Solvers = Rc::new(move |run| Box::new(solver.with_seed(seed_of_run(seed, run))));
    sampled(solvers, own.average, (own.steps, seed), (alpha, own.weighted))
}

/// The seed of the noise in the run of a number: that of the first is the user's, and seeds below `2^32` have no run in
/// common.
fn seed_of_run(seed: u64, run: u32) -> u64 {
    seed.wrapping_add(u64::from(run) << 32)
}

/// The mean of runs of a method that draws its own noise, the starting noise too.
fn sampled(
    solver: Solvers,
    average: u32,
    (steps, seed): (u32, u64),
    (alpha, weighted): (f64, bool),
) -> Result<Recipe, ReconstructError> {
    let count = runs_after_the_first(average)?;
    let again = Restarts { solver: Rc::clone(&solver), steps, count, noise_std: None };
    Ok(Recipe {
        solver,
        claims: false,
        steps,
        seed,
        start: Start::Zeros,
        alpha,
        rule: WeightRule::Noise,
        drift: Drift::DriftFree,
        mirrors: false,
        weighted,
        edges: false,
        restarts: (count > 0).then_some(again),
        denoised_at: None,
    })
}
