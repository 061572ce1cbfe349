//! The methods that are compared.

use crate::ct::Window;
use crate::reconstruct::{FbpSettings, Method, Settings};

/// Iterations of SIRT, as in the benchmark.
pub const SIRT_ITERATIONS: usize = 100;

/// How an image is made.
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

/// All of them, each with its own defaults. For this task the authors of [`Method::Dds`] take data for free of noise, its
/// default; filtered backprojection has no window there.
#[must_use]
pub fn contenders() -> [Contender; 6] {
    let of = |method: Method, title| Contender { key: method.name(), title, way: Way::Settings(method.into()) };
    let ramp = Settings::Fbp(FbpSettings { window: Window::Ramp });
    [
        of(Method::default(), "this program's default"),
        of(Method::Dds, "decomposed diffusion sampling"),
        of(Method::DiffPir, "DiffPIR"),
        of(Method::Tv, "total variation"),
        Contender { key: "sirt", title: "SIRT", way: Way::Sirt },
        Contender { way: Way::Settings(ramp), ..of(Method::Fbp, "filtered backprojection") },
    ]
}
