//! The volume of a series, `[slice][row][col]`, which grows on the disk slice by slice.
use crate::data::{npy_header, sync_folder};
use crate::image::Image;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// The name of the finished file.
pub const VOLUME: &str = "volume.npy";
/// The name until then.
const UNDER_WAY: &str = "volume.npy.part";
const ITEM: usize = size_of::<f32>();

/// A float32 npy file that is written and read a slice at a time, in any order, by several processes at once. Until all
/// slices are there it has another name.
#[derive(Debug)]
pub struct Volume {
    file: File,
    folder: PathBuf,
    start: u64,
    /// Slices, rows, columns.
    shape: [usize; 3],
}

impl Volume {
    /// The volume in `folder`, as far as it has got; a new one where there is none, and no slice `is_begun`.
    ///
    /// # Errors
    /// Those of the file system; `InvalidData` where slices are done, and their volume is gone or has another length.
    pub fn open(folder: &Path, shape: [usize; 3], is_begun: bool) -> io::Result<Self> {
        let finished = folder.join(VOLUME);
        let path = if finished.exists() { finished } else { folder.join(UNDER_WAY) };
        let header = npy_header(&shape).map_err(io::Error::other)?;
        let start = header.len() as u64;
        let length = start + (shape.iter().product::<usize>() * ITEM) as u64;
        let there = fs::metadata(&path).map(|found| found.len()).ok();
        if is_begun && there != Some(length) {
            let found = there.map_or_else(|| "is gone".to_owned(), |there| format!("has {there} bytes, not {length}"));
            let path = if there.is_some() { path } else { folder.join(VOLUME) };
            let message = format!(
                "slices are done, but {} {found}: put it back, or name a new folder with --output",
                path.display()
            );
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        if file.metadata()?.len() != length {
            // Killed before it had its length: there is nothing in it yet.
            file.write_all(&header)?;
            file.set_len(length)?;
            file.sync_all()?;
            sync_folder(folder)?;
        }
        Ok(Self { file, folder: folder.to_owned(), start, shape })
    }

    /// Slices, rows, columns.
    #[must_use]
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// Writes a slice, counted from 0, to last; a slice without an image is NaN.
    ///
    /// # Errors
    /// Those of the file system; `InvalidInput` for an image of another size, and a slice that is not there.
    pub fn write(&self, slice: usize, image: Option<&Image>) -> io::Result<()> {
        let [_, height, width] = self.shape;
        if let Some(image) = image.filter(|image| (image.height, image.width) != (height, width)) {
            let (rows, cols) = (image.height, image.width);
            let message = format!("an image of {rows} x {cols} pixels among others of {height} x {width}");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let bytes: Vec<u8> = match image {
            Some(image) => image.pixels.iter().flat_map(|pixel| pixel.to_le_bytes()).collect(),
            None => f32::NAN.to_le_bytes().repeat(height * width),
        };
        self.seek(slice)?;
        (&self.file).write_all(&bytes)?;
        self.file.sync_data()
    }

    /// Reads a slice, counted from 0.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn read(&self, slice: usize) -> io::Result<Image> {
        let [_, height, width] = self.shape;
        let mut bytes = vec![0; height * width * ITEM];
        self.seek(slice)?;
        (&self.file).read_exact(&mut bytes)?;
        let pixels = bytes.as_chunks().0.iter().map(|chunk| f32::from_le_bytes(*chunk)).collect();
        Ok(Image { height, width, pixels })
    }

    fn seek(&self, slice: usize) -> io::Result<()> {
        let [n_slices, height, width] = self.shape;
        if slice >= n_slices {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("no slice {slice} of {n_slices}")));
        }
        (&self.file).seek(SeekFrom::Start(self.start + (slice * height * width * ITEM) as u64)).map(drop)
    }

    /// Gives the file its name: all slices are there.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn finish(&self) -> io::Result<()> {
        let part = self.folder.join(UNDER_WAY);
        if part.exists() {
            fs::rename(part, self.folder.join(VOLUME))?;
        }
        sync_folder(&self.folder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::image_stack::ImageStack;

    fn image(value: f32) -> Image {
        Image { height: 2, width: 3, pixels: (0..6).map(|k| value + k as f32).collect() }
    }

    #[test]
    fn slices_come_in_any_order_and_after_a_kill() {
        let folder = tempfile::tempdir().unwrap();
        let volume = Volume::open(folder.path(), [3, 2, 3], false).unwrap();
        volume.write(2, Some(&image(20.0))).unwrap();
        volume.write(0, Some(&image(0.5))).unwrap();
        drop(volume);
        assert!(!folder.path().join(VOLUME).exists());
        let volume = Volume::open(folder.path(), [3, 2, 3], false).unwrap();
        volume.write(1, Some(&image(10.0))).unwrap();
        assert_eq!(volume.read(2).unwrap(), image(20.0));
        volume.finish().unwrap();
        let stack = ImageStack::open(folder.path().join(VOLUME), None).unwrap();
        assert_eq!(stack.n_slices(), 3);
        assert_eq!(stack.read(0).unwrap().image, image(0.5));
        assert_eq!(Volume::open(folder.path(), [3, 2, 3], true).unwrap().read(1).unwrap(), image(10.0));
        assert!(volume.write(3, None).is_err() && volume.write(0, Some(&Image::zeros(3, 2))).is_err());
    }

    #[test]
    fn a_file_that_was_cut_short_is_made_again() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(UNDER_WAY), b"\x93NUM").unwrap();
        let volume = Volume::open(folder.path(), [1, 2, 3], false).unwrap();
        volume.write(0, None).unwrap();
        assert!(volume.read(0).unwrap().pixels.iter().all(|pixel| pixel.is_nan()));
        // Where slices are done, zeros in their place would be taken for them.
        for length in [3, 200, 1000] {
            OpenOptions::new().write(true).open(folder.path().join(UNDER_WAY)).unwrap().set_len(length).unwrap();
            let error = Volume::open(folder.path(), [1, 2, 3], true).unwrap_err().to_string();
            assert!(error.contains(&format!("has {length} bytes")) && error.contains("--output"), "{error}");
        }
        fs::remove_file(folder.path().join(UNDER_WAY)).unwrap();
        assert!(Volume::open(folder.path(), [1, 2, 3], true).unwrap_err().to_string().contains("is gone"));
        assert!(!folder.path().join(UNDER_WAY).exists());
    }
}
