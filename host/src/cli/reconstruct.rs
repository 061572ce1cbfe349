//! `gradus reconstruct`: the main job.

use crate::config::RunConfig;
use crate::problem::{self, Problem, Unit};
use crate::run_folder::RunFolder;
use crate::terminal::{Terminal, stop_flag};
use crate::{End, Failure};
use gradus::backend::{DeviceChoice, Precision, View};
use gradus::ct::Window;
use gradus::data::image_files::{write_dicom, write_npy, write_png16};
use gradus::data::units::StatedUnit;
use gradus::image::{GreyWindow, Image};
use gradus::memory;
use gradus::metrics::{nrmse, psnr, rmse_hu, soft_tissue_psnr, ssim_uniform};
use gradus::reconstruct::{
    Measurement, Method, Reconstruction, Start, WeightRule, filtered_backprojection, reconstruct,
};
use gradus_core::Status;
use miette::IntoDiagnostic;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Instant;

mod certificate;
mod files;

/// Every flag has a field in the TOML file of a run; flags win.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A scan (npz, or a folder with scan.toml), a sample (ellipses:SEED, spine) or an image (npy, npz, DICOM, PNG,
    /// TIFF); samples and images are scanned first [default: ellipses:1]
    #[arg(value_name = "SCAN")]
    input: Option<String>,
    /// The unit of an image whose file does not say it: hu, 1/mm, 1/cm or network [default: network, 0 to 1]
    #[arg(long)]
    unit: Option<StatedUnit>,
    /// A run described by a TOML file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where the results go: a new or empty folder [default: runs/INPUT-METHOD]
    #[arg(long, short, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Method [default: preconditioned]
    #[arg(long, value_enum)]
    method: Option<Method>,
    /// What learned methods compute on: auto, cpu or cuda:N [default: auto, which is cuda:0 where that passes its checks]
    #[arg(long)]
    device: Option<DeviceChoice>,
    /// With which factors a GPU's convolutions multiply [default: full]. With tf32 the tests of descent judge f as computed
    /// with rounded factors
    #[arg(long, value_enum)]
    precision: Option<Precision>,
    /// Prior: the name of an embedded one (ellipses, ct) or a weights file [default: ct for images in HU and for scans
    /// that do not say what suits them, ellipses otherwise]
    #[arg(long, value_name = "NAME|FILE")]
    prior: Option<String>,
    /// Weight of the prior [default: from the noise]
    #[arg(long)]
    alpha: Option<f64>,
    /// Number of smoothing levels, one iteration each [default: what the weights name, 12 for ct and 8 for
    /// ellipses; 300 for the other learned methods]
    #[arg(long)]
    steps: Option<u32>,
    /// First smoothing level [default: 0.5, and 1 for the other learned methods]
    #[arg(long)]
    t_max: Option<f64>,
    /// Last smoothing level [default: 0.001, and 0.004 for the other learned methods]
    #[arg(long)]
    t_min: Option<f64>,
    /// Conjugate gradient steps in each iteration of the preconditioned method [default: 12]
    #[arg(long, value_name = "N")]
    solve_steps: Option<u32>,
    /// What weighs the prior of the preconditioned method where --alpha does not [default: posterior]
    #[arg(long, value_enum, value_name = "RULE")]
    weight: Option<WeightRule>,
    /// Take the mean of this many runs of the preconditioned method, and write their deviation [default: 1]
    #[arg(long, value_name = "RUNS")]
    average: Option<u32>,
    /// How the prior looks at iterates of the other learned methods [default: diffused]
    #[arg(long, value_enum)]
    view: Option<View>,
    /// Constant step for the flow, in place of the line search
    #[arg(long, value_name = "LENGTH")]
    constant_step: Option<f64>,
    /// Stop when the gradient norm is at most this [default: 0]
    #[arg(long)]
    tolerance: Option<f64>,
    /// Starting point [default: noise]
    #[arg(long, value_enum)]
    start: Option<Start>,
    /// Seed of the starting noise [default: 1]
    #[arg(long)]
    seed: Option<u64>,
    /// Window of the filtered backprojection: ramp, shepp-logan or hann [default: hann]
    #[arg(long)]
    window: Option<Window>,
    /// Weight of total variation [default: from the noise]
    #[arg(long, value_name = "WEIGHT")]
    tv_weight: Option<f64>,
    /// Iterations of total variation [default: 500]
    #[arg(long, value_name = "N")]
    tv_iterations: Option<u32>,
    /// Use every N-th view of the scan [default: 1]
    #[arg(long, value_name = "N", help_heading = "Scan")]
    every_view: Option<usize>,
    /// Where the rotation axis meets the detector, from its middle [default: what the scan says]
    #[arg(long, value_name = "MM", help_heading = "Scan")]
    detector_offset_mm: Option<f64>,
    /// An image to compare with, in the unit of the result, such as the image.npy of another run
    #[arg(long, value_name = "IMAGE", help_heading = "Scan")]
    truth: Option<PathBuf>,
    #[command(flatten)]
    simulation: crate::simulate::SimulationArguments,
}

