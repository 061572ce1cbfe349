//! The part of the image that the data determine, and the prior's, in the report, the summary and `--json`.

use super::finished::Finished;
use crate::ending::Failure;
use crate::run_folder::RunFolder;
use gradus::data::image_files::write_npy;
use gradus::image::GreyWindow;
use gradus::report::{Finding, Picture};
use gradus::trust::{Parts, Shares};
use miette::IntoDiagnostic;
use serde_json::{Value, json};

/// Pixels beyond the window of the prior's part, of all.
const BEYOND: f64 = 0.005;

/// The object for machines.
pub fn json(finished: &Finished) -> Value {
    let Some((parts, shares)) = &finished.evidence.parts else { return Value::Null };
    json!({
        "share_of_prior": shares.all,
        "by_frequency": shares.by_frequency,
        "by_direction": shares.by_direction,
        "by_place": shares.by_place,
        "line_integrals_of_rest": parts.left,
        "steps": parts.steps,
    })
}

/// A line for people.
pub fn text(finished: &Finished) -> Option<String> {
    let (_, shares) = finished.evidence.parts.as_ref()?;
    let [coarse, fine] = [0, shares.by_frequency.len() - 1].map(|band| percent(shares.by_frequency[band]));
    let worst = shares.by_direction.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
    let direction = worst.map_or_else(String::new, |(sector, share)| {
        format!(", at most {} in a direction (waves along {})", percent(*share), degrees(shares, sector))
    });
    Some(format!(
        "the prior's part, of which the data say nothing: {} of the energy, {coarse} of the coarsest frequencies, \
         {fine} of the finest{direction}",
        percent(shares.all)
    ))
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// The directions of a sector, counted as angles of views are.
fn degrees(shares: &Shares, sector: usize) -> String {
    let width = 180 / shares.by_direction.len();
    format!("{} to {} degrees", sector * width, (sector + 1) * width)
}

/// Writes both parts, which add up to the image.
pub fn write(finished: &Finished, folder: &RunFolder) -> Result<(), Failure> {
    let Some((Parts { determined, undetermined, .. }, _)) = &finished.evidence.parts else { return Ok(()) };
    write_npy(folder.file("determined.npy"), &finished.unit.express(determined)).into_diagnostic()?;
    let rest = finished.unit.express_difference(undetermined);
    write_npy(folder.file("undetermined.npy"), &rest).into_diagnostic()
}

/// Both parts in the unit of the result, of which the first is shown as the image is.
pub fn pictures(finished: &Finished, window: GreyWindow) -> Vec<Picture> {
    let Some((parts, _)) = &finished.evidence.parts else { return Vec::new() };
    let rest = finished.unit.express_difference(&parts.undetermined);
    let mut sizes: Vec<f32> = rest.pixels.iter().map(|value| value.abs()).collect();
    sizes.sort_by(f32::total_cmp);
    let most = sizes.get(((1.0 - BEYOND) * sizes.len() as f64) as usize).copied().unwrap_or(0.0);
    vec![
        Picture::new("Determined by the data, A\u{207a}A x", finished.unit.express(&parts.determined), window),
        Picture::map("The prior's part, x \u{2212} A\u{207a}A x", rest, GreyWindow::new(-most, most)),
    ]
}

/// The statement of the report, with the shares of the prior by frequency and by direction.
pub fn finding(finished: &Finished) -> Option<Finding> {
    let (_, shares) = finished.evidence.parts.as_ref()?;
    let (bands, pixel_mm) = (shares.by_frequency.len(), finished.problem.scan.geometry.pixel_mm);
    let cycles = |band: usize| band as f64 / (2 * bands) as f64 / pixel_mm;
    let by_frequency = shares.by_frequency.iter().enumerate().map(|(band, share)| {
        let to = if band + 1 == bands { "more".to_owned() } else { format!("{:.3}", cycles(band + 1)) };
        (format!("{:.3} to {to} cycles/mm", cycles(band)), percent(*share))
    });
    let by_direction = shares.by_direction.iter().enumerate();
    let by_direction =
        by_direction.map(|(sector, share)| (format!("Waves along {}", degrees(shares, sector)), percent(*share)));
    let words = format!(
        "The data say nothing of {} of the picture's energy: no ray would object to another content there, which is \
         the prior's. Noise is not looked at, so that what it drowns counts as determined.",
        percent(shares.all)
    );
    Some(Finding {
        title: "How much of the picture is the prior's?".to_owned(),
        words,
        rows: by_frequency.chain(by_direction).collect(),
        ..Finding::default()
    })
}
