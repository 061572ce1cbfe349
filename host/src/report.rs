//! The report of one reconstruction: a page that needs nothing but itself, and strips of pictures.
//!
//! Curves are inline SVG and the page has no script. A plotting library in JavaScript would add 4.7 MB to every run,
//! a formula renderer that fetches its fonts, and colours that do not follow the reader's light or dark setting.
mod canvas;
mod chart;
mod content;
mod error;
mod escape;
mod page;
mod panel;
mod picture;

pub use chart::Curve;
pub use content::{Figure, Report, Section, Status, Table};
pub use error::ReportError;
pub use panel::{Panel, PanelAxis, Path as PanelPath, isolines};
pub use picture::{Picture, picture_strip};

use crate::data::write_atomically;
use std::path::Path;

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
