//! The parts of a report.
use super::chart::Curve;
use super::picture::Picture;

/// A report's content. Text is plain; the page escapes it.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Heading: what was reconstructed.
    pub title: String,
    /// The method, in a few words.
    pub method: String,
    /// The end of the run.
    pub status: Status,
    /// The few numbers to see first, as (name, value).
    pub highlights: Vec<(String, String)>,
    /// Warnings for the reader, before the pictures are believed.
    pub warnings: Vec<String>,
    /// Conclusions that the reader may draw, and from what.
    pub findings: Vec<Finding>,
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

/// A statement about a result: words first, the numbers behind them.
#[derive(Debug, Clone, Default)]
pub struct Finding {
    /// Heading: the question that is answered.
    pub title: String,
    /// The answer, in words that need no knowledge of the method.
    pub words: String,
    /// The colour of the answer.
    pub tone: Tone,
    /// The numbers, as (name, value).
    pub rows: Vec<(String, String)>,
    /// Numbers over something that is counted.
    pub curves: Vec<Curve>,
}

/// Good news, bad news, or neither.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tone {
    /// As it should be.
    Good,
    /// The reader must know.
    Warning,
    /// Neither.
    #[default]
    Plain,
}

/// The end of a run.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// In words.
    pub text: String,
    /// True if the run did what it set out to do.
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
    /// Remarks that a reader needs.
    pub note: String,
}

/// A figure in colour.
#[derive(Debug, Clone, Default)]
pub struct Figure {
    /// The content, in words.
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
