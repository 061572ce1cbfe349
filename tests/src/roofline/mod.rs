//! How long kernels should take on a GPU at least: shared by the example that measures it and the tests that hold it.
#![allow(missing_docs, clippy::missing_errors_doc, reason = "for an example and a test")]

pub mod gpu;
pub mod table;
pub mod work;
