//! Data in and out: file formats of images and scans, embedded samples, generated images.
//!
//! [`scan::Scan`] is a measurement with its geometry, [`image_files`] reads and writes images, whose values keep the
//! unit that their file states ([`units`]). What had to be assumed is in the warnings of what was read; what makes no
//! sense is refused, with the file, the field and a remedy. Every file is written as a whole or not at all.
//!
//! ```
//! use gradus::data::image_files::PixelUnit;
//! use gradus::data::samples::Sample;
//!
//! let slice = Sample::Spine.load()?; // a DICOM slice that comes with the program
//! assert_eq!((slice.image.height, slice.unit), (128, PixelUnit::HounsfieldUnits));
//! # Ok::<(), gradus::data::file_error::ImageError>(())
//! ```
mod array_image;
mod atomic;
mod dicom_codec;
mod dicom_file;
mod dicom_header;
mod dicom_out;
mod dicom_pixels;
mod dicom_series;
pub mod dicom_source;
mod dicom_values;
pub mod disc;
pub mod ellipses;
pub mod file_error;
pub mod folder_error;
#[cfg(test)]
mod guide_tests;
pub(crate) mod hdf5;
pub(crate) mod hdf5_images;
pub mod hidden;
mod hole;
pub mod image_files;
pub mod image_stack;
mod jpeg_ls;
mod loaded_image;
pub(crate) mod natural;
mod npy;
mod npy_element;
mod planes;
pub(crate) mod png_file;
mod polygon;
pub mod samples;
pub mod scan;
mod scan_files;
mod scan_npz;
pub mod scan_stack;
mod scan_toml;
mod selection;
mod tiff_file;
mod tiff_patch;
pub mod units;
mod waves;

pub use crate::read::{read_description, read_file};
pub use atomic::{make_folder, sync_folder, write_atomically, write_once};
#[cfg(test)]
pub(crate) use npy::Archive;
pub(crate) use npy::npy_header;
pub(crate) use scan_npz::check_views;
