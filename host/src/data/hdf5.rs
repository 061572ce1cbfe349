//! HDF5 files, read no further than their bytes warrant.
//!
//! The format's reader believes what a file says of its lengths; so what a request would take is bounded by the file's
//! own size first.
use super::file_error::{Cause, ImageProblem};
use crate::limits::unpacked;
use crate::read::open;
use hdf5_pure::{ChunkCacheConfig, Dataset, DatasetAccessProperties, File, Group};
use std::io::Read;
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
/// Bytes that tell the format.
const HEAD: u64 = 4096;
/// The first bytes of MATLAB's files, version 7.3, whose arrays have their axes in reverse.
const MATLAB: &[u8] = b"MATLAB";
/// The most bytes and unpacked chunks that are kept, so that slices that are packed together are unpacked once.
const KEPT_BYTES: u64 = 32 << 20;
const KEPT_CHUNKS: usize = 4096;
/// Groups in groups, and arrays and groups of a file: links may lead in circles.
const DEEPEST: usize = 16;
const MOST: usize = 10_000;

/// The first bytes of the file at `path`, none where it cannot be read: who reads it says why.
pub(crate) fn head(path: &Path) -> Vec<u8> {
    let mut head = Vec::new();
    let _ = open(path).and_then(|file| file.take(HEAD).read_to_end(&mut head));
    head
}

/// True if the first bytes of a file are those of one of MATLAB's.
pub(crate) fn is_matlab73(head: &[u8]) -> bool {
    head.starts_with(MATLAB) && is_hdf5(head)
}

/// True if the first bytes of a file are those of an HDF5 file.
pub(crate) fn is_hdf5(head: &[u8]) -> bool {
    SIGNATURE_PLACES.iter().any(|&place| head.get(place..).is_some_and(|rest| rest.starts_with(SIGNATURE)))
}

/// An open file.
pub(crate) struct Hdf5 {
    file: File,
    /// Bytes of the file.
    length: usize,
}

impl Hdf5 {
    pub(crate) fn open(path: &Path) -> Result<Self, Cause> {
        let length = usize::try_from(open(path)?.metadata()?.len())?;
        // Of a whole series one row is wanted, so that the file stays where it is.
        Ok(Self { file: File::open_streaming(path)?, length })
    }

    /// The array at this path, if there is one.
    pub(crate) fn numbers(&self, path: &str) -> Result<Option<Numbers>, Cause> {
        let Ok(set) = self.file.dataset(path) else { return Ok(None) };
        Numbers::new(set, self.length).map(Some)
    }

    /// The stack of planes at this path, of which one is read at a time, if there is one.
    pub(crate) fn planes(&self, path: &str) -> Result<Option<Numbers>, Cause> {
        let Ok(set) = self.file.dataset(path) else { return Ok(None) };
        let kept = ChunkCacheConfig::new().with_max_bytes(of_a_plane(&set)?).with_max_slots(KEPT_CHUNKS);
        let options = DatasetAccessProperties::new().with_chunk_cache(kept);
        let set = self.file.dataset_with_options(path, options)?;
        let of_plane = usize::from(set.shape()?.len() > 2);
        Numbers::within(set, self.length, of_plane).map(Some)
    }

    /// True if there is an array at this path.
    pub(crate) fn has(&self, path: &str) -> bool {
        self.file.dataset(path).is_ok()
    }

    /// True if there is a group of this name.
    pub(crate) fn has_group(&self, name: &str) -> bool {
        self.file.group(name).is_ok()
    }

    /// Paths of the arrays of two or more axes, in all groups.
    pub(crate) fn images(&self) -> Result<Vec<String>, Cause> {
        let mut found = Vec::new();
        walk(&self.root(), "", &mut found, &mut 0)?;
        Ok(found)
    }

    /// The group at the root.
    pub(crate) fn root(&self) -> Group {
        self.file.root()
    }

    /// The arrays of a group, by name.
    pub(crate) fn arrays(&self, group: &Group) -> Result<Vec<(String, Numbers)>, Cause> {
        let names = group.datasets()?;
        let arrays = names.into_iter().filter_map(|name| {
            let numbers = Numbers::new(group.dataset(&name).ok()?, self.length).ok()?;
            Some((name, numbers))
        });
        Ok(arrays.collect())
    }
}

/// Bytes of the unpacked chunks that hold a plane, as far as they are kept: no more of them are needed again.
fn of_a_plane(set: &Dataset) -> Result<usize, Cause> {
    let (shape, chunk) = (set.shape()?, set.chunk_shape()?.unwrap_or_default());
    let lengths = shape
        .iter()
        .zip(&chunk)
        .enumerate()
        .map(|(axis, (n, of))| if axis == 0 { *of } else { n.div_ceil((*of).max(1)).saturating_mul(*of) });
    let bytes = lengths.fold(set.element_size()?, u64::saturating_mul);
    Ok(usize::try_from(bytes.min(KEPT_BYTES))?)
}

