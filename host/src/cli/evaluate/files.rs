//! The files of an evaluation's folder, and what is printed.

use crate::ending::Failure;
use crate::terminal::Terminal;
use gradus::data::write_atomically;
use gradus::paper::tables::{Evaluation, Figures, Published, Summary, TableKind};
use gradus::report::{Figure, Report, Section, Status, Table, picture_strip};
use miette::IntoDiagnostic;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::PathBuf;

/// Screen pixels a pixel in the strip of pictures.
const MAGNIFICATION: usize = 2;

/// Everything that is to be written.
#[derive(Debug)]
pub struct Output {
    folder: PathBuf,
    /// Tables, and their kinds.
    pub tables: Vec<(Summary, TableKind)>,
    /// Tables that are no comparison on images.
    pub other_tables: Vec<Table>,
    /// Figs. 2 and 3.
    pub figures: Option<Figures>,
    /// Fig. 1.
    pub panels: Vec<Figure>,
    /// Parts that were left out, and why.
    pub left_out: Vec<String>,
    /// Seconds of the whole, for the page.
    pub seconds: Option<f64>,
}

impl Output {
    /// Nothing yet.
    pub fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            tables: Vec::new(),
            other_tables: Vec::new(),
            figures: None,
            panels: Vec::new(),
            left_out: Vec::new(),
            seconds: None,
        }
    }

    /// The path of a file.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Failure> {
        write_atomically(&self.file(name), bytes).into_diagnostic()
    }

    /// Writes everything, and prints the summary.
    pub fn finish(&self, evaluation: &Evaluation, is_done: bool, terminal: &Terminal) -> Result<(), Failure> {
        for (summary, kind) in &self.tables {
            self.write(&format!("table-{}.csv", kind.number), csv(summary, kind, has_slices(evaluation)).as_bytes())?;
        }
        if let Some(figures) = &self.figures {
            self.write("figure-2.csv", figures.csv.as_bytes())?;
            let strip = picture_strip(&figures.pictures, MAGNIFICATION).into_diagnostic()?;
            self.write("figure-3.png", &strip)?;
        }
        self.page(evaluation, is_done).write(self.file("report.html")).into_diagnostic()?;
        terminal.report(&self.json(evaluation, is_done))?;
        terminal.say(&self.text(evaluation, is_done))
    }

    fn page_tables(&self, evaluation: &Evaluation) -> Vec<Table> {
        let ours = self.tables.iter().map(|(summary, kind)| summary.to_table(kind, has_slices(evaluation)));
        ours.chain(self.other_tables.iter().cloned()).collect()
    }

    fn page(&self, evaluation: &Evaluation, is_done: bool) -> Report {
        let protocol = evaluation.protocol();
        let seconds = self.seconds.map(|s| ("Minutes".to_owned(), format!("{:.1}", s / 60.0)));
        let figures = self.figures.as_ref();
        Report {
            title: format!("Evaluation on {}", protocol.dataset),
            method: "tables and figures of [FKD24], section 4".into(),
            status: Status { text: if is_done { "done" } else { "stopped" }.into(), reached_goal: is_done },
            highlights: seconds.into_iter().collect(),
            warnings: self.left_out.clone(),
            tables: self.page_tables(evaluation),
            figures: self.panels.clone(),
            pictures: figures.map(|figures| figures.pictures.clone()).unwrap_or_default(),
            curves: figures.map(|figures| figures.curves.clone()).unwrap_or_default(),
            settings: vec![settings(evaluation)],
            toml: toml::to_string(protocol).unwrap_or_default(),
            versions: vec![("gradus".into(), env!("CARGO_PKG_VERSION").into())],
            ..Report::default()
        }
    }

    fn json(&self, evaluation: &Evaluation, is_done: bool) -> Value {
        let tables: Vec<&Summary> = self.tables.iter().map(|(summary, _)| summary).collect();
        let figures = self.figures.is_some();
        json!({
            "status": if is_done { "done" } else { "stopped" },
            "tables": tables,
            "figures": figures,
            "device": evaluation.protocol().device,
            "precision": evaluation.protocol().precision,
            "alpha_per_std": evaluation.protocol().alpha_per_std,
            "alpha_source": evaluation.protocol().alpha_source,
            "left_out": self.left_out,
            "seconds": self.seconds,
            "output": self.folder.display().to_string(),
        })
    }

    fn text(&self, evaluation: &Evaluation, is_done: bool) -> String {
        let mut text: String = self.page_tables(evaluation).iter().map(in_columns).collect();
        for line in &self.left_out {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "left out: {line}");
        }
        if !is_done {
            text += "stopped; the same command goes on where it was\n";
        }
        let alpha = evaluation.protocol().alpha_per_std;
        let _ = write!(text, "alpha over the noise: {alpha}; report: {}", self.file("report.html").display());
        text
    }
}

fn has_slices(evaluation: &Evaluation) -> bool {
    evaluation.dataset().has_hounsfield_units()
}

fn settings(evaluation: &Evaluation) -> Section {
    let p = evaluation.protocol();
    let rows = [
        ("Data set", p.dataset.clone()),
        ("Prior", format!("{}, checksum {}", p.prior, p.prior_checksum)),
        ("Views", p.views.to_string()),
        ("Noise over the mean line integral", p.noise.to_string()),
        ("Alpha over the noise", format!("{} ({:?})", p.alpha_per_std, p.alpha_source).to_lowercase()),
        ("Iterations", p.steps.to_string()),
        ("Rows computed", evaluation.results().n_rows().to_string()),
    ];
    Section { title: "Evaluation".into(), rows: rows.map(|(name, value)| (name.to_owned(), value)).to_vec() }
}

/// The table as csv, the paper's numbers beside ours; empty cells where there is no number.
fn csv(summary: &Summary, kind: &TableKind, has_slices: bool) -> String {
    let mut csv = String::from(
        "method,psnr_db,psnr_std,ssim,ssim_std,rmse_hu,window_psnr_db,images,starts,broke,failed_searches,\
         paper_psnr_db,paper_psnr_std,paper_ssim,paper_ssim_std\n",
    );
    let cell = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
    for (line, (_, ellipses, slices)) in summary.lines.iter().zip(kind.rows) {
        let paper: Option<Published> = if has_slices { *slices } else { *ellipses };
        let ours = [
            Some(line.psnr_db.mean),
            line.psnr_db.std,
            Some(line.ssim.mean),
            line.ssim.std,
            line.rmse_hu,
            line.window_psnr_db,
        ];
        let theirs = [
            paper.map(|p| p.psnr_db),
            paper.and_then(|p| p.psnr_std),
            paper.map(|p| p.ssim),
            paper.and_then(|p| p.ssim_std),
        ];
        let (ours, theirs) = (ours.map(cell).join(","), theirs.map(cell).join(","));
        let counts = format!("{},{},{},{}", summary.images, summary.starts, line.broke, line.failed_searches);
        // Writing to a string cannot fail.
        let _ = writeln!(csv, "{},{ours},{counts},{theirs}", line.method);
    }
    csv
}

/// A table in columns, for a terminal.
pub fn in_columns(table: &Table) -> String {
    let lines: Vec<&Vec<String>> = std::iter::once(&table.header).chain(&table.rows).collect();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..table.header.len()).map(width).collect();
    let mut text = format!("{}\n", table.title);
    for line in lines {
        let cells = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        text += &format!("  {}\n", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
    text + &format!("  {}\n\n", table.note)
}
