//! Statements of a user about raw files that these cannot make.
use crate::data::scan::ScanProblem;
use crate::limits::LENGTH_MM;
use serde::{Deserialize, Serialize};

/// Facts that raw files leave open.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawOptions {
    /// The detector's row to take, counted from 0; without it the middle one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row: Option<usize>,
    /// Degrees that evenly spaced views are spread over; says that a TIFF is a sinogram.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub turn_deg: Option<f64>,
    /// Distance from bin to bin, where the file does not say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bin_width_mm: Option<f64>,
}

/// Without a width of bins, results are in 1/bin.
const ASSUMED_MM: f64 = 1.0;

impl RawOptions {
    /// The row to take out of so many.
    pub(super) fn row_of(&self, n_rows: usize) -> Result<usize, ScanProblem> {
        let row = self.row.unwrap_or(n_rows.saturating_sub(1) / 2);
        if row < n_rows {
            return Ok(row);
        }
        Err(ScanProblem::Value { field: "row", value: row.to_string(), rule: "a row that the detector has, from 0" })
    }

    pub(super) fn bin_width_mm(&self) -> f64 {
        self.bin_width_mm.unwrap_or(ASSUMED_MM)
    }

    /// Says that the width of bins is assumed.
    pub(super) fn assumed_bin_width(&self) -> Option<String> {
        let assumed = || format!("no width of bins is given: {ASSUMED_MM} mm is assumed (--bin-width-mm)");
        self.bin_width_mm.is_none().then(assumed)
    }

    /// Angles of so many evenly spaced views.
    pub(super) fn angles_rad(&self, n_views: usize, assumed_deg: f64) -> Vec<f64> {
        let turn = self.turn_deg.unwrap_or(assumed_deg).to_radians();
        (0..n_views).map(|view| turn * view as f64 / n_views as f64).collect()
    }

    /// Refuses a field that the file leaves no room for.
    pub(super) fn refuse(&self, field: &'static str, why: &'static str) -> Result<(), ScanProblem> {
        let given =
            [("row", self.row.map(|row| row as f64)), ("turn_deg", self.turn_deg), ("bin_width_mm", self.bin_width_mm)];
        match given.into_iter().find(|(name, value)| *name == field && value.is_some()) {
            Some((_, Some(value))) => Err(ScanProblem::NotNeeded { field, value: value.to_string(), why }),
            _ => Ok(()),
        }
    }

    /// Refuses all fields.
    pub(super) fn refuse_all(&self, why: &'static str) -> Result<(), ScanProblem> {
        ["row", "turn_deg", "bin_width_mm"].into_iter().try_for_each(|field| self.refuse(field, why))
    }

    /// Checks the numbers.
    ///
    /// # Errors
    /// [`ScanProblem::Value`] names the first that makes no sense.
    pub fn validate(&self) -> Result<(), ScanProblem> {
        let fields = [("turn_deg", self.turn_deg, -720.0..=720.0), ("bin_width_mm", self.bin_width_mm, LENGTH_MM)];
        for (field, value, range) in fields {
            if let Some(value) = value.filter(|value| !range.contains(value) || *value == 0.0) {
                let rule = "from -720 to 720 degrees and not 0; from 1e-6 to 1e4 mm";
                return Err(ScanProblem::Value { field, value: value.to_string(), rule });
            }
        }
        Ok(())
    }
}
