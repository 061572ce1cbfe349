//! Times of kernels on a GPU by estimate: shared by the example that measures it and the tests that hold it.
#![allow(missing_docs, clippy::missing_errors_doc, reason = "for an example and a test")]

pub mod code;
pub mod earlier;
pub mod gpu;
pub mod table;
pub mod work;
