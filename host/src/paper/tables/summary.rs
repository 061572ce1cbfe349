//! From rows to the lines of a table.

use super::{Published, Results, Row, TableKind, contender};
use crate::report::Table;
use serde::Serialize;

/// A mean over images, and the mean of the standard deviations over starts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Statistic {
    /// Mean over images and starts.
    pub mean: f64,
    /// Mean over images of the standard deviation over starts, by the number of starts (not one less); `None` for one
    /// start.
    pub std: Option<f64>,
}

/// One method of a table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Line {
    /// Key of the method.
    pub method: &'static str,
    /// PSNR in dB.
    pub psnr_db: Statistic,
    /// SSIM.
    pub ssim: Statistic,
    /// RMSE in HU, for slices.
    pub rmse_hu: Option<f64>,
    /// PSNR in dB in the window -160 to 240 HU, for slices.
    pub window_psnr_db: Option<f64>,
    /// Runs that met a number that is not finite; the means leave them out.
    pub broke: usize,
    /// Line searches without a passing trial, in all runs.
    pub failed_searches: u64,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// 1 or 2.
    pub table: u8,
    /// Images for which every row has been computed: those that count.
    pub images: usize,
    /// Starts of the methods that have starts.
    pub starts: usize,
    /// Its lines.
    pub lines: Vec<Line>,
}

/// The table over the images 1 to `images` that are complete for `starts` starts.
#[must_use]
pub fn summary(results: &Results, table: &TableKind, images: usize, starts: usize) -> Summary {
    let starts_of = |key: &str| if contender(key).is_some_and(|contender| contender.has_starts) { starts } else { 1 };
    let rows_of = |key: &str, image: usize| -> Option<Vec<&Row>> {
        (1..=starts_of(key)).map(|start| results.get(image, start, key)).collect()
    };
    let is_complete = |image: &usize| table.rows.iter().all(|(key, _, _)| rows_of(key, *image).is_some());
    let complete: Vec<usize> = (1..=images).filter(is_complete).collect();
    let line = |(key, _, _): &(&'static str, Option<Published>, Option<Published>)| {
        let by_image: Vec<Vec<&Row>> = complete.iter().filter_map(|image| rows_of(key, *image)).collect();
        line(key, &by_image)
    };
    let lines = table.rows.iter().map(line).collect();
    Summary { table: table.number, images: complete.len(), starts, lines }
}

fn line(method: &'static str, by_image: &[Vec<&Row>]) -> Line {
    let optional = |value: fn(&Row) -> Option<f64>| {
        let values: Option<Vec<f64>> = by_image.iter().flatten().map(|row| value(row)).collect();
        values.filter(|values| !values.is_empty()).map(|values| mean(values.into_iter().filter(|v| v.is_finite())))
    };
    Line {
        method,
        psnr_db: statistic(by_image, |row| row.psnr_db),
        ssim: statistic(by_image, |row| row.ssim),
        rmse_hu: optional(|row| row.rmse_hu),
        window_psnr_db: optional(|row| row.window_psnr_db),
        broke: by_image.iter().flatten().filter(|row| !row.psnr_db.is_finite()).count(),
        failed_searches: by_image.iter().flatten().filter_map(|row| row.failed_searches).map(u64::from).sum(),
    }
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, n) = values.fold((0.0, 0.0), |(sum, n), value| (sum + value, n + 1.0));
    sum / n
}

fn statistic(by_image: &[Vec<&Row>], value: fn(&Row) -> f64) -> Statistic {
    let finite =
        |rows: &Vec<&Row>| -> Vec<f64> { rows.iter().map(|row| value(row)).filter(|v| v.is_finite()).collect() };
    let images: Vec<Vec<f64>> = by_image.iter().map(finite).filter(|values| !values.is_empty()).collect();
    let deviation = |values: &Vec<f64>| {
        let centre = mean(values.iter().copied());
        mean(values.iter().map(|v| (v - centre) * (v - centre))).sqrt()
    };
    let has_starts = by_image.first().is_some_and(|rows| rows.len() > 1);
    Statistic {
        mean: mean(images.iter().map(|values| mean(values.iter().copied()))),
        std: has_starts.then(|| mean(images.iter().map(deviation))),
    }
}

