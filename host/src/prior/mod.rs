//! Priors: what is known of images before any is measured, with the unit and the pixel size that each suits.

mod embedded;
mod named;
mod suits;

pub use embedded::{EMBEDDED, Embedded, embedded, suiting};
pub use named::{Prior, PriorError};
pub use suits::{Suits, Unit};
