//! The flags that say what a scan's files do not, and what is put right in it.

use crate::config::RunConfig;
use crate::flags::replace;
use gradus::ct::Hardening;
use gradus::raw::{Auto, Choice};
use std::fmt::Display;
use std::str::FromStr;

/// Width in bins of the window that suppresses rings, where none is given.
const RINGS: &str = "21";

/// The flags about a scan.
#[derive(Debug, clap::Args)]
pub struct ScanArguments {
    /// Place where the rotation axis meets the detector, from its middle; `auto` finds it from the data [default: what
    /// the scan says, and auto for raw HDF5 and TIFF files]
    #[arg(long, value_name = "MM|auto", value_parser = choice::<f64>, help_heading = "Scan")]
    detector_offset_mm: Option<Choice<f64>>,
    /// Suppress rings in the sinogram by sorting, with a window of this many bins [default: off; 21 where no width is
    /// given]
    #[arg(long, value_name = "BINS", num_args = 0..=1, require_equals = true, default_missing_value = RINGS)]
    #[arg(help_heading = "Scan")]
    rings: Option<usize>,
    /// Correct beam hardening by the polynomial C1 y + C2 y^2 + ...; `auto` finds one for which a homogeneous object is
    /// flat and the air around it empty, and says it [default: off]
    #[arg(long, value_name = "C1,C2,...|auto", value_parser = choice::<Hardening>, help_heading = "Scan")]
    hardening: Option<Choice<Hardening>>,
    /// Row of the detector to take from raw projections, counted from 0 [default: the middle one]
    #[arg(long, value_name = "ROW", help_heading = "Raw files")]
    row: Option<usize>,
    /// Degrees that the views of TIFF files are spread over evenly; a TIFF file is then a sinogram [default: 180]
    #[arg(long, value_name = "DEG", help_heading = "Raw files")]
    turn_deg: Option<f64>,
    /// Distance from bin to bin in HDF5 and TIFF files, which do not say it [default: 1]
    #[arg(long, value_name = "MM", help_heading = "Raw files")]
    bin_width_mm: Option<f64>,
}

impl ScanArguments {
    /// Overwrites what the flags give.
    pub fn apply(&self, run: &mut RunConfig) {
        run.detector_offset_mm = self.detector_offset_mm.or(run.detector_offset_mm);
        run.rings = self.rings.or(run.rings);
        run.hardening = self.hardening.clone().or_else(|| run.hardening.take());
        replace(&mut run.raw.row, &self.row.map(Some));
        replace(&mut run.raw.turn_deg, &self.turn_deg.map(Some));
        replace(&mut run.raw.bin_width_mm, &self.bin_width_mm.map(Some));
    }
}

/// A value, or `auto`.
fn choice<T: FromStr<Err: Display>>(text: &str) -> Result<Choice<T>, String> {
    if text == "auto" {
        return Ok(Choice::Auto(Auto::Auto));
    }
    text.parse().map(Choice::Given).map_err(|error| format!("{error}, or `auto`"))
}
