//! Records of iterations, and what they certify.
//!
//! A solver hands out one [`Record`] an iteration; a [`Certificate`] gathers from them the bounds of Theorem 3.2 of
//! \[FKD24\], in constant memory.

use crate::words::words;

/// The outcome of an iteration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Outcome {
    /// A step was taken.
    Step,
    /// The direction did not descend on `f`; this level was left without a step (adaptive smoothing schedule).
    NotDescent,
    /// The direction descended, but no trial of the line search passed; no step was taken.
    NoTrialPassed,
    /// An untested step of an approach, the beginning of a run that makes no claim, or of a method that makes none. It
    /// looks at no gradient of `f`: norms and slope of its record are 0.
    Approach,
}

/// The record of one iteration. Norms are Euclidean, in units of the problem.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Record {
    /// Index of the level in the schedule, counted from 0.
    pub iteration: u32,
    /// Smoothing level `t_i`.
    pub t: f32,
    /// Its outcome.
    pub outcome: Outcome,
    /// `lambda_i`, the length taken; 0 without a step.
    pub step: f32,
    /// Trials of the line search.
    pub trials: u32,
    /// `|grad f(x_i)|`.
    pub gradient_norm: f32,
    /// `|d_i|`: bounded along the run, Definition 3.1 (a).
    pub direction_norm: f32,
    /// `<grad f(x_i), d_i>`: negative and bounded away from 0 off stationary points, Definition 3.1 (b), eq. 13.
    pub slope: f32,
    /// `f(x_{i+1}) - f(x_i)`, where a line search measured it.
    pub change: Option<f32>,
    /// `|r|` of the linear system of `d_i` over what counts as solved; above 1 its iterations ended before. 0 where
    /// nothing was to be solved.
    pub unsolved: f32,
}

impl Record {
    /// Cosine of the angle between `-grad f` and `d`: positive when the direction descends, 0 for a zero vector.
    #[must_use]
    pub fn descent_cosine(&self) -> f32 {
        let norms = self.gradient_norm * self.direction_norm;
        if norms > 0.0 { (-self.slope / norms).clamp(-1.0, 1.0) } else { 0.0 }
    }

    /// The descent condition `<grad f, d> < 0` (eq. 13).
    #[must_use]
    pub fn descends(&self) -> bool {
        self.slope < 0.0
    }
}

/// The conditions of Theorem 3.2, as far as a run has shown them.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Certificate {
    /// Steps taken.
    pub steps: u32,
    /// Untested steps before them, which make no claim and are not counted below.
    pub approach_steps: u32,
    /// Steps taken along directions that do not descend on `f` (0 in Algorithm 2).
    pub ascending_steps: u32,
    /// Levels left because their direction did not descend.
    pub skipped_levels: u32,
    /// Line searches without a passing trial.
    pub failed_searches: u32,
    /// Linear systems whose iterations ended before they were solved, in the approach, too.
    pub unsolved_systems: u32,
    /// Largest `|d_i|`, the bound of Definition 3.1 (a).
    pub largest_direction: f32,
    /// Least cosine between `-grad f` and a direction along which a step was taken; 1 before the first.
    pub least_cosine: f32,
    /// Least `-<grad f, d_i>` over steps taken, the bound of Definition 3.1 (b); infinite before the first.
    pub least_descent: f32,
    /// `|grad f|` at the newest iterate it is known of: `x_i` of the last record, or the end once
    /// [`finish`](Certificate::finish) was told.
    pub gradient_norm: f32,
}

impl Default for Certificate {
    fn default() -> Self {
        Self {
            steps: 0,
            approach_steps: 0,
            ascending_steps: 0,
            skipped_levels: 0,
            failed_searches: 0,
            unsolved_systems: 0,
            largest_direction: 0.0,
            least_cosine: 1.0,
            least_descent: f32::INFINITY,
            gradient_norm: f32::INFINITY,
        }
    }
}

impl Certificate {
    /// Takes one more record into account.
    pub fn observe(&mut self, record: &Record) {
        if record.unsolved > 1.0 {
            self.unsolved_systems = self.unsolved_systems.saturating_add(1);
        }
        if record.outcome != Outcome::Approach {
            self.gradient_norm = record.gradient_norm;
            self.largest_direction = self.largest_direction.max(record.direction_norm);
        }
        match record.outcome {
            Outcome::Approach => self.approach_steps = self.approach_steps.saturating_add(1),
            Outcome::NotDescent => self.skipped_levels = self.skipped_levels.saturating_add(1),
            Outcome::NoTrialPassed => self.failed_searches = self.failed_searches.saturating_add(1),
            Outcome::Step => {
                self.steps = self.steps.saturating_add(1);
                if !record.descends() {
                    self.ascending_steps = self.ascending_steps.saturating_add(1);
                }
                self.least_cosine = self.least_cosine.min(record.descent_cosine());
                self.least_descent = self.least_descent.min(-record.slope);
            }
        }
    }

    /// Takes `|grad f|` at the last iterate into account: the last record knows that of the iterate before the last
    /// step only.
    pub fn finish(&mut self, gradient_norm: f32) {
        self.gradient_norm = gradient_norm;
    }

    /// True where every step descended: what Theorem 3.2 asks of each `d_i`.
    #[must_use]
    pub fn every_step_descended(&self) -> bool {
        self.ascending_steps == 0 && self.least_cosine > 0.0
    }
}

words!(enum Outcome { 0 = Step {}, 1 = NotDescent {}, 2 = NoTrialPassed {}, 3 = Approach {} });
words!(struct Record {
    iteration, t, outcome, step, trials, gradient_norm, direction_norm, slope, change, unsolved
});

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Record = Record {
        iteration: 0,
        t: 1.0,
        outcome: Outcome::Step,
        step: 0.5,
        trials: 1,
        gradient_norm: 2.0,
        direction_norm: 3.0,
        slope: -3.0,
        change: Some(-1.0),
        unsolved: 0.0,
    };

    #[test]
    fn a_certificate_keeps_the_extremes() {
        let mut certificate = Certificate::default();
        certificate.observe(&STEP);
        certificate.observe(&Record { outcome: Outcome::NotDescent, slope: 1.0, direction_norm: 7.0, ..STEP });
        certificate.observe(&Record { slope: -0.6, gradient_norm: 1.0, direction_norm: 1.0, ..STEP });
        assert_eq!((certificate.steps, certificate.skipped_levels), (2, 1));
        assert_eq!((certificate.largest_direction, certificate.least_cosine), (7.0, 0.5));
        assert!(certificate.every_step_descended());
        certificate.observe(&Record { outcome: Outcome::Approach, slope: 9.0, ..STEP });
        assert!(certificate.every_step_descended() && certificate.approach_steps == 1);
        certificate.finish(0.25);
        assert_eq!((certificate.gradient_norm, certificate.least_descent), (0.25, 0.6));
        certificate.observe(&Record { slope: 0.1, ..STEP });
        assert!(!certificate.every_step_descended());
    }
}
