//! One training run in memory: its steps, its validation, its weights.

use super::TrainError;
use super::adam::{OptimiserState, add_scaled, learning_rate, norm};
use super::batch::{Batch, Sampler};
use super::checkpoint::Checkpoint;
use super::config::{Loss, Phase, TrainingConfig};
use super::device::{LossNetwork, RunDevice, distrust};
use super::history::{History, ValidationRow};
use super::images::Images;
use super::{begin, initial, validation};
use crate::backend::choice::Opened;
use crate::backend::{DeviceChoice, Precision};
use crate::memory;
use crate::prior::Prior;
use crate::ranks::Ranks;
use crate::unet::{Description, Parametrisation, Weights};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use std::path::Path;
use std::rc::Rc;
use std::time::Instant;

/// A network that knows nothing has a weighted loss of a few per pixel.
const LARGEST_LOSS: f64 = 1e3;

/// A training run between two steps.
///
/// Step k is a function of the configuration, k and the state before it, so a run that is continued from a checkpoint
/// gives the same bits as one that was never stopped, with any number of threads. On another device the sums have
/// another order and the bits are others: a checkpoint may move, but a run that is to be repeated should stay where it
/// began.
#[derive(Debug)]
pub struct Trainer {
    images: Images,
    checkpoint: Checkpoint,
    device: RunDevice,
    /// Those that share the work of a step.
    ranks: Rc<Ranks>,
    /// The network of the current phase.
    workspace: Option<Workspace>,
}

#[derive(Debug)]
struct Workspace {
    crop: usize,
    network: LossNetwork,
    /// The images at work, and those that are made meanwhile.
    batches: [Batch; 2],
    /// The sample with which the first of the batches begins, where it is filled.
    ready: Option<u64>,
    /// Of a few images, of those of another rank, and of all.
    part: Vec<f32>,
    shared: Vec<f32>,
    gradient: Vec<f32>,
}

/// One image at a time is the least; how many a device takes is not known yet.
fn check_memory(config: &TrainingConfig) -> Result<(), TrainError> {
    let advice = "take a smaller network or crop, or fewer `images_at_a_time`";
    Ok(memory::check("training this network", config.least_bytes(1), advice)?)
}

impl Trainer {
    /// A run at its start.
    ///
    /// # Errors
    /// `Config`, `Images`.
    pub fn new(config: TrainingConfig) -> Result<Self, TrainError> {
        config.validate()?;
        check_memory(&config)?;
        let images = Images::open(&config.data)?;
        let data = match config.parametrisation {
            Some(Parametrisation::Residual { data_mean, data_std }) => (data_mean, data_std),
            _ => images.moments(config.seed),
        };
        let parameters = match &config.initial {
            Some(path) => begin::of_file(path, &config.network)?,
            None => initial::parameters(&config.network, &mut ChaCha8Rng::seed_from_u64(config.seed)),
        };
        let (state, history) = (OptimiserState::new(parameters), History::default());
        Ok(Self {
            images,
            checkpoint: Checkpoint { config, state, history, data },
            device: RunDevice::Cpu,
            ranks: Rc::default(),
            workspace: None,
        })
    }

    /// A run where its checkpoint left it; under a `longer` description, if one is given.
    ///
    /// # Errors
    /// `Checkpoint`, `Config`, `Images`; `AnotherRun`, when the steps so far are not those of the longer description.
    pub fn resume(bytes: &[u8], longer: Option<TrainingConfig>) -> Result<Self, TrainError> {
        let mut checkpoint = Checkpoint::from_bytes(bytes)?;
        checkpoint.config.validate()?;
        checkpoint.check_network()?;
        if let Some(longer) = longer {
            if !checkpoint.config.is_begin_of(&longer, checkpoint.state.steps) {
                return Err(TrainError::AnotherRun);
            }
            longer.validate()?;
            checkpoint.config = longer;
        }
        check_memory(&checkpoint.config)?;
        let images = Images::open(&checkpoint.config.data)?;
        Ok(Self { images, checkpoint, device: RunDevice::Cpu, ranks: Rc::default(), workspace: None })
    }

