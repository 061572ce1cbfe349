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

/// The progress of a run.
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

/// The end of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunEnd {
    /// All steps are done.
    Done,
    /// Stopped by the observer; the checkpoint holds every step that was made.
    Stopped,
}

/// Trains to the end, or until the observer breaks, with a checkpoint in `folder` at the configured times. Of several
/// ranks the first validates, writes, and says when to stop.
///
/// # Errors
/// [`TrainError`] names the file that cannot be written, or the device that failed; after `Diverged` the checkpoint in
/// the folder is the last good state.
///
/// # Examples
/// ```no_run
/// use gradus::train::{Trainer, TrainingConfig, preset, train};
/// use std::ops::ControlFlow;
///
/// let config: TrainingConfig = toml::from_str(preset("ellipses").unwrap_or_default())?;
/// let mut trainer = Trainer::new(config)?;
/// train(&mut trainer, "runs/mine".as_ref(), &mut |progress| {
///     println!("step {} of {}: loss {:.4}", progress.done, progress.total, progress.loss);
///     ControlFlow::Continue(())
/// })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn train(
    trainer: &mut Trainer,
    folder: &Path,
    observer: &mut dyn FnMut(Progress<'_>) -> ControlFlow<()>,
) -> Result<RunEnd, TrainError> {
    let total = trainer.config().total_steps();
    // More than a century is never.
    let every = Duration::try_from_secs_f64(trainer.config().checkpoint_every_s).unwrap_or(Duration::MAX);
    let ranks = trainer.ranks();
    let save = |trainer: &Trainer, how: &str| if ranks.is_first() { save(trainer, folder, how) } else { Ok(()) };
    save(trainer, "under way")?;
    let mut saved = Instant::now();
    while !trainer.is_done() {
        let loss = trainer.step().inspect_err(|error| {
            // The state is that before the step. If writing fails too, the error of the step is the one to report.
            let _ = save(trainer, "diverged");
            if matches!(error, TrainError::Diverged { .. }) {
                // All ranks have the same sum; none ends the others before that is written.
                ranks.wait();
            }
        })?;
        let is_due = ranks.is_first() && trainer.validation_is_due();
        let validation = if is_due { Some(validate(trainer, folder)?) } else { None };
        let progress = Progress { done: trainer.steps_done(), total, loss, validation: validation.as_ref() };
        if ranks.agreed(observer(progress).is_break()) {
            save(trainer, "stopped")?;
            return Ok(RunEnd::Stopped);
        }
        if saved.elapsed() >= every {
            save(trainer, "under way")?;
            saved = Instant::now();
        }
    }
    save(trainer, "done")?;
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