impl Arguments {
    /// The run that the file and the flags describe together.
    fn run_config(&self) -> Result<RunConfig, Failure> {
        let mut run = self.config.as_deref().map_or_else(|| Ok(RunConfig::default()), RunConfig::read)?;
        let set = &mut run.reconstruction;
        replace(&mut run.input, &self.input);
        replace(&mut set.method, &self.method);
        replace(&mut set.device, &self.device);
        replace(&mut set.precision, &self.precision);
        let own = &mut set.preconditioned;
        let (t_max, t_min) = if set.method == Method::Preconditioned {
            own.steps = self.steps.or(own.steps);
            (&mut own.t_max, &mut own.t_min)
        } else {
            replace(&mut set.steps, &self.steps);
            (&mut set.t_max, &mut set.t_min)
        };
        replace(t_max, &self.t_max);
        replace(t_min, &self.t_min);
        replace(&mut own.solve_steps, &self.solve_steps);
        replace(&mut own.weight, &self.weight);
        replace(&mut own.average, &self.average);
        replace(&mut set.view, &self.view);
        replace(&mut set.tolerance, &self.tolerance);
        replace(&mut set.start, &self.start);
        replace(&mut set.seed, &self.seed);
        replace(&mut set.window, &self.window);
        replace(&mut set.tv_iterations, &self.tv_iterations);
        replace(&mut run.every_view, &self.every_view);
        run.detector_offset_mm = self.detector_offset_mm.or(run.detector_offset_mm);
        run.unit = self.unit.or(run.unit);
        run.truth = self.truth.clone().or(run.truth);
        run.prior = self.prior.clone().or(run.prior);
        set.alpha = self.alpha.or(set.alpha);
        set.constant_step = self.constant_step.or(set.constant_step);
        set.tv_weight = self.tv_weight.or(set.tv_weight);
        self.simulation.apply(&mut run.simulation);
        Ok(run)
    }
}

/// Overwrites a field where a flag was given.
pub fn replace<T: Clone>(field: &mut T, flag: &Option<T>) {
    if let Some(value) = flag {
        field.clone_from(value);
    }
}

/// Agreement with the truth.
#[derive(Debug, Clone, Copy)]
struct Quality {
    /// In dB, for the data range 1 of network units.
    psnr: f64,
    /// With scikit-image's default window, for the same range.
    ssim: f64,
    /// Euclidean distance over the norm of the truth.
    nrmse: f64,
    /// Of images in HU: root of the mean squared difference, and PSNR in dB within -160 to 240 HU.
    hounsfield: Option<[f64; 2]>,
}

/// A finished run, as the files tell it.
struct Finished {
    run: RunConfig,
    problem: Problem,
    measurement: Measurement,
    unit: Unit,
    result: Reconstruction,
    /// PSNR after each iteration, where the truth is known.
    psnrs: Vec<f64>,
    fbp: Image,
    seconds: f64,
}

impl Finished {
    /// How near an image in network units is to the truth, where that is known. NaN where a number is not defined, as
    /// the SSIM of a picture smaller than its window.
    fn quality(&self, image: &Image) -> Option<Quality> {
        let truth = self.problem.scan.truth.as_ref()?;
        Some(Quality {
            psnr: psnr(truth, image, 1.0).unwrap_or(f64::NAN),
            ssim: ssim_uniform(truth, image, 1.0).unwrap_or(f64::NAN),
            nrmse: nrmse(truth, image).unwrap_or(f64::NAN),
            hounsfield: matches!(self.unit, Unit::Hounsfield).then(|| {
                [rmse_hu(truth, image), soft_tissue_psnr(truth, image)].map(|found| found.unwrap_or(f64::NAN))
            }),
        })
    }

    /// Whether the run got to its end.
    fn reached_goal(&self) -> bool {
        !matches!(self.result.status, Some(Status::NoStep | Status::Stopped))
    }

    /// What a reader must know before believing the picture.
    fn warnings(&self) -> Vec<String> {
        let mut warnings = self.problem.scan.warnings.clone();
        warnings.extend(self.result.warning.clone());
        warnings.extend(self.result.certificate().into_iter().flat_map(certificate::warnings));
        warnings
    }

