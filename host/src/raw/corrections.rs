//! Corrections of a scan before it is reconstructed: rings, the rotation axis, beam hardening.
use crate::ct::{
    AxisError, FoundAxis, Geometry, Hardening, HardeningError, ProjectionError, find_axis, suppress_rings,
};
use crate::data::scan::Scan;
use serde::{Deserialize, Serialize};

/// A value that is given, or found from the data.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a value, or \"auto\"")]
pub enum Choice<T> {
    /// Found from the data.
    Auto(Auto),
    /// Given.
    Given(T),
}

/// The word for what is found from the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Auto {
    /// Found from the data.
    Auto,
}

/// The corrections of a scan, each made where it is asked for.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Corrections {
    /// Width in bins of the window that suppresses rings.
    pub rings: Option<usize>,
    /// Place of the rotation axis on the detector, from its middle.
    pub detector_offset_mm: Option<Choice<f64>>,
    /// Nobody says where the axis is: it is found where the data tell it, and else in the detector's middle.
    pub axis_is_open: bool,
    /// The polynomial for beam hardening; found from a scan of a homogeneous object.
    pub hardening: Option<Choice<Hardening>>,
}

/// A correction that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum CorrectionError {
    /// That of rings.
    #[error("--rings {window}: the window is from 3 bins to the detector's {n_bins}")]
    Window {
        /// The window.
        window: usize,
        /// Bins of the detector.
        n_bins: usize,
    },
    /// A sinogram that does not fit.
    #[error(transparent)]
    Length(#[from] ProjectionError),
    /// The axis.
    #[error("--detector-offset-mm auto cannot be used")]
    Axis(#[from] AxisError),
    /// Beam hardening.
    #[error("--hardening auto cannot be used")]
    Hardening(#[from] HardeningError),
}

impl Corrections {
    /// Corrects the scan: rings first, then the axis, on which the fit for beam hardening depends. What was found takes
    /// the place of `auto`, so that the same corrections made again give the same bits; what was done is added to the
    /// scan's note.
    ///
    /// # Errors
    /// [`CorrectionError`] says which correction cannot be made.
    pub fn apply(&mut self, scan: &mut Scan) -> Result<(), CorrectionError> {
        let geometry = &mut scan.geometry;
        let mut notes = Vec::new();
        if let Some(window) = self.rings {
            if !(3..=geometry.n_bins).contains(&window) {
                return Err(CorrectionError::Window { window, n_bins: geometry.n_bins });
            }
            suppress_rings(geometry, window, &mut scan.sinogram)?;
            notes.push(format!("rings suppressed by sorting, window {window} bins"));
        }
        notes.extend(self.place_axis(geometry, &scan.sinogram)?);
        let hardening = match self.hardening.take() {
            Some(Choice::Auto(_)) => Some(Hardening::of_homogeneous(geometry, &scan.sinogram)?),
            Some(Choice::Given(hardening)) => Some(hardening),
            None => None,
        };
        if let Some(hardening) = hardening {
            hardening.correct(&mut scan.sinogram);
            notes.push(format!("beam hardening corrected by {hardening}"));
            self.hardening = Some(Choice::Given(hardening));
        }
        for note in notes {
            scan.note = if scan.note.is_empty() { note.clone() } else { format!("{}; {note}", scan.note) };
            scan.warnings.push(note);
        }
        Ok(())
    }

    /// Puts the axis where it is given, or found; what is to be noted.
    fn place_axis(&mut self, geometry: &mut Geometry, sinogram: &[f32]) -> Result<Option<String>, AxisError> {
        let note = match self.detector_offset_mm {
            Some(Choice::Given(offset_mm)) => {
                geometry.detector_offset_mm = offset_mm;
                return Ok(None);
            }
            None if !self.axis_is_open => return Ok(None),
            _ => match find_axis(geometry, sinogram) {
                Ok(FoundAxis { detector_offset_mm, uncertainty_mm }) => {
                    geometry.detector_offset_mm = detector_offset_mm;
                    let bin = geometry.bin_at(0.0);
                    format!(
                        "rotation axis found at bin {bin:.2}, detector_offset_mm {detector_offset_mm:.4} +- \
                         {uncertainty_mm:.4}"
                    )
                }
                Err(error) if self.detector_offset_mm.is_none() => {
                    format!("the rotation axis is assumed in the detector's middle: {error} (--detector-offset-mm)")
                }
                Err(error) => return Err(error),
            },
        };
        self.detector_offset_mm = Some(Choice::Given(geometry.detector_offset_mm));
        Ok(Some(note))
    }
}
