//! Reconstruction: a measurement and settings in, an image with the trace of how it came about out.

mod average;
mod course;
mod curves;
mod denoise;
mod discrepancy;
mod error;
mod field;
mod fields;
mod jobs;
mod measurement;
mod method_settings;
mod observer;
mod placed;
mod ray_noise;
mod recipe;
mod result;
mod rival;
mod run;
mod sampler_settings;
mod settings;
mod task;
#[cfg(test)]
mod tests;
mod total_variation;

pub use denoise::{Denoiser, denoise};
pub use discrepancy::discrepancy;
pub use error::ReconstructError;
pub use field::{cut_to, in_field};
pub use fields::FieldError;
pub use jobs::{Job, reconstruct, reconstruct_all};
pub use measurement::Measurement;
pub use method_settings::{
    BacktrackingSettings, FbpSettings, FlowSettings, GradientDescentSettings, GradientLikeSettings, GraduatedSettings,
    LineSearchSettings, SolvedSettings, Start, TvSettings, WeightRule,
};
pub use observer::{Observer, Progress};
pub use placed::PlacedPrior;
pub use ray_noise::NoiseSource;
pub use result::{Reconstruction, TraceRow};
pub use rival::{Rival, is_explained, rival};
pub use sampler_settings::{DdsSettings, DiffPirSettings, LevelSpacing};
pub use settings::{Method, Settings};
