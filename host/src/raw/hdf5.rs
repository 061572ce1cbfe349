//! HDF5 files, read no further than their bytes warrant.
//!
//! The format's reader believes what a file says of its lengths; so what a request would take is bounded by the file's
//! own size first.
use crate::data::file_error::{Cause, ImageProblem};
use crate::limits::unpacked;
use crate::read::open;
use hdf5_pure::{Dataset, File, Group};
use std::ops::Range;
use std::path::Path;

/// Bytes of a number as it is read.
const NUMBER_BYTES: u64 = size_of::<f64>() as u64;
/// The part of what a read may take that a chunk may.
const CHUNKS: u64 = 4;
/// Numbers whose bytes an entry of the index of chunks takes, at most.
const INDEX_NUMBERS: u64 = 16;
/// The signature, and the places where it may stand: 0, 512 and every doubling of it.
const SIGNATURE: &[u8] = b"\x89HDF\r\n\x1a\n";
const SIGNATURE_PLACES: [usize; 4] = [0, 512, 1024, 2048];

/// True if the first bytes of a file are those of an HDF5 file.
pub(super) fn is_hdf5(head: &[u8]) -> bool {
    SIGNATURE_PLACES.iter().any(|&place| head.get(place..).is_some_and(|rest| rest.starts_with(SIGNATURE)))
}

/// An open file.
pub(super) struct Hdf5 {
    file: File,
    /// Bytes of the file.
    length: usize,
}

impl Hdf5 {
    pub(super) fn open(path: &Path) -> Result<Self, Cause> {
        let length = usize::try_from(open(path)?.metadata()?.len())?;
        // Of a whole series one row is wanted, so that the file stays where it is.
        Ok(Self { file: File::open_streaming(path)?, length })
    }

    /// The array at this path, if there is one.
    pub(super) fn numbers(&self, path: &str) -> Result<Option<Numbers>, Cause> {
        let Ok(set) = self.file.dataset(path) else { return Ok(None) };
        Numbers::new(set, self.length).map(Some)
    }

    /// True if there is an array at this path.
    pub(super) fn has(&self, path: &str) -> bool {
        self.file.dataset(path).is_ok()
    }

    /// The group at the root.
    pub(super) fn root(&self) -> Group {
        self.file.root()
    }

    /// The arrays of a group, by name.
    pub(super) fn arrays(&self, group: &Group) -> Result<Vec<(String, Numbers)>, Cause> {
        let names = group.datasets()?;
        let arrays = names.into_iter().filter_map(|name| {
            let numbers = Numbers::new(group.dataset(&name).ok()?, self.length).ok()?;
            Some((name, numbers))
        });
        Ok(arrays.collect())
    }
}

/// An array whose bytes may be read.
pub(super) struct Numbers {
    set: Dataset,
    /// Lengths of the axes, last one fastest.
    pub(super) shape: Vec<usize>,
}

impl Numbers {
    fn new(set: Dataset, packed: usize) -> Result<Self, Cause> {
        let (shape, chunk) = (set.shape()?, set.chunk_shape()?.unwrap_or_default());
        let (size, most) = (set.element_size()?.div_ceil(NUMBER_BYTES), unpacked(packed) as u64);
        let taken = |lengths: &[u64]| lengths.iter().try_fold(size, |taken, n| taken.checked_mul((*n).max(1)));
        let is_more = |lengths: &[u64], most: u64| taken(lengths).is_none_or(|taken| taken > most);
        let chunks = || shape.iter().zip(&chunk).map(|(n, of)| n.div_ceil((*of).max(1)));
        // A chunk lies in memory beside what is made of it, and so does the index of all.
        if is_more(&shape, most)
            || is_more(&chunk, most / CHUNKS)
            || is_more(&chunks().collect::<Vec<_>>(), most / INDEX_NUMBERS)
        {
            let what = format!("an array of shape {shape:?} in chunks of {chunk:?}");
            return Err(Box::new(ImageProblem::Packed { format: "HDF5", what, packed, how: "or in smaller chunks" }));
        }
        // The reader of the format takes the memory of a chunk before it looks whether the file has it.
        if !chunk.is_empty()
            && let Some(beyond) = set.chunks()?.iter().find(|chunk| chunk.storage_size > packed as u64)
        {
            return Err(format!("a chunk of {} bytes in a file of {packed}", beyond.storage_size).into());
        }
        Ok(Self { set, shape: shape.into_iter().map(usize::try_from).collect::<Result<_, _>>()? })
    }

    /// All numbers.
    pub(super) fn values(&self) -> Result<Vec<f64>, Cause> {
        let values = self.set.read_f64()?;
        self.check(values, self.shape.iter().product())
    }

    /// Numbers of a range of the first axis.
    pub(super) fn rows(&self, rows: Range<usize>) -> Result<Vec<f64>, Cause> {
        let values = self.set.read_f64_rows(rows.start as u64, rows.len() as u64)?;
        self.check(values, rows.len() * self.shape.iter().skip(1).product::<usize>())
    }

    fn check(&self, values: Vec<f64>, wanted: usize) -> Result<Vec<f64>, Cause> {
        if values.len() == wanted {
            return Ok(values);
        }
        Err(format!("an array of shape {:?} gives {} numbers where {wanted} are", self.shape, values.len()).into())
    }

    /// The text of an attribute.
    pub(super) fn attribute(&self, name: &str) -> Option<String> {
        Some(self.set.attrs().ok()?.get(name)?.as_str()?.trim().to_owned())
    }
}