    fn status(&self) -> String {
        self.result.status.map_or_else(|| "done".to_owned(), |status| status.to_string())
    }
}

/// Runs the command.
pub fn run(arguments: &Arguments, terminal: &Terminal) -> Result<End, Failure> {
    let run = arguments.run_config()?;
    run.check()?;
    let problem = problem::problem(&run)?;
    problem.scan.warnings.iter().for_each(|warning| terminal.warn(warning));
    let name = format!("{}-{}", problem.name, run.reconstruction.method);
    let folder = RunFolder::claim(arguments.output.as_deref(), &name)?;
    let finished = compute(run, problem, terminal)?;
    finished.result.warning.iter().for_each(|warning| terminal.warn(warning));
    let certificate = finished.result.certificate();
    certificate.into_iter().flat_map(certificate::warnings).for_each(|warning| terminal.warn(&warning));
    let folder = match files::write(&finished, &folder) {
        Ok(()) => folder.finish()?,
        Err(failure) => {
            return Err(match folder.keep("image.npy") {
                Some(kept) => failure.wrap_err(format!("not all can be written; the image is in {}", kept.display())),
                None => failure,
            });
        }
    };
    let quality = finished.quality(&finished.result.image);
    terminal.report(&files::summary_json(&finished, quality, &folder))?;
    terminal.say(&files::summary_text(&finished, quality, &folder))?;
    Ok(if finished.reached_goal() { End::Done } else { End::Unfinished })
}

fn compute(mut run: RunConfig, mut problem: Problem, terminal: &Terminal) -> Result<Finished, Failure> {
    let prior = if run.reconstruction.method.is_learned() {
        // A scan that does not say what suits it is taken to be of a body.
        let named = run.prior.take().or_else(|| problem.scan.prior.clone());
        Some(problem::prior(run.prior.insert(named.unwrap_or_else(|| "ct".to_owned())))?)
    } else {
        None
    };
    let geometry = &problem.scan.geometry;
    memory::check("this scan", memory::of_scan(geometry), "take a coarser image").into_diagnostic()?;
    if let Some(prior) = &prior {
        let pixels = geometry.image_len() as u64;
        let bytes = memory::of_layers(prior.architecture(), pixels);
        memory::check("this prior on an image of this size", bytes, "take a smaller image, or --method tv or fbp")
            .into_diagnostic()?;
    }
    if let (Method::Preconditioned, Some(prior)) = (run.reconstruction.method, &prior) {
        let own = &mut run.reconstruction.preconditioned;
        own.steps = Some(own.steps_with(prior));
    }
    let settings = &run.reconstruction;
    let measurement = Measurement::new(&problem.scan).into_diagnostic()?;
    let unit = problem.unit.unwrap_or(Unit::Attenuation(measurement.attenuation_per_unit));
    let fbp = filtered_backprojection(&measurement, settings.window).into_diagnostic()?;
    let total = match (settings.method, &prior) {
        (Method::Tv, _) => settings.tv_iterations,
        (Method::Preconditioned, Some(prior)) => settings.preconditioned.total_steps(prior),
        _ => settings.steps,
    };
    let bar = terminal.progress(total.into(), &settings.method.to_string());
    let stop = stop_flag()?;
    if let Some(path) = &run.truth {
        let truth = problem::truth(path, unit)?;
        if (truth.height, truth.width) != (fbp.height, fbp.width) {
            let (path, height, width) = (path.display(), fbp.height, fbp.width);
            miette::bail!("{path} is {} x {}, the result {height} x {width} pixels", truth.height, truth.width);
        }
        problem.scan.truth = Some(truth);
    }
    let truth = problem.scan.truth.as_ref();
    let mut psnrs = Vec::new();
    let mut iterate = Image::zeros(measurement.geometry.height, measurement.geometry.width);
    let begin = Instant::now();
    let result = reconstruct(&measurement, settings, prior.as_ref(), &mut |progress| {
        bar.set_position(progress.done);
        if let Some(truth) = truth {
            (progress.copy_iterate)(&mut iterate.pixels);
            let value = psnr(truth, &iterate, 1.0).unwrap_or(f64::NAN);
            bar.set_message(format!("PSNR {value:.2} dB"));
            psnrs.push(value);
        }
        if stop.load(Ordering::SeqCst) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })
    .into_diagnostic()?;
    bar.finish_and_clear();
    // So that the file of the run repeats it on the same device, with the same factors.
    (run.reconstruction.device, run.reconstruction.precision) = (result.device, result.precision);
    let seconds = begin.elapsed().as_secs_f64();
    Ok(Finished { run, problem, measurement, unit, result, psnrs, fbp, seconds })
}
