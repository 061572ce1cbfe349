//! A run, described by one TOML file; every flag has a field.

use crate::ending::Failure;
use gradus::backend::{DeviceChoice, Precision};
use gradus::data::units::StatedUnit;
use gradus::limits::ITERATIONS;
use gradus::reconstruct::{GraduatedSettings, Method, Settings};
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
    /// The device of a learned method.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceChoice>,
    /// The factors of convolutions there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub precision: Option<Precision>,
    /// Use every N-th view of the scan.
    pub every_view: usize,
    /// The place where the rotation axis meets the detector, from its middle, in place of what the scan says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detector_offset_mm: Option<f64>,
    /// An image to compare with, in the unit of the result, in place of the scan's truth.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub truth: Option<PathBuf>,
    /// The simulated scan of a sample or an image; not used for a scan.
    pub simulation: Simulation,
    /// The method with its settings.
    pub reconstruction: Settings,
}

impl Default for RunConfig {
    fn default() -> Self {
        Self {
            input: "ellipses:1".to_owned(),
            unit: None,
            prior: None,
            device: None,
            precision: None,
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

    /// Refuses what only methods with a prior read, where the method has none; counts beyond any run's; and what cannot
    /// be written down.
    pub fn check(&self) -> Result<(), Failure> {
        self.check_prior()?;
        match counts(&self.reconstruction).into_iter().find(|(_, count)| *count > ITERATIONS) {
            Some((field, count)) => Err(miette!("reconstruction.{field} is {count}; give at most {ITERATIONS}")),
            None => self.to_toml().map(drop),
        }
    }

    fn check_prior(&self) -> Result<(), Failure> {
        let method = self.reconstruction.method();
        let given = [
            ("prior", self.prior.is_some()),
            ("device", self.device.is_some()),
            ("precision", self.precision.is_some()),
        ];
        match given.into_iter().find(|(_, given)| *given && !method.is_learned()) {
            Some((field, _)) => {
                let learned = Method::ALL.iter().filter(|method| method.is_learned()).map(Method::to_string);
                let learned = learned.collect::<Vec<_>>().join(", ");
                Err(miette!("method {method} has no prior and does not read `{field}` (--{field}); {learned} do"))
            }
            None => Ok(()),
        }
    }

    /// The run as TOML.
    pub fn to_toml(&self) -> Result<String, Failure> {
        toml::to_string(self).map_err(|error| miette!("cannot write the run as TOML: {error}"))
    }
}

/// The counts that decide how long a run takes and how much memory its course needs.
fn counts(settings: &Settings) -> Vec<(&'static str, u32)> {
    let trials = |count| ("line_search.max_trials", count);
    match settings {
        Settings::Solved(own) => vec![
            ("steps", own.steps.unwrap_or(1)),
            ("solve_steps", own.solve_steps.max(own.solve_most)),
            ("average", own.average.saturating_mul(own.restart_steps.max(1))),
            trials(own.line_search.max_trials),
        ],
        Settings::Tv(own) => vec![("tv_iterations", own.tv_iterations)],
        other => {
            let of =
                |own: &mut GraduatedSettings| [("steps", own.steps), trials(own.line_search.backtracking.max_trials)];
            other.clone().graduated_mut().map(of).into_iter().flatten().collect()
        }
    }
}

/// The fault of the TOML `text` of `name`, which should describe `what`, and its place.
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
        run.reconstruction = run.reconstruction.with("alpha", toml::Value::Float(3.5)).unwrap();
        let text = run.to_toml().unwrap();
        assert_eq!(toml::from_str::<RunConfig>(&text).unwrap(), run);
        assert!(toml::from_str::<RunConfig>("[reconstruction]\nalhpa = 1").is_err());
    }
}
