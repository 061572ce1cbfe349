//! `--htc`: the Helsinki Tomography Challenge, with one prior and one set of settings.

use super::arguments::Arguments;
use crate::ending::{End, Failure};
use crate::problem::prior_bytes;
use crate::terminal::{Terminal, stop_flag};
use gradus::data::write_atomically;
use gradus::image::{GreyWindow, Image};
use gradus::paper::htc::{Phantom, Protocol, Row, Rows, Task, Trial, methods, phantoms, tasks};
use gradus::paper::tables::checksum;
use gradus::prior::Prior;
use gradus::reconstruct::{PlacedPrior, Settings};
use gradus::report::{Figure, Picture, Report, Section, Status, Table, picture_strip};
use miette::IntoDiagnostic;
use serde_json::json;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

/// The challenge's scans are those over part of a turn.
const CHALLENGE: Task = Task::Limited;

/// The evaluation of a folder.
struct Session<'a> {
    rows: Rows,
    folder: PathBuf,
    prior: PlacedPrior<'a>,
    methods: Vec<Settings>,
    terminal: &'a Terminal,
}

/// Runs the command on the challenge's files in `data`.
pub fn run(arguments: &Arguments, data: &Path, terminal: &Terminal) -> Result<End, Failure> {
    let phantoms = phantoms(data).into_diagnostic()?;
    let name = arguments.prior.as_deref().unwrap_or("disc");
    let bytes = prior_bytes(name)?;
    let prior = Prior::of_file(name, &bytes).into_diagnostic()?;
    let methods = methods();
    let protocol = Protocol {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        prior: name.to_owned(),
        prior_checksum: checksum(&bytes),
        methods: methods.clone(),
    };
    let folder = arguments.output.clone().unwrap_or_else(|| Path::new("runs").join("evaluate-htc"));
    let rows = Rows::open(&folder, &protocol).into_diagnostic()?;
    let mut session = Session { rows, folder, prior: PlacedPrior::on_cpu(&prior), methods, terminal };
    let is_done = session.work(&phantoms)?;
    session.finish(&phantoms, &protocol, is_done)?;
    Ok(if is_done { End::Done } else { End::Unfinished })
}

