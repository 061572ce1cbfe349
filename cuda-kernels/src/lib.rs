//! The place of gradus' CUDA kernels: one `.cu` file per operator, its checked-in PTX and the table of entry points.
//!
//! No kernel has landed yet; `gradus doctor` says that only the CPU backend is available.
