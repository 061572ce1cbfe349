//! Everything that can end a run in failure, one typed error each.

use crate::scan::ScanError;
use gradus_core::prior::MixtureError;
use gradus_core::toy::NotPlanar;
use gradus_core::{AnswerError, DriveError, ScheduleError, SettingsError, StateError, WrongLength};

/// Why a run failed.
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
