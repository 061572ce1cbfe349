//! Smoothing schedules, regularisation weights, and the homotopy that they make.
//!
//! A [`Schedule`] falls from `t_max` to `t_min`, where the objective is; a [`Homotopy`] is the family `F(., t)` along
//! it.

use crate::diffusion::PerturbationKernel;
use crate::math::{exp, ln, real, sqrt};
use crate::words::words;
use core::fmt;

/// The spacing of the levels of a [`Schedule`].
#[repr(u32)] // a word: what holds it is then moved in words
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Spacing {
    /// Equal differences.
    Linear,
    /// Equal ratios.
    Logarithmic,
    /// Equal differences of the squared distances from `t_max`: closer to each other at small `t`.
    Quadratic,
}

/// Smoothing levels `t_max = t_1 > ... > t_I = t_min` \[FKD24, Algorithm 1\].
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Schedule {
    t_max: f32,
    t_min: f32,
    len: u32,
    spacing: Spacing,
}

/// Reasons for which a schedule cannot be built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum ScheduleError {
    /// A schedule needs at least one level; two when `t_max` differs from `t_min`.
    TooShort,
    /// Not `0 < t_min <= t_max < infinity`.
    BadTimes,
    /// So many levels that neighbours would be the same `f32`.
    TooFine,
}

impl fmt::Display for ScheduleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooShort => "a schedule from t_max down to t_min needs at least two levels",
            Self::BadTimes => "a schedule needs finite times with 0 < t_min <= t_max",
            Self::TooFine => "so many levels lie between t_max and t_min that neighbouring ones coincide",
        })
    }
}

impl core::error::Error for ScheduleError {}

impl Schedule {
    /// `len` levels from `t_max` down to `t_min`, both included, strictly decreasing.
    ///
    /// With `t_max == t_min` every level is `t_min`: graduated optimisation becomes plain descent on `f`.
    ///
    /// # Errors
    /// [`ScheduleError`]: too few levels, too many, or times that make no sense.
    pub fn new(spacing: Spacing, t_max: f32, t_min: f32, len: u32) -> Result<Self, ScheduleError> {
        if !(t_min > 0.0 && t_min <= t_max && t_max.is_finite()) {
            return Err(ScheduleError::BadTimes);
        }
        let varies = t_max > t_min;
        if len == 0 || (varies && len < 2) {
            return Err(ScheduleError::TooShort);
        }
        let intervals = real(len.saturating_sub(1).max(1));
        let narrowest = match spacing {
            Spacing::Linear => (t_max - t_min) / t_max,
            Spacing::Logarithmic => ln(t_max / t_min),
            // The last two: 1 - sqrt(1 - 1/n) is more than 1/(2 n).
            Spacing::Quadratic => 0.5 * (t_max - t_min) / t_max,
        } / intervals;
        // Four units in the last place: room for the rounding of two neighbouring levels.
        if varies && narrowest < 4.0 * f32::EPSILON {
            return Err(ScheduleError::TooFine);
        }
        Ok(Self { t_max, t_min, len, spacing })
    }

    /// Number of levels `I`.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a schedule is never empty")]
    pub const fn len(&self) -> u32 {
        self.len
    }

    /// The spacing of the levels.
    #[must_use]
    pub const fn spacing(&self) -> Spacing {
        self.spacing
    }

    /// The first level.
    #[must_use]
    pub const fn t_max(&self) -> f32 {
        self.t_max
    }

    /// The last level, at which `f` is defined.
    #[must_use]
    pub const fn t_min(&self) -> f32 {
        self.t_min
    }

    /// The level of index `i`, counted from 0; `t_min` from the last one on.
    #[must_use]
    pub fn t(&self, i: u32) -> f32 {
        let last = self.len.saturating_sub(1);
        if i >= last {
            return self.t_min;
        }
        let fraction = real(i) / real(last);
        match self.spacing {
            Spacing::Linear => self.t_max + fraction * (self.t_min - self.t_max),
            Spacing::Quadratic => self.t_max + sqrt(fraction) * (self.t_min - self.t_max),
            Spacing::Logarithmic => self.t_max * exp(fraction * ln(self.t_min / self.t_max)),
        }
    }
}

