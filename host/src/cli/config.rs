//! A run, described by one TOML file; every flag has a field.

use crate::Failure;
use gradus::data::units::StatedUnit;
use gradus::limits::ITERATIONS;
use gradus::reconstruct::Settings;
use gradus::simulate::Simulation;
use miette::{LabeledSpan, NamedSource, miette};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A reconstruction run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RunConfig {
    /// A scan, an image or the name of a sample.
    pub input: String,
    /// The unit of an image whose file does not say it: hu, 1/mm, 1/cm or network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<StatedUnit>,
    /// The name of an embedded prior, or a weights file; without it, the one that suits the object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prior: Option<String>,
    /// Use every N-th view of the scan.
    pub every_view: usize,
    /// Where the rotation axis meets the detector, from its middle, in place of what the scan says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detector_offset_mm: Option<f64>,
    /// An image to compare with, in the unit of the result, in place of the scan's truth.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub truth: Option<PathBuf>,
    /// How a sample or an image is scanned; not used for a scan.
    pub simulation: Simulation,
    /// How it is reconstructed.
    pub reconstruction: Settings,
}

impl Default for RunConfig {
    fn default() -> Self {
        Self {
            input: "ellipses:1".to_owned(),
            unit: None,
            prior: None,
            every_view: 1,
            detector_offset_mm: None,
            truth: None,
            simulation: Simulation::default(),
            reconstruction: Settings::default(),
        }
    }
}

impl RunConfig {
    /// Reads a run from a file.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let name = path.display().to_string();
        let text =
            gradus::data::read_description(path).map_err(|error| miette!("cannot read the run {name}: {error}"))?;
        let help = "README.md lists the fields; `gradus reconstruct` writes a complete run.toml into its folder";
        toml::from_str(&text).map_err(|error| toml_failure(&name, text.clone(), &error, "a run", help))
    }

    /// Checks the counts that decide how long a run takes and how much memory its course needs, and that it can be written
    /// down.
    pub fn check(&self) -> Result<(), Failure> {
        let set = &self.reconstruction;
        let own = &set.preconditioned;
        let counts = [
            ("steps", set.steps),
            ("tv_iterations", set.tv_iterations),
            ("preconditioned.steps", own.steps.unwrap_or(2)),
            ("preconditioned.solve_steps", own.solve_steps),
            ("preconditioned.average", own.average.saturating_mul(own.restart_steps.max(1))),
            ("line_search.max_trials", set.line_search.max_trials),
        ];
        match counts.into_iter().find(|(_, count)| *count > ITERATIONS) {
            Some((field, count)) => Err(miette!("reconstruction.{field} is {count}; give at most {ITERATIONS}")),
            None => self.to_toml().map(drop),
        }
    }

    /// The run as TOML.
    pub fn to_toml(&self) -> Result<String, Failure> {
        toml::to_string(self).map_err(|error| miette!("cannot write the run as TOML: {error}"))
    }
}

/// What is wrong with the TOML `text` of `name`, which should describe `what`, and where.
pub fn toml_failure(name: &str, text: String, error: &toml::de::Error, what: &str, help: &'static str) -> Failure {
    let labels = error.span().map(|span| LabeledSpan::at(span, error.message().to_owned()));
    miette!(
        labels = labels.into_iter().collect::<Vec<_>>(),
        help = help,
        "{name} does not describe {what}: {}",
        error.message()
    )
    .with_source_code(NamedSource::new(name, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_survives_its_file() {
        let mut run = RunConfig::default();
        run.reconstruction.alpha = Some(3.5);
        let text = run.to_toml().unwrap();
        assert_eq!(toml::from_str::<RunConfig>(&text).unwrap(), run);
        assert!(toml::from_str::<RunConfig>("[reconstruction]\nalhpa = 1").is_err());
    }
}
