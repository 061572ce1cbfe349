//! HDF5 files, read no further than their bytes warrant.
//!
//! The format's reader believes what a file says of its lengths; so what a request would take is bounded by the file's
//! own size first.
use crate::data::file_error::Cause;
use crate::read::open;
use hdf5_pure::{Dataset, File, Group};
use std::io::Read;
use std::ops::Range;
use std::path::Path;

/// Bytes that a read may take: these, and so many times the file's.
const UNPACKED: u64 = 64 << 20;
const UNPACKED_TIMES: u64 = 8;
/// The signature, and the places where it may stand: 0, 512 and every doubling of it.
const SIGNATURE: &[u8] = b"\x89HDF\r\n\x1a\n";
const SIGNATURE_PLACES: [usize; 4] = [0, 512, 1024, 2048];

/// Whether the first bytes of a file are those of an HDF5 file.
pub(super) fn is_hdf5(head: &[u8]) -> bool {
    SIGNATURE_PLACES.iter().any(|&place| head.get(place..).is_some_and(|rest| rest.starts_with(SIGNATURE)))
}

/// An open file.
pub(super) struct Hdf5 {
    file: File,
    /// Bytes that a read may take.
    most: u64,
}

impl Hdf5 {
    pub(super) fn open(path: &Path) -> Result<Self, Cause> {
        let mut file = open(path)?;
        let length = file.metadata()?.len();
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(usize::try_from(length)?)?;
        file.read_to_end(&mut bytes)?;
        let most = length.saturating_mul(UNPACKED_TIMES).saturating_add(UNPACKED);
        Ok(Self { file: File::from_bytes(bytes)?, most })
    }

    /// The array at this path, if there is one.
    pub(super) fn numbers(&self, path: &str) -> Option<Numbers> {
        Numbers::new(self.file.dataset(path).ok()?, self.most).ok()
    }

    /// The group at the root.
    pub(super) fn root(&self) -> Group {
        self.file.root()
    }

    /// The arrays of a group, by name.
    pub(super) fn arrays(&self, group: &Group) -> Result<Vec<(String, Numbers)>, Cause> {
        let names = group.datasets()?;
        let arrays = names.into_iter().filter_map(|name| {
            let numbers = Numbers::new(group.dataset(&name).ok()?, self.most).ok()?;
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
    fn new(set: Dataset, most: u64) -> Result<Self, Cause> {
        let shape = set.shape()?;
        let size = set.element_size()?;
        let taken = |lengths: &[u64]| lengths.iter().try_fold(size, |bytes, n| bytes.checked_mul((*n).max(1)));
        let chunk = set.chunk_shape()?.unwrap_or_default();
        if [taken(&shape), taken(&chunk)].iter().any(|bytes| bytes.is_none_or(|bytes| bytes > most)) {
            return Err(format!("an array of shape {shape:?} is more than the file can hold").into());
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
