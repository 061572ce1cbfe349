//! The methods that are compared.

use crate::reconstruct::{Method, Settings};

/// Iterations of SIRT, as in the benchmark.
pub const SIRT_ITERATIONS: usize = 100;

/// A way to make an image.
#[derive(Debug, Clone, PartialEq)]
pub enum Way {
    /// By a method of `gradus reconstruct`.
    Settings(Settings),
    /// By [`crate::ct::Sirt`].
    Sirt,
}

/// A method of the comparison.
#[derive(Debug, Clone, PartialEq)]
pub struct Contender {
    /// Its name in files.
    pub key: &'static str,
    /// Its name in tables.
    pub title: &'static str,
    /// Its settings.
    pub way: Way,
}

/// All of them, each with its own defaults; that of [`Method::Dds`] takes data for free of noise, as these are.
#[must_use]
pub fn contenders() -> [Contender; 6] {
    let of = |method: Method, title| Contender { key: method.name(), title, way: Way::Settings(method.into()) };
    [
        of(Method::default(), "this program's default"),
        of(Method::Dds, "decomposed diffusion sampling"),
        of(Method::DiffPir, "DiffPIR"),
        of(Method::Tv, "total variation"),
        Contender { key: "sirt", title: "SIRT", way: Way::Sirt },
        of(Method::Fbp, "filtered backprojection"),
    ]
}
