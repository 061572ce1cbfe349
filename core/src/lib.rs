//! The solver of gradus.
#![no_std]
#![forbid(unsafe_code)]
