//! A training run in a folder.

use super::history::ValidationRow;
use super::{TrainError, Trainer};
use crate::data::write_atomically;
use crate::report::Status;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

/// Name of the checkpoint's file.
pub const CHECKPOINT: &str = "checkpoint.safetensors";

/// How far a run has come.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// Steps done.
    pub done: u64,
    /// Steps in all.
    pub total: u64,
    /// Loss per pixel of the last step.
    pub loss: f64,
    /// A validation that has just been made.
    pub validation: Option<&'a ValidationRow>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunEnd {
    /// All steps are done.
    Done,
    /// Stopped by the observer; the checkpoint holds every step that was made.
    Stopped,
}

/// Trains to the end, or until the observer breaks, with a checkpoint in `folder` at the configured times.
///
/// # Errors
/// See [`TrainError`]. After `Diverged`, the checkpoint in the folder is the last good state.
pub fn train(
    trainer: &mut Trainer,
    folder: &Path,
    observer: &mut dyn FnMut(Progress<'_>) -> ControlFlow<()>,
) -> Result<RunEnd, TrainError> {
    let total = trainer.config().total_steps();
    // More than a century is never.
    let every = Duration::try_from_secs_f64(trainer.config().checkpoint_every_s).unwrap_or(Duration::MAX);
    save(trainer, folder, "under way")?;
    let mut saved = Instant::now();
    while !trainer.is_done() {
        let loss = trainer.step().inspect_err(|_| {
            // The state is that before the step. If writing fails too, the error of the step is the one to report.
            let _ = save(trainer, folder, "diverged");
        })?;
        let validation = if trainer.validation_is_due() { Some(validate(trainer, folder)?) } else { None };
        let progress = Progress { done: trainer.steps_done(), total, loss, validation: validation.as_ref() };
        if observer(progress).is_break() {
            save(trainer, folder, "stopped")?;
            return Ok(RunEnd::Stopped);
        }
        if saved.elapsed() >= every {
            save(trainer, folder, "under way")?;
            saved = Instant::now();
        }
    }
    save(trainer, folder, "done")?;
    Ok(RunEnd::Done)
}

/// Validates, and keeps the weights; the best ones apart.
fn validate(trainer: &mut Trainer, folder: &Path) -> Result<ValidationRow, TrainError> {
    let row = trainer.validate()?;
    let weights = trainer.weights()?.to_bytes()?;
    write(folder, "weights.safetensors", &weights)?;
    if trainer.history().best() == Some(&row) {
        write(folder, "best.safetensors", &weights)?;
    }
    Ok(row)
}

/// Writes the checkpoint, and the course of the run.
fn save(trainer: &Trainer, folder: &Path, how: &str) -> Result<(), TrainError> {
    write(folder, CHECKPOINT, &trainer.checkpoint()?)?;
    let history = trainer.history();
    write(folder, "losses.csv", history.losses_csv().as_bytes())?;
    write(folder, "validation.csv", history.validation_csv().as_bytes())?;
    let toml = toml::to_string(trainer.config()).unwrap_or_default();
    let text = format!("{how}: {} of {} steps", trainer.steps_done(), trainer.config().total_steps());
    let status = Status { text, reached_goal: trainer.is_done() };
    write(folder, "config.toml", toml.as_bytes())?;
    write(folder, "report.html", history.page("Training of a prior", status, &toml)?.as_bytes())
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), TrainError> {
    let path = folder.join(name);
    write_atomically(&path, bytes).map_err(|source| TrainError::Write { path, source })
}
