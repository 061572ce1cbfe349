//! `gradus simulate`: an image in, a measured sinogram with its geometry out.

use crate::ending::{End, Failure};
use crate::flags::{by_name, replace};
use crate::problem::{scanned, subject};
use crate::terminal::Terminal;
use gradus::ct::Detector;
use gradus::data::units::StatedUnit;
use gradus::simulate::Simulation;
use miette::{IntoDiagnostic, miette};
use serde_json::json;
use std::path::PathBuf;

/// The simulated scan of a sample or an image.
#[derive(Debug, clap::Args)]
pub struct SimulationArguments {
    /// Number of views [default: 60]
    #[arg(long, value_name = "N", help_heading = "Simulated scans")]
    angles: Option<usize>,
    /// Degrees over which the views are spread [default: 180, and 360 for a fan]
    #[arg(long, value_name = "DEGREES", allow_negative_numbers = true, help_heading = "Simulated scans")]
    arc_deg: Option<f64>,
    /// A fan beam: from its source to the rotation axis
    #[arg(long, value_name = "MM", help_heading = "Simulated scans")]
    source_to_axis_mm: Option<f64>,
    /// From the source of a fan to the detector [default: as to the axis]
    #[arg(long, value_name = "MM", help_heading = "Simulated scans")]
    source_to_detector_mm: Option<f64>,
    /// Shape of a fan's detector: flat or curved [default: flat]
    #[arg(long, value_parser = by_name::<Detector>, value_name = "SHAPE", help_heading = "Simulated scans")]
    detector: Option<Detector>,
    /// Gaussian noise, relative to the mean of the line integrals [default: 0.1]
    #[arg(long, value_name = "SHARE", help_heading = "Simulated scans", conflicts_with = "photons")]
    noise: Option<f64>,
    /// Poisson noise from this many photons a bin, in place of Gaussian noise
    #[arg(long, value_name = "I0", help_heading = "Simulated scans")]
    photons: Option<f64>,
    /// Seed of the noise [default: 1]
    #[arg(long, value_name = "SEED", help_heading = "Simulated scans")]
    noise_seed: Option<u64>,
    /// Parts that each side of a pixel, and each bin, is divided into, so that the scan is not made by the very
    /// operator that reconstructs it [default: 1]
    #[arg(long, value_name = "N", help_heading = "Simulated scans")]
    parts: Option<usize>,
}

impl SimulationArguments {
    /// The first flag that was given.
    pub fn given(&self) -> Option<&'static str> {
        let flags = [
            ("--angles", self.angles.is_some()),
            ("--arc-deg", self.arc_deg.is_some()),
            ("--source-to-axis-mm", self.source_to_axis_mm.is_some()),
            ("--source-to-detector-mm", self.source_to_detector_mm.is_some()),
            ("--detector", self.detector.is_some()),
            ("--parts", self.parts.is_some()),
            ("--noise", self.noise.is_some()),
            ("--photons", self.photons.is_some()),
            ("--noise-seed", self.noise_seed.is_some()),
        ];
        flags.into_iter().find(|(_, given)| *given).map(|(flag, _)| flag)
    }

    /// Overwrites what the flags give; photons of before are no noise of now.
    pub fn apply(&self, simulation: &mut Simulation) {
        replace(&mut simulation.angles, &self.angles);
        replace(&mut simulation.noise, &self.noise);
        replace(&mut simulation.seed, &self.noise_seed);
        replace(&mut simulation.parts, &self.parts);
        simulation.photons = self.photons.or(simulation.photons.filter(|_| self.noise.is_none()));
        simulation.arc_deg = self.arc_deg.or(simulation.arc_deg);
        simulation.source_to_axis_mm = self.source_to_axis_mm.or(simulation.source_to_axis_mm);
        simulation.source_to_detector_mm = self.source_to_detector_mm.or(simulation.source_to_detector_mm);
        simulation.detector = self.detector.or(simulation.detector);
    }
}

/// Image to scan.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// An image (npy, npz, DICOM, PNG, TIFF) or a sample (ellipses:SEED, disc:SEED, spine)
    image: String,
    /// The scan to write, an npz file that does not exist yet
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// The unit of an image whose file does not say it: hu, hu+1024, 1/mm, 1/cm or network [default: network, 0 to 1]
    #[arg(long)]
    unit: Option<StatedUnit>,
    /// Seed of the noise [default: 1]
    #[arg(long, conflicts_with = "noise_seed")]
    seed: Option<u64>,
    #[command(flatten)]
    simulation: SimulationArguments,
}

/// Runs the command.
pub fn run(arguments: &Arguments, terminal: &Terminal) -> Result<End, Failure> {
    let path = &arguments.output;
    if path.exists() {
        return Err(miette!("{} exists already; name a new file with --output", path.display()));
    }
    let mut simulation = Simulation::default();
    arguments.simulation.apply(&mut simulation);
    replace(&mut simulation.seed, &arguments.seed);
    let subject = subject(&arguments.image, arguments.unit)?;
    subject.warnings.iter().for_each(|warning| terminal.warn(warning));
    let scan = scanned(&subject, &simulation)?;
    scan.write(path).into_diagnostic()?;
    let (n_angles, n_bins) = (scan.geometry.angles_rad.len(), scan.geometry.n_bins);
    terminal.report(&json!({
        "output": path.display().to_string(), "angles": n_angles, "bins": n_bins, "noise_std": scan.noise_std,
        "photons": scan.photons,
    }))?;
    terminal.say(&format!("{}: {n_angles} views of {n_bins} bins of {}", path.display(), arguments.image))?;
    Ok(End::Done)
}
