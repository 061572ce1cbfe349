//! The files about a series as a whole: its report, its table, the run that repeats it.

use super::super::prepared::Prepared;
use super::summary::Summary;
use super::work::Work;
use crate::ending::Failure;
use gradus::data::write_atomically;
use gradus::image::{GreyWindow, Image};
use gradus::report::{Picture, Report, Section, Status, Table};
use gradus::series::{Record, csv, views};
use miette::IntoDiagnostic;

/// Writes them.
pub fn write(summary: &Summary, work: &Work<'_>, probe: &Prepared) -> Result<(), Failure> {
    let folder = work.folder.path();
    let put = |name: &str, text: &str| write_atomically(&folder.join(name), text.as_bytes()).into_diagnostic();
    put("slices.csv", &csv(&summary.records))?;
    let toml = work.run.clone().seen_from(folder).to_toml()?;
    put("run.toml", &toml)?;
    report(summary, work, probe, toml)?.write(folder.join("report.html")).into_diagnostic()?;
    work.folder.finish();
    Ok(())
}

fn report(summary: &Summary, work: &Work<'_>, probe: &Prepared, toml: String) -> Result<Report, Failure> {
    let number = |name: &str, value: Option<f64>, decimals: usize, unit: &str| {
        value.map(|value| (name.to_owned(), format!("{value:.decimals$}{unit}")))
    };
    let highlights = [
        Some(("Slices".to_owned(), summary.range.len().to_string())),
        number("PSNR, mean", summary.mean(|record| record.psnr), 2, " dB"),
        number("SSIM, mean", summary.mean(|record| record.ssim), 3, ""),
        number("Chi squared a ray, mean", summary.mean(|record| record.chi_squared), 3, ""),
        number("Chi squared a ray, worst", summary.worst_fit(), 3, ""),
    ];
    Ok(Report {
        title: summary.words.clone(),
        method: format!("{}, slice by slice", work.run.reconstruction.method()),
        status: Status { text: summary.status(), reached_goal: summary.reached_goal() },
        highlights: highlights.into_iter().flatten().collect(),
        warnings: work.source.doubts().iter().cloned().chain(summary.warnings()).collect(),
        tables: vec![table(&summary.records)],
        pictures: pictures(summary, work, probe)?,
        settings: vec![scan_section(summary, work, probe)],
        toml,
        versions: vec![("gradus".to_owned(), env!("CARGO_PKG_VERSION").to_owned())],
        ..Report::default()
    })
}

/// Montage and cuts, in one window.
fn pictures(summary: &Summary, work: &Work<'_>, probe: &Prepared) -> Result<Vec<Picture>, Failure> {
    let spacing = summary.spacing_mm();
    let rows = (spacing.unwrap_or(summary.pixel_mm) / summary.pixel_mm).round().clamp(1.0, 64.0) as usize;
    let seen = views(&work.volume, rows, spacing.is_some()).into_diagnostic()?;
    let window = GreyWindow::new(seen.range.0, seen.range.1);
    let picture = |caption: String, image: Image| {
        let picture = Picture::new(caption, image, window);
        Picture { unit: probe.unit.name().to_owned(), ..picture }
    };
    let first = summary.range.start;
    let named: Vec<String> = seen.shown.iter().map(|slice| (first + slice).to_string()).collect();
    let top = if spacing.is_some() { summary.range.end - 1 } else { first };
    Ok(vec![
        picture(format!("Slices {}, row by row", named.join(", ")), seen.montage),
        picture(format!("Sagittal cut through the middle column, slice {top} on top"), seen.sagittal),
        picture(format!("Coronal cut through the middle row, slice {top} on top"), seen.coronal),
    ])
}

fn table(records: &[Record]) -> Table {
    let number = |value: Option<f64>, decimals: usize| value.map_or_else(String::new, |v| format!("{v:.decimals$}"));
    let row = |record: &Record| {
        vec![
            record.slice.to_string(),
            record.status.clone(),
            number(record.psnr, 2),
            number(record.ssim, 3),
            number(record.chi_squared, 3),
            record.iterations.to_string(),
            record.network_forwards.to_string(),
            record.warnings.len().to_string(),
        ]
    };
    let header = ["Slice", "End", "PSNR (dB)", "SSIM", "Chi squared", "Iterations", "Network passes", "Warnings"];
    Table {
        title: "By slice".to_owned(),
        header: header.map(str::to_owned).to_vec(),
        rows: records.iter().map(row).collect(),
        note: "Chi squared of a ray: 1 where only the noise is left. slices.csv has the same, with the warnings of \
               each slice."
            .to_owned(),
    }
}

fn scan_section(summary: &Summary, work: &Work<'_>, probe: &Prepared) -> Section {
    let geometry = &probe.problem.scan.geometry;
    let spacing = summary.spacing_mm().map_or_else(|| "not known".to_owned(), |mm| format!("{mm:.3} mm"));
    let rows = [
        ("Slices", format!("{}, {}", work.source.n_slices(), work.source.kind())),
        ("Distance of slices", spacing),
        ("Beam", geometry.beam.to_string()),
        ("Views", geometry.angles_rad.len().to_string()),
        ("Detector", format!("{} bins of {:.4} mm", geometry.n_bins, geometry.bin_width_mm)),
        ("Image", format!("{} x {} pixels of {} mm", geometry.height, geometry.width, geometry.pixel_mm)),
        ("Network unit 1", format!("{:.6} 1/mm", work.scale)),
    ];
    let rows = rows.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Section { title: "Scan of the middle slice".to_owned(), rows }
}
