//! Intervals and likeness to the training, as the files of a run tell them.

use super::belief::Unlike;
use super::finished::Finished;
use crate::ending::Failure;
use crate::run_folder::RunFolder;
use gradus::data::image_files::{Derivation, write_dicom, write_npy};
use gradus::image::{GreyWindow, Image};
use gradus::reconstruct::Interval;
use gradus::report::{Finding, Picture, Tone};
use gradus::trust::body;
use miette::IntoDiagnostic;
use serde_json::{Value, json};

/// `half-width.npy` in the unit of the result, and for DICOM a second series of the study.
pub fn write(finished: &Finished, folder: &RunFolder, derivation: (&str, &str)) -> Result<Vec<String>, Failure> {
    let Some(interval) = finished.belief.interval() else { return Ok(Vec::new()) };
    let half_width = finished.unit.express_difference(&interval.half_width);
    write_npy(folder.file("half-width.npy"), &half_width).into_diagnostic()?;
    let Some(source) = &finished.problem.dicom else { return Ok(Vec::new()) };
    let percent = 100.0 * interval.calibration.level;
    let (words, run) = derivation;
    let words = format!("{percent:.0} % interval, half width; {words}");
    let own = Derivation { words: &words, run: &format!("half width\n{run}"), behind: 1 };
    let written = write_dicom(folder.file("half-width.dcm"), &half_width, source, own);
    let warning = written.unwrap_or_else(|error| Some(format!("there is no half-width.dcm: {error}")));
    Ok(warning.into_iter().collect())
}

/// Mean of half the width inside the body, in the unit of the result, and with its name.
fn mean_half_width(finished: &Finished, interval: &Interval) -> (f64, String) {
    let shown = finished.unit.express_difference(&interval.half_width);
    let inside = body(&finished.result.image);
    let within = || shown.pixels.iter().zip(&inside).filter(|(_, inside)| **inside).map(|(width, _)| f64::from(*width));
    let mean = within().sum::<f64>() / within().count().max(1) as f64;
    (mean, format!("{mean:.3} {}", finished.unit.name()).trim_end().to_owned())
}

/// A line about the interval, and one about the likeness to the training.
fn lines(finished: &Finished) -> [Option<String>; 2] {
    let interval = finished.belief.interval.as_ref().map(|interval| match interval {
        Ok(interval) => {
            let (Interval { calibration, .. }, (_, mean)) = (interval, mean_half_width(finished, interval));
            let percent = 100.0 * calibration.level;
            format!("{percent:.0} %: +- {mean} in the mean inside the body, calibrated on {}", calibration.patients)
        }
        Err(reason) => format!("none: {reason}"),
    });
    let training = finished.belief.unlike.as_ref().map(|Unlike { prior, distance, limit, .. }| {
        format!(
            "distance {distance:.2} from what the prior {prior} learned from; 1 in 100 of that is beyond {limit:.2}"
        )
    });
    [interval, training]
}

/// Lines for people.
pub fn text(finished: &Finished) -> Vec<String> {
    let [interval, training] = lines(finished);
    interval.map(|line| format!("interval {line}")).into_iter().chain(training).collect()
}

/// The objects `interval` and `training` for machines, null where there are none.
pub fn json(finished: &Finished) -> [Value; 2] {
    let interval = match &finished.belief.interval {
        Some(Ok(interval)) => json!({
            "level": interval.calibration.level,
            "mean_half_width": mean_half_width(finished, interval).0,
            "factor": interval.factor,
            "calibrated_on": interval.calibration.patients,
        }),
        Some(Err(reason)) => json!({ "refused": reason }),
        None => Value::Null,
    };
    let training = finished.belief.unlike.as_ref().map(|Unlike { distance, limit, warning, .. }| {
        json!({
            "distance": distance, "limit": limit, "is_far": warning.is_some(),
        })
    });
    [interval, training.unwrap_or(Value::Null)]
}

/// The statements of the report.
pub fn findings(finished: &Finished) -> impl Iterator<Item = Finding> {
    let [interval, training] = lines(finished);
    let is_far = finished.belief.warnings().next().is_some();
    let (is_like, tone) = if is_far { ("No", Tone::Warning) } else { ("Yes, as far as the prior sees", Tone::Good) };
    let statement =
        |title: &str, words: String, tone| Finding { title: title.to_owned(), words, tone, ..Finding::default() };
    let interval = interval.map(|line| statement("Interval of each pixel", line, Tone::Plain));
    let training = training
        .map(|line| statement("Is it an image of the kind that the prior knows?", format!("{is_like}: {line}."), tone));
    interval.into_iter().chain(training)
}

/// Half the width as a picture.
pub fn picture(finished: &Finished) -> Option<Picture> {
    let interval = finished.belief.interval()?;
    let shown: Image = finished.unit.express_difference(&interval.half_width);
    let window = GreyWindow::new(0.0, shown.range().1);
    let caption = format!("Half the width of the {:.0} % interval", 100.0 * interval.calibration.level);
    Some(Picture::map(&caption, shown, window))
}