impl Summary {
    /// The table for a page, the paper's numbers beside ours; `has_slices` says which of the paper's columns.
    #[must_use]
    pub fn to_table(&self, kind: &TableKind, has_slices: bool) -> Table {
        let mut header = vec!["", "PSNR (dB)", "SSIM", "paper: PSNR (dB)", "paper: SSIM"];
        if has_slices {
            header.splice(3..3, ["RMSE (HU)", "PSNR in -160 to 240 HU (dB)"]);
        }
        let with_std = |mean: String, std: Option<String>| std.map_or(mean.clone(), |std| format!("{mean} ({std})"));
        let ours = |s: Statistic, digits: usize| {
            with_std(format!("{:.digits$}", s.mean), s.std.map(|std| format!("{std:.*}", digits + 1)))
        };
        let row = |(line, (key, ellipses, slices)): (&Line, &(&str, Option<Published>, Option<Published>))| {
            let title = contender(key).map_or(*key, |contender| contender.title).to_owned();
            let mut cells = vec![title, ours(line.psnr_db, 2), ours(line.ssim, 3)];
            if has_slices {
                let optional =
                    |value: Option<f64>, digits: usize| value.map_or(String::new(), |v| format!("{v:.digits$}"));
                cells.extend([optional(line.rmse_hu, 1), optional(line.window_psnr_db, 2)]);
            }
            let paper = if has_slices { slices } else { ellipses };
            cells.extend(paper.map_or([String::new(), String::new()], |p| {
                let std = |std: Option<f64>| std.map(|std| std.to_string());
                [
                    with_std(format!("{:.2}", p.psnr_db), std(p.psnr_std)),
                    with_std(format!("{:.3}", p.ssim), std(p.ssim_std)),
                ]
            }));
            cells
        };
        Table {
            title: kind.title.to_owned(),
            header: header.into_iter().map(str::to_owned).collect(),
            rows: self.lines.iter().zip(kind.rows).map(row).collect(),
            note: self.note(kind, has_slices),
        }
    }

    fn note(&self, kind: &TableKind, has_slices: bool) -> String {
        let counted = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
        let mut note = format!(
            "Ours: {} and {}; the paper's: {} and {}, with its own network{}.",
            counted(self.images, "image"),
            counted(self.starts, "start"),
            counted(kind.images, "image"),
            counted(kind.starts, "start"),
            if has_slices { ", on slices of AAPM" } else { "" },
        );
        if self.starts > 1 {
            note += " In brackets: the mean over images of the standard deviation over starts.";
        }
        let (broke, failed) = self.lines.iter().fold((0, 0), |(b, f), line| (b + line.broke, f + line.failed_searches));
        if broke > 0 {
            note += &format!(" {broke} runs met numbers that are not finite and are left out.");
        }
        if failed > 0 {
            note += &format!(" {failed} line searches found no step; results.csv names their runs.");
        }
        note
    }
}

#[cfg(test)]
mod tests {
    use super::super::results::tests::row;
    use super::super::table;
    use super::*;
    use crate::reconstruct::Method;

    /// Table 1 with two images of two starts; image 3 is not complete.
    fn results() -> (tempfile::TempDir, Results) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("evaluation.toml"), "").unwrap();
        let mut results = Results::read(folder.path()).unwrap();
        for image in 1..=3 {
            for (method, first, second) in [
                ("gradient-descent", 10.0, 20.0),
                ("flow", 30.0, 31.0),
                ("gradient-like", 31.0, 31.0),
                (Method::Solved.name(), 32.0, 32.0),
            ] {
                results.add(row(image, 1, method, first + image as f64)).unwrap();
                if image < 3 {
                    results.add(row(image, 2, method, second + image as f64)).unwrap();
                }
            }
            results.add(row(image, 1, "tv", 33.0)).unwrap();
            results.add(row(image, 1, "fbp", 28.0)).unwrap();
        }
        (folder, results)
    }

    #[test]
    fn means_are_over_complete_images_and_deviations_over_starts() {
        let (_folder, results) = results();
        let kind = table(1).unwrap();
        let found = summary(&results, kind, 3, 2);
        assert_eq!((found.images, found.starts, found.lines.len()), (2, 2, 6));
        let descent = &found.lines[0];
        assert_eq!((descent.psnr_db.mean, descent.psnr_db.std), (16.5, Some(5.0)));
        assert_eq!(found.lines[5].psnr_db, Statistic { mean: 28.0, std: None });
        let page = found.to_table(kind, false);
        assert_eq!(page.rows[0][1..], ["16.50 (5.000)", "0.413 (0.1250)", "28.96 (0.43)", "0.771 (0.019)"]);
        assert!(page.rows.iter().all(|row| row.len() == page.header.len()));
        assert!(page.note.contains("2 images and 2 starts"), "{}", page.note);
    }

    #[test]
    fn runs_that_broke_are_left_out_and_counted() {
        let (_folder, mut results) = results();
        results.add(row(1, 2, "flow", f64::NAN)).unwrap();
        let found = summary(&results, table(1).unwrap(), 2, 2);
        assert_eq!((found.lines[1].broke, found.lines[1].psnr_db.mean), (1, (31.0 + 32.5) / 2.0));
        assert!(found.to_table(table(1).unwrap(), false).note.contains("1 runs met"));
    }
}
