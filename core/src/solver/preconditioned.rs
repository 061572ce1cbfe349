//! The preconditioned gradient-like method: Algorithm 2 along Newton-like directions.

use super::preconditioned_request::{PreconditionedAnswer, PreconditionedRequest};
use super::request::{AnswerError, Directional, Status, finite};
use super::{SettingsError, check_weights};
use crate::diffusion::PerturbationKernel;
use crate::line_search::{Backtracking, LineSearch, Verdict};
use crate::schedule::{Homotopy, Level};
use crate::state::{Reader, StateError, WORD, Words, Writer, words};
use crate::trace::{Outcome, Record};

/// The preconditioned gradient-like method.
///
/// ```text
/// for i = 1, 2, ..., I:
///     while approaching: x_i <- D(x_i, t_i),  g_i <- A^T(A x_i - y)   Denoise
///     else: g_i <- grad F(x_i, t_i)                                   Gradient
///     solve (A^T A + mu_i I) d_i = -g_i,  mu_i = alpha_i/sigma_i^2,   Curvature, Advance
///         by K conjugate gradient steps from d_i = 0
///     while approaching: x_{i+1} <- x_i + d_i, next i                 Update (untested: this only chooses the start)
///     if |grad f(x_i)| <= eps: stop                                   Products
///     if <grad f(x_i), d_i> >= 0: leave this t_i                      (eq. 13, adaptive smoothing schedule)
///     lambda_i <- first of 1, tau, tau^2, ... with                    LineSearch
///         f(x_i + lambda_i d_i) <= f(x_i) + c lambda_i <grad f(x_i), d_i>
///     x_{i+1} <- x_i + lambda_i d_i                                   Update
/// ```
///
/// `R(x, t)` is to be minus the logarithm of the image's distribution under noise of standard deviation
/// `sigma_t = nu_t/gamma_t`, without drift \[FKD24, eq. 6\]. With its denoiser `D`, `grad R = (x - D(x))/sigma_t^2`
/// \[Efr11\], so `x_i + d_i` is near the minimiser of `1/2 |A x - y|^2 + mu_i/2 |x - D(x_i)|^2`: the data term is solved,
/// the denoiser trusted.
///
/// # The approach
/// Directions at large `t` often ascend on `f`, from starting points at which `f` is small already, and the method would
/// skip the levels that lead to the right basin. So the run has a beginning that makes no claim: the first levels, as
/// many as [`with_approach`](Preconditioned::with_approach) says, whose steps are recorded as [`Outcome::Approach`].
/// From then on every step is tested.
///
/// There, as in plug-and-play restoration with diffusion models \[ZZL23\], the solve starts from the denoised image, and
/// minimises `1/2 |A x - y|^2 + mu_i/2 |x - D(x_i)|^2` over a space that holds `D(x_i)`: what the data do not see comes from
/// the denoiser, however few the steps. At large `t` that is nearly the mean of all images, so the starting point is
/// forgotten. Each level may look at the image in another of the symmetries under which the prior's distribution stays the
/// same, its `turn`: what a denoiser has learned wrongly is seldom symmetric, and repeated it would grow (equivariant
/// plug-and-play \[TMPT24\]).
///
/// # Why Theorem 3.2 holds
/// `M = A^T A + mu I` has its eigenvalues in `[mu, L]`, `L = |A|^2 + mu`. After each conjugate gradient step from 0,
/// `d` minimises `q(d) = <g, d> + 1/2 <d, M d>` over a space that holds `g`, so `<d, M d> = -<g, d>` and `q(d) =
/// 1/2 <g, d>`, which is at most the least `q` along `g` alone, `-1/2 |g|^4 / <g, M g>`; and `mu |d|^2 <= <d, M d>`:
///
/// ```text
/// <g, d> <= -|g|^2 / L,      |d| <= |g| / mu.
/// ```
///
/// So `d` is bounded where `g` is, descends on `F(., t_i)`, and is gradient-like for `f` (Definition 3.1) at
/// `t_i = t_min`, where `g = grad f`; at larger `t_i` the test of eq. 13 is made as in Algorithm 2. The theorem's proof
/// uses no more, and no particular starting point: every limit point is stationary.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Preconditioned {
    homotopy: Homotopy,
    kernel: PerturbationKernel,
    solve_steps: u32,
    backtracking: Backtracking,
    tolerance: f32,
    approach: u32,
    i: u32,
    new_iterate: bool,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum State {
    Gradient,
    Curvature { steps: u32, residual_square: f32, momentum: f32 },
    Advance { steps: u32, residual_square: f32, length: f32 },
    Products,
    LineSearch { search: LineSearch, direction: Directional },
    Update(Record),
    Done(Status),
}

