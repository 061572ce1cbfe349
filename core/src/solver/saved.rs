//! The state of a solver as bytes: saved at any request, resumed with the same bits, on this machine or another.
//!
//! A state is a fixed number of words: a tag that names algorithm and format, the settings, the progress, and zeros.
//! Reading checks everything that building a solver checks, and that no number is a NaN or infinite. It cannot tell a
//! flipped bit from another number: keep a checksum beside states that cross an unreliable store.

use super::dds::DecomposedDiffusion;
use super::descent::{Descent, State, check, checked_tolerance};
use super::diffpir::DiffPir;
use super::error::SettingsError;
use super::gradient_like::GradientLike;
use super::graduated_flow::GraduatedFlow;
use super::preconditioned::{Making, Preconditioned};
use super::sampler::{Line, Sampler};
use super::step_size::StepCandidate;
use crate::schedule::{Homotopy, Schedule};
use crate::words::{Corrupt, Reader, WORD, Words, Writer, words};
use core::fmt;

/// Reasons for which bytes are not the state of a solver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum StateError {
    /// There are too few or too many bytes.
    WrongLength,
    /// They hold the state of another algorithm, of another format, or something else.
    WrongTag,
    /// They hold settings with which no solver can be built.
    Settings(SettingsError),
    /// They hold a value that no run produces.
    Corrupt,
}

impl From<SettingsError> for StateError {
    fn from(error: SettingsError) -> Self {
        Self::Settings(error)
    }
}

impl From<Corrupt> for StateError {
    fn from(_: Corrupt) -> Self {
        Self::Corrupt
    }
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WrongLength => "the saved state of a solver has another length",
            Self::WrongTag => "these bytes are not the state of this algorithm in this format",
            Self::Settings(error) => return error.fmt(f),
            Self::Corrupt => "the saved state of a solver holds a value that no run produces",
        })
    }
}

impl core::error::Error for StateError {}

