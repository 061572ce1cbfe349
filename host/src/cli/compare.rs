//! `gradus compare`: runs side by side in one page.

use crate::ending::{End, Failure};
use crate::problem::Unit;
use crate::reconstruct::SUMMARY;
use crate::terminal::Terminal;
use gradus::data::image_files::read_image;
use gradus::data::read_description;
use gradus::data::scan::Scan;
use gradus::image::{GreyWindow, Image};
use gradus::report::{Picture, Report, Status, Table};
use miette::{IntoDiagnostic, miette};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// The page's name where none is given.
const PAGE: &str = "compare.html";

/// Runs to compare.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Folders of finished runs, of images of one size and unit; the others are compared with the first
    #[arg(value_name = "RUN", required = true, num_args = 2..)]
    runs: Vec<PathBuf>,
    /// The page to write, a file that does not exist yet [default: compare.html]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Runs the command.
pub fn run(arguments: &Arguments, terminal: &Terminal) -> Result<End, Failure> {
    let path = arguments.output.clone().unwrap_or_else(|| PAGE.into());
    if path.exists() {
        return Err(miette!("{} exists already; name a new file with --output", path.display()));
    }
    let runs: Vec<Run> = arguments.runs.iter().map(|folder| Run::read(folder)).collect::<Result<_, _>>()?;
    let Some((first, others)) = runs.split_first() else { return Err(miette!("there are no runs to compare")) };
    others.iter().try_for_each(|other| first.check_like(other))?;
    let truth = common_truth(&runs);
    let report = page(&runs, truth.as_ref());
    report.warnings.iter().for_each(|warning| terminal.warn(warning));
    report.write(&path).into_diagnostic()?;
    let summaries: Vec<&Value> = runs.iter().map(|run| &run.summary).collect();
    terminal.report(&json!({ "output": path.display().to_string(), "runs": summaries }))?;
    terminal.say(&format!("{} runs side by side: {}", runs.len(), path.display()))?;
    Ok(End::Done)
}

/// A finished run, as its folder tells it.
struct Run {
    name: String,
    folder: PathBuf,
    image: Image,
    /// The object of `--json`.
    summary: Value,
}

impl Run {
    fn read(folder: &Path) -> Result<Self, Failure> {
        let (name, file) = (folder.display().to_string(), folder.join(SUMMARY));
        let summary = read_description(&file).map_err(|error| {
            miette!(
                "{}: {error}; name the folder of a finished run, and where an older version has made it, make it \
                 again: gradus reconstruct --config {name}/run.toml -o NEW",
                file.display()
            )
        })?;
        let summary: Value = serde_json::from_str(&summary)
            .map_err(|error| miette!("{}: {error}; the file is damaged: make the run again", file.display()))?;
        let image = read_image(folder.join("image.npy")).into_diagnostic()?.image;
        let run = Self { name, folder: folder.to_owned(), image, summary };
        match (run.summary["unit"].as_str(), run.summary["pixel_mm"].as_f64()) {
            (Some(_), Some(mm)) if mm > 0.0 => Ok(run),
            _ => Err(miette!("{}: it says no unit, or no pixel_mm; make the run again", file.display())),
        }
    }

    fn word(&self, key: &str) -> &str {
        self.summary[key].as_str().unwrap_or("")
    }

    fn pixel_mm(&self) -> f64 {
        self.summary["pixel_mm"].as_f64().unwrap_or(f64::NAN)
    }

    /// An error where the other's image shows other places, or another quantity.
    fn check_like(&self, other: &Self) -> Result<(), Failure> {
        let differ = |mine: String, others: String| {
            miette!("{} has {mine}, {} {others}; only runs of one size and unit can be compared", self.name, other.name)
        };
        let size = |run: &Self| format!("{} x {} pixels", run.image.height, run.image.width);
        if size(self) != size(other) {
            return Err(differ(size(self), size(other)));
        }
        // As scans that say the same differ in their last digits.
        if (self.pixel_mm() / other.pixel_mm() - 1.0).abs() > 1e-6 {
            let mm = |run: &Self| format!("pixels of {} mm", run.pixel_mm());
            return Err(differ(mm(self), mm(other)));
        }
        if self.word("unit") != other.word("unit") {
            let values = |run: &Self| format!("values in {}", run.word("unit"));
            return Err(differ(values(self), values(other)));
        }
        Ok(())
    }

    /// The truth that the folder's simulated scan holds, in the unit of the run's image.
    fn truth(&self) -> Option<Image> {
        let scan = Scan::read(self.folder.join("scan.npz")).ok()?;
        let unit = match self.word("unit") {
            "HU" => Unit::Hounsfield,
            "1/mm" => Unit::Attenuation(scan.attenuation_per_unit_per_mm?),
            _ => Unit::Network,
        };
        let truth = unit.express(scan.truth.as_ref()?);
        ((truth.height, truth.width) == (self.image.height, self.image.width)).then_some(truth)
    }
}

