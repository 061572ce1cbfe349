//! `gradus train`: weights, learning curves, resumable.

use crate::claim::Claim;
use crate::config::toml_failure;
use crate::ending::{End, Failure};
use crate::flags::by_name;
use crate::terminal::{Terminal, stop_flag};
use gradus::backend::{DeviceChoice, Precision};
use gradus::ranks::Ranks;
use gradus::train::{
    CHECKPOINT, DataConfig, LEVELS, PRESETS, RunEnd, TrainError, Trainer, TrainingConfig, ValidationRow, preset,
    renamed, train,
};
use miette::{IntoDiagnostic, WrapErr, miette};
use serde_json::json;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::Ordering;

/// The run to train, or to go on with.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true))]
pub struct Arguments {
    /// A training run described by a TOML file
    #[arg(value_name = "CONFIG", group = "what")]
    config: Option<PathBuf>,
    /// A training run that comes with the program: ellipses, disc or ct
    #[arg(long, value_name = "NAME", group = "what", conflicts_with = "config")]
    preset: Option<String>,
    /// Go on with the run in this folder, from its last checkpoint; with CONFIG or --preset, under a description with
    /// more or other phases to come
    #[arg(long, value_name = "RUN", group = "what", conflicts_with = "output")]
    resume: Option<PathBuf>,
    /// Folder of the training slices: npz or npy stacks, DICOM files
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// Folder of the validation slices, of other patients
    #[arg(long, value_name = "FOLDER")]
    validation_data: Option<PathBuf>,
    /// Device: auto, cpu or cuda:N [default: auto, which is cuda:0 where that passes its check]. Bits differ
    /// between devices; a checkpoint goes on on any, but a run that is to be repeated should stay on one
    #[arg(long, default_value_t, hide_default_value = true)]
    device: DeviceChoice,
    /// Factors of a GPU's convolutions: full or tf32 [default: full]. As for devices, a run that is to be repeated
    /// should stay with one
    #[arg(long, value_parser = by_name::<Precision>, default_value_t, hide_default_value = true)]
    precision: Precision,
    /// Folder of the run, new or empty [default: runs/train-NAME]
    #[arg(long, short, value_name = "DIR")]
    output: Option<PathBuf>,
}

