//! Launches with what they must do at least and the time that they took.

use gradus_cuda_kernels::{Launch, Work};

/// One launch.
#[derive(Debug, Clone, Copy)]
pub struct Launched {
    /// The kernel.
    pub kernel: &'static str,
    /// Its blocks and threads.
    pub launch: Launch,
    /// Its least work and traffic.
    pub work: Work,
    /// Seconds by the device's events; `None` of one that was not made.
    pub seconds: Option<f64>,
}

/// The record of launches, where one is kept.
#[derive(Debug, Default)]
pub(super) enum Recorder {
    /// Nothing.
    #[default]
    Off,
    /// Each is made several times and timed.
    Timing(Vec<Launched>),
    /// None is made.
    Listing(Vec<Launched>),
}

impl Recorder {
    pub(super) fn launched(self) -> Vec<Launched> {
        match self {
            Self::Off => Vec::new(),
            Self::Timing(launched) | Self::Listing(launched) => launched,
        }
    }

    /// Two switches: launches are made, and they are timed.
    pub(super) fn mode(&self) -> (bool, bool) {
        (!matches!(self, Self::Listing(_)), matches!(self, Self::Timing(_)))
    }

    pub(super) fn add(&mut self, one: Launched) {
        match self {
            Self::Off => {}
            Self::Timing(launched) | Self::Listing(launched) => launched.push(one),
        }
    }
}
