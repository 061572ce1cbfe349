//! The end of a series: what was made of it, for people and for machines.

use super::super::prepared::Prepared;
use super::work::Work;
use crate::ending::Failure;
use crate::terminal::Terminal;
use gradus::series::{Placement, Record, Slice, write_nifti};
use miette::{IntoDiagnostic, WrapErr};
use serde_json::json;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Groups of warnings that are printed.
const PRINTED: usize = 8;
/// Share of the usual distance by which a slice may be off the grid of all.
const EVEN: f64 = 0.2;

/// The outcome of a series.
pub struct Summary {
    pub records: Vec<Record>,
    pub range: Range<usize>,
    /// The run in a few words.
    pub words: String,
    pub pixel_mm: f64,
    shown: PathBuf,
    seconds: f64,
}

impl Summary {
    /// Reads what has been made.
    pub fn new(work: &Work<'_>, probe: &Prepared, shown: &Path, seconds: f64) -> Result<Self, Failure> {
        Ok(Self {
            records: work.folder.records(work.range.clone()).into_diagnostic()?,
            range: work.range.clone(),
            words: format!("{} on {}", work.run.reconstruction.method(), work.run.input),
            pixel_mm: probe.problem.scan.geometry.pixel_mm,
            shown: shown.to_owned(),
            seconds,
        })
    }

    /// True if every slice has its record.
    pub fn is_complete(&self) -> bool {
        self.records.len() == self.range.len()
    }

    /// True if every slice has an image that belongs to its data.
    pub fn reached_goal(&self) -> bool {
        self.is_complete() && self.records.iter().all(|record| record.reached_goal)
    }

    /// The state of the series in words.
    pub fn status(&self) -> String {
        let (n, done) = (self.range.len(), self.records.iter().filter(|record| !record.failed).count());
        let failed = self.records.len() - done;
        let doubtful = self.records.iter().filter(|record| !record.failed && !record.reached_goal).count();
        let mut text = if done == n { format!("{n} slices done") } else { format!("{done} of {n} slices done") };
        if failed > 0 {
            text.push_str(&format!(", {failed} cannot be made and are NaN"));
        }
        if doubtful > 0 {
            text.push_str(&format!(", {doubtful} without reaching their goal"));
        }
        text
    }

    /// The mean over the slices that have a number.
    pub fn mean(&self, number: impl Fn(&Record) -> Option<f64>) -> Option<f64> {
        let (sum, count) = self.records.iter().filter_map(number).fold((0.0, 0.0), |(s, c), x| (s + x, c + 1.0));
        (count > 0.0).then(|| sum / count)
    }

    /// The largest chi squared of a ray.
    pub fn worst_fit(&self) -> Option<f64> {
        self.records.iter().filter_map(|record| record.chi_squared).max_by(f64::total_cmp)
    }

    /// Millimetres from a slice to the next, where the slices say their places.
    pub fn spacing_mm(&self) -> Option<f64> {
        let mut placed = self.records.iter().filter_map(|record| Some((record.slice, record.place_mm?)));
        let (first, last) = (placed.next()?, placed.next_back()?);
        Some((last.1 - first.1).abs() / (last.0 - first.0) as f64).filter(|mm| *mm > 0.0)
    }

    /// True if the places of the slices, as far as they are known, are those of a grid.
    pub fn is_even(&self) -> bool {
        let placed = self.records.iter().filter_map(|record| Some((record.slice, record.place_mm?)));
        are_even(&placed.collect::<Vec<_>>())
    }

    /// Warnings and failures, those that differ in numbers only in one sentence with their slices.
    pub fn warnings(&self) -> Vec<String> {
        let mut groups: Vec<(String, String, Vec<usize>)> = Vec::new();
        for record in &self.records {
            let failure = record.failed.then(|| format!("cannot be made: {}", record.status));
            for text in failure.iter().chain(&record.warnings) {
                let key: String = text.chars().filter(|c| !c.is_ascii_digit()).collect();
                match groups.iter_mut().find(|(of_group, ..)| *of_group == key) {
                    Some((.., slices)) => slices.push(record.slice),
                    None => groups.push((key, text.clone(), vec![record.slice])),
                }
            }
        }
        let sentence = |(_, text, slices): (String, String, Vec<usize>)| match slices[..] {
            [slice] => format!("slice {slice}: {text}"),
            _ => format!("slices {}: {text} (numbers of slice {})", runs(&slices), slices[0]),
        };
        groups.into_iter().map(sentence).collect()
    }

