//! `gradus evaluate`: the paper's tables and figures on images.

use crate::problem::prior_bytes;
use crate::reconstruct::replace;
use crate::terminal::{Terminal, stop_flag};
use crate::{End, Failure};
use files::Output;
use gradus::backend::choice::Opened;
use gradus::backend::cuda::Device;
use gradus::backend::{DeviceChoice, Precision};
use gradus::data::write_atomically;
use gradus::evaluate::{
    AlphaSource, Dataset, Evaluation, Job, Protocol, RunEnd, SWEEP_FACTORS, Sweep, TableKind, figures, jobs_of,
    summary, sweep, table,
};
use gradus::limits::{ITERATIONS, STARTS};
use gradus::reconstruct::{Settings, open};
use gradus::unet::Weights;
use miette::{IntoDiagnostic, WrapErr, miette};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

mod files;
mod paper;

/// Images of the sweep over alpha, and of which a folder keeps as many from its tables.
const SWEPT: usize = 2;
const VIEWS: usize = 60;

/// What to evaluate. Runs again into the same folder go on where the last one ended.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true))]
pub struct Arguments {
    /// Table 1: robustness to the start; table 2: constant against adaptive steps
    #[arg(long, value_name = "1|2", value_parser = clap::value_parser!(u8).range(1..=2), group = "what")]
    table: Option<u8>,
    /// Figs. 2 and 3: the course of the descent, and pictures, of the first image
    #[arg(long, group = "what")]
    figures: bool,
    /// Everything that fits into --minutes, in one page: the toy, both tables, the figures
    #[arg(long, group = "what", conflicts_with_all = ["table", "figures"])]
    paper: bool,
    /// Choose the weight of the prior by a coarse sweep on images outside the test set, and record it
    #[arg(long, group = "what", conflicts_with = "alpha_per_std")]
    sweep_alpha: bool,
    /// ellipses, or a folder of slices of 256 x 256 pixels (npz or npy stacks, DICOM)
    #[arg(long, value_name = "ellipses|FOLDER", default_value = "ellipses")]
    dataset: String,
    /// Images [default: 10 for table 1, 100 for table 2]
    #[arg(long, value_name = "N")]
    images: Option<usize>,
    /// Starts for each image, where a method has starts [default: 10 for table 1, 1 for table 2]
    #[arg(long, value_name = "N")]
    starts: Option<usize>,
    /// What learned methods compute on: auto, cpu or cuda:N [default: auto, which is cuda:0 where that passes its checks].
    /// A GPU makes up to 32 images with one method together, after the methods without a prior on the CPU; rows are kept,
    /// and the time is looked at, after each such batch. A folder that was begun on another device is refused
    #[arg(long, default_value_t, hide_default_value = true)]
    device: DeviceChoice,
    /// With which factors a GPU's convolutions multiply [default: full]; tests of descent then judge f as computed with
    /// them. A folder that was begun with others is refused
    #[arg(long, value_enum, default_value_t, hide_default_value = true)]
    precision: Precision,
    /// Reconstructions made at the same time on the CPU, each on its share of the threads
    #[arg(long, value_name = "N", default_value_t = 1)]
    jobs: usize,
    /// Minutes that --paper may take. It plans by the times of single reconstructions, on a GPU too
    #[arg(long, value_name = "M", default_value_t = 60.0, requires = "paper")]
    minutes: f64,
    /// Prior: the name of an embedded one or a weights file [default: ellipses, or ct for a folder]
    #[arg(long, value_name = "NAME|FILE")]
    prior: Option<String>,
    /// Weight of the prior over the standard deviation of the noise of a line integral [default: 9]
    #[arg(long, value_name = "WEIGHT")]
    alpha_per_std: Option<f64>,
    /// Iterations of the methods with a line search; a constant step gets four times as many [default: 300]
    #[arg(long, value_name = "N")]
    steps: Option<u32>,
    /// Iterations of total variation [default: 500]
    #[arg(long, value_name = "N")]
    tv_iterations: Option<u32>,
    /// The folder, new or of an evaluation with the same settings [default: runs/evaluate-DATASET]
    #[arg(long, short, value_name = "DIR")]
    output: Option<PathBuf>,
}