impl Preconditioned {
    /// A run over the levels of `homotopy`, one iteration each, with `solve_steps` conjugate gradient steps in each;
    /// `kernel` says what `sigma_t` is.
    ///
    /// It ends sooner when `|grad f|` is at most `tolerance`.
    ///
    /// # Errors
    /// See [`SettingsError`].
    pub fn new(
        homotopy: Homotopy,
        kernel: PerturbationKernel,
        solve_steps: u32,
        backtracking: Backtracking,
        tolerance: f32,
    ) -> Result<Self, SettingsError> {
        check_weights(&homotopy)?;
        if solve_steps == 0 {
            return Err(SettingsError::SolveSteps);
        }
        if !backtracking.is_valid() {
            return Err(SettingsError::Backtracking);
        }
        if tolerance.is_nan() || tolerance < 0.0 {
            return Err(SettingsError::Tolerance);
        }
        let (approach, i, new_iterate, state) = (0, 0, true, State::Gradient);
        Ok(Self { homotopy, kernel, solve_steps, backtracking, tolerance, approach, i, new_iterate, state })
    }

    /// The same run with its first `levels` levels as an approach, which is not tested on `f`; 0 by default. The last level
    /// never belongs to it.
    #[must_use]
    pub const fn with_approach(self, levels: u32) -> Self {
        Self { approach: levels, ..self }
    }

    /// Length of [`to_bytes`](Self::to_bytes): tag 1, homotopy 10, kernel 3, solve 1, line search 3, tolerance 1,
    /// approach 1, progress 2 and at most 11 words of the line of the algorithm.
    pub const BYTES: usize = 33 * WORD;

    const TAG: [u8; WORD] = *b"PG03";

