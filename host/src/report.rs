//! The report of one reconstruction: a page that needs nothing but itself, and strips of pictures.
//!
//! Curves are inline SVG and the page has no script. A plotting library in JavaScript would add 4.7 MB to every run,
//! a formula renderer that fetches its fonts, and colours that do not follow the reader's light or dark setting.
mod canvas;
mod chart;
mod page;
mod panel;
mod picture;

pub use chart::Curve;
pub use panel::{Panel, PanelAxis, Path as PanelPath, isolines};
pub use picture::{Picture, picture_strip};

use crate::data::write_atomically;
use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

/// What a report shows. Text is plain; the page escapes it.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Heading: what was reconstructed.
    pub title: String,
    /// How, in a few words.
    pub method: String,
    /// How the run ended.
    pub status: Status,
    /// The few numbers to see first, as (name, value).
    pub highlights: Vec<(String, String)>,
    /// What the reader must know before believing the pictures.
    pub warnings: Vec<String>,
    /// Results in rows and columns.
    pub tables: Vec<Table>,
    /// Figures in colour, side by side.
    pub figures: Vec<Figure>,
    /// Pictures, side by side.
    pub pictures: Vec<Picture>,
    /// Curves over the iterations.
    pub curves: Vec<Curve>,
    /// Tables of settings.
    pub settings: Vec<Section>,
    /// The run's description: a TOML file that repeats it.
    pub toml: String,
    /// Programs and their versions, as (name, version).
    pub versions: Vec<(String, String)>,
}

/// How a run ended.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// In words.
    pub text: String,
    /// Whether the run did what it set out to do.
    pub reached_goal: bool,
}

/// Results in rows and columns.
#[derive(Debug, Clone, Default)]
pub struct Table {
    /// Heading.
    pub title: String,
    /// Names of the columns.
    pub header: Vec<String>,
    /// Rows, as long as the header; the first cell names the row.
    pub rows: Vec<Vec<String>>,
    /// What a reader must know to read it.
    pub note: String,
}

/// A figure in colour.
#[derive(Debug, Clone, Default)]
pub struct Figure {
    /// What it shows.
    pub caption: String,
    /// The same in words, for readers who do not see it.
    pub alt: String,
    /// The picture, a PNG.
    pub png: Vec<u8>,
    /// Its size in pixels: columns, rows.
    pub size: (u32, u32),
}

/// A table of settings.
#[derive(Debug, Clone, Default)]
pub struct Section {
    /// Heading.
    pub title: String,
    /// Rows as (name, value).
    pub rows: Vec<(String, String)>,
}

/// A report that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// A picture has no pixels, or too many.
    #[error("picture {caption:?} cannot be encoded; check the size of its image")]
    Picture {
        /// The picture's caption.
        caption: String,
        /// What the encoder says.
        #[source]
        cause: Box<dyn Error + Send + Sync>,
    },
    /// The file system refuses to write.
    #[error("{}: the report cannot be written; check the folder and the room on the disk", path.display())]
    Write {
        /// The page's file.
        path: PathBuf,
        /// What the file system says.
        #[source]
        source: io::Error,
    },
}

impl Report {
    /// The page: one HTML file without any outside reference.
    ///
    /// # Errors
    /// [`ReportError::Picture`].
    pub fn to_html(&self) -> Result<String, ReportError> {
        page::html(self)
    }

    /// Writes the page to `path`; on errors no file is left behind.
    ///
    /// # Errors
    /// [`ReportError`].
    pub fn write(&self, path: impl AsRef<Path>) -> Result<(), ReportError> {
        let path = path.as_ref();
        let html = self.to_html()?;
        write_atomically(path, html.as_bytes()).map_err(|source| ReportError::Write { path: path.to_owned(), source })
    }
}
