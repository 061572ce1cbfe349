//! Conjugate gradients, as a machine over scalars.

use super::effort::{Effort, Solved};
use super::error::square;

/// The iterations of the conjugate gradient method for `M d = r` with a symmetric, positive definite `M`, from `d = 0`
/// \[HS52\].
///
/// ```text
/// p <- 0, d <- 0
/// for k = 1, 2, ..., most, while |r|^2 > nothing and (k <= least or |r| > tolerance |r_0|):
///     p <- r + b p,  b = |r_k|^2 / |r_{k-1}|^2, first 0      Curvature: answer with <p, M p>
///     a <- |r|^2 / <p, M p>
///     d <- d + a p,  r <- r - a M p                          Advance: answer with the new |r|^2
/// ```
///
/// With a symmetric, positive definite `P` near a multiple of the inverse of `M`, `p <- P r + b p` and `<r, P r>` take
/// the places of `r + b p` and `|r|^2`: the same lines, which then need fewer iterations. An evaluator whose rays have
/// weights takes for `P` the inverse of `diag(A^T W 1) + damping I`.
///
/// An evaluator that keeps its vectors in host memory follows it inside [`Request::Solve`](crate::Request::Solve); one
/// on a device may follow the same lines there. Squares near the least number of `f32` lack digits, by which `a` and
/// `b` would be wrong and `d` grow without bound: [`NOTHING`](ConjugateGradient::NOTHING) is left to solve from there
/// on, and where `a` is not finite: `p` is 0 in this arithmetic. A NaN, an infinity or a negative square ends the solve
/// as well, and is handed on as [`Solved::residual_square`], which every solver refuses.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ConjugateGradient {
    effort: Effort,
    /// Iterations made.
    made: u32,
    initial_square: f32,
    residual_square: f32,
    asks: Krylov,
}

/// The next need of a solve.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Krylov {
    /// Set `p <- r + momentum p` and answer with `<p, M p>`. Where the momentum is 0, `p` may hold any finite numbers.
    Curvature {
        /// `b`.
        momentum: f32,
    },
    /// Set `d <- d + length p` and `r <- r - length M p`, and answer with `|r|^2`.
    Advance {
        /// `a`.
        length: f32,
    },
    /// Nothing: `d` is complete.
    Done(Solved),
}

impl ConjugateGradient {
    /// `|r|^2` up to which nothing is left to solve: the least number with all its digits over the rounding error.
    pub const NOTHING: f32 = f32::MIN_POSITIVE / f32::EPSILON;

    /// A solve of as many iterations as `effort` says that starts where `|r|^2` is `residual_square`.
    #[must_use]
    pub fn new(residual_square: f32, effort: Effort) -> Self {
        let asks = Krylov::Curvature { momentum: 0.0 };
        Self { effort, made: 0, initial_square: residual_square, residual_square, asks }.going_on(0.0)
    }

    /// The next need of the solve. It does not change until it is answered.
    #[must_use]
    pub const fn request(&self) -> Krylov {
        self.asks
    }

    /// Takes the number that was asked for.
    pub fn answer(&mut self, told: f32) {
        *self = match self.asks {
            Krylov::Done(_) => *self,
            _ if square(told).is_err() => self.ended(told),
            Krylov::Curvature { .. } => self.advancing(self.residual_square / told),
            Krylov::Advance { .. } => {
                let momentum = told / self.residual_square;
                Self { made: self.made.saturating_add(1), residual_square: told, ..*self }.going_on(momentum)
            }
        };
    }

    /// The second half of an iteration, or the end: where there is nothing left to solve.
    fn advancing(self, length: f32) -> Self {
        if length.is_finite() {
            Self { asks: Krylov::Advance { length }, ..self }
        } else {
            self.ended(self.residual_square)
        }
    }

    /// The next iteration, or the end: where the effort is made, or nothing is left to solve.
    fn going_on(self, momentum: f32) -> Self {
        let is_left = self.residual_square > Self::NOTHING && self.residual_square.is_finite();
        let more = is_left && self.effort.goes_on(self.made, &self.solved(self.residual_square));
        if more { Self { asks: Krylov::Curvature { momentum }, ..self } } else { self.ended(self.residual_square) }
    }

    fn solved(&self, residual_square: f32) -> Solved {
        Solved { initial_square: self.initial_square, residual_square }
    }

    fn ended(self, residual_square: f32) -> Self {
        Self { asks: Krylov::Done(self.solved(residual_square)), ..self }
    }
}