/// `alpha_t`, the weight of the prior at level `t`.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum RegularisationWeight {
    /// `alpha_t = alpha`.
    Constant(f32),
    /// `alpha_t = alpha (1 + early nu_t^2) nu_t / gamma_t`.
    ///
    /// With `early = 0` the choice for trained models \[FKD24, section 4.2\]. Where the data see nothing, the prior
    /// alone contracts, by its curvature `alpha_t / nu_t^2`, which then is least between `t_max` and `t_min` while
    /// `F(., t)` is still convex: what remains of the start there stays. `early > 0` raises it at those levels and, as
    /// `nu_t^2` is small at the end, hardly changes `f`.
    NoiseToSignal {
        /// `alpha`.
        alpha: f32,
        /// `early`; solvers refuse one that makes a weight negative.
        early: f32,
        /// Gives `nu_t` and `gamma_t`.
        kernel: PerturbationKernel,
    },
}

impl RegularisationWeight {
    /// The weight at level `t`.
    #[must_use]
    pub fn at(self, t: f32) -> f32 {
        match self {
            Self::Constant(alpha) => alpha,
            Self::NoiseToSignal { alpha, early, kernel } => {
                let nu = kernel.std(t);
                alpha * (1.0 + early * nu * nu) * nu / kernel.mean_scale(t)
            }
        }
    }
}

/// One member `F(., t)` of the homotopy.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Level {
    /// Smoothing level `t`.
    pub t: f32,
    /// `alpha_t`.
    pub prior_weight: f32,
}

/// The family `F(x, t) = 1/2 |A x - y|^2 + alpha_t R(x, t)` along a schedule.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Homotopy {
    /// The levels.
    pub schedule: Schedule,
    /// The weight of the prior at each level.
    pub weight: RegularisationWeight,
}

impl Homotopy {
    /// The member of index `i`, counted from 0; the objective from the last one on.
    #[must_use]
    pub fn level(&self, i: u32) -> Level {
        self.at(self.schedule.t(i))
    }

    /// The member that is minimised in the end: `f = F(., t_min)`.
    #[must_use]
    pub fn objective(&self) -> Level {
        self.at(self.schedule.t_min())
    }

    fn at(&self, t: f32) -> Level {
        Level { t, prior_weight: self.weight.at(t) }
    }
}

words!(enum Spacing { 0 = Linear {}, 1 = Logarithmic {}, 2 = Quadratic {} });
words!(enum RegularisationWeight {
    0 = Constant { 0: alpha },
    1 = NoiseToSignal { alpha: alpha, early: early, kernel: kernel }
});

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ends_are_exact_and_impossible_schedules_are_refused() {
        for spacing in [Spacing::Linear, Spacing::Logarithmic, Spacing::Quadratic] {
            let schedule = Schedule::new(spacing, 1.0, 1e-3, 300).unwrap();
            assert_eq!((schedule.t(0), schedule.t(299), schedule.t(u32::MAX)), (1.0, 1e-3, 1e-3));
            assert_eq!(Schedule::new(spacing, 1.0, 1e-3, 1), Err(ScheduleError::TooShort));
            assert_eq!(Schedule::new(spacing, 1.0, 0.0, 9), Err(ScheduleError::BadTimes));
            assert_eq!(Schedule::new(spacing, f32::NAN, 0.1, 9), Err(ScheduleError::BadTimes));
            assert_eq!(Schedule::new(spacing, 1.0, 0.5, u32::MAX), Err(ScheduleError::TooFine));
        }
    }

    #[test]
    fn the_weight_of_trained_models_is_the_noise_to_signal_ratio() {
        let kernel = PerturbationKernel::VP;
        let weight = |early| RegularisationWeight::NoiseToSignal { alpha: 2.0, early, kernel };
        let (gamma, nu) = (kernel.mean_scale(0.3), kernel.std(0.3));
        assert_eq!(weight(0.0).at(0.3), 2.0 * nu / gamma);
        assert!((weight(3.0).at(0.3) / weight(0.0).at(0.3) - (1.0 + 3.0 * nu * nu)).abs() < 1e-6);
    }

    proptest! {
        #[test]
        fn levels_strictly_decrease(
            t_min in 1e-4_f32..1.0, span in 1.001_f32..1e4, len in 2_u32..5000, kind in 0_usize..3,
        ) {
            let spacing = [Spacing::Logarithmic, Spacing::Linear, Spacing::Quadratic][kind];
            if let Ok(schedule) = Schedule::new(spacing, t_min * span, t_min, len) {
                for i in 1..len {
                    prop_assert!(schedule.t(i) < schedule.t(i - 1), "level {i} of {schedule:?}");
                }
            }
        }
    }
}
