//! `gradus convert`: a raw measurement in, a scan out.

use crate::config::RunConfig;
use crate::ending::{End, Failure};
use crate::problem::problem;
use crate::scan_flags::ScanArguments;
use crate::terminal::Terminal;
use gradus::data::scan::Scan;
use gradus::raw::is_raw;
use miette::{IntoDiagnostic, miette};
use serde_json::json;
use std::path::PathBuf;

/// Measurement to convert.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// HDF5 (DXchange), MATLAB (CtData of HTC 2022 and FIPS), a TIFF sinogram, a folder of TIFF projections with flats,
    /// or a scan to correct
    input: String,
    /// The scan to write, an npz file that does not exist yet
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    scan: ScanArguments,
}

/// Runs the command.
pub fn run(arguments: &Arguments, terminal: &Terminal) -> Result<End, Failure> {
    let path = &arguments.output;
    if path.exists() {
        return Err(miette!("{} exists already; name a new file with --output", path.display()));
    }
    let mut run = RunConfig { input: arguments.input.clone(), ..RunConfig::default() };
    arguments.scan.apply(&mut run);
    if !is_raw(&run.input, &run.raw) && !Scan::is_at(&run.input).into_diagnostic()? {
        return Err(miette!(
            "{} is neither a raw measurement nor a scan; of a TIFF sinogram say --turn-deg, and scan an image by \
             `gradus simulate`",
            run.input
        ));
    }
    let scan = problem(&mut run)?.scan;
    scan.warnings.iter().for_each(|warning| terminal.warn(warning));
    scan.write(path).into_diagnostic()?;
    let geometry = &scan.geometry;
    let (n_angles, n_bins) = (geometry.angles_rad.len(), geometry.n_bins);
    terminal.report(&json!({
        "output": path.display().to_string(), "angles": n_angles, "bins": n_bins, "photons": scan.photons,
        "detector_offset_mm": geometry.detector_offset_mm, "axis_bin": geometry.bin_at(0.0), "note": scan.note,
        "assumed": scan.warnings,
    }))?;
    terminal.say(&format!("{}: {n_angles} views of {n_bins} bins of {}", path.display(), run.input))?;
    Ok(End::Done)
}
