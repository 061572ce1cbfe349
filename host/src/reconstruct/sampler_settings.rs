//! The settings of the rivals that sample, with their papers' defaults.

use gradus_core::{Homotopy, RegularisationWeight, Schedule, ScheduleError, Spacing};
use serde::{Deserialize, Serialize};

/// The spacing of the levels of a sampler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LevelSpacing {
    /// Equal differences of `t`.
    Linear,
    /// Equal ratios of `t`.
    Logarithmic,
    /// Equal differences of the squared distance from the first level.
    Quadratic,
}

impl LevelSpacing {
    /// So many levels from `t_max` to `t_min` under a constant weight.
    pub(super) fn homotopy(
        self,
        (t_max, t_min, steps): (f64, f64, u32),
        alpha: f64,
    ) -> Result<Homotopy, ScheduleError> {
        let spacing = match self {
            Self::Linear => Spacing::Linear,
            Self::Logarithmic => Spacing::Logarithmic,
            Self::Quadratic => Spacing::Quadratic,
        };
        let schedule = Schedule::new(spacing, t_max as f32, t_min as f32, steps)?;
        Ok(Homotopy { schedule, weight: RegularisationWeight::Constant(alpha as f32) })
    }
}

/// Decomposed diffusion sampling \[CLY24\]. The defaults are those of the authors' script for few views, which names no
/// `gamma` where it takes the data for free of noise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DdsSettings {
    /// Seed of the noise.
    pub seed: u64,
    /// Runs whose mean is the result, each with noise of its own.
    pub average: u32,
    /// Number of levels, one iteration each.
    pub steps: u32,
    /// First level.
    pub t_max: f64,
    /// Last level.
    pub t_min: f64,
    /// The levels between.
    pub spacing: LevelSpacing,
    /// Conjugate gradient steps in each iteration.
    pub solve_steps: u32,
    /// Weight of `1/2 |A x - y|^2`, lengths in pixels, beside `1/2 |x - D(x)|^2`; without it the data are solved for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gamma: Option<f64>,
    /// Stochasticity, 0 to 1: 0 draws noise for the start only.
    pub eta: f64,
    /// Line integrals count by their own variance, where it differs from ray to ray.
    pub weighted: bool,
}

impl Default for DdsSettings {
    fn default() -> Self {
        Self {
            seed: 1,
            average: 1,
            steps: 50,
            t_max: 1.0,
            t_min: 0.001,
            spacing: LevelSpacing::Linear,
            solve_steps: 5,
            gamma: None,
            eta: 0.85,
            weighted: true,
        }
    }
}

/// DiffPIR \[ZZL23\]. The defaults are those of the authors' script for deblurring, but for the conjugate gradient
/// steps, which it does not need.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DiffPirSettings {
    /// Seed of the noise.
    pub seed: u64,
    /// Runs whose mean is the result, each with noise of its own.
    pub average: u32,
    /// Number of levels, one iteration each.
    pub steps: u32,
    /// First level.
    pub t_max: f64,
    /// Last level.
    pub t_min: f64,
    /// The levels between.
    pub spacing: LevelSpacing,
    /// Conjugate gradient steps in each iteration.
    pub solve_steps: u32,
    /// Weight of the denoised image, over the variance of the noise of the data.
    pub lambda: f64,
    /// Share of fresh noise, 0 to 1: 0 draws noise for the start only.
    pub zeta: f64,
    /// Line integrals count by their own variance, where it differs from ray to ray.
    pub weighted: bool,
}