/// Runs the command.
pub fn run(arguments: &Arguments, terminal: &Terminal) -> Result<End, Failure> {
    arguments.check()?;
    let dataset = Dataset::open(&arguments.dataset).into_diagnostic()?;
    dataset.check(arguments.images.unwrap_or(1), SWEPT).into_diagnostic()?;
    let stop = stop_flag()?;
    let session = match Session::open(arguments, dataset, terminal, Arc::clone(&stop))? {
        Some(session) => session,
        None => return stopped(terminal),
    };
    if arguments.paper { paper::run(arguments, session) } else { parts(arguments, session) }
}

fn stopped(terminal: &Terminal) -> Result<End, Failure> {
    terminal.say("stopped; the same command goes on where it was")?;
    Ok(End::Unfinished)
}

impl Arguments {
    fn check(&self) -> Result<(), Failure> {
        for (flag, value) in [("--images", self.images), ("--starts", self.starts), ("--jobs", Some(self.jobs))] {
            match value {
                Some(0) => return Err(miette!("{flag} is 0; give at least 1")),
                Some(value) if value > STARTS => {
                    return Err(miette!("{flag} is {value}; give at most {STARTS}"));
                }
                _ => {}
            }
        }
        for (flag, value) in [("--steps", self.steps), ("--tv-iterations", self.tv_iterations)] {
            if let Some(value) = value.filter(|value| *value > ITERATIONS) {
                return Err(miette!("{flag} is {value}; give at most {ITERATIONS}"));
            }
        }
        if !(self.minutes.is_finite() && self.minutes > 0.0) {
            return Err(miette!("--minutes is {}; give a positive number", self.minutes));
        }
        match self.alpha_per_std {
            Some(alpha) if !(alpha.is_finite() && alpha > 0.0) => {
                Err(miette!("--alpha-per-std is {alpha}; give a positive number"))
            }
            _ if self.steps.is_some_and(|steps| steps < 2) => {
                Err(miette!("--steps is {}; a schedule needs at least 2 levels", self.steps.unwrap_or_default()))
            }
            _ => Ok(()),
        }
    }

    /// Images and starts of a table: what the flags say, else the paper's, as far as the data set has them.
    fn size(&self, kind: &TableKind, dataset: &Dataset) -> (usize, usize) {
        let images = self.images.unwrap_or(kind.images).min(dataset.n_images(SWEPT));
        (images, self.starts.unwrap_or(kind.starts))
    }

    fn protocol(&self, dataset: &Dataset) -> Protocol {
        let mut reconstruction = Settings::default();
        replace(&mut reconstruction.steps, &self.steps);
        replace(&mut reconstruction.tv_iterations, &self.tv_iterations);
        let alpha_source = match (self.sweep_alpha, self.alpha_per_std) {
            (true, _) => AlphaSource::Sweep,
            (false, Some(_)) => AlphaSource::Given,
            (false, None) => AlphaSource::Default,
        };
        Protocol {
            dataset: dataset.name().to_owned(),
            slices: dataset.n_slices(),
            prior: self.prior.clone().unwrap_or_else(|| dataset.prior().to_owned()),
            prior_checksum: String::new(),
            views: VIEWS,
            noise: dataset.noise(),
            alpha_per_std: self.alpha_per_std.unwrap_or(Settings::ALPHA_PER_STD),
            alpha_source,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            reconstruction,
        }
    }

    fn folder(&self) -> PathBuf {
        let stem = Path::new(&self.dataset).file_name().unwrap_or_default().to_string_lossy().into_owned();
        self.output.clone().unwrap_or_else(|| Path::new("runs").join(format!("evaluate-{stem}")))
    }
}

/// An evaluation under way, and whoever watches it.
struct Session<'a> {
    evaluation: Evaluation,
    output: Output,
    terminal: &'a Terminal,
    stop: Arc<AtomicBool>,
    jobs: usize,
    /// The GPU of the learned methods.
    gpu: Option<Rc<Device>>,
}

