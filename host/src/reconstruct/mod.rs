//! Reconstruction: a measurement and settings in, an image with the trace of how it came about out.

mod denoise;
mod discrepancy;
mod learned;
mod measurement;
mod preconditioned;
mod preconditioned_settings;
mod settings;
mod together;
mod total_variation;

pub use denoise::denoise;
pub use discrepancy::discrepancy;
pub use measurement::{Measurement, NoiseSource};
pub use preconditioned_settings::{PreconditionedSettings, WeightRule};
pub use settings::{LineSearchSettings, Method, Settings, Start};
pub use together::{at_once, reconstruct_together};

use crate::backend::choice::Opened;
use crate::backend::cpu::NetworkError;
use crate::backend::cuda::{DeviceError, SlicesError, Traffic};
use crate::backend::{Counters, DeviceChoice, Precision};
use crate::ct::{FilteredBackprojector, GeometryError, ProjectionError, TvError, Window};
use crate::image::Image;
use crate::unet::Weights;
use gradus_core::{Certificate, Record, SettingsError, Status};
use std::ops::ControlFlow;

/// Why nothing could be reconstructed.
#[derive(Debug, thiserror::Error)]
pub enum ReconstructError {
    /// The geometry makes no sense.
    #[error(transparent)]
    Geometry(#[from] GeometryError),
    /// The sinogram does not fit its geometry.
    #[error(transparent)]
    Projection(#[from] ProjectionError),
    /// The settings of total variation make no sense.
    #[error(transparent)]
    Tv(#[from] TvError),
    /// The settings contradict themselves.
    #[error("the settings make no sense")]
    Settings(#[from] SettingsError),
    /// The prior cannot be used on this image.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The scale of the image cannot be found.
    #[error("nothing in the sinogram attenuates; it must hold line integrals, -log(counts/I0), not counts")]
    NothingAttenuates,
    /// The device cannot be used, or stopped working.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The device cannot hold the problem.
    #[error(transparent)]
    Slices(#[from] SlicesError),
    /// The mean of no runs.
    #[error("the number of runs to average is 0; give 1 for a single run")]
    NoRuns,
    /// The method needs a prior.
    #[error("method {0} needs a prior; name one with --prior")]
    NoPrior(Method),
    /// A number that is not finite came up.
    #[error("after {iterations} iterations {cause}; lower alpha or the first step")]
    Broke {
        /// Iterations made.
        iterations: usize,
        /// What happened.
        cause: gradus_core::AnswerError,
    },
}

/// One iteration, with what it left behind.
#[derive(Debug, Clone, Copy)]
pub struct TraceRow {
    /// What the solver recorded.
    pub record: Record,
    /// `f(x_{i+1})`, without the constant of the prior; `None` in the approach of the preconditioned method, which does not
    /// look at it.
    pub objective: Option<f64>,
    /// Cost of the run up to here.
    pub counters: Counters,
}

/// What came out.
#[derive(Debug, Clone)]
pub struct Reconstruction {
    /// The image, in network units.
    pub image: Image,
    /// How the run ended; `None` for methods that do not iterate by a solver.
    pub status: Option<Status>,
    /// Iterations made.
    pub iterations: u64,
    /// Every iteration of a solver.
    pub trace: Vec<TraceRow>,
    /// What the run showed of Theorem 3.2; `None` for methods that do not iterate by a solver.
    certificate: Option<Certificate>,
    /// `f` at the image, where the method has one.
    pub objective: Option<f64>,
    /// `alpha` or the weight of total variation, where the method has one.
    pub weight: Option<f64>,
    /// Standard deviation of each pixel over the runs of which `image` is the mean, in network units.
    pub deviation: Option<Image>,
    /// What it cost.
    pub counters: Counters,
    /// What it was computed on.
    pub device: DeviceChoice,
    /// With which factors convolutions multiplied.
    pub precision: Precision,
    /// What crossed between host and device, where there was one.
    pub traffic: Option<Traffic>,
    /// Why it was not computed on the GPU that this machine has.
    pub warning: Option<String>,
}

impl Reconstruction {
    /// What the run showed of Theorem 3.2; `None` for methods that make no claim of descent.
    #[must_use]
    pub fn certificate(&self) -> Option<&Certificate> {
        self.certificate.as_ref()
    }

    fn of(image: Image) -> Self {
        Self {
            image,
            status: None,
            iterations: 0,
            trace: Vec::new(),
            certificate: None,
            objective: None,
            weight: None,
            deviation: None,
            counters: Counters::default(),
            device: DeviceChoice::Cpu,
            precision: Precision::Full,
            traffic: None,
            warning: None,
        }
    }
}

/// Called after each iteration with the number of iterations done, of how many, the newest row and the iterate.
/// Breaking ends the run there; the image so far is kept.
pub type Observer<'a> = &'a mut dyn FnMut(Progress<'_>) -> ControlFlow<()>;

/// How far a run has come.
#[derive(Clone, Copy)]
pub struct Progress<'a> {
    /// Iterations done.
    pub done: u64,
    /// Iterations at most.
    pub total: u64,
    /// The newest row, for methods that have a trace.
    pub row: Option<&'a TraceRow>,
    /// Copies the newest iterate, in network units, to a buffer of its length. It may have to come from a device; where that
    /// fails the buffer is left as it is, and the run ends with the error.
    pub copy_iterate: &'a dyn Fn(&mut [f32]),
}

/// Reconstructs `measurement` with `settings`; learned methods need a `prior`.
///
/// # Errors
/// See [`ReconstructError`].
pub fn reconstruct(
    measurement: &Measurement,
    settings: &Settings,
    prior: Option<&Weights>,
    observer: Observer<'_>,
) -> Result<Reconstruction, ReconstructError> {
    // Nothing of these is computed on a GPU.
    let on_cpu = |result| Ok(Reconstruction { warning: idle_precision(settings), ..result });
    match (settings.method, prior) {
        (Method::Fbp, _) => on_cpu(Reconstruction::of(filtered_backprojection(measurement, settings.window)?)),
        (Method::Tv, _) => on_cpu(total_variation::reconstruct(measurement, settings, observer)?),
        (method, None) => Err(ReconstructError::NoPrior(method)),
        (_, Some(prior)) => {
            let opened = open((settings.device, settings.precision), prior)?;
            learned_on(opened, measurement, settings, prior, observer)
        }
    }
}

/// What to say to tensor cores for a method without convolutions.
fn idle_precision(settings: &Settings) -> Option<String> {
    let idle = settings.precision == Precision::Tf32;
    idle.then(|| format!("precision tf32 has no effect on method {}, which has no network", settings.method))
}

/// The device of a choice, set to a precision; `auto` takes a GPU only if it passes its checks with this prior.
///
/// # Errors
/// When the GPU that was asked for cannot be used, and when the CPU is asked for TF32.
pub fn open((choice, precision): (DeviceChoice, Precision), prior: &Weights) -> Result<Opened, DeviceError> {
    choice.open(precision, |device| learned::distrust(device, prior))
}

/// A learned method on a device that is open.
fn learned_on(
    opened: Opened,
    measurement: &Measurement,
    settings: &Settings,
    prior: &Weights,
    observer: Observer<'_>,
) -> Result<Reconstruction, ReconstructError> {
    match settings.method {
        Method::Preconditioned if settings.searches_weight() => {
            with_searched_weight(&opened, measurement, settings, prior, observer)
        }
        Method::Preconditioned => preconditioned::reconstruct(measurement, settings, prior, opened, observer),
        _ => completed(learned::reconstruct(measurement, settings, prior, opened, observer)?, settings, prior),
    }
}

/// The preconditioned method with the weight of the prior that the discrepancy principle finds, from single runs: the last of
/// them, where that is what is wanted, else one run more.
fn with_searched_weight(
    opened: &Opened,
    measurement: &Measurement,
    settings: &Settings,
    prior: &Weights,
    observer: Observer<'_>,
) -> Result<Reconstruction, ReconstructError> {
    let variance = measurement.noise_std * measurement.noise_std;
    let (mut cost, mut last) = (Counters::default(), None);
    let mut run = settings.clone();
    run.preconditioned.average = 1;
    let factor = discrepancy::search(&mut |factor| {
        run.alpha = Some(factor * variance);
        let result = preconditioned::reconstruct(measurement, &run, prior, opened.clone(), &mut *observer)?;
        cost = cost.plus(&result.counters);
        let is_stopped = result.status == Some(Status::Stopped);
        let found = discrepancy::discrepancy(measurement, settings, &result.image)?;
        last = Some((factor, result));
        Ok((!is_stopped).then_some(found))
    })?;
    if let Some((tried, result)) = last {
        let is_stopped = result.status == Some(Status::Stopped);
        if is_stopped || (tried == factor && settings.preconditioned.average == 1) {
            return Ok(Reconstruction { counters: cost, ..result });
        }
    }
    let settings = Settings { alpha: Some(factor * variance), ..settings.clone() };
    let result = preconditioned::reconstruct(measurement, &settings, prior, opened.clone(), observer)?;
    Ok(Reconstruction { counters: result.counters.plus(&cost), ..result })
}

/// The same reconstruction with its image denoised, where the settings want that. On the CPU whatever the device: it is one
/// pass.
fn completed(result: Reconstruction, settings: &Settings, prior: &Weights) -> Result<Reconstruction, ReconstructError> {
    if !settings.ends_denoised() {
        return Ok(result);
    }
    let (image, mut counters) = (denoise(prior, &result.image, settings.t_min)?, result.counters);
    counters.network_forwards += 1;
    counters.network_vjps += 1;
    Ok(Reconstruction { image, counters, ..result })
}

/// The filtered backprojection, in network units.
///
/// # Errors
/// When the sinogram does not fit the geometry.
pub fn filtered_backprojection(measurement: &Measurement, window: Window) -> Result<Image, ReconstructError> {
    let geometry = &measurement.geometry;
    let mut image = Image::zeros(geometry.height, geometry.width);
    FilteredBackprojector::new(geometry.clone(), window)?
        .filtered_backproject(&measurement.sinogram, &mut image.pixels)?;
    Ok(image)
}
