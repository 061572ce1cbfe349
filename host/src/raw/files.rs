//! Raw files, told apart by their contents.
use super::options::RawOptions;
use super::{ct_data, dxchange, matlab, matlab73, pictures};
use crate::data::file_error::{AtPath, Cause, ImageProblem};
use crate::data::hdf5::{self, Hdf5, head};
use crate::data::hdf5_images::has_images;
use crate::data::scan::{SCAN_TOML, Scan, ScanError, ScanProblem};
use std::path::Path;

/// True if there is a raw measurement at `path`: HDF5 that holds no images, MATLAB, or a folder of TIFF projections
/// with flats; a TIFF file is one where `options` say how far its views turn, and an image otherwise.
#[must_use]
pub fn is_raw(path: impl AsRef<Path>, options: &RawOptions) -> bool {
    let path = path.as_ref();
    if path.is_dir() {
        return !path.join(SCAN_TOML).exists() && pictures::has_projections(path);
    }
    let head = head(path);
    hdf5::is_hdf5(&head) && !has_images(path)
        || matlab::is_matlab(&head)
        || pictures::is_tiff(path) && options.turn_deg.is_some()
}

/// True if a raw measurement says where the rotation axis is: MATLAB files are of scanners that are adjusted.
#[must_use]
pub fn says_axis(path: impl AsRef<Path>) -> bool {
    head(path.as_ref()).starts_with(b"MATLAB")
}

/// The scan in a raw file or folder; what was assumed is in its warnings.
///
/// # Errors
/// [`ScanError`] names file and field.
pub fn read_raw(path: impl AsRef<Path>, options: &RawOptions) -> Result<Scan, ScanError> {
    let path = path.as_ref();
    options.validate().at(path)?;
    if path.is_dir() {
        return pictures::folder(path, options);
    }
    if pictures::is_tiff(path) {
        options.refuse("row", "a sinogram is of one row").at(path)?;
        return pictures::sinogram(path, options);
    }
    let head = head(path);
    if hdf5::is_hdf5(&head) {
        let file =
            Hdf5::open(path).map_err(|cause| ScanProblem::from(ImageProblem::damaged("HDF5", cause))).at(path)?;
        if !file.has("exchange/data") && hdf5::is_matlab73(&head) {
            options.refuse_all("the file says it").at(path)?;
            let variables = matlab73::read(&file).map_err(damaged).at(path)?;
            return ct_data::scan(&variables).at(path);
        }
        return dxchange::read(&file, options).at(path);
    }
    if matlab::is_matlab(&head) {
        options.refuse_all("the file says it").at(path)?;
        return ct_data::read(path);
    }
    let advice = "give HDF5 (DXchange), MATLAB (CtData), a TIFF sinogram, or a folder of TIFF projections with flats";
    Err(ScanProblem::from(ImageProblem::unsupported("no raw measurement", advice))).at(path)
}

fn damaged(cause: Cause) -> ScanProblem {
    ImageProblem::damaged("MATLAB", cause).into()
}