/// The truth of runs on one input.
fn common_truth(runs: &[Run]) -> Option<Image> {
    let truths: Vec<Image> = runs.iter().filter_map(Run::truth).collect();
    let (first, others) = truths.split_first()?;
    (others.len() + 1 == runs.len() && others.iter().all(|other| other == first)).then(|| first.clone())
}

fn page(runs: &[Run], truth: Option<&Image>) -> Report {
    let names: Vec<&str> = runs.iter().map(|run| run.name.as_str()).collect();
    let inputs: Vec<&str> = runs.iter().map(|run| run.word("input")).collect();
    let mixed = inputs.iter().any(|input| *input != inputs[0]);
    let warning = format!("the runs are of different inputs: {}", inputs.join(", "));
    Report {
        title: format!("Comparison of {} runs", runs.len()),
        method: names.join(", "),
        status: Status::default(),
        warnings: mixed.then_some(warning).into_iter().collect(),
        pictures: pictures(runs, truth),
        tables: vec![table(runs)],
        versions: vec![("gradus".to_owned(), env!("CARGO_PKG_VERSION").to_owned())],
        ..Report::default()
    }
}

/// The truth, the runs, what they differ from the first and from the truth: each kind in one window.
fn pictures(runs: &[Run], truth: Option<&Image>) -> Vec<Picture> {
    let window = GreyWindow::of(truth.unwrap_or(&runs[0].image));
    let placed = |picture: Picture| Picture {
        unit: runs[0].word("unit").to_owned(),
        pixel_mm: Some(runs[0].pixel_mm()),
        ..picture.pooled()
    };
    let of_run = |run: &Run| {
        let picture = placed(Picture::new(caption(run), run.image.clone(), window));
        Picture { psnr_db: run.summary["psnr"].as_f64(), ssim: run.summary["ssim"].as_f64(), ..picture }
    };
    let mut pictures: Vec<Picture> =
        truth.iter().map(|truth| placed(Picture::new("Truth", (*truth).clone(), window))).collect();
    pictures.extend(runs.iter().map(of_run));
    let less_first = runs[1..].iter().map(|run| {
        let caption = format!("Difference, {} \u{2212} {}", run.name, runs[0].name);
        (caption, difference(&run.image, &runs[0].image))
    });
    let mut maps = signed(less_first.collect());
    if let Some(truth) = truth {
        let less_truth =
            runs.iter().map(|run| (format!("Error, {} \u{2212} truth", run.name), difference(&run.image, truth)));
        maps.extend(signed(less_truth.collect()));
    }
    pictures.extend(maps.into_iter().map(placed));
    pictures
}

fn caption(run: &Run) -> String {
    format!("{}, {}", run.name, run.word("method"))
}

/// Of images of one size.
fn difference(image: &Image, other: &Image) -> Image {
    let pixels = image.pixels.iter().zip(&other.pixels).map(|(a, b)| a - b).collect();
    Image { pixels, ..*image }
}

/// Maps in one window, grey at 0.
fn signed(maps: Vec<(String, Image)>) -> Vec<Picture> {
    let ends = maps.iter().map(|(_, map)| map.range());
    let most = ends.fold(0.0_f32, |most, (lo, hi)| most.max(-lo).max(hi));
    let window = GreyWindow::new(-most, most);
    maps.into_iter().map(|(caption, map)| Picture::map(caption, map, window)).collect()
}

/// A number with these decimals.
fn number(value: &Value, decimals: usize) -> String {
    value.as_f64().map_or_else(|| "not known".to_owned(), |value| format!("{value:.decimals$}"))
}

fn table(runs: &[Run]) -> Table {
    let header = ["Run", "Method", "Prior", "Input", "Iterations", "Seconds", "PSNR dB", "SSIM", "Chi squared a ray"];
    let row = |run: &Run| {
        let summary = &run.summary;
        let prior = if summary["prior"].is_null() { "none" } else { run.word("prior") };
        let words = [run.name.as_str(), run.word("method"), prior, run.word("input")].map(str::to_owned);
        let numbers = [
            number(&summary["iterations"], 0),
            number(&summary["seconds"], 1),
            number(&summary["psnr"], 2),
            number(&summary["ssim"], 3),
            number(&summary["fit"]["chi_squared"], 3),
        ];
        words.into_iter().chain(numbers).collect()
    };
    Table {
        title: "Runs".to_owned(),
        header: header.map(str::to_owned).to_vec(),
        rows: runs.iter().map(row).collect(),
        note: "PSNR and SSIM need a truth. Chi squared is 1 where a picture explains the data as the noise allows."
            .to_owned(),
    }
}