    /// The run with its steps shared out over ranks, all of which must be where this one is. The bits are those of one
    /// alone.
    #[must_use]
    pub fn among(self, ranks: Rc<Ranks>) -> Self {
        Self { ranks, workspace: None, ..self }
    }

    /// Those that share the work of a step.
    #[must_use]
    pub fn ranks(&self) -> Rc<Ranks> {
        Rc::clone(&self.ranks)
    }

    /// Move the run to a device, at a precision; the text is a warning that `auto` found a GPU and left it.
    ///
    /// `auto` takes a GPU whose gradient of the first weights is the CPU's. Validation stays on the CPU.
    ///
    /// # Errors
    /// `Device`, when the GPU that was asked for cannot be used, or the CPU is asked for TF32.
    pub fn on(self, choice: DeviceChoice, precision: Precision) -> Result<(Self, Option<String>), TrainError> {
        let opened = choice.open(precision, |device| distrust(device, &self.description(), self.config().seed))?;
        let why = if let Opened::Cpu(why) = &opened { why.clone() } else { None };
        Ok((Self { device: opened.into(), workspace: None, ..self }, why))
    }

    /// The device of the run.
    #[must_use]
    pub fn device(&self) -> DeviceChoice {
        self.device.choice()
    }

    /// The factors of the run's convolutions.
    #[must_use]
    pub fn precision(&self) -> Precision {
        self.device.precision()
    }

    /// The state, for [`Trainer::resume`].
    ///
    /// # Errors
    /// `Checkpoint`.
    pub fn checkpoint(&self) -> Result<Vec<u8>, TrainError> {
        Ok(self.checkpoint.to_bytes()?)
    }

    /// The run's description.
    #[must_use]
    pub fn config(&self) -> &TrainingConfig {
        &self.checkpoint.config
    }

    /// The images.
    #[must_use]
    pub fn images(&self) -> &Images {
        &self.images
    }

    /// The rows so far.
    #[must_use]
    pub fn history(&self) -> &History {
        &self.checkpoint.history
    }

    /// Steps done.
    #[must_use]
    pub fn steps_done(&self) -> u64 {
        self.checkpoint.state.steps
    }