impl Default for DiffPirSettings {
    fn default() -> Self {
        Self {
            seed: 1,
            average: 1,
            steps: 100,
            t_max: 1.0,
            t_min: 0.001,
            spacing: LevelSpacing::Quadratic,
            solve_steps: 12,
            lambda: 1.0,
            zeta: 0.1,
            weighted: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Measurement, PlacedPrior, Reconstruction, Settings, reconstruct};
    use super::*;
    use crate::data::ellipses::ellipses;
    use crate::prior::Prior;
    use crate::simulate::{Simulation, simulate};
    use gradus_core::Status;
    use std::ops::ControlFlow;

    fn measurement(noise: f64) -> Measurement {
        let simulation = Simulation { angles: 20, noise, ..Simulation::default() };
        Measurement::new(&simulate(&ellipses(3, 32), 1.0, &simulation).unwrap()).unwrap()
    }

    fn run(settings: &Settings, threads: usize) -> Reconstruction {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let prior = Prior::named("ellipses").unwrap();
        let go_on = &mut |_: super::super::Progress<'_>| ControlFlow::Continue(());
        pool.install(|| reconstruct(&measurement(0.1), settings, Some(&PlacedPrior::on_cpu(&prior)), go_on).unwrap())
    }

    fn methods(seed: u64) -> [Settings; 2] {
        [
            Settings::Dds(DdsSettings { seed, steps: 5, ..DdsSettings::default() }),
            Settings::DiffPir(DiffPirSettings { seed, steps: 5, ..DiffPirSettings::default() }),
        ]
    }

    #[test]
    fn threads_change_no_bit_and_seeds_do() {
        for (settings, other) in methods(1).iter().zip(&methods(2)) {
            let (one, three, reseeded) = (run(settings, 1), run(settings, 3), run(other, 2));
            assert_eq!(one.image, three.image);
            assert_ne!(one.image, reseeded.image);
            assert_eq!((one.status, one.iterations), (Some(Status::ScheduleDone), 5));
            assert!(one.certificate.is_none() && one.objective.is_some(), "no claim of descent");
            assert_eq!(one.counters.network_vjps, 5, "one pass a level");
        }
    }

    /// A mean is that of the runs by the seeds of its numbers, all from the same start, however many are side by side.
    #[test]
    fn a_mean_is_that_of_runs_with_noise_of_their_own() {
        for number in 0..2 {
            let mean = |seed: u64, average: i64, threads: usize| {
                let settings = methods(seed)[number].with("average", toml::Value::Integer(average)).unwrap();
                run(&settings, threads)
            };
            let runs = [0, 1, 2].map(|k: u64| mean(7 + (k << 32), 1, 1).image);
            let (one, three) = (mean(7, 3, 1), mean(7, 3, 3));
            assert_eq!((&one.image, &one.deviation), (&three.image, &three.deviation));
            assert_eq!((one.counters.network_vjps, one.iterations, one.certificate), (15, 15, None));
            for (k, pixel) in one.image.pixels.iter().enumerate() {
                let [a, b, c] = runs.each_ref().map(|image| f64::from(image.pixels[k]));
                assert!((f64::from(*pixel) - (a + b + c) / 3.0).abs() < 1e-6, "{k}: {pixel}");
            }
            assert!(runs[0] != runs[1] && runs[1] != runs[2]);
        }
        let refused = Settings::Dds(DdsSettings { average: 0, ..DdsSettings::default() });
        let prior = Prior::named("ellipses").unwrap();
        let go_on = &mut |_: super::super::Progress<'_>| ControlFlow::Continue(());
        let result = reconstruct(&measurement(0.1), &refused, Some(&PlacedPrior::on_cpu(&prior)), go_on);
        assert!(matches!(result, Err(super::super::ReconstructError::NoRuns)));
    }

    #[test]
    fn restoration_comes_nearer_than_backprojection() {
        let settings = DiffPirSettings { steps: 30, ..DiffPirSettings::default() };
        let found = run(&Settings::DiffPir(settings), 2).image;
        let error = |image| crate::metrics::rmse(&ellipses(3, 32), &image).unwrap();
        let fbp = measurement(0.1).filtered_backprojection(crate::ct::Window::Hann).unwrap();
        let (found, fbp) = (error(found), error(fbp));
        assert!(found < fbp, "{found} {fbp}");
    }

    #[test]
    fn settings_that_make_no_sense_are_refused() {
        let prior = Prior::named("ellipses").unwrap();
        let refused = |settings: Settings| {
            let go_on = &mut |_: super::super::Progress<'_>| ControlFlow::Continue(());
            let result = reconstruct(&measurement(0.1), &settings, Some(&PlacedPrior::on_cpu(&prior)), go_on);
            std::error::Error::source(&result.unwrap_err()).unwrap().to_string()
        };
        assert!(refused(Settings::Dds(DdsSettings { eta: 1.5, ..DdsSettings::default() })).contains("eta"));
        assert!(refused(Settings::Dds(DdsSettings { gamma: Some(0.0), ..DdsSettings::default() })).contains("gamma"));
        assert!(
            refused(Settings::DiffPir(DiffPirSettings { zeta: -0.1, ..DiffPirSettings::default() })).contains("zeta")
        );
    }
}
