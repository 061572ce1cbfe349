//! The report of one reconstruction: a page that needs nothing but itself, and strips of pictures.
//!
//! Pictures are seen without a script; a small one of our own adds window, zoom, cursor, profile and flicker. Curves
//! are inline SVG: a plotting library in JavaScript would add 4.7 MB to every run, a formula renderer that fetches its
//! fonts, and colours that do not follow the reader's light or dark setting.
mod canvas;
mod chart;
mod content;
mod error;
mod escape;
mod number;
mod page;
mod panel;
mod parts;
mod picture;
mod pixels;
mod script;
mod view;

pub use chart::Curve;
pub use content::{Figure, Finding, Report, Section, Status, Table, Tone};
pub use error::ReportError;
pub use panel::{Panel, PanelAxis, Path as PanelPath, isolines};
pub use picture::{Picture, PictureKind, picture_strip};
pub(crate) use pixels::means as shrunk;

use crate::data::write_atomically;
use std::path::Path;

impl Report {
    /// The page: one HTML file without any outside reference.
    ///
    /// # Errors
    /// [`ReportError::Picture`], where a picture cannot be encoded.
    pub fn to_html(&self) -> Result<String, ReportError> {
        page::html(self)
    }

    /// Writes the page to `path`; on errors no file is left behind.
    ///
    /// # Errors
    /// [`ReportError`], where a picture cannot be encoded or the file cannot be written.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<(), ReportError> {
        let path = path.as_ref();
        let html = self.to_html()?;
        write_atomically(path, html.as_bytes()).map_err(|source| ReportError::Write { path: path.to_owned(), source })
    }
}
