//! Data in and out: file formats of images and scans, embedded samples, generated images.
mod atomic;
mod dicom_file;
mod dicom_header;
mod dicom_out;
mod dicom_pixels;
pub mod dicom_source;
pub mod disc;
pub mod ellipses;
pub mod file_error;
pub mod hidden;
mod hole;
pub mod image_files;
mod loaded_image;
mod npy;
pub(crate) mod png_file;
mod polygon;
pub mod samples;
pub mod scan;
mod scan_files;
mod scan_npz;
mod scan_toml;
mod tiff_file;
pub mod units;
mod waves;

pub use crate::read::{read_description, read_file};
pub use atomic::{make_folder, sync_folder, write_atomically, write_once};
pub(crate) use scan_npz::check_views;
