//! Arrays that are read plane by plane, so that a stack takes the memory of one image.
use super::file_error::Cause;
use super::npy::{Archive, Array, Header};
use crate::image::Image;
use crate::read::open;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

/// An array `[plane][row][col]`, or one plane `[row][col]`.
pub(crate) struct Planes {
    held: Held,
    n_planes: usize,
    height: usize,
    width: usize,
}

/// Place of the numbers.
enum Held {
    /// In a file, one plane after the other.
    File { file: File, header: Header, start: u64 },
    /// In memory: what was compressed, or has another order of its axes.
    Memory(Array),
}

impl Planes {
    /// The array whose npy data begin at byte `begin` of a file and are `length` bytes long; `None` where its planes do
    /// not lie one after the other.
    pub(crate) fn in_file(path: &Path, begin: u64, length: u64) -> Result<Option<Self>, Cause> {
        let mut file = open(path)?;
        file.seek(SeekFrom::Start(begin))?;
        let mut head = Vec::new();
        (&file).take(length.min(Header::LONGEST)).read_to_end(&mut head)?;
        let (header, start) = Header::parse(&head)?;
        header.check(length.saturating_sub(start as u64))?;
        if !header.is_row_major() {
            return Ok(None);
        }
        let (shape, start) = (header.shape(), begin + start as u64);
        Self::of(Held::File { file, header, start }, &shape).map(Some)
    }

    /// The array of that name in the archive at `path`, if there is one; in memory, if it is compressed.
    pub(crate) fn in_archive(
        archive: &mut Archive<BufReader<File>>,
        name: &str,
        path: &Path,
    ) -> Result<Option<Self>, Cause> {
        if let Some((begin, length)) = archive.place(name)
            && let Some(planes) = Self::in_file(path, begin, length)?
        {
            return Ok(Some(planes));
        }
        archive.array(name)?.map(Self::in_memory).transpose()
    }

    /// An array that is in memory.
    pub(crate) fn in_memory(array: Array) -> Result<Self, Cause> {
        let shape = array.shape();
        Self::of(Held::Memory(array), &shape)
    }

    fn of(held: Held, shape: &[usize]) -> Result<Self, Cause> {
        match *shape {
            [n_planes, height, width] if height * width > 0 => Ok(Self { held, n_planes, height, width }),
            [height, width] if height * width > 0 => Ok(Self { held, n_planes: 1, height, width }),
            _ => Err(format!("an array of shape {shape:?} is no stack [slice][row][col]").into()),
        }
    }

    /// The number of planes.
    pub(crate) fn len(&self) -> usize {
        self.n_planes
    }

    /// Rows and columns of each.
    pub(crate) fn size(&self) -> (usize, usize) {
        (self.height, self.width)
    }

    /// A plane.
    pub(crate) fn plane(&self, k: usize) -> Result<Image, Cause> {
        if k >= self.n_planes {
            return Err(format!("there is no plane {k}: the array has {}", self.n_planes).into());
        }
        let (height, width, size) = (self.height, self.width, self.height * self.width);
        let pixels = match &self.held {
            Held::Memory(array) => array.pixels(k * size..(k + 1) * size)?,
            Held::File { file, header, start } => {
                let mut bytes = vec![0; size * header.item()];
                let (mut file, at) = (file, start + (k * bytes.len()) as u64);
                file.seek(SeekFrom::Start(at))?;
                file.read_exact(&mut bytes)?;
                Array::part(header, bytes).pixels(0..size)?
            }
        };
        Ok(Image { height, width, pixels })
    }
}