    /// True if all phases are done.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.steps_done() >= self.config().total_steps()
    }

    fn parametrisation(&self) -> Parametrisation {
        let (data_mean, data_std) = self.checkpoint.data;
        self.config().parametrisation.unwrap_or(Parametrisation::Residual { data_mean, data_std })
    }

    /// One step of the optimiser; returns its loss per pixel. Nothing happens when all phases are done.
    ///
    /// # Errors
    /// `Diverged`, when the loss or its gradient is not finite, or the loss is beyond all reason; the state is then as
    /// it was before. `Network`, when the crop does not fit the network; `Device`, when the GPU fails or has too little
    /// memory.
    pub fn step(&mut self) -> Result<f64, TrainError> {
        let start = Instant::now();
        let done = self.steps_done();
        let Some((phase, step, first)) = self.config().at(done) else { return Ok(f64::NAN) };
        let phase = phase.clone();
        let mut workspace = self.prepare(&phase)?;
        let last = step + 1 == phase.steps;
        let loss = self.gradient(&mut workspace, &phase, first, last)?;
        let norm = norm(&workspace.gradient);
        if !norm.is_finite() || loss.is_nan() || loss > LARGEST_LOSS {
            return Err(TrainError::Diverged { step: done + 1, loss, gradient_norm: norm });
        }
        let rate = learning_rate(&phase, step);
        let Checkpoint { config, state, history, .. } = &mut self.checkpoint;
        state.step(&config.optimiser, rate, &workspace.gradient, norm);
        self.workspace = Some(workspace);
        history.observe(done + 1, loss, norm, rate, start.elapsed().as_secs_f64());
        Ok(loss)
    }

    /// Seconds of the host's work in a step of the current phase, without the network: for the samples, and for the
    /// optimiser. Changes nothing.
    #[must_use]
    pub fn time_host_work(&self) -> [f64; 2] {
        let Some((phase, step, first)) = self.config().at(self.steps_done()) else { return [0.0; 2] };
        let (mut batch, mut state) = (Batch::new(phase.batch, phase.crop), self.checkpoint.state.clone());
        let (gradient, mut sum) = (state.parameters.clone(), state.parameters.clone());
        let start = Instant::now();
        batch.fill(&self.sampler(phase), first, phase.batch);
        let filled = start.elapsed().as_secs_f64();
        add_scaled(&mut sum, 0.5, &gradient);
        let norm = norm(&sum);
        state.step(&self.config().optimiser, learning_rate(phase, step), &sum, norm);
        [filled, start.elapsed().as_secs_f64() - filled]
    }

    fn sampler<'a>(&'a self, phase: &'a Phase) -> Sampler<'a> {
        let config = self.config();
        Sampler {
            images: &self.images,
            seed: config.seed,
            crop: phase.crop,
            smoothing: &phase.smoothing,
            kernel: config.perturbation_kernel,
            parametrisation: self.parametrisation(),
        }
    }

    /// The buffers of the phase, those of the last step where they fit.
    fn prepare(&mut self, phase: &Phase) -> Result<Workspace, TrainError> {
        let lanes = phase.images_at_a_time.unwrap_or(self.device.images_at_a_time()).min(phase.batch);
        let crop = phase.crop;
        // What does not fit is dropped here, before the new one, which may be large.
        if let Some(workspace) = self.workspace.take().filter(|w| w.crop == crop && w.batches[0].t.len() == lanes) {
            return Ok(workspace);
        }
        let network = self.device.network(&self.description(), crop, lanes)?;
        let zeros = vec![0.0; network.n_parameters()];
        let batches = [Batch::new(lanes, crop), Batch::new(lanes, crop)];
        let shared = if self.ranks.count() > 1 { zeros.clone() } else { Vec::new() };
        Ok(Workspace { crop, network, batches, ready: None, part: zeros.clone(), shared, gradient: zeros })
    }

    /// Loss per pixel of the samples from number `first` on, and its gradient. The samples that come next are made
    /// while the network works; behind the `last` step of a phase there are none that would be like these.
    ///
    /// Groups of samples go to the ranks in turn, and are added up in the order of their samples: the sum has the same
    /// bits for any number of ranks.
    fn gradient(&self, workspace: &mut Workspace, phase: &Phase, first: u64, last: bool) -> Result<f64, TrainError> {
        workspace.gradient.fill(0.0);
        let (count, rank) = (self.ranks.count() as u64, self.ranks.rank() as u64);
        let (lanes, end) = (workspace.batches[0].t.len() as u64, first + phase.batch as u64);
        // The group of samples from `begin` on ends with its step.
        let size = |begin: u64, end: u64| lanes.min(end - begin) as usize;
        let (mut loss, mut begin) = (0.0, first);
        while begin < end {
            let (own, mut own_loss) = (begin + rank * lanes, 0.0);
            if own < end {
                // In this step, or else as far from the begin of the next one as the first is from that of this one.
                let (next, first_of_next) = (own + count * lanes, end + rank * lanes);
                let of_next_step = || (!last).then(|| (first_of_next, size(first_of_next, end + phase.batch as u64)));
                let next = if next < end { Some((next, size(next, end))) } else { of_next_step() };
                own_loss = self.of_group(workspace, phase, (own, size(own, end)), next)?;
            }
            for owner in 0..count {
                let group = begin + owner * lanes;
                if group >= end {
                    break;
                }
                let Workspace { crop, part, shared, gradient, .. } = &mut *workspace;
                let share = size(group, end) as f64 / (phase.batch * *crop * *crop) as f64;
                let (values, mut of_owner) = if owner == rank { (part, own_loss) } else { (shared, 0.0) };
                self.ranks.share(owner as usize, &mut of_owner, values);
                loss += share * of_owner;
                add_scaled(gradient, share as f32, values);
            }
            begin += count * lanes;
        }
        Ok(loss)
    }

    /// Loss of a group of samples, from a number on so many, and its gradient in `part`; the samples of the next group
    /// are made meanwhile.
    fn of_group(
        &self,
        workspace: &mut Workspace,
        phase: &Phase,
        (begin, n): (u64, usize),
        next: Option<(u64, usize)>,
    ) -> Result<f64, TrainError> {
        let Workspace { network, batches, ready, part, .. } = workspace;
        let (state, sampler) = (&self.checkpoint.state, self.sampler(phase));
        if *ready != Some(begin) {
            batches[0].fill(&sampler, begin, n);
        }
        let ([batch, following], sampler) = (&mut *batches, &sampler);
        let found = rayon::in_place_scope(|scope| {
            if let Some((next, n_next)) = next {
                scope.spawn(move |_| following.fill(sampler, next, n_next));
            }
            network.loss(phase.loss, &state.parameters, batch.first(n), part)
        });
        *ready = next.map(|(next, _)| next);
        batches.swap(0, 1);
        found
    }

    /// True if a validation is due after the steps done.
    #[must_use]
    pub fn validation_is_due(&self) -> bool {
        let (done, config) = (self.steps_done(), self.config());
        let last = self.history().validations.last().map_or(0, |row| row.step);
        let mut ends = config.phase.iter().scan(0, |end, phase| {
            *end += phase.steps;
            Some(*end)
        });
        done > last && (done.is_multiple_of(config.validation.every_steps) || ends.any(|end| end == done))
    }

    /// Validates the averaged weights and adds a row to the history.
    ///
    /// # Errors
    /// `Network`, `Validation`.
    pub fn validate(&mut self) -> Result<ValidationRow, TrainError> {
        let prior = Prior::from(self.weights()?);
        let config = &self.checkpoint.config.validation;
        let row = ValidationRow {
            step: self.steps_done(),
            denoising_db: validation::denoising_db(&prior, &self.images.validation(config.images))?,
            reconstruction_db: validation::reconstruction_db(&prior, config, &self.images)
                .map_err(TrainError::Validation)?,
        };
        self.checkpoint.history.validations.push(row);
        Ok(row)
    }

    /// The averaged weights.
    ///
    /// # Errors
    /// `Weights`.
    pub fn weights(&self) -> Result<Weights, TrainError> {
        let average = &self.checkpoint.state.average;
        let weights = Weights::from_parameters(self.description(), self.provenance(), average)?;
        Ok(weights.with_levels(self.config().levels)?.with_extrapolation(self.config().extrapolation)?)
    }

    /// The network that is trained.
    fn description(&self) -> Description {
        let (config, parametrisation) = (self.config(), self.parametrisation());
        Description {
            architecture: config.network.clone(),
            perturbation_kernel: config.perturbation_kernel,
            parametrisation,
        }
    }

    /// The origin of the weights.
    fn provenance(&self) -> String {
        let config = self.config();
        let phases = config.phase.iter().map(|phase| {
            let loss = match phase.loss {
                Loss::Denoising => "denoising",
                Loss::ScoreMatching => "score matching",
            };
            format!("{} steps of {loss} on {} crops of {} pixels", phase.steps, phase.batch, phase.crop)
        });
        let begin = config.initial.as_deref().and_then(Path::file_name);
        let begin = begin.map(|name| format!("from {}; ", name.to_string_lossy()));
        format!(
            "gradus {} train; {}; {}seed {}; {} of {} steps: {}; moving average {}",
            env!("CARGO_PKG_VERSION"),
            self.images.description(),
            begin.unwrap_or_default(),
            config.seed,
            self.steps_done(),
            config.total_steps(),
            phases.collect::<Vec<_>>().join(", then "),
            config.optimiser.average_decay,
        )
    }
}