    /// The state, to be resumed at this request by [`from_bytes`](Self::from_bytes).
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        let out = &mut Writer::new(&mut bytes, Self::TAG);
        self.homotopy.write(out);
        self.kernel.write(out);
        self.solve_steps.write(out);
        self.backtracking.write(out);
        self.tolerance.to_bits().write(out); // may be infinite
        self.approach.write(out);
        self.i.write(out);
        self.new_iterate.write(out);
        self.state.write(out);
        bytes
    }

    /// The solver whose state was saved: it asks the same request again, and goes on with the same bits.
    ///
    /// # Errors
    /// See [`StateError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StateError> {
        let mut input = Reader::new(bytes, Self::BYTES, Self::TAG)?;
        let words = &mut input;
        let (homotopy, kernel, solve_steps) = (Words::read(words)?, Words::read(words)?, Words::read(words)?);
        let backtracking = Words::read(words)?;
        let fresh = Self::new(homotopy, kernel, solve_steps, backtracking, f32::from_bits(Words::read(words)?))?;
        let (approach, i, new_iterate) = (Words::read(words)?, Words::read(words)?, Words::read(words)?);
        let solver = Self { approach, i, new_iterate, state: Words::read(words)?, ..fresh };
        input.end()?;
        Ok(solver)
    }

    fn level(&self) -> Level {
        self.homotopy.level(self.i)
    }

    fn is_approaching(&self) -> bool {
        self.i < self.approach && self.level().t > self.homotopy.schedule.t_min()
    }

    /// `sigma_i^2`.
    fn variance(&self) -> f32 {
        let (t, ratio) = (self.level().t, self.kernel.mean_scale(self.level().t));
        self.kernel.variance(t) / (ratio * ratio)
    }

    /// `mu_i = alpha_i/sigma_i^2`.
    fn damping(&self) -> f32 {
        self.level().prior_weight / self.variance()
    }

    /// What the solver wants to know or have done now. Does not change until it is answered.
    #[must_use]
    pub fn request(&self) -> PreconditionedRequest {
        use PreconditionedRequest as Ask;
        match self.state {
            State::Gradient if self.is_approaching() => {
                Ask::Denoise { level: self.level(), variance: self.variance(), turn: self.i }
            }
            State::Gradient => Ask::Gradient { level: self.level(), new_iterate: self.new_iterate },
            State::Curvature { momentum, .. } => Ask::Curvature { momentum, damping: self.damping() },
            State::Advance { length, .. } => Ask::Advance { length, damping: self.damping() },
            State::Products => Ask::Products,
            State::LineSearch { search, .. } => Ask::Change { step: search.step() },
            State::Update(record) => Ask::Update { step: record.step },
            State::Done(status) => Ask::Done(status),
        }
    }

    /// Takes the answer to [`request`](Self::request); returns the record of an iteration when that completes one.
    ///
    /// # Errors
    /// An answer that was not asked for, or holds a NaN, an infinity or a negative square, leaves the state unchanged.
    pub fn answer(&mut self, answer: PreconditionedAnswer) -> Result<Option<Record>, AnswerError> {
        use PreconditionedAnswer as Told;
        match (self.state, answer) {
            (State::Gradient, Told::ResidualSquare(square)) => {
                let residual_square = not_negative(square)?;
                self.new_iterate = self.is_approaching();
                self.state = self.solve_on(0, residual_square, 0.0);
            }
            (State::Curvature { steps, residual_square, .. }, Told::Curvature(curvature)) => {
                let length = residual_square / not_negative(curvature)?;
                // Not finite: p is 0 in this arithmetic, so there is nothing left to solve.
                let advance = State::Advance { steps, residual_square, length };
                self.state = if length.is_finite() { advance } else { self.solved() };
            }
            (State::Advance { steps, residual_square: previous, .. }, Told::ResidualSquare(square)) => {
                let (steps, residual_square) = (steps.saturating_add(1), not_negative(square)?);
                self.state = self.solve_on(steps, residual_square, residual_square / previous);
            }
            (State::Products, Told::Direction(direction)) => return Ok(self.decide(direction.checked()?)),
            (State::LineSearch { search, direction }, Told::Change(change)) => {
                return Ok(self.judge(search, direction, finite(change)?));
            }
            (State::Update(record), Told::Updated) => {
                self.new_iterate = true;
                self.next_level();
                return Ok(Some(record));
            }
            _ => return Err(AnswerError::NotAsked),
        }
        Ok(None)
    }

    /// Ends the run at the current iterate with [`Status::Stopped`], unless it has ended already.
    pub fn stop(&mut self) {
        if !matches!(self.state, State::Done(_)) {
            self.state = State::Done(Status::Stopped);
        }
    }

    /// The member of the homotopy that is `f`.
    #[must_use]
    pub fn objective(&self) -> Level {
        self.homotopy.objective()
    }

    /// The next conjugate gradient step, or the end of the solve: after its last, or where the residual is 0.
    fn solve_on(&self, steps: u32, residual_square: f32, momentum: f32) -> State {
        let more = steps < self.solve_steps && residual_square > 0.0;
        if more { State::Curvature { steps, residual_square, momentum } } else { self.solved() }
    }

    fn solved(&self) -> State {
        if !self.is_approaching() {
            return State::Products;
        }
        let record = Directional::default().record(self.i, self.level().t, Outcome::Approach, 0);
        State::Update(Record { step: 1.0, ..record })
    }

    /// `d_i` is known: stop, leave this level, or search along it.
    fn decide(&mut self, direction: Directional) -> Option<Record> {
        if direction.gradient_norm() <= self.tolerance {
            self.state = State::Done(Status::Stationary);
            return None;
        }
        if direction.slope >= 0.0 {
            return Some(self.leave_level(direction.record(self.i, self.level().t, Outcome::NotDescent, 0)));
        }
        self.state = State::LineSearch { search: LineSearch::new(1.0, direction.slope), direction };
        None
    }

    /// `f(x + lambda d) - f(x)` is known: accept, shorten or give up.
    fn judge(&mut self, mut search: LineSearch, direction: Directional, change: f32) -> Option<Record> {
        let step = search.step();
        let verdict = search.judge(&self.backtracking, change);
        let record = |outcome| direction.record(self.i, self.level().t, outcome, search.trials());
        match verdict {
            Verdict::Accept => {
                self.state = State::Update(Record { step, change: Some(change), ..record(Outcome::Step) });
                None
            }
            Verdict::Shorten => {
                self.state = State::LineSearch { search, direction };
                None
            }
            Verdict::GiveUp => Some(self.leave_level(record(Outcome::NoTrialPassed))),
        }
    }

    /// No step at this level: go on to the next, or end where there is none below.
    fn leave_level(&mut self, record: Record) -> Record {
        if record.t <= self.homotopy.schedule.t_min() {
            self.state = State::Done(Status::NoStep);
        } else {
            self.next_level();
        }
        record
    }

    fn next_level(&mut self) {
        self.i = self.i.saturating_add(1);
        let more = self.i < self.homotopy.schedule.len();
        self.state = if more { State::Gradient } else { State::Done(Status::ScheduleDone) };
    }
}

fn not_negative(square: f32) -> Result<f32, AnswerError> {
    if finite(square)? < 0.0 { Err(AnswerError::NegativeSquare) } else { Ok(square) }
}

words!(enum State {
    0 = Gradient {},
    1 = Curvature { steps: steps, residual_square: residual_square, momentum: momentum },
    2 = Advance { steps: steps, residual_square: residual_square, length: length },
    3 = Products {},
    4 = LineSearch { search: search, direction: direction },
    5 = Update { 0: record },
    6 = Done { 0: status }
});
