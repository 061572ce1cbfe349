//! Step lengths: the first that a line search tries, and untested ones.

use super::directional::Directional;
use super::error::SettingsError;
use super::line_search::Backtracking;
use crate::words::words;

/// The choice of the candidate of the line search.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum StepCandidate {
    /// The same length in every iteration.
    Constant(f32),
    /// `factor |<s, g> / <g, g>|` with `s = x_i - x_{i-1}` and `g = d_{i-1} - d_i` \[BB88, eq. 5\], kept within bounds.
    ///
    /// Where the quotient is not a positive number (no previous step, equal directions) the last accepted length is
    /// tried again.
    BarzilaiBorwein {
        /// Length of the very first step.
        first: f32,
        /// Factor on the quotient; the backtracking takes back what is too much.
        factor: f32,
        /// Least candidate.
        least: f32,
        /// Largest candidate.
        most: f32,
    },
}

impl StepCandidate {
    /// Barzilai-Borwein with the settings of \[FKD24\]: first step 0.01, factor 4.
    pub const BARZILAI_BORWEIN: Self = Self::BarzilaiBorwein { first: 0.01, factor: 4.0, least: 1e-6, most: 1e6 };

    /// The candidate, given the newest direction and the length of the `last` accepted step, if there was one.
    #[must_use]
    pub fn length(&self, direction: &Directional, last: Option<f32>) -> f32 {
        match (*self, last) {
            (Self::Constant(length), _) | (Self::BarzilaiBorwein { first: length, .. }, None) => length,
            (Self::BarzilaiBorwein { factor, least, most, .. }, Some(last)) => {
                // s = last * d_{i-1}, so <s, g> = last * <d_{i-1}, g>.
                let quotient = last * direction.previous_dot_difference / direction.difference_norm_sq;
                let length = factor * quotient.abs();
                // Not `clamp`, which holds a panic for crossed bounds.
                if length.is_finite() && length > 0.0 { length.max(least).min(most) } else { last }
            }
        }
    }

    /// The same rule, once it is certain that every length it can propose is a positive, finite number.
    pub(super) fn checked(self) -> Result<Self, SettingsError> {
        let positive = |length: f32| length > 0.0 && length.is_finite();
        let valid = match self {
            Self::Constant(length) => positive(length),
            Self::BarzilaiBorwein { first, factor, least, most } => {
                positive(first) && positive(factor) && positive(least) && positive(most) && least <= most
            }
        };
        if valid { Ok(self) } else { Err(SettingsError::StepCandidate) }
    }
}

/// The choice of `lambda_i` in the flow.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum FlowStep {
    /// The same length in every iteration, untested.
    Constant(f32),
    /// A line search on `f`; without a passing trial the iterate stays and the flow goes on to the next level.
    LineSearch(StepCandidate, Backtracking),
}

words!(enum StepCandidate {
    0 = Constant { 0: length },
    1 = BarzilaiBorwein { first: first, factor: factor, least: least, most: most }
});

#[cfg(test)]
mod tests {
    use super::*;

    fn slopes(previous_dot_difference: f32, difference_norm_sq: f32) -> Directional {
        Directional { previous_dot_difference, difference_norm_sq, ..Directional::default() }
    }

    #[test]
    fn on_a_quadratic_it_is_the_inverse_curvature_times_the_factor() {
        // d = -c x: g = d_{i-1} - d_i = c s, so <s, g>/<g, g> = 1/c; here c = 5, s = 0.1 d_{i-1}, d_{i-1} = 2.
        let (c, last, previous) = (5.0, 0.1, 2.0);
        let difference = c * last * previous;
        let length =
            StepCandidate::BARZILAI_BORWEIN.length(&slopes(previous * difference, difference * difference), Some(last));
        assert!((length - 4.0 / c).abs() < 1e-6);
    }

    #[test]
    fn safeguards_hold() {
        let rule = StepCandidate::BARZILAI_BORWEIN;
        assert_eq!(rule.length(&slopes(1.0, 1.0), None), 0.01);
        assert_eq!(rule.length(&slopes(0.0, 0.0), Some(0.3)), 0.3);
        assert_eq!(rule.length(&slopes(f32::MAX, 1e-30), Some(0.3)), 0.3);
        assert_eq!(rule.length(&slopes(-1.0, 2.0), Some(0.5)), 1.0);
        assert_eq!(rule.length(&slopes(1e-20, 1.0), Some(1.0)), 1e-6);
    }
}