/// Adds the paths of the arrays of two or more axes in a group and in those in it.
fn walk(group: &Group, path: &str, found: &mut Vec<String>, count: &mut usize) -> Result<(), Cause> {
    let (sets, groups) = (group.iter_datasets()?, group.iter_groups()?);
    *count += sets.len() + groups.len();
    if path.matches('/').count() > DEEPEST || *count > MOST {
        return Err(format!("it holds more than {MOST} arrays and groups, or has groups {DEEPEST} deep").into());
    }
    for (name, set) in sets {
        if set.shape()?.len() >= 2 {
            found.push(format!("{path}{name}"));
        }
    }
    for (name, inner) in groups {
        walk(&inner, &format!("{path}{name}/"), found, count)?;
    }
    Ok(())
}

/// An array whose bytes may be read.
pub(crate) struct Numbers {
    set: Dataset,
    /// Lengths of the axes, last one fastest.
    pub(crate) shape: Vec<usize>,
    /// Bytes of the file.
    packed: usize,
}

impl Numbers {
    fn new(set: Dataset, packed: usize) -> Result<Self, Cause> {
        Self::within(set, packed, 0)
    }

    /// An array of which no more is read at once than its axes from `first` on span.
    fn within(set: Dataset, packed: usize, first: usize) -> Result<Self, Cause> {
        let (shape, chunk) = (set.shape()?, set.chunk_shape()?.unwrap_or_default());
        let (size, most) = (set.element_size()?.div_ceil(NUMBER_BYTES), unpacked(packed) as u64);
        let taken = |lengths: &[u64]| lengths.iter().try_fold(size, |taken, n| taken.checked_mul((*n).max(1)));
        let is_more = |lengths: &[u64], most: u64| taken(lengths).is_none_or(|taken| taken > most);
        let chunks = || shape.iter().zip(&chunk).map(|(n, of)| n.div_ceil((*of).max(1)));
        // A chunk lies in memory beside what is made of it, and so does the index of all.
        if is_more(&shape[first..], most)
            || is_more(&chunk, most / CHUNKS)
            || is_more(&chunks().collect::<Vec<_>>(), most / INDEX_NUMBERS)
        {
            return Err(too_much(format!("an array of shape {shape:?} in chunks of {chunk:?}"), packed));
        }
        // The reader of the format takes the memory of a chunk before it looks whether the file has it.
        if !chunk.is_empty()
            && let Some(beyond) = set.chunks()?.iter().find(|chunk| chunk.storage_size > packed as u64)
        {
            return Err(format!("a chunk of {} bytes in a file of {packed}", beyond.storage_size).into());
        }
        Ok(Self { set, shape: shape.into_iter().map(usize::try_from).collect::<Result<_, _>>()?, packed })
    }

    /// Refuses more numbers in all than the file is believed to hold.
    pub(crate) fn check_all(&self) -> Result<(), Cause> {
        let n = self.shape.iter().try_fold(1_usize, |n, length| n.checked_mul(*length));
        if n.is_some_and(|n| n <= unpacked(self.packed)) {
            return Ok(());
        }
        Err(too_much(format!("an array of shape {:?}", self.shape), self.packed))
    }

    /// All numbers.
    pub(crate) fn values(&self) -> Result<Vec<f64>, Cause> {
        let values = self.set.read_f64()?;
        self.check(values, self.shape.iter().product())
    }

    /// Numbers of a range of the first axis.
    pub(crate) fn rows(&self, rows: Range<usize>) -> Result<Vec<f64>, Cause> {
        let values = self.set.read_f64_rows(rows.start as u64, rows.len() as u64)?;
        self.check(values, rows.len() * self.shape.iter().skip(1).product::<usize>())
    }

    /// Pixels of a range of the first axis.
    pub(crate) fn pixels(&self, rows: Range<usize>) -> Result<Vec<f32>, Cause> {
        let values = self.set.read_f32_rows(rows.start as u64, rows.len() as u64)?;
        self.check(values, rows.len() * self.shape.iter().skip(1).product::<usize>())
    }

    fn check<T>(&self, values: Vec<T>, wanted: usize) -> Result<Vec<T>, Cause> {
        if values.len() == wanted {
            return Ok(values);
        }
        Err(format!("an array of shape {:?} gives {} numbers where {wanted} are", self.shape, values.len()).into())
    }

    /// The text of an attribute.
    pub(crate) fn attribute(&self, name: &str) -> Option<String> {
        Some(self.set.attrs().ok()?.get(name)?.as_str()?.trim().to_owned())
    }

    /// The numbers of an attribute.
    pub(crate) fn attribute_numbers(&self, name: &str) -> Option<Vec<f64>> {
        let attributes = self.set.attrs().ok()?;
        let value = attributes.get(name)?;
        let of_integers = || Some(value.to_i64s()?.into_iter().map(|number| number as f64).collect());
        value.to_f64s().or_else(of_integers)
    }
}

fn too_much(what: String, packed: usize) -> Cause {
    Box::new(ImageProblem::Packed { format: "HDF5", what, packed, how: "or in smaller chunks" })
}
