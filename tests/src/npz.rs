//! Arrays of npz archives, as numpy writes and reads them.

use npyz::{AutoSerialize, NpyFile, WriterBuilder};
use std::fs::File;
use std::path::Path;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// The names of the arrays of an archive.
///
/// # Errors
/// When it cannot be read.
pub fn names(path: &Path) -> Outcome<Vec<String>> {
    let archive = ZipArchive::new(File::open(path)?)?;
    archive.file_names().map(|name| Ok(name?.trim_end_matches(".npy").to_owned())).collect()
}

/// Shape and values of an array of `f32` or `f64`.
///
/// # Errors
/// When it is not there or cannot be read.
pub fn array(path: &Path, name: &str) -> Outcome<(Vec<u64>, Vec<f64>)> {
    let mut archive = ZipArchive::new(File::open(path)?)?;
    let array = NpyFile::new(archive.by_name(&format!("{name}.npy"))?)?;
    let shape = array.shape().to_vec();
    let values = match array.try_data::<f32>() {
        Ok(values) => values.map(|value| value.map(f64::from)).collect::<Result<_, _>>()?,
        Err(array) => array.into_vec::<f64>()?,
    };
    Ok((shape, values))
}

/// An archive that is being written.
#[allow(missing_debug_implementations)]
pub struct Writer {
    zip: ZipWriter<File>,
    options: SimpleFileOptions,
}

impl Writer {
    /// A new file, whose arrays are compressed or not.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(path: &Path, compressed: bool) -> Outcome<Self> {
        let method = if compressed { CompressionMethod::Deflated } else { CompressionMethod::Stored };
        let options = SimpleFileOptions::default().compression_method(method);
        Ok(Self { zip: ZipWriter::new(File::create(path)?), options })
    }

    /// Adds an array.
    ///
    /// # Errors
    /// When it cannot be written, or the shape has another number of values.
    pub fn add<T: AutoSerialize>(&mut self, name: &str, shape: &[u64], values: &[T]) -> Outcome<()> {
        self.zip.start_file(format!("{name}.npy"), self.options)?;
        let mut array = npyz::WriteOptions::new().default_dtype().shape(shape).writer(&mut self.zip).begin_nd()?;
        array.extend(values)?;
        Ok(array.finish()?)
    }

    /// Ends the file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(self) -> Outcome<()> {
        self.zip.finish()?;
        Ok(())
    }
}
