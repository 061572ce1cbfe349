//! The course of a training run: rows for the csv files and the page.

use super::validation::LEVELS;
use crate::report::{Curve, Report, ReportError, Section, Status};
use serde::{Deserialize, Serialize};
use std::fmt::Write;

/// Steps whose losses make one row.
pub const STEPS_A_ROW: u64 = 50;

/// Means over some steps.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LossRow {
    /// Steps done.
    pub step: u64,
    /// Weighted loss per pixel.
    pub loss: f64,
    /// Norm of the gradient of that loss, before clipping.
    pub gradient_norm: f64,
    /// Learning rate of the last step.
    pub learning_rate: f64,
    /// Time spent training so far, in seconds.
    pub time_s: f64,
}

/// One validation of the averaged weights.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ValidationRow {
    /// Steps done.
    pub step: u64,
    /// PSNR of the denoised images at each of [`LEVELS`], in dB.
    pub denoising_db: [f64; LEVELS.len()],
    /// Mean PSNR of the reconstructions, in dB, if any are made.
    pub reconstruction_db: Option<f64>,
}

/// All rows so far.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// Training.
    pub losses: Vec<LossRow>,
    /// Validation.
    pub validations: Vec<ValidationRow>,
    pub(super) pending: Pending,
}

/// Sums over the steps since the last row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Pending {
    loss: f64,
    gradient_norm: f64,
    n_steps: u64,
    time_s: f64,
}

impl History {
    /// Adds step number `step`, which took `time_s` seconds.
    pub(super) fn observe(&mut self, step: u64, loss: f64, gradient_norm: f64, learning_rate: f64, time_s: f64) {
        let before = self.losses.last().map_or(0.0, |row| row.time_s);
        let pending = &mut self.pending;
        pending.time_s += time_s;
        pending.loss += loss;
        pending.gradient_norm += gradient_norm;
        pending.n_steps += 1;
        if step.is_multiple_of(STEPS_A_ROW) {
            let n = pending.n_steps as f64;
            let (loss, gradient_norm) = (pending.loss / n, pending.gradient_norm / n);
            let time_s = before + pending.time_s;
            self.losses.push(LossRow { step, loss, gradient_norm, learning_rate, time_s });
            self.pending = Pending::default();
        }
    }

    /// The best validation: by the reconstructions where there are any, else by the mean over the levels.
    #[must_use]
    pub fn best(&self) -> Option<&ValidationRow> {
        self.validations.iter().max_by(|a, b| a.merit().total_cmp(&b.merit()))
    }

    /// `losses.csv`.
    #[must_use]
    pub fn losses_csv(&self) -> String {
        let mut csv = "step,loss_per_pixel,gradient_norm,learning_rate,time_s\n".to_owned();
        for LossRow { step, loss, gradient_norm, learning_rate, time_s } in &self.losses {
            // Writing to a string cannot fail.
            let _ = writeln!(csv, "{step},{loss:e},{gradient_norm:e},{learning_rate:e},{time_s:.1}");
        }
        csv
    }

    /// `validation.csv`.
    #[must_use]
    pub fn validation_csv(&self) -> String {
        let levels: String = LEVELS.iter().map(|t| format!(",denoising_db_t_{t}")).collect();
        let mut csv = format!("step{levels},reconstruction_db\n");
        for row in &self.validations {
            let denoising: String = row.denoising_db.iter().map(|db| format!(",{db:.3}")).collect();
            let reconstruction = row.reconstruction_db.map(|db| format!("{db:.3}")).unwrap_or_default();
            let _ = writeln!(csv, "{}{denoising},{reconstruction}", row.step);
        }
        csv
    }

    /// The page with the curves.
    ///
    /// # Errors
    /// [`ReportError`], where a picture cannot be encoded or the file cannot be written.
    pub fn page(&self, title: &str, status: Status, toml: &str) -> Result<String, ReportError> {
        let curve = |name: &str, y_label: &str, log_axis: bool, points: Vec<(f64, f64)>| Curve {
            name: name.to_owned(),
            x_label: "step".to_owned(),
            y_label: y_label.to_owned(),
            log_axis,
            points,
        };
        let losses = |value: fn(&LossRow) -> f64| self.losses.iter().map(|row| (row.step as f64, value(row))).collect();
        let mut curves = vec![
            curve("Training loss", "weighted loss per pixel", true, losses(|row| row.loss)),
            curve("Gradient norm", "before clipping", true, losses(|row| row.gradient_norm)),
            curve("Learning rate", "rate", true, losses(|row| row.learning_rate)),
        ];
        let points = |value: &dyn Fn(&ValidationRow) -> Option<f64>| -> Vec<(f64, f64)> {
            self.validations.iter().filter_map(|row| Some((row.step as f64, value(row)?))).collect()
        };
        let reconstructions = points(&|row| row.reconstruction_db);
        if !reconstructions.is_empty() {
            curves.push(curve("Validation: reconstruction", "PSNR (dB)", false, reconstructions));
        }
        for (k, t) in LEVELS.iter().enumerate() {
            let name = format!("Validation: denoising at t = {t}");
            curves.push(curve(&name, "PSNR (dB)", false, points(&|row| Some(row.denoising_db[k]))));
        }
        let highlights = self.validations.last().map(ValidationRow::highlights).unwrap_or_default();
        let report = Report {
            title: title.to_owned(),
            method: "denoising score matching".to_owned(),
            status,
            highlights,
            curves,
            settings: vec![self.best_section()],
            toml: toml.to_owned(),
            versions: vec![("gradus".to_owned(), env!("CARGO_PKG_VERSION").to_owned())],
            ..Report::default()
        };
        report.to_html()
    }

    fn best_section(&self) -> Section {
        let rows = self.best().map(|row| {
            let mut rows = vec![("step".to_owned(), row.step.to_string())];
            rows.extend(row.highlights());
            rows
        });
        Section { title: "Best validation".to_owned(), rows: rows.unwrap_or_default() }
    }
}

impl ValidationRow {
    pub(super) fn merit(&self) -> f64 {
        let mean = self.denoising_db.iter().sum::<f64>() / LEVELS.len() as f64;
        self.reconstruction_db.unwrap_or(mean)
    }

    fn highlights(&self) -> Vec<(String, String)> {
        let denoising = LEVELS.iter().zip(&self.denoising_db);
        let mut rows: Vec<(String, String)> =
            denoising.map(|(t, db)| (format!("denoising, t = {t}"), format!("{db:.2} dB"))).collect();
        if let Some(db) = self.reconstruction_db {
            rows.insert(0, ("reconstruction".to_owned(), format!("{db:.2} dB")));
        }
        rows
    }
}
