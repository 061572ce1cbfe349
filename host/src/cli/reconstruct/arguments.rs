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
use gradus::series::SliceRange;
use std::path::PathBuf;

/// Every flag has a field in the TOML file of a run; flags win.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A scan (npz, or a folder with scan.toml), a raw measurement (see `gradus convert`), a sample (ellipses:SEED,
    /// disc:SEED, spine) or an image (npy, npz, DICOM, PNG, TIFF); samples and images are scanned first; with
    /// --slices a series of either [default: ellipses:1]
    #[arg(value_name = "SCAN")]
    input: Option<String>,
    /// Reconstruct a series, slice by slice: all, or A:B for slices A to before B, counted from 0. SCAN is then a
    /// folder of DICOM slices, a stack [slice][row][col] (npy, npz, TIFF pages, frames of a DICOM file), an npz scan
    /// whose sinogram is [slice][view][bin], or raw projections (DXchange HDF5), whose rows are the slices. The same
    /// command with the same --output goes on where it was ended
    #[arg(long, value_name = "all|A:B")]
    slices: Option<SliceRange>,
    /// Write the volume of a series in this format, too: nifti [default: npy, and DICOM where DICOM went in]
    #[arg(long, value_name = "FORMAT", value_parser = by_name::<Format>, requires = "slices")]
    pub format: Option<Format>,
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
    /// Factors of a GPU's convolutions: full (f32, which tensor cores make of three products where they are faster,
    /// on cards of compute capability 8.0, 9.0 and 10.0) or tf32 (rounded to 10 bits after the point, one product; a
    /// network's result differs by 2e-3 at most, whole runs with it have been made on no GPU yet, and the tests of
    /// descent judge f as computed with it) [default: full]
    #[arg(long, value_parser = by_name::<Precision>)]
    precision: Option<Precision>,
    /// Prior: the name of an embedded one (ellipses, ct, disc) or a weights file; several of them with commas, or auto
    /// for the embedded ones that may suit, are tried without every fifth view, and the one that foretells these best
    /// is taken [default: ct for images in HU and for scans that do not say what suits them, disc for discs, ellipses
    /// otherwise]
    #[arg(long, value_name = "NAME|FILE|auto")]
    prior: Option<String>,
    #[command(flatten)]
    settings: GivenFields,
    /// Use every N-th view of the scan [default: 1]
    #[arg(long, value_name = "N", help_heading = "Scan")]
    every_view: Option<usize>,
    /// Leave these views out, by their numbers in the scan, from 0
    #[arg(long, value_name = "VIEW,...", value_delimiter = ',', help_heading = "Scan")]
    without_views: Vec<usize>,
    /// Turn the angles of the views the other way
    #[arg(long, help_heading = "Scan")]
    reverse_angles: bool,
    /// Take the noise to be this many times what the scan says
    #[arg(long, value_name = "FACTOR", help_heading = "Scan")]
    noise_times: Option<f64>,
    /// Keep every N-th view from the reconstruction, and say how well its image explains these: no prior flatters this
    /// check. With several priors the one that does best in it is taken
    #[arg(long, value_name = "N", help_heading = "Scan")]
    hold_out: Option<usize>,
    /// Reconstruct once more with noise added, and say chi squared over what the method leaves of that noise (reduced
    /// chi squared): of few views, too, it is 1 where the noise is as stated
    #[arg(long)]
    reduced_fit: bool,
    #[command(flatten)]
    scan: ScanArguments,
    /// Solve for the part of the picture that the data determine until the rest has this share of the line integrals,
    /// such as 1e-5 [default: what 16 steps leave]
    #[arg(long, value_name = "SHARE")]
    parts_tolerance: Option<f64>,
    /// An image to compare with, in the unit of the result, such as the image.npy of another run
    #[arg(long, value_name = "IMAGE", help_heading = "Scan")]
    truth: Option<PathBuf>,
    #[command(flatten)]
    pub simulation: SimulationArguments,
}

/// A format of volumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Of neuroimaging.
    Nifti,
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
        if !self.without_views.is_empty() {
            run.without_views.clone_from(&self.without_views);
        }
        run.reverse_angles |= self.reverse_angles;
        run.noise_times = self.noise_times.or(run.noise_times);
        run.hold_out = self.hold_out.or(run.hold_out);
        run.reduced_fit |= self.reduced_fit;
        run.parts_tolerance = self.parts_tolerance.or(run.parts_tolerance);
        if !run.reconstruction.method().is_learned() {
            // What the file says for a learned method is of no use to another.
            (run.prior, run.device, run.precision) = (None, None, None);
        }
        run.prior = self.prior.clone().or(run.prior);
        run.device = self.device.or(run.device);
        run.precision = self.precision.or(run.precision);
        run.slices = self.slices.or(run.slices);
        self.scan.apply(&mut run);
        run.truth = self.truth.clone().or(run.truth);
        self.simulation.apply(&mut run.simulation);
        run.check()?;
        Ok(run)
    }
}
