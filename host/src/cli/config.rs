//! A run, described by one TOML file; every flag has a field.

use crate::ending::Failure;
use gradus::backend::{DeviceChoice, Precision};
use gradus::ct::Hardening;
use gradus::data::samples::Sample;
use gradus::data::units::StatedUnit;
use gradus::limits::ITERATIONS;
use gradus::prior::embedded;
use gradus::raw::{Choice, RawOptions};
use gradus::reconstruct::{Method, Settings};
use gradus::series::SliceRange;
use gradus::simulate::Simulation;
use miette::{LabeledSpan, NamedSource, miette};
use serde::{Deserialize, Serialize};
use std::path::{Component, Path, PathBuf};

/// A reconstruction run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RunConfig {
    /// A scan, an image or the name of a sample.
    pub input: String,
    /// The unit of an image whose file does not say it: hu, hu+1024, 1/mm, 1/cm or network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<StatedUnit>,
    /// The name of an embedded prior, or a weights file; without it, the one that suits the object; of a list with
    /// commas, or with [`AUTO`] of those that may suit, the one that foretells held-out views best.
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
    /// Views to leave out, by their numbers in the scan, from 0.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub without_views: Vec<usize>,
    /// The angles run the other way than the scan says.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub reverse_angles: bool,
    /// The noise over what the scan says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub noise_times: Option<f64>,
    /// Keep every N-th of these from the reconstruction, and say how well it foretells them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold_out: Option<usize>,
    /// Reconstruct once more under added noise, and say chi squared over what the method leaves of that.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub reduced_fit: bool,
    /// The place where the rotation axis meets the detector, from its middle, in place of what the scan says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detector_offset_mm: Option<Choice<f64>>,
    /// Width in bins of the window that suppresses rings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rings: Option<usize>,
    /// The polynomial that corrects beam hardening.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hardening: Option<Choice<Hardening>>,
    /// The share of the picture's line integrals that the part of it may have which the data do not determine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parts_tolerance: Option<f64>,
    /// An image to compare with, in the unit of the result, in place of the scan's truth.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub truth: Option<PathBuf>,
    /// The slices of a series, all or A:B; without it the input is one slice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slices: Option<SliceRange>,
    /// Facts that raw files leave open; not used for others.
    #[serde(skip_serializing_if = "is_default")]
    pub raw: RawOptions,
    /// The simulated scan of a sample or an image; not used for a scan.
    pub simulation: Simulation,
    /// The method with its settings.
    pub reconstruction: Settings,
}

/// The prior that is to be found from the data.
pub const AUTO: &str = "auto";

/// The priors that a name stands for: itself, or those of a list with commas.
pub fn candidates(names: &str) -> Vec<&str> {
    if Path::new(names).exists() { vec![names] } else { names.split(',').map(str::trim).collect() }
}

fn is_default(raw: &RawOptions) -> bool {
    *raw == RawOptions::default()
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
            without_views: Vec::new(),
            reverse_angles: false,
            noise_times: None,
            hold_out: None,
            reduced_fit: false,
            detector_offset_mm: None,
            rings: None,
            hardening: None,
            parts_tolerance: None,
            truth: None,
            slices: None,
            raw: RawOptions::default(),
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
        let help = "GUIDE.md lists the fields; `gradus reconstruct` writes a complete run.toml into its folder";
        let run: Self =
            toml::from_str(&text).map_err(|error| toml_failure(&name, text.clone(), &error, "a run", help))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        Ok(run.with_paths(|path| folder.join(path)))
    }

    /// The same run for a file in `folder`: paths in it are relative to it, so that both may move together.
    pub fn seen_from(self, folder: &Path) -> Self {
        self.with_paths(|path| std::path::absolute(path).map_or(path.to_owned(), |path| relative(&path, folder)))
    }

    /// The same run with other paths in place of those that are relative. Names of samples and embedded priors are
    /// none.
    fn with_paths(mut self, replace: impl Fn(&Path) -> PathBuf) -> Self {
        let replace = |path: &Path| if path.is_relative() { replace(path) } else { path.to_owned() };
        let in_text = |text: &mut String| {
            // What is no text cannot be written into a file of a run.
            if let Some(replaced) = replace(Path::new(text)).to_str() {
                *text = replaced.to_owned();
            }
        };
        if Sample::parse(&self.input).is_none() {
            in_text(&mut self.input);
        }
        if let Some(names) = &mut self.prior {
            let mut names_of_all: Vec<String> = candidates(names).into_iter().map(str::to_owned).collect();
            let files = names_of_all.iter_mut().filter(|name| *name != AUTO && embedded(name).is_none());
            files.for_each(in_text);
            *names = names_of_all.join(",");
        }
        self.truth = self.truth.map(|path| replace(&path));
        self
    }

    /// Refuses what only methods with a prior read, where the method has none; counts beyond any run's; and what cannot
    /// be written down.
    pub fn check(&self) -> Result<(), Failure> {
        self.check_prior()?;
        if let Some(tolerance) = self.parts_tolerance.filter(|tolerance| !(1e-6..1.0).contains(tolerance)) {
            return Err(miette!("parts_tolerance is {tolerance}; give a share from 1e-6 to 1, such as 1e-5"));
        }
        if self.reduced_fit && self.slices.is_some() {
            return Err(miette!("reduced_fit is for one slice, not for a series; leave out --reduced-fit or --slices"));
        }
        match counts(&self.reconstruction).into_iter().find(|(_, count)| *count > ITERATIONS.into()) {
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

/// The way from `folder` to `path`, both absolute.
fn relative(path: &Path, folder: &Path) -> PathBuf {
    let shared = path.components().zip(folder.components()).take_while(|(a, b)| a == b).count();
    let up = folder.components().skip(shared).map(|_| Component::ParentDir);
    up.chain(path.components().skip(shared)).collect()
}

/// The counts that decide how long a run takes and how much memory its course needs, those that the settings name.
fn counts(settings: &Settings) -> Vec<(&'static str, i64)> {
    let fields = toml::Table::try_from(settings).unwrap_or_default();
    let count = |field: &str| fields.get(field).and_then(toml::Value::as_integer);
    let search = fields.get("line_search").and_then(|search| search.get("max_trials")?.as_integer());
    let each = count("restart_steps").or_else(|| count("steps")).unwrap_or(1).max(1);
    let alone = ["steps", "solve_steps", "solve_most", "tv_iterations"].map(|field| (field, count(field)));
    let named = alone.into_iter().chain([
        ("average", count("average").map(|runs| runs.saturating_mul(each))),
        ("line_search.max_trials", search),
    ]);
    named.filter_map(|(field, count)| Some((field, count?))).collect()
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

    #[test]
    fn paths_lead_from_the_file_of_the_run() {
        let run = RunConfig {
            input: "data/stack.npz:[3]".into(),
            prior: Some("ct".into()),
            truth: Some("/truth.npy".into()),
            ..RunConfig::default()
        };
        let here = std::env::current_dir().unwrap();
        let seen = run.clone().seen_from(&here.join("runs/one"));
        assert_eq!((seen.input.as_str(), seen.prior.as_deref()), ("../../data/stack.npz:[3]", Some("ct")));
        assert_eq!(seen.truth, run.truth);
        assert_eq!(RunConfig::default().seen_from(Path::new("/")), RunConfig::default(), "a sample is no path");
        assert_eq!(relative(Path::new("/a/b/c"), Path::new("/a/d")), Path::new("../b/c"));
    }
}