impl<'a> Session<'a> {
    /// Opens the folder, after a sweep where one is asked for and has not been made; `None` when that was stopped.
    fn open(
        arguments: &Arguments,
        dataset: Dataset,
        terminal: &'a Terminal,
        stop: Arc<AtomicBool>,
    ) -> Result<Option<Self>, Failure> {
        let mut protocol = arguments.protocol(&dataset);
        let bytes = prior_bytes(&protocol.prior)?;
        let prior = Weights::from_bytes(&bytes)
            .into_diagnostic()
            .wrap_err_with(|| format!("cannot use the prior {}", protocol.prior))?;
        let opened = open((arguments.device, arguments.precision), &prior).into_diagnostic()?;
        protocol.reconstruction.precision = opened.precision();
        let gpu = match opened {
            Opened::Cuda(device) => Some(device),
            Opened::Cpu(warning) => {
                warning.iter().for_each(|warning| terminal.warn(warning));
                None
            }
        };
        protocol.reconstruction.device =
            gpu.as_ref().map_or(DeviceChoice::Cpu, |device| DeviceChoice::Cuda(device.ordinal()));
        let folder = arguments.folder();
        let mut swept = None;
        if arguments.sweep_alpha {
            // What is there decides, also when it is not from a sweep: then it is refused below.
            match Evaluation::protocol_in(&folder).into_diagnostic()? {
                Some(there) => protocol.alpha_per_std = there.alpha_per_std,
                None => {
                    let Some(sweep) = run_sweep(&dataset, &protocol, &prior, terminal, &stop)? else { return Ok(None) };
                    protocol.alpha_per_std = sweep.best();
                    swept = Some(sweep);
                }
            }
        }
        let evaluation = Evaluation::open(&folder, protocol, dataset, prior, &bytes).into_diagnostic()?;
        if let Some(sweep) = swept {
            write_atomically(&folder.join("sweep.csv"), sweep.to_csv().as_bytes()).into_diagnostic()?;
        }
        let output = Output::new(folder);
        Ok(Some(Self { evaluation, output, terminal, stop, jobs: arguments.jobs, gpu }))
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// Does the pending ones of `jobs` until `is_late`.
    fn run(&mut self, jobs: &[Job], what: &str, is_late: &(dyn Fn() -> bool + Sync)) -> Result<RunEnd, Failure> {
        let bar = self.terminal.progress(self.evaluation.pending(jobs).len() as u64, what);
        let (stop, in_batches) = (Arc::clone(&self.stop), self.gpu.is_some());
        let observe = |done: Option<&Job>| {
            if let Some(job) = done {
                bar.inc(1);
                bar.set_message(format!("image {}, {}", job.image, job.contender.key));
            }
            // A batch that has begun is not lost to the clock.
            let must_end = stop.load(Ordering::SeqCst) || ((done.is_some() || !in_batches) && is_late());
            if must_end { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let end = match &self.gpu {
            Some(device) => self.evaluation.run_on(device, jobs, self.jobs, &observe),
            None => self.evaluation.run(jobs, self.jobs, &observe),
        };
        let end = end.into_diagnostic()?;
        bar.finish_and_clear();
        Ok(end)
    }

    /// The complete part of a table, into the output.
    fn keep_table(&mut self, kind: &TableKind, images: usize, starts: usize) {
        let found = summary(self.evaluation.results(), kind, images, starts);
        self.output.tables.push((found, *kind));
    }

    /// Figs. 2 and 3 of the first image, into the output; whether they were finished.
    fn keep_figures(&mut self) -> Result<bool, Failure> {
        let bar = self.terminal.progress(u64::from(self.evaluation.protocol().reconstruction.steps), "figures");
        let go_on = || {
            bar.inc(1);
            if self.is_stopped() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let found = figures(&self.evaluation, 1, &go_on).into_diagnostic()?;
        bar.finish_and_clear();
        self.output.figures = found;
        Ok(self.output.figures.is_some())
    }
}

fn run_sweep(
    dataset: &Dataset,
    protocol: &Protocol,
    prior: &Weights,
    terminal: &Terminal,
    stop: &AtomicBool,
) -> Result<Option<Sweep>, Failure> {
    let bar = terminal.progress((SWEPT * SWEEP_FACTORS.len()) as u64, "sweep over alpha");
    let found = sweep(dataset, protocol, prior, SWEPT, &mut |done| {
        bar.set_position(done as u64);
        if stop.load(Ordering::SeqCst) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    bar.finish_and_clear();
    found.into_diagnostic()
}

/// A table, the figures, or only the sweep.
fn parts(arguments: &Arguments, mut session: Session<'_>) -> Result<End, Failure> {
    let mut is_done = true;
    if let Some(kind) = arguments.table.and_then(table) {
        let (images, starts) = arguments.size(kind, session.evaluation.dataset());
        let jobs = jobs_of(kind, images, starts);
        is_done = session.run(&jobs, &format!("table {}", kind.number), &|| false)? == RunEnd::Done;
        session.keep_table(kind, images, starts);
    }
    if is_done && arguments.figures {
        is_done = session.keep_figures()?;
    }
    session.output.finish(&session.evaluation, is_done, session.terminal)?;
    Ok(if is_done { End::Done } else { End::Unfinished })
}
