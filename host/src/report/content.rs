//! What a report is made of.
use super::chart::Curve;
use super::picture::Picture;

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
