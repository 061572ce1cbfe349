//! Scans from files and to files.
use super::atomic::write_atomically;
use super::file_error::{AtPath, ImageProblem};
use super::scan::{SCAN_TOML, Scan, ScanError, ScanProblem};
use super::{scan_npz, scan_toml};
use crate::read::{open, read_file};
use std::path::Path;

impl Scan {
    /// Reads a scan from an npz file, or from a folder with a `scan.toml`.
    ///
    /// An npz has the fields of [`Scan`] and [`Geometry`](crate::ct::Geometry) by name. `sinogram` `[angle][bin]` and
    /// `angles_rad` are needed; whatever else is missing is assumed and said so in [`Scan::warnings`]. Names of other
    /// programs are understood for three fields: `sino`, `theta` (in degrees, as those programs have it, unless it is
    /// within a turn in radians), and `centre_px` (the bin in which the rotation axis is seen). A text `unit` is that
    /// of `truth`: `hu`, `1/mm`, `1/cm` or `network`.
    ///
    /// With `source_to_axis_mm` and `source_to_detector_mm` the scan is a fan's, and `detector` is `flat` (assumed) or
    /// `curved`.
    ///
    /// A `scan.toml` has the same fields; `sinogram` and `truth` name files beside it (`angles_rad` may, too). With
    /// `counts = true` the sinogram's file holds photon counts, of which -log(counts / photons) is taken.
    ///
    /// # Errors
    /// [`ScanError`] names file and field.
    ///
    /// # Examples
    /// ```
    /// use gradus::data::{ellipses::ellipses, scan::Scan};
    /// use gradus::simulate::{Simulation, simulate};
    ///
    /// # let folder = std::env::temp_dir().join(format!("gradus-doc-{}", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// let file = folder.join("scan.npz");
    /// simulate(&ellipses(1, 32), 1.0, &Simulation::default())?.write(&file)?;
    /// let scan = Scan::read(&file)?;
    /// assert_eq!(scan.geometry.angles_rad.len(), 60);
    /// assert!(scan.warnings.is_empty()); // nothing had to be assumed
    /// # std::fs::remove_dir_all(&folder)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn read(path: impl AsRef<Path>) -> Result<Self, ScanError> {
        let path = path.as_ref();
        if path.is_dir() {
            return scan_toml::read(path);
        }
        if path.file_name().is_some_and(|name| name == SCAN_TOML) {
            return scan_toml::read(path.parent().unwrap_or(Path::new("")));
        }
        let bytes = read_file(path).map_err(|e| ScanProblem::from(ImageProblem::Read(e))).at(path)?;
        scan_npz::decode(bytes).at(path)
    }

    /// Writes the scan as an npz file. Reading it back gives the same bits; the warnings are not kept.
    ///
    /// # Errors
    /// Those of [`Scan::validate`] and of the file system; then no file is left behind.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<(), ScanError> {
        let path = path.as_ref();
        self.validate().at(path)?;
        let bytes = scan_npz::encode(self).at(path)?;
        write_atomically(path, &bytes).map_err(|e| ScanProblem::from(ImageProblem::Write(e))).at(path)
    }

    /// True if `path` is a folder with a `scan.toml`, that file, or an npz archive with a sinogram or angles in it; an
    /// archive without either is an image, and so is an array of one that is named by `FILE.npz:NAME`.
    ///
    /// # Errors
    /// [`ScanError`] when the file cannot be read.
    pub fn is_at(path: impl AsRef<Path>) -> Result<bool, ScanError> {
        let path = path.as_ref();
        if path.file_name().is_some_and(|name| name == SCAN_TOML) {
            return Ok(true);
        }
        if path.is_dir() {
            return Ok(path.join(SCAN_TOML).exists());
        }
        if !path.exists() {
            return Ok(false);
        }
        open(path).map_err(|e| ScanProblem::from(ImageProblem::Read(e))).at(path)?;
        Ok(scan_npz::holds_scan(path))
    }
}
