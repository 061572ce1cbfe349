//! The end of a command.

/// The end of a command that ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Done: exit 0.
    Done,
    /// Ran, but did not converge, was stopped, or a check failed: exit 1.
    Unfinished,
}

/// The reason why a command could not run: exit 2.
pub type Failure = miette::Report;
