//! Series: the slices of a volume, read one by one, their results kept as they are done, and the volume that they make.
//!
//! A [`Source`] hands out slices, whatever the series is stored as. A [`SeriesFolder`] holds the settings, which are
//! compared when somebody goes on with it, and a [`Record`] for each slice that is done; the [`Volume`] beside it grows
//! on the disk. Several processes may work in one folder: a slice is claimed before it is made.
//!
//! ```no_run
//! use gradus::series::{Slice, SliceRange, Source};
//!
//! let mut source = Source::open("stack.npy", None, &Default::default())?;
//! for slice in "10:20".parse::<SliceRange>()?.within(source.n_slices())? {
//!     if let Slice::Image(loaded) = source.read(slice)? {
//!         println!("slice {slice}: {:?}", loaded.image.range());
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod folder;
mod nifti;
mod range;
mod record;
mod source;
mod views;
mod volume;

pub use folder::{SeriesFolder, SeriesFolderError};
pub use nifti::{Placement, write_nifti};
pub use range::{RangeError, SliceRange};
pub use record::{Record, csv};
pub use source::{Slice, Source, SourceError};
pub use views::{Views, views};
pub use volume::{VOLUME, Volume};
