//! Volumes as NIfTI files.
use super::volume::Volume;
use crate::data::dicom_source::DicomSource;
use ndarray::aview0;
use nifti::NiftiHeader;
use nifti::writer::WriterOptions;
use std::fs::{self, OpenOptions};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::Path;

/// Bytes before the data: header, and no extension.
const START: u64 = 352;
/// The code of mm among units, and of the scanner's coordinates among transforms.
const MM: u8 = 2;
const SCANNER: i16 = 1;

/// The place of a volume in the patient's coordinates of DICOM, which lead to left, posterior and head, in mm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Placement {
    /// The middle of the first pixel of the first slice.
    pub origin: [f64; 3],
    /// From a column to the next.
    pub column: [f64; 3],
    /// From a row to the next.
    pub row: [f64; 3],
    /// From a slice to the next.
    pub slice: [f64; 3],
}

impl Placement {
    /// The place of `n_slices` slices with pixels of side `pixel_mm`, between the first and the last.
    #[must_use]
    pub fn between(first: &DicomSource, last: &DicomSource, n_slices: usize, pixel_mm: f64) -> Option<Self> {
        let ([origin, column, row], [end, ..]) = (first.axes()?, last.axes()?);
        let steps = n_slices.saturating_sub(1).max(1) as f64;
        let slice = if n_slices > 1 { [0, 1, 2].map(|k| (end[k] - origin[k]) / steps) } else { first.normal()? };
        Some(Self { origin, column: column.map(|d| d * pixel_mm), row: row.map(|d| d * pixel_mm), slice })
    }

    /// The rows of the matrix from (column, row, slice) to mm in NIfTI's coordinates, which lead to right and anterior.
    fn matrix(&self) -> [[f32; 4]; 3] {
        let line = |axis: usize| {
            let sign = if axis < 2 { -1.0 } else { 1.0 };
            [self.column, self.row, self.slice, self.origin].map(|vector| (sign * vector[axis]) as f32)
        };
        [line(0), line(1), line(2)]
    }
}

/// Writes the volume as float32 in a new file, or over an old one. `sides_mm` are those of a voxel: along rows, along
/// columns, and between slices.
///
/// # Errors
/// Those of the file system.
pub fn write_nifti(path: &Path, volume: &Volume, sides_mm: [f64; 3], place: Option<&Placement>) -> io::Result<()> {
    let mut header = NiftiHeader { xyzt_units: MM, ..NiftiHeader::default() };
    sides_mm.into_iter().zip(&mut header.pixdim[1..]).for_each(|(side, field)| *field = side as f32);
    if let Some(place) = place {
        [header.srow_x, header.srow_y, header.srow_z] = place.matrix();
        header.sform_code = SCANNER;
    }
    // The crate takes what stands behind a dot for an extension of its own.
    let part = path.with_file_name("volume-part.nii");
    let [n_slices, height, width] = volume.shape();
    // The crate writes an array that is there as a whole: one of zeros takes no memory. Its data are then replaced.
    let zeros = aview0(&0.0_f32);
    let zeros =
        zeros.broadcast((width, height, n_slices)).ok_or_else(|| io::Error::other("the volume is too large"))?;
    WriterOptions::new(&part).reference_header(&header).write_nifti(&zeros).map_err(io::Error::other)?;
    let mut file = BufWriter::new(OpenOptions::new().write(true).open(&part)?);
    file.seek(SeekFrom::Start(START))?;
    for slice in 0..n_slices {
        let image = volume.read(slice)?;
        image.pixels.iter().try_for_each(|pixel| file.write_all(&pixel.to_le_bytes()))?;
    }
    file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    fs::rename(part, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Image;
    use nifti::{InMemNiftiObject, NiftiObject, NiftiVolume, ReaderOptions, volume::RandomAccessNiftiVolume};

    #[test]
    fn another_reader_finds_values_sides_and_place() {
        let folder = tempfile::tempdir().unwrap();
        let volume = Volume::open(folder.path(), [2, 3, 4], false).unwrap();
        for slice in 0..2 {
            let pixels = (0..12).map(|k| (100 * slice + k) as f32).collect();
            volume.write(slice, Some(&Image { height: 3, width: 4, pixels })).unwrap();
        }
        let place = Placement {
            origin: [10.0, 20.0, -30.0],
            column: [0.5, 0.0, 0.0],
            row: [0.0, 0.5, 0.0],
            slice: [0.0, 0.0, 2.0],
        };
        let path = folder.path().join("volume.nii");
        write_nifti(&path, &volume, [0.5, 0.5, 2.0], Some(&place)).unwrap();
        let read: InMemNiftiObject = ReaderOptions::new().read_file(&path).unwrap();
        let header = read.header().clone();
        assert_eq!(header.pixdim[1..4], [0.5, 0.5, 2.0]);
        let rows = [header.srow_x, header.srow_y, header.srow_z];
        assert_eq!(rows, [[-0.5, 0.0, 0.0, -10.0], [0.0, -0.5, 0.0, -20.0], [0.0, 0.0, 2.0, -30.0]]);
        let data = read.volume();
        assert_eq!(data.dim(), [4, 3, 2]);
        assert_eq!(data.get_f32(&[1, 2, 1]).unwrap(), 109.0);
        assert_eq!(std::fs::metadata(&path).unwrap().len(), START + 4 * 24);
    }
}