/// Runs the command.
pub fn run(arguments: &Arguments, terminal: &Terminal, ranks: &Rc<Ranks>) -> Result<End, Failure> {
    // Held to the end: of two runs in one folder, each would replace the other's checkpoints.
    let claim = || match &arguments.resume {
        Some(folder) => Claim::resume(folder),
        None => Claim::take(arguments.output.as_deref(), &format!("train-{}", arguments.name())),
    };
    let claim = if ranks.is_first() { Some(claim()?) } else { None };
    let trainer = match &arguments.resume {
        Some(folder) => arguments.resume(folder)?,
        None => Trainer::new(arguments.training_config()?).into_diagnostic()?,
    };
    // After this, every rank has read the checkpoint that the first one replaces.
    ranks.wait();
    let folder = claim.as_ref().map_or(Path::new(""), |claim| claim.shown());
    let trainer = trainer.among(Rc::clone(ranks));
    let (mut trainer, warning) = trainer.on(arguments.device, arguments.precision).into_diagnostic()?;
    warning.iter().for_each(|line| terminal.warn(line));
    trainer.images().skipped().iter().for_each(|line| terminal.warn(&format!("passed over {line}")));
    let stop = stop_flag()?;
    let bar = terminal.progress(trainer.config().total_steps(), "training");
    bar.set_position(trainer.steps_done());
    bar.reset_eta();
    let mut losses = Vec::new();
    let ended = train(&mut trainer, folder, &mut |progress| {
        losses.push(progress.loss);
        if losses.len() == 20 {
            bar.set_message(format!("loss {:.4}", losses.iter().sum::<f64>() / 20.0));
            losses.clear();
        }
        bar.set_position(progress.done);
        if let Some(row) = progress.validation {
            bar.suspend(|| terminal.say(&line(row)).is_ok());
        }
        if stop.load(Ordering::SeqCst) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    bar.finish_and_clear();
    let kept = || format!("the run has stopped; {CHECKPOINT} in {} holds its last good state", folder.display());
    tell(terminal, &trainer, ended.into_diagnostic().wrap_err_with(kept)?, folder)
}

/// Says how a run ended.
fn tell(terminal: &Terminal, trainer: &Trainer, ended: RunEnd, folder: &Path) -> Result<End, Failure> {
    let (skipped, validation) = (trainer.images().skipped().len(), trainer.history().validations.last());
    terminal.report(&json!({
        "output": folder.display().to_string(), "steps": trainer.steps_done(), "done": ended == RunEnd::Done,
        "skipped": skipped, "validation": validation, "device": trainer.device(), "precision": trainer.precision(),
    }))?;
    terminal.say(&match ended {
        RunEnd::Done => format!("{} steps; weights in {}", trainer.steps_done(), folder.display()),
        RunEnd::Stopped => {
            format!("stopped after step {}; go on with --resume {}", trainer.steps_done(), folder.display())
        }
    })?;
    Ok(if ended == RunEnd::Done { End::Done } else { End::Unfinished })
}

fn line(row: &ValidationRow) -> String {
    let denoising = LEVELS.iter().zip(row.denoising_db).map(|(t, db)| format!("{db:.2} dB at {t}"));
    let reconstruction = row.reconstruction_db.map(|db| format!("reconstruction {db:.2} dB; ")).unwrap_or_default();
    format!("step {}: {reconstruction}denoising {}", row.step, denoising.collect::<Vec<_>>().join(", "))
}

impl Arguments {
    fn name(&self) -> String {
        let stem = self.config.as_deref().and_then(Path::file_stem).map(|stem| stem.to_string_lossy().into_owned());
        self.preset.clone().or(stem).unwrap_or_default()
    }

    fn resume(&self, folder: &Path) -> Result<Trainer, Failure> {
        let path = folder.join(CHECKPOINT);
        let read = |source| TrainError::Read { path: path.clone(), source };
        let bytes = gradus::data::read_file(&path).map_err(read).into_diagnostic()?;
        let is_longer = self.preset.is_some() || self.config.is_some();
        let longer = is_longer.then(|| self.training_config()).transpose()?;
        Trainer::resume(&bytes, longer)
            .into_diagnostic()
            .wrap_err_with(|| format!("cannot go on from {}", path.display()))
    }

    fn training_config(&self) -> Result<TrainingConfig, Failure> {
        let (name, text) = match (&self.preset, &self.config) {
            (Some(name), _) => {
                let known = PRESETS.join(", ");
                let text =
                    preset(name).ok_or_else(|| miette!("there is no preset {name:?}; the presets are {known}"))?;
                (name.clone(), text.to_owned())
            }
            (None, path) => {
                let path = path.clone().unwrap_or_default();
                let text = gradus::data::read_description(&path)
                    .map_err(|error| miette!("cannot read the training run {}: {error}", path.display()))?;
                (path.display().to_string(), text)
            }
        };
        let mut config: TrainingConfig = toml::from_str(&text).map_err(|error| {
            let help = renamed(&error).unwrap_or(HELP);
            toml_failure(&name, text.clone(), &error, "a training run", help)
        })?;
        match &mut config.data {
            DataConfig::Folder { training, validation, .. } => {
                *training = self.data.clone().or(training.take());
                *validation = self.validation_data.clone().or(validation.take());
            }
            DataConfig::Ellipses { .. } | DataConfig::Disc { .. }
                if self.data.is_some() || self.validation_data.is_some() =>
            {
                return Err(miette!("--data and --validation-data need a run whose `data.kind` is \"folder\""));
            }
            DataConfig::Ellipses { .. } | DataConfig::Disc { .. } => {}
        }
        Ok(config)
    }
}

const HELP: &str = "every run writes its complete config.toml into its folder; host/presets/ holds more";