    /// Writes the volume as NIfTI.
    pub fn write_nifti(&self, work: &mut Work<'_>, probe: &Prepared) -> Result<(), Failure> {
        let mut source = |slice: usize| match work.source.read(slice) {
            Ok(Slice::Image(image)) => image.dicom,
            _ => None,
        };
        let ends = probe.problem.dicom.is_some().then(|| (source(self.range.start), source(self.range.end - 1)));
        let place = match &ends {
            Some((Some(first), Some(last))) if self.is_even() => {
                Placement::between(first, last, self.range.len(), self.pixel_mm)
            }
            _ => None,
        };
        let sides = [self.pixel_mm, self.pixel_mm, self.spacing_mm().unwrap_or(self.pixel_mm)];
        let path = work.folder.path().join("volume.nii");
        write_nifti(&path, &work.volume, sides, place.as_ref()).into_diagnostic().wrap_err("cannot write volume.nii")
    }

    /// Says how the series ended.
    pub fn tell(&self, terminal: &Terminal) -> Result<(), Failure> {
        let warnings = self.warnings();
        warnings.iter().take(PRINTED).for_each(|warning| terminal.warn(warning));
        if warnings.len() > PRINTED {
            terminal.warn(&format!("{} more kinds of warnings stand in the report", warnings.len() - PRINTED));
        }
        let failed = self.records.iter().filter(|record| record.failed).map(|record| record.slice);
        terminal.report(&json!({
            "status": self.status(),
            "slices": self.range.len(),
            "done": self.records.iter().filter(|record| !record.failed).count(),
            "failed": failed.collect::<Vec<_>>(),
            "psnr": self.mean(|record| record.psnr),
            "ssim": self.mean(|record| record.ssim),
            "chi_squared": self.mean(|record| record.chi_squared),
            "worst_chi_squared": self.worst_fit(),
            "warnings": warnings,
            "seconds": self.seconds,
            "output": self.shown.display().to_string(),
        }))?;
        terminal.say(&self.text())
    }

    /// The lines that people read.
    fn text(&self) -> String {
        let mut text = format!("{}: {}, {:.1} s", self.words, self.status(), self.seconds);
        if let (Some(psnr), Some(ssim)) = (self.mean(|record| record.psnr), self.mean(|record| record.ssim)) {
            text.push_str(&format!("\n  PSNR {psnr:.2} dB, SSIM {ssim:.3}, means over the slices"));
        }
        if let (Some(mean), Some(worst)) = (self.mean(|record| record.chi_squared), self.worst_fit()) {
            text.push_str(&format!("\n  chi squared {mean:.3} a ray, at most {worst:.3} (1: as the noise)"));
        }
        let shown = self.shown.display();
        text.push_str(&if self.is_complete() {
            format!("\n  report: {}", self.shown.join("report.html").display())
        } else {
            format!("\n  the same command with --output {shown} goes on")
        });
        text
    }
}

/// True if numbered places lie on a grid.
fn are_even(placed: &[(usize, f64)]) -> bool {
    let [(first, begin), .., (last, end)] = *placed else { return true };
    let usual = (end - begin) / (last - first) as f64;
    placed.iter().all(|(slice, place)| (place - begin - usual * (slice - first) as f64).abs() <= EVEN * usual.abs())
}

/// Numbers in order, as `1 to 4, 7, 9 to 10`.
fn runs(numbers: &[usize]) -> String {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for &number in numbers {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 >= number => *last = number,
            _ => runs.push((number, number)),
        }
    }
    let text = |(first, last): &(usize, usize)| {
        if first == last { first.to_string() } else { format!("{first} to {last}") }
    };
    runs.iter().map(text).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_a_row_are_named_by_their_ends() {
        assert_eq!(runs(&[1, 2, 3, 3, 7, 9, 10]), "1 to 3, 7, 9 to 10");
    }

    #[test]
    fn places_of_a_grid_are_even() {
        assert!(are_even(&[]) && are_even(&[(3, 1.0)]) && are_even(&[(0, 4.0), (1, 2.1), (3, -2.0)]));
        assert!(!are_even(&[(0, 50.0), (1, 0.0), (2, 10.0)]));
        assert!(!are_even(&[(0, 0.0), (1, 1.0), (2, 2.0), (3, 5.0), (4, 6.0)]), "one is missing");
    }

    #[test]
    fn warnings_that_differ_in_numbers_are_one() {
        let record = |slice, warnings: &[&str]| Record {
            slice,
            warnings: warnings.iter().map(|text| (*text).to_owned()).collect(),
            ..Record::default()
        };
        let failed = Record { slice: 4, status: "no pixels".into(), failed: true, ..Record::default() };
        let summary = Summary {
            records: vec![record(0, &["chi squared 3.1"]), record(1, &["chi squared 4.2", "no unit"]), failed],
            range: 0..5,
            words: String::new(),
            pixel_mm: 1.0,
            shown: PathBuf::new(),
            seconds: 0.0,
        };
        let warnings = summary.warnings();
        assert_eq!(warnings[0], "slices 0 to 1: chi squared 3.1 (numbers of slice 0)");
        assert_eq!(warnings[1..], ["slice 1: no unit", "slice 4: cannot be made: no pixels"]);
        assert_eq!(summary.status(), "2 of 5 slices done, 1 cannot be made and are NaN, 2 without reaching their goal");
    }
}