impl Session<'_> {
    /// All rows that are not there yet; `false` when stopped.
    fn work(&mut self, phantoms: &[Phantom]) -> Result<bool, Failure> {
        let stop = stop_flag()?;
        let asked: Vec<(&Phantom, Task)> =
            phantoms.iter().flat_map(|phantom| tasks(phantom).into_iter().map(move |task| (phantom, task))).collect();
        let bar = self.terminal.progress((asked.len() * self.methods.len()) as u64, "challenge");
        for (phantom, task) in asked {
            let is_there = |settings: &Settings| self.rows.get(&phantom.name, task, settings.method().name()).is_some();
            let pending: Vec<Settings> = self.methods.iter().filter(|one| !is_there(one)).cloned().collect();
            bar.inc((self.methods.len() - pending.len()) as u64);
            if pending.is_empty() {
                continue;
            }
            let trial = Trial::new(phantom, task).into_diagnostic()?;
            for settings in pending {
                bar.set_message(format!("{}, {task}, {}", phantom.name, settings.method()));
                let go_on =
                    || if stop.load(Ordering::SeqCst) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
                let answer = trial.answer(&settings, &self.prior, &mut |_| go_on()).into_diagnostic()?;
                if go_on().is_break() {
                    return Ok(false);
                }
                self.keep(&trial.segmentation, task, answer)?;
                bar.inc(1);
            }
        }
        bar.finish_and_clear();
        Ok(true)
    }

    /// A picture of the answer, and then its row.
    fn keep(&mut self, segmentation: &Image, task: Task, (row, image): (Row, Image)) -> Result<(), Failure> {
        let cut = |image: &Image| {
            let pixels = image.pixels.iter().map(|pixel| f32::from(u8::from(*pixel > 0.5))).collect();
            Image { pixels, ..*image }
        };
        let show = |image: Image| Picture::new("", image, GreyWindow::new(0.0, 1.0));
        let pictures = [show(segmentation.clone()), show(image.clone()), show(cut(&image))];
        let strip = picture_strip(&pictures, 1).into_diagnostic()?;
        write_atomically(&self.folder.join(picture(&row.phantom, task, &row.method)), &strip).into_diagnostic()?;
        self.rows.add(row).into_diagnostic()
    }

    /// Tables and pictures of all that is there.
    fn finish(&self, phantoms: &[Phantom], protocol: &Protocol, is_done: bool) -> Result<(), Failure> {
        let tables = self.tables(phantoms);
        let status = if is_done { "done" } else { "stopped; the same command goes on where it was" };
        let report = Report {
            title: "Helsinki Tomography Challenge 2022".into(),
            method: format!("prior {}, one set of settings", protocol.prior),
            status: Status { text: status.into(), reached_goal: is_done },
            tables: tables.clone(),
            figures: self.figures(phantoms),
            settings: vec![Section {
                title: "Evaluation".into(),
                rows: vec![("Prior".into(), format!("{}, checksum {}", protocol.prior, protocol.prior_checksum))],
            }],
            toml: toml::to_string(protocol).unwrap_or_default(),
            versions: vec![("gradus".into(), protocol.version.clone())],
            ..Report::default()
        };
        let page = self.folder.join("report.html");
        report.write(&page).into_diagnostic()?;
        self.terminal.report(&json!({
            "status": if is_done { "done" } else { "stopped" }, "rows": self.rows.all(),
            "output": self.folder.display().to_string(),
        }))?;
        let text: String = tables.iter().map(super::files::in_columns).collect();
        self.terminal.say(&format!("{text}{status}; report: {}", page.display()))
    }

    /// A table for each kind of question of which there are answers.
    fn tables(&self, phantoms: &[Phantom]) -> Vec<Table> {
        let tables = [
            self.table(phantoms, "Matthews' coefficient, scans of the challenge", &[CHALLENGE], |row| row.matthews),
            self.table(phantoms, "Matthews' coefficient, arcs of whole turns", &[90, 60, 30].map(Task::Arc), |row| {
                row.matthews
            }),
            self.table(
                phantoms,
                "Relative root mean square to the image from all views, inside the disc",
                &[60, 20].map(Task::Sparse),
                |row| row.relative_rms,
            ),
            self.table(
                phantoms,
                "Relative root mean square to the segmentation in its two best greys, inside the disc",
                &[60, 20].map(Task::Sparse),
                |row| row.segmentation_rms,
            ),
        ];
        tables.into_iter().filter(|table| table.rows.len() > 1).collect()
    }

    /// A row for each question that has been answered, and the sum of the complete ones.
    fn table(&self, phantoms: &[Phantom], title: &str, tasks: &[Task], value: fn(&Row) -> Option<f64>) -> Table {
        let names: Vec<&str> = self.methods.iter().map(|settings| settings.method().name()).collect();
        let (mut lines, mut sums, mut complete) = (Vec::new(), vec![0.0; names.len()], 0);
        for (phantom, &task) in phantoms.iter().flat_map(|phantom| tasks.iter().map(move |task| (phantom, task))) {
            let rows: Vec<Option<&Row>> = names.iter().map(|name| self.rows.get(&phantom.name, task, name)).collect();
            let Some(known) = rows.iter().flatten().next() else { continue };
            let values: Vec<Option<f64>> = rows.iter().map(|row| row.and_then(value)).collect();
            if values.iter().all(Option::is_some) {
                complete += 1;
                sums.iter_mut().zip(&values).for_each(|(sum, value)| *sum += value.unwrap_or(0.0));
            }
            let seconds = rows.last().copied().flatten().map_or(String::new(), |row| format!("{:.1}", row.seconds));
            let first = [phantom.name.clone(), known.views.to_string(), format!("{:.1}", known.arc_deg)];
            let cells = values.into_iter().map(|value| value.map_or(String::new(), |value| format!("{value:.4}")));
            lines.push(first.into_iter().chain(cells).chain([seconds]).collect());
        }
        let cells = sums.iter().map(|sum| format!("{sum:.4}"));
        let last = [format!("sum of {complete}"), String::new(), String::new()];
        lines.push(last.into_iter().chain(cells).chain([String::new()]).collect());
        let header = ["phantom", "views", "degrees"].into_iter().chain(names).chain(["seconds"]);
        let note = "seconds are those of the last method; images are cut half-way between air and material";
        Table { title: title.into(), header: header.map(str::to_owned).collect(), rows: lines, note: note.into() }
    }

    /// The pictures of the last method's answers to the challenge's questions, or to those about arcs.
    fn figures(&self, phantoms: &[Phantom]) -> Vec<Figure> {
        let Some(method) = self.methods.last().map(Settings::method) else { return Vec::new() };
        let asked = phantoms.iter().flat_map(|phantom| tasks(phantom).into_iter().map(move |task| (phantom, task)));
        let shown = asked.filter(|(_, task)| !matches!(task, Task::Sparse(_)));
        let figure = |(phantom, task): (&Phantom, Task)| {
            let row = self.rows.get(&phantom.name, task, method.name())?;
            let png = std::fs::read(self.folder.join(picture(&phantom.name, task, method.name()))).ok()?;
            let value = row.matthews.unwrap_or(f64::NAN);
            Some(Figure {
                caption: format!(
                    "{}, {:.0} degrees: segmentation of the whole turn, image, cut: {value:.3}",
                    row.phantom, row.arc_deg
                ),
                alt: format!("{}, {task}, by {method}", row.phantom),
                png,
                size: (SHOWN_WIDTH, SHOWN_WIDTH / 3),
            })
        };
        shown.filter_map(figure).collect()
    }
}

/// Width of a strip on the page.
const SHOWN_WIDTH: u32 = 720;

fn picture(phantom: &str, task: Task, method: &str) -> String {
    format!("{phantom}-{task}-{method}.png").replace(' ', "-")
}
