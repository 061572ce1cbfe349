//! The flags of `gradus reconstruct`, and the run that they describe together with a file.

use super::settings::GivenFields;
use crate::config::RunConfig;
use crate::ending::Failure;
use crate::flags::{by_name, replace};
use crate::scan_flags::ScanArguments;
use crate::simulate::SimulationArguments;
use gradus::backend::{DeviceChoice, Precision};
use gradus::data::units::StatedUnit;
use gradus::reconstruct::Method;
use std::path::PathBuf;

/// Every flag has a field in the TOML file of a run; flags win.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A scan (npz, or a folder with scan.toml), a raw measurement (see `gradus convert`), a sample (ellipses:SEED,
    /// disc:SEED, spine) or an image (npy, npz, DICOM, PNG,
    /// TIFF); samples and images are scanned first [default: ellipses:1]
    #[arg(value_name = "SCAN")]
    input: Option<String>,
    /// The unit of an image whose file does not say it: hu, hu+1024, 1/mm, 1/cm or network [default: network, 0 to 1]
    #[arg(long)]
    unit: Option<StatedUnit>,
    /// A run described by a TOML file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder of the results, new or empty [default: runs/INPUT-METHOD]
    #[arg(long, short, value_name = "DIR")]
    pub output: Option<PathBuf>,
    #[arg(long, value_parser = by_name::<Method>, help = methods())]
    method: Option<Method>,
    /// Device of learned methods: auto, cpu or cuda:N [default: auto, which is cuda:0 where that passes its checks]
    #[arg(long)]
    device: Option<DeviceChoice>,
    /// Factors of a GPU's convolutions: full (f32) or tf32 (rounded to 10 bits after the point, on tensor
    /// cores; a network's result differs by 2e-3 at most, whole runs with it have been made on no GPU yet, and the
    /// tests of descent judge f as computed with it) [default: full]
    #[arg(long, value_parser = by_name::<Precision>)]
    precision: Option<Precision>,
    /// Prior: the name of an embedded one (ellipses, ct) or a weights file [default: ct for images in HU and for scans
    /// that do not say what suits them, ellipses otherwise]
    #[arg(long, value_name = "NAME|FILE")]
    prior: Option<String>,
    #[command(flatten)]
    settings: GivenFields,
    /// Use every N-th view of the scan [default: 1]
    #[arg(long, value_name = "N", help_heading = "Scan")]
    every_view: Option<usize>,
    #[command(flatten)]
    scan: ScanArguments,
    /// An image to compare with, in the unit of the result, such as the image.npy of another run
    #[arg(long, value_name = "IMAGE", help_heading = "Scan")]
    truth: Option<PathBuf>,
    #[command(flatten)]
    pub simulation: SimulationArguments,
}

/// The help of `--method`.
fn methods() -> String {
    let rows = Method::ALL.map(|method| format!("{method} ({})", method.summary())).join("; ");
    let default = Method::default();
    format!("Method: {rows} [default: {default}]. Another one than that of --config starts from its own defaults")
}

impl Arguments {
    /// The run that the file and the flags describe together.
    pub fn run_config(&self) -> Result<RunConfig, Failure> {
        let mut run = self.config.as_deref().map_or_else(|| Ok(RunConfig::default()), RunConfig::read)?;
        run.reconstruction = self.settings.set(self.method, run.reconstruction)?;
        replace(&mut run.input, &self.input);
        run.unit = self.unit.or(run.unit);
        replace(&mut run.every_view, &self.every_view);
        run.prior = self.prior.clone().or(run.prior);
        run.device = self.device.or(run.device);
        run.precision = self.precision.or(run.precision);
        self.scan.apply(&mut run);
        run.truth = self.truth.clone().or(run.truth);
        self.simulation.apply(&mut run.simulation);
        run.check()?;
        Ok(run)
    }
}
