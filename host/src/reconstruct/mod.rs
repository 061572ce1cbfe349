//! Reconstruction: a measurement and settings in; an image and the trace of its descent out.
//!
//! A [`Measurement`] is a scan in the units of the network. [`Settings`] name a [`Method`] and what it reads;
//! a [`PlacedPrior`] is a prior on a device. [`reconstruct`] makes one image, [`reconstruct_all`] several in lockstep.

mod average;
mod course;
mod curves;
mod denoise;
mod discrepancy;
mod error;
mod field;
mod fields;
mod foretell;
#[cfg(test)]
mod guide_tests;
mod hold_out;
mod interval;
mod job;
mod jobs;
mod measurement;
mod method_settings;
mod observer;
mod placed;
mod ray_noise;
mod recipe;
mod reduced_fit;
mod result;
mod rival;
mod rules;
mod run;
mod sampler_settings;
mod searched_weight;
mod settings;
mod task;
#[cfg(test)]
mod tests;
mod total_variation;

pub use denoise::{Denoiser, DenoiserDerivative, denoise};
pub use discrepancy::discrepancy;
pub use error::ReconstructError;
pub use field::{cut_to, field_of, in_field};
pub use fields::FieldError;
pub use foretell::foretold;
pub use hold_out::{USUAL_HOLD_OUT, is_held_out};
pub use interval::Interval;
pub use job::Job;
pub use jobs::{reconstruct, reconstruct_all};
pub use measurement::Measurement;
pub use method_settings::{
    BacktrackingSettings, FbpSettings, FlowSettings, GradientDescentSettings, GradientLikeSettings, GraduatedSettings,
    LineSearchSettings, SolvedSettings, Start, TvSettings, WeightRule,
};
pub use observer::{Observer, Progress};
pub use placed::PlacedPrior;
pub use ray_noise::{NoiseSource, RayVariances};
pub use reduced_fit::{ReducedFit, reduced_fit};
pub use result::{Reconstruction, TraceRow};
pub use rival::{Rival, is_explained, rival};
pub use sampler_settings::{DdsSettings, DiffPirSettings, LevelSpacing};
pub use settings::{Method, Settings};
