//! Errors of files: which file, what is wrong with it, what to do.
use crate::limits::unpacked;
use std::error::Error;
use std::fmt::{self, Display, Formatter};
use std::io;
use std::path::{Path, PathBuf};

/// A problem and the file that has it.
#[derive(Debug)]
pub struct FileError<P> {
    /// The file or folder.
    pub path: PathBuf,
    /// The fault.
    pub problem: P,
}

impl<P: Display> Display for FileError<P> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.problem)
    }
}

impl<P: Error> Error for FileError<P> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.problem.source()
    }
}

/// Names the file that a problem is about.
pub(crate) trait AtPath<T, P> {
    /// Turns a problem into a [`FileError`] about `path`.
    fn at(self, path: &Path) -> Result<T, FileError<P>>;
}

impl<T, P> AtPath<T, P> for Result<T, P> {
    fn at(self, path: &Path) -> Result<T, FileError<P>> {
        self.map_err(|problem| FileError { path: path.to_owned(), problem })
    }
}

/// The error that another crate's reader gave.
pub type Cause = Box<dyn Error + Send + Sync>;

/// An image file that cannot be read or written.
pub type ImageError = FileError<ImageProblem>;

/// A fault of an image file.
#[derive(Debug, thiserror::Error)]
pub enum ImageProblem {
    /// The file system refuses to read.
    #[error("cannot be read; check that it exists and that you may read it")]
    Read(#[source] io::Error),
    /// The file system refuses to write.
    #[error("cannot be written; check that its folder exists, that you may write there and that the disk has room")]
    Write(#[source] io::Error),
    /// Neither contents nor name tell the format.
    #[error("is in no format known here; use .npy, .npz, .png, .tif, .tiff, DICOM or HDF5")]
    UnknownFormat,
    /// The contents do not follow the format.
    #[error("is not a whole {format} file; it may be cut short or damaged: copy or export it again")]
    Damaged {
        /// Name of the format.
        format: &'static str,
        /// The complaint of the format's reader.
        #[source]
        cause: Cause,
    },
    /// More pixels than so few bytes are believed to hold.
    #[error(
        "is a {format} file that says it has {what} in {packed} bytes; if it has, save it without compression, {how}"
    )]
    Packed {
        /// Name of the format.
        format: &'static str,
        /// Number and kind of what is claimed.
        what: String,
        /// Bytes that are to hold them.
        packed: usize,
        /// By which program's means.
        how: &'static str,
    },
    /// The format is known, this variety of it is not read.
    #[error("holds {found}; {advice}")]
    Unsupported {
        /// The thing that was found.
        found: String,
        /// The remedy.
        advice: &'static str,
    },
    /// An array that is not an image.
    #[error(
        "has an array of shape {found:?} where an image [row][col] is needed; \
         pick a slice of a stack by FILE.npy:[INDEX] or FILE:NAME[INDEX], or reconstruct all by --slices all"
    )]
    Shape {
        /// Lengths of the array's axes.
        found: Vec<usize>,
    },
    /// An archive without the array that was asked for, or with several to choose from.
    #[error("needs an array's name, as in FILE:NAME; {wanted}; it holds {}", list(.present))]
    NoSuchArray {
        /// The thing that was asked for.
        wanted: String,
        /// Names of the arrays in the archive.
        present: Vec<String>,
    },
    /// Several images, and none chosen.
    #[error(
        "holds {what}; choose one by its number behind the name, [0] to [{last}], as in NAME:[0], or reconstruct all \
         by --slices all"
    )]
    Stack {
        /// Number and name of the things.
        what: String,
        /// Number of the last.
        last: usize,
    },
    /// A folder of no images that are read here.
    #[error(
        "is a folder with neither scan.toml nor a DICOM slice in it; name one of its files, or make a scan of \
         projections by `gradus convert`"
    )]
    NoSlices,
    /// A folder of several series, and none chosen.
    #[error("holds the series {}; choose one by its number: FOLDER:NUMBER[INDEX]", list(.present))]
    NoSuchSeries {
        /// Number, description and length of each.
        present: Vec<String>,
    },
    /// The slice that was asked for is not in the stack.
    #[error("has no slice {index}: the stack holds {length}, counted from 0")]
    NoSuchSlice {
        /// The slice asked for.
        index: usize,
        /// Number of slices.
        length: usize,
    },
    /// Values that no image in its unit has.
    #[error(
        "has values from {least} to {largest}, and images in {unit} have some from {lo} to {hi}{why}; state the unit: \
         --unit hu, hu+1024, 1/mm, 1/cm or network, or a field `unit` beside the array"
    )]
    Implausible {
        /// Least value.
        least: f32,
        /// Largest value.
        largest: f32,
        /// The unit that the values were taken to have.
        unit: &'static str,
        /// Least plausible value.
        lo: f32,
        /// Largest plausible value.
        hi: f32,
        /// The doubt about the file before, with a semicolon.
        why: String,
    },
    /// A pixel that is NaN or infinite.
    #[error("has the value {value} at pixel [{row}][{col}]; replace NaN and infinite pixels first")]
    NotFinite {
        /// Row of the first such pixel.
        row: usize,
        /// Its column.
        col: usize,
        /// Its value.
        value: f32,
    },
}

impl ImageProblem {
    /// A file of `format` that its reader rejects; a cause that is a problem of a file is that.
    pub(crate) fn damaged(format: &'static str, cause: impl Into<Cause>) -> Self {
        cause.into().downcast().map_or_else(|cause| Self::Damaged { format, cause }, |problem| *problem)
    }

    /// Refuses an image whose bytes are not believed to unpack to it.
    pub(crate) fn check_packed(format: &'static str, [height, width]: [usize; 2], packed: usize) -> Result<(), Self> {
        if height.saturating_mul(width) > unpacked(packed) {
            return Err(Self::Packed { format, what: format!("{height} x {width} pixels"), packed, how: "as npy" });
        }
        Ok(())
    }

    /// A variety of a format that is not read here.
    pub(crate) fn unsupported(found: impl Into<String>, advice: &'static str) -> Self {
        Self::Unsupported { found: found.into(), advice }
    }
}

/// Names for a message: "a, b, c", or "nothing".
pub(crate) fn list(names: &[impl AsRef<str>]) -> String {
    if names.is_empty() {
        return "nothing".to_owned();
    }
    names.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", ")
}
