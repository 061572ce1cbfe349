//! Data in and out: file formats of images and scans, embedded samples, generated images.
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
#[cfg(test)]
mod guide_tests;
pub mod hidden;
mod hole;
pub mod image_files;
mod jpeg_ls;
mod loaded_image;
mod npy;
pub(crate) mod png_file;
mod polygon;
pub mod samples;
pub mod scan;
mod scan_files;
mod scan_npz;
mod scan_toml;
mod selection;
mod tiff_file;
mod tiff_patch;
pub mod units;
mod waves;

pub use crate::read::{read_description, read_file};
pub use atomic::{make_folder, sync_folder, write_atomically, write_once};
pub(crate) use scan_npz::check_views;
