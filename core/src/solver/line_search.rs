//! Armijo-Goldstein backtracking: the first of `lambda, tau lambda, tau^2 lambda, ...` that descends enough.

use crate::words::words;

/// Settings of the backtracking \[Armijo 1966\].
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Backtracking {
    /// `c` in `f(x + lambda d) - f(x) <= c lambda <grad f, d>`, between 0 and 1.
    pub sufficient_decrease: f32,
    /// `tau`, the factor from one trial to the next, between 0 and 1.
    pub shrink: f32,
    /// Trials before the search gives up; at least 1.
    pub max_trials: u32,
}

impl Backtracking {
    /// `c = 1e-3`, `tau = 0.5` as in \[FKD24\], and at most 20 trials.
    pub const DEFAULT: Self = Self { sufficient_decrease: 1e-3, shrink: 0.5, max_trials: 20 };

    /// True where the settings make sense.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        let fraction = |value: f32| value > 0.0 && value < 1.0;
        fraction(self.sufficient_decrease) && fraction(self.shrink) && self.max_trials > 0
    }
}

/// The outcome of a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Verdict {
    /// The trial passed: take this step.
    Accept,
    /// It failed; the next, shorter one is to be tried.
    Shorten,
    /// It failed and was the last.
    GiveUp,
}

/// A search under way.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct LineSearch {
    step: f32,
    slope: f32,
    trials: u32,
}

impl LineSearch {
    /// Starts with the length `candidate`; `slope` is `<grad f, d>`.
    #[must_use]
    pub const fn new(candidate: f32, slope: f32) -> Self {
        Self { step: candidate, slope, trials: 0 }
    }

    /// The length to try now.
    #[must_use]
    pub const fn step(&self) -> f32 {
        self.step
    }

    /// Trials judged so far.
    #[must_use]
    pub const fn trials(&self) -> u32 {
        self.trials
    }

    /// Judges the trial at [`step`](Self::step), where `f` differs from `f(x)` by `change`, and moves on if it failed.
    ///
    /// It passes where `f` changes by at most `-c lambda |slope|`. Along a direction that descends this is Armijo's
    /// test. Along one that ascends (`slope > 0`, possible in Algorithm 1 only) Armijo's would let `f` rise; this asks
    /// for the decrease of the opposite slope, so that an accepted step always lowers `f`.
    pub fn judge(&mut self, rule: &Backtracking, change: f32) -> Verdict {
        self.trials = self.trials.saturating_add(1);
        let wanted = -rule.sufficient_decrease * self.step * self.slope.abs();
        if change < 0.0 && change <= wanted {
            return Verdict::Accept;
        }
        let shorter = rule.shrink * self.step;
        if self.trials >= rule.max_trials || shorter <= 0.0 {
            return Verdict::GiveUp;
        }
        self.step = shorter;
        Verdict::Shorten
    }
}

words!(struct Backtracking { sufficient_decrease, shrink, max_trials });
words!(struct LineSearch { step, slope, trials });

#[cfg(test)]
mod tests {
    use super::*;

    /// Along f(x + l d) - f(x) = -l + 2 l^2 the test with c = 1e-3 passes from l = 0.4995 down.
    #[test]
    fn takes_the_first_power_that_descends_enough() {
        let mut search = LineSearch::new(4.0, -1.0);
        let mut verdict = Verdict::Shorten;
        while verdict == Verdict::Shorten {
            let l = search.step();
            verdict = search.judge(&Backtracking::DEFAULT, 2.0 * l * l - l);
        }
        assert_eq!((verdict, search.step(), search.trials()), (Verdict::Accept, 0.25, 5));
    }

    #[test]
    fn gives_up_after_the_last_trial_and_keeps_the_tested_length() {
        let rule = Backtracking { max_trials: 3, ..Backtracking::DEFAULT };
        let mut search = LineSearch::new(1.0, -1.0);
        assert_eq!(search.judge(&rule, 1.0), Verdict::Shorten);
        assert_eq!(search.judge(&rule, 1.0), Verdict::Shorten);
        assert_eq!(search.judge(&rule, 1.0), Verdict::GiveUp);
        assert_eq!(search.step(), 0.25);
    }

    #[test]
    fn no_change_is_no_descent() {
        assert_eq!(LineSearch::new(1e-30, -1e-30).judge(&Backtracking::DEFAULT, 0.0), Verdict::Shorten);
    }
}
