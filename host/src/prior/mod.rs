//! Priors: what is known of images before any is measured, with the unit and the pixel size that each suits.
//!
//! A [`Prior`] is an energy at every smoothing level, embedded or in a weights file.
//!
//! ```
//! use gradus::prior::{Prior, Unit};
//!
//! let ct = Prior::named("ct")?;
//! assert_eq!(ct.suits().map(|suits| suits.unit), Some(Unit::Hounsfield));
//! assert_eq!(ct.levels(), Some(8)); // of the default method
//! # Ok::<(), gradus::prior::PriorError>(())
//! ```

mod embedded;
mod named;
mod suits;

pub use embedded::{EMBEDDED, Embedded, embedded, suiting};
pub use named::{Prior, PriorError};
pub use suits::{Suits, Unit};
