//! Everything that can end a run in failure, one typed error each.

use crate::scan::ScanError;
use gradus_core::prior::MixtureError;
use gradus_core::toy::NotPlanar;
use gradus_core::{AnswerError, BuffersError, DriveError, ScheduleError, SettingsError, StateError, WrongLength};

/// Reasons for which a run fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Fault {
    /// The scan was refused.
    Scan(ScanError),
    /// The solver refused its settings.
    Settings(SettingsError),
    /// The solver refused an answer.
    Answer(AnswerError),
    /// Saved bytes were refused.
    State(StateError),
    /// The prior was refused.
    Prior(MixtureError),
    /// A buffer has the wrong length.
    Length(WrongLength),
    /// The toy was given something other than points of the plane.
    Point(NotPlanar),
    /// The plain evaluator was asked for what its problem or memory is not made for.
    NotMadeFor,
    /// There is no run of that name.
    NoSuchRun,
    /// The run did not come to its end.
    Unfinished,
}

impl Fault {
    /// A name for a log without formatting code.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scan(ScanError::NoViews) => "scan/no-views",
            Self::Scan(ScanError::WrongLength) => "scan/wrong-length",
            Self::Scan(ScanError::NotFinite) => "scan/not-finite",
            Self::Settings(_) => "settings",
            Self::Answer(AnswerError::NotAsked) => "answer/not-asked",
            Self::Answer(AnswerError::NotFinite) => "answer/not-finite",
            Self::Answer(AnswerError::NegativeSquare) => "answer/negative-square",
            Self::State(StateError::WrongLength) => "state/wrong-length",
            Self::State(_) => "state",
            Self::Prior(_) => "prior",
            Self::Length(_) => "length",
            Self::Point(_) => "point",
            Self::NotMadeFor => "not-made-for",
            Self::NoSuchRun => "no-such-run",
            Self::Unfinished => "unfinished",
        }
    }
}

macro_rules! from {
    ($($source:ty => $variant:ident),+) => {
        $(impl From<$source> for Fault {
            fn from(error: $source) -> Self {
                Self::$variant(error.into())
            }
        })+
    };
}

from!(
    ScanError => Scan, SettingsError => Settings, ScheduleError => Settings, AnswerError => Answer,
    StateError => State, MixtureError => Prior, WrongLength => Length, NotPlanar => Point
);

impl<E: Into<Self>> From<DriveError<E>> for Fault {
    fn from(error: DriveError<E>) -> Self {
        match error {
            DriveError::Evaluator(error) => error.into(),
            DriveError::Answer(error) => Self::Answer(error),
        }
    }
}

impl<E: Into<Self>> From<BuffersError<E>> for Fault {
    fn from(error: BuffersError<E>) -> Self {
        match error {
            BuffersError::Problem(error) => error.into(),
            BuffersError::NoLinearModel | BuffersError::NoSolve => Self::NotMadeFor,
        }
    }
}
