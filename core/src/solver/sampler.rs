//! The part that diffusion samplers share: noise, denoiser, data, from level to level.

use super::ask::{Answer, Request, Status};
use super::descent::check;
use super::directional::Directional;
use super::effort::Effort;
use super::error::{AnswerError, SettingsError};
use super::line_search::Backtracking;
use crate::diffusion::PerturbationKernel;
use crate::math::sqrt;
use crate::noise::Draw;
use crate::schedule::{Homotopy, Level};
use crate::trace::{Outcome, Record};

/// A run of a sampler, on the way from one level to the next.
///
/// Its iterates are free of drift: where a variance-preserving paper has `x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) z`,
/// this has `x_t/sqrt(abar_t) = x_0 + sigma_t z` with `sigma_t = nu_t/gamma_t`.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Sampler {
    pub(super) homotopy: Homotopy,
    pub(super) kernel: PerturbationKernel,
    /// Iterations of conjugate gradients.
    pub(super) solve_iterations: u32,
    pub(super) seed: u64,
    /// Index of the iteration and of its level, counted from 0.
    pub(super) i: u32,
    pub(super) line: Line,
}

/// The line of the algorithm at which the run waits for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) enum Line {
    /// `x_i` is made of the last clean image, the noise that was removed from it, and new noise.
    Diffuse,
    /// `D(x_i)` is.
    Denoise,
    /// The data are solved for.
    Solve,
    /// The clean image is complete with this.
    Update,
    /// The run has ended.
    Done(Status),
}

/// The addition to the clean image that makes the next iterate: factors of [`Request::Diffuse`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Mixture {
    pub(super) removed: f32,
    pub(super) taken: f32,
    pub(super) fresh: f32,
}

impl Sampler {
    pub(super) fn new(
        homotopy: Homotopy,
        kernel: PerturbationKernel,
        solve_iterations: u32,
        seed: u64,
    ) -> Result<Self, SettingsError> {
        check(&homotopy, &Backtracking::DEFAULT)?;
        if solve_iterations == 0 {
            return Err(SettingsError::SolveIterations);
        }
        Ok(Self { homotopy, kernel, solve_iterations, seed, i: 0, line: Line::Diffuse })
    }

    /// The member `F(., t_i)`.
    pub(super) fn level(&self) -> Level {
        self.homotopy.level(self.i)
    }

    /// `sigma_i^2`.
    pub(super) fn variance(&self) -> f32 {
        self.variance_at(self.i)
    }

    fn variance_at(&self, i: u32) -> f32 {
        let t = self.homotopy.schedule.t(i);
        self.kernel.variance(t) / (self.kernel.mean_scale(t) * self.kernel.mean_scale(t))
    }

    /// The request of the line. `damping` is that of the solve; `mixture` takes `sigma_{i-1}` and `sigma_i`.
    pub(super) fn request(&self, damping: f32, mixture: impl FnOnce(f32, f32) -> Mixture) -> Request {
        match self.line {
            Line::Diffuse => {
                let sigma = sqrt(self.variance());
                let Mixture { removed, taken, fresh } = match self.i.checked_sub(1) {
                    Some(last) => mixture(sqrt(self.variance_at(last)), sigma),
                    None => Mixture { removed: 0.0, taken: 0.0, fresh: sigma },
                };
                Request::Diffuse { removed, taken, fresh, draw: Draw { seed: self.seed, number: self.i } }
            }
            Line::Denoise => {
                Request::Denoise { level: self.level(), variance: self.variance(), turn: 0, extrapolation: 0.0 }
            }
            Line::Solve => Request::Solve { damping, effort: Effort::fixed(self.solve_iterations) },
            Line::Update => Request::Update { step: 1.0 },
            Line::Done(status) => Request::Done(status),
        }
    }

    /// Takes the answer to [`request`](Self::request).
    pub(super) fn answer(&mut self, answer: Answer) -> Result<Option<Record>, AnswerError> {
        self.line = match (self.line, answer) {
            (Line::Diffuse, Answer::Ready) => Line::Denoise,
            (Line::Denoise, Answer::Ready) => Line::Solve,
            (Line::Solve, Answer::Solved(solved)) => {
                solved.checked()?;
                Line::Update
            }
            (Line::Update, Answer::Ready) => return Ok(Some(self.next_level())),
            _ => return Err(AnswerError::NotAsked),
        };
        Ok(None)
    }

    /// A clean image is complete: goes on to the next level, or ends after the last.
    fn next_level(&mut self) -> Record {
        let record = Directional::default().record(self.i, self.level().t, Outcome::Approach, 0);
        self.i = self.i.saturating_add(1);
        let is_last = self.i >= self.homotopy.schedule.len();
        self.line = if is_last { Line::Done(Status::ScheduleDone) } else { Line::Diffuse };
        Record { step: 1.0, ..record }
    }

    pub(super) fn stop(&mut self) {
        if !matches!(self.line, Line::Done(_)) {
            self.line = Line::Done(Status::Stopped);
        }
    }
}

/// The same share, once it is certain that it is one.
pub(super) fn checked_share(share: f32) -> Result<f32, SettingsError> {
    if (0.0..=1.0).contains(&share) { Ok(share) } else { Err(SettingsError::NoiseShare) }
}