/// [`Words`] whose reading checks settings.
trait Saved: Sized {
    fn write(&self, out: &mut Writer<'_>);
    fn read(input: &mut Reader<'_>) -> Result<Self, StateError>;
}

macro_rules! saved {
    ($solver:ident, $tag:literal, $words:literal) => {
        impl $solver {
            /// Length of [`to_bytes`](Self::to_bytes).
            pub const BYTES: usize = $words * WORD;

            /// The state, to be resumed at this request by [`from_bytes`](Self::from_bytes).
            #[must_use]
            pub fn to_bytes(&self) -> [u8; Self::BYTES] {
                let mut bytes = [0; Self::BYTES];
                let out = &mut Writer::new(&mut bytes);
                u32::from_le_bytes(*$tag).write(out);
                Saved::write(self, out);
                bytes
            }

            /// The solver whose state was saved: it asks the same request again, and goes on with the same bits.
            ///
            /// # Errors
            /// [`StateError`], for bytes of another version or method, or damaged ones.
            pub fn from_bytes(bytes: &[u8]) -> Result<Self, StateError> {
                if bytes.len() != Self::BYTES {
                    return Err(StateError::WrongLength);
                }
                let mut input = Reader::new(bytes);
                if u32::read(&mut input)? != u32::from_le_bytes(*$tag) {
                    return Err(StateError::WrongTag);
                }
                let solver = <Self as Saved>::read(&mut input)?;
                input.end()?;
                Ok(solver)
            }
        }
    };
}

// All have the tag 1, the homotopy 10, the line search 3, the progress 4 and at most 12 words of the line. Of their own
// they have the candidate 5 and the rule 1; candidate 5, tolerance and limit 2; kernel 3, effort 3, and 5 more.
saved!(GraduatedFlow, b"GF04", 36);
saved!(GradientLike, b"GL03", 37);
saved!(Preconditioned, b"PG06", 41);
// Tag 1, homotopy 10, kernel 3, iterations 1, seed 2, index 1, line 2; eta and gamma 3, or zeta 1.
saved!(DecomposedDiffusion, b"DD01", 23);
saved!(DiffPir, b"DP01", 21);

impl Saved for GraduatedFlow {
    fn write(&self, out: &mut Writer<'_>) {
        self.descent.homotopy.write(out);
        self.candidate.write(out);
        self.searches.write(out);
        self.descent.backtracking.write(out);
        write_progress(&self.descent, out);
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, StateError> {
        let homotopy = Homotopy::read(input)?;
        let candidate = StepCandidate::read(input)?.checked()?;
        let searches = bool::read(input)?;
        let backtracking = Words::read(input)?;
        check(&homotopy, &backtracking)?;
        let mut descent = Descent::new(homotopy, backtracking);
        read_progress(&mut descent, input)?;
        Ok(Self { descent, candidate, searches })
    }
}

impl Saved for GradientLike {
    fn write(&self, out: &mut Writer<'_>) {
        self.descent.homotopy.write(out);
        self.candidate.write(out);
        self.descent.backtracking.write(out);
        self.tolerance.to_bits().write(out); // may be infinite
        self.descent.iterations.write(out);
        write_progress(&self.descent, out);
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, StateError> {
        let homotopy = Homotopy::read(input)?;
        let candidate = StepCandidate::read(input)?.checked()?;
        let backtracking = Words::read(input)?;
        check(&homotopy, &backtracking)?;
        let mut descent = Descent::new(homotopy, backtracking);
        let tolerance = checked_tolerance(f32::from_bits(Words::read(input)?))?;
        descent.iterations = Words::read(input)?;
        read_progress(&mut descent, input)?;
        Ok(Self { descent, candidate, tolerance })
    }
}

impl Saved for Preconditioned {
    fn write(&self, out: &mut Writer<'_>) {
        self.descent.homotopy.write(out);
        self.kernel.write(out);
        self.effort.write(out);
        self.descent.backtracking.write(out);
        self.tolerance.to_bits().write(out); // may be infinite
        self.approach.write(out);
        self.extrapolation.write(out);
        self.making.write(out);
        self.unsolved.write(out);
        write_progress(&self.descent, out);
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, StateError> {
        let homotopy = Homotopy::read(input)?;
        let (kernel, effort) = (Words::read(input)?, Words::read(input)?);
        let (backtracking, tolerance) = (Words::read(input)?, f32::from_bits(Words::read(input)?));
        let mut solver = Self::new(homotopy, kernel, effort, backtracking, tolerance)?;
        solver.approach = Words::read(input)?;
        solver = solver.with_extrapolation(Words::read(input)?)?;
        solver.making = Words::read(input)?;
        solver.unsolved = Words::read(input)?;
        read_progress(&mut solver.descent, input)?;
        let between = solver.making == Making::Gradient || solver.descent.makes_direction();
        if between { Ok(solver) } else { Err(StateError::Corrupt) }
    }
}

impl Saved for DecomposedDiffusion {
    fn write(&self, out: &mut Writer<'_>) {
        self.sampler.write(out);
        self.eta.write(out);
        self.gamma.write(out);
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, StateError> {
        let Sampler { homotopy, kernel, solve_iterations, seed, i, line } = Saved::read(input)?;
        let mut solver = Self::new(homotopy, kernel, solve_iterations, Words::read(input)?, seed)?;
        if let Some(gamma) = Words::read(input)? {
            solver = solver.with_gamma(gamma)?;
        }
        (solver.sampler.i, solver.sampler.line) = (i, line);
        Ok(solver)
    }
}

impl Saved for DiffPir {
    fn write(&self, out: &mut Writer<'_>) {
        self.sampler.write(out);
        self.zeta.write(out);
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, StateError> {
        let Sampler { homotopy, kernel, solve_iterations, seed, i, line } = Saved::read(input)?;
        let mut solver = Self::new(homotopy, kernel, solve_iterations, Words::read(input)?, seed)?;
        (solver.sampler.i, solver.sampler.line) = (i, line);
        Ok(solver)
    }
}

impl Saved for Sampler {
    fn write(&self, out: &mut Writer<'_>) {
        self.homotopy.write(out);
        self.kernel.write(out);
        self.solve_iterations.write(out);
        self.seed.write(out);
        self.i.write(out);
        self.line.write(out);
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, StateError> {
        let homotopy = Homotopy::read(input)?;
        let (kernel, solve_iterations, seed) = (Words::read(input)?, Words::read(input)?, Words::read(input)?);
        let (i, line) = (Words::read(input)?, Words::read(input)?);
        Ok(Self { homotopy, kernel, solve_iterations, seed, i, line })
    }
}

/// Read through [`Schedule::new`], so that an impossible schedule is refused here, too.
impl Saved for Homotopy {
    #[inline]
    fn write(&self, out: &mut Writer<'_>) {
        self.schedule.spacing().write(out);
        self.schedule.t_max().write(out);
        self.schedule.t_min().write(out);
        self.schedule.len().write(out);
        self.weight.write(out);
    }

    #[inline]
    fn read(input: &mut Reader<'_>) -> Result<Self, StateError> {
        let (spacing, t_max, t_min) = (Words::read(input)?, Words::read(input)?, Words::read(input)?);
        let schedule = Schedule::new(spacing, t_max, t_min, Words::read(input)?).map_err(SettingsError::from)?;
        Ok(Self { schedule, weight: Words::read(input)? })
    }
}

#[inline]
fn write_progress(descent: &Descent, out: &mut Writer<'_>) {
    descent.i.write(out);
    descent.new_iterate.write(out);
    descent.last_step.write(out);
    descent.state.write(out);
}

#[inline]
fn read_progress(descent: &mut Descent, input: &mut Reader<'_>) -> Result<(), Corrupt> {
    descent.i = Words::read(input)?;
    descent.new_iterate = Words::read(input)?;
    descent.last_step = Words::read(input)?;
    descent.state = Words::read(input)?;
    Ok(())
}

words!(enum State {
    0 = Direction {},
    1 = LineSearch { search: search, direction: direction },
    2 = Update { 0: record },
    3 = Done { 0: status }
});
words!(enum Line { 0 = Diffuse {}, 1 = Denoise {}, 2 = Solve {}, 3 = Update {}, 4 = Done { 0: status } });
words!(enum Making { 0 = Gradient {}, 1 = Solve {}, 2 = Products {} });
