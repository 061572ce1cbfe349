//! Data in and out: file formats of images and scans, embedded samples, generated images.
pub mod ellipses;
