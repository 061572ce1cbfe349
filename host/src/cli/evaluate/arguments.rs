//! The flags of `gradus evaluate`, and the evaluation that they ask for.

use super::grid::GridArguments;
use crate::ending::Failure;
use crate::flags::by_name;
use gradus::backend::{DeviceChoice, Precision};
use gradus::limits::{ITERATIONS, STARTS};
use gradus::paper::tables::{AlphaSource, Dataset, Protocol, Scale, TableKind, methods};
use gradus::reconstruct::{GraduatedSettings, TvSettings};
use miette::{IntoDiagnostic, miette};
use std::path::{Path, PathBuf};

/// Images of the sweep over alpha, and of which a folder keeps as many from its tables.
pub const SWEPT: usize = 2;
const VIEWS: usize = 60;

/// Flags that the challenge does not read: its settings are fixed.
const OTHERS: [&str; 15] = [
    "dm4ct",
    "table",
    "figures",
    "paper",
    "sweep_alpha",
    "dataset",
    "images",
    "starts",
    "device",
    "precision",
    "jobs",
    "minutes",
    "alpha_per_std",
    "steps",
    "tv_iterations",
];

/// Parts of the evaluation. Runs again into the same folder go on where the last one ended.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true))]
pub struct Arguments {
    /// Table 1: robustness to the start; table 2: constant against adaptive steps
    #[arg(long, value_name = "1|2", value_parser = clap::value_parser!(u8).range(1..=2), group = "what")]
    pub table: Option<u8>,
    /// Figs. 2 and 3: the course of the descent, and pictures, of the first image
    #[arg(long, group = "what")]
    pub figures: bool,
    /// Everything that fits into --minutes, in one page: the toy, both tables, the figures
    #[arg(long, group = "what", conflicts_with_all = ["table", "figures"])]
    pub paper: bool,
    /// The Helsinki Tomography Challenge 2022: all phantoms whose files are in this folder, or in folders in it, by
    /// filtered backprojection, total variation and the default method
    #[arg(long, value_name = "FOLDER", group = "what", conflicts_with_all = OTHERS)]
    pub htc: Option<PathBuf>,
    /// All methods over a grid of scans, from few views to many and from few photons to no noise, each made on a finer
    /// grid than it is reconstructed on
    #[arg(long, group = "what", conflicts_with_all = ["table", "figures", "paper", "sweep_alpha"])]
    pub range: bool,
    #[command(flatten)]
    pub grid: GridArguments,
    /// Choose the weight of the prior by a coarse sweep on images outside the test set, and record it
    #[arg(long, group = "what", conflicts_with = "alpha_per_std")]
    pub sweep_alpha: bool,
    /// The benchmark DM4CT for few views without noise, on one of its slices (512 x 512 in [-1, 1]): this program's
    /// default method, DDS and DiffPIR with the same prior, total variation, SIRT and filtered backprojection
    #[arg(long, value_name = "IMAGE", group = "what", conflicts_with_all = ["table", "figures", "paper", "sweep_alpha",
        "dataset", "images", "starts", "jobs", "alpha_per_std", "steps", "tv_iterations"])]
    pub dm4ct: Option<String>,
    /// ellipses, or a folder of slices of 256 x 256 pixels (npz or npy stacks, DICOM)
    #[arg(long, value_name = "ellipses|FOLDER", default_value = "ellipses")]
    pub dataset: String,
    /// Images [default: 10 for table 1, 100 for table 2, 1 for the grid]
    #[arg(long, value_name = "N")]
    pub images: Option<usize>,
    /// Starts for each image, where a method has starts [default: 10 for table 1, 1 for table 2]
    #[arg(long, value_name = "N")]
    starts: Option<usize>,
    /// Device of learned methods: auto, cpu or cuda:N [default: auto, which is cuda:0 where that passes its checks].
    /// A GPU makes up to 32 images with one method together; rows are kept, and the time is looked at, after each such
    /// batch. A folder that was begun on another device is refused
    #[arg(long, default_value_t, hide_default_value = true)]
    pub device: DeviceChoice,
    /// Factors of a GPU's convolutions: full or tf32 [default: full]; tests of descent then judge f as
    /// computed with them. A folder that was begun with others is refused
    #[arg(long, value_parser = by_name::<Precision>, default_value_t, hide_default_value = true)]
    pub precision: Precision,
    /// Reconstructions with one method made together on the CPU, no more at a time than there are threads
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub jobs: usize,
    /// Minutes that --paper may take. It plans by the times of single reconstructions, on a GPU too
    #[arg(long, value_name = "M", default_value_t = 60.0, requires = "paper")]
    pub minutes: f64,
    /// Prior: the name of an embedded one or a weights file [default: ellipses, ct for a folder, disc for
    /// --htc]
    #[arg(long, value_name = "NAME|FILE")]
    pub prior: Option<String>,
    /// Weight of the prior over the standard deviation of the noise of a line integral [default: 7]
    #[arg(long, value_name = "WEIGHT")]
    alpha_per_std: Option<f64>,
    /// Iterations of the methods with a line search; a constant step gets four times as many [default: 300]
    #[arg(long, value_name = "N")]
    steps: Option<u32>,
    /// Iterations of total variation [default: 500]
    #[arg(long, value_name = "N")]
    tv_iterations: Option<u32>,
    /// The folder, new or of an evaluation with the same settings [default: runs/evaluate-DATASET, runs/range-DATASET
    /// or runs/dm4ct-IMAGE]
    #[arg(long, short, value_name = "DIR")]
    pub output: Option<PathBuf>,
}

impl Arguments {
    /// True if ranks share out what is asked for: rows of a table, and the sweep.
    pub fn is_shared(&self) -> bool {
        (self.table.is_some() || self.sweep_alpha) && !self.paper
    }

    /// Refuses numbers that make no sense.
    pub fn check(&self) -> Result<(), Failure> {
        self.grid.check(self.range)?;
        for (flag, value) in [("--images", self.images), ("--starts", self.starts), ("--jobs", Some(self.jobs))] {
            match value {
                Some(0) => return Err(miette!("{flag} is 0; give at least 1")),
                Some(value) if value > STARTS => return Err(miette!("{flag} is {value}; give at most {STARTS}")),
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
    pub fn size(&self, kind: &TableKind, dataset: &Dataset) -> (usize, usize) {
        let images = self.images.unwrap_or(kind.images).min(dataset.n_images(SWEPT));
        (images, self.starts.unwrap_or(kind.starts))
    }

    /// The protocol of the evaluation that the flags ask for.
    pub fn protocol(&self, dataset: &Dataset) -> Result<Protocol, Failure> {
        let steps = self.steps.unwrap_or(GraduatedSettings::default().steps);
        let tv_iterations = self.tv_iterations.unwrap_or(TvSettings::default().tv_iterations);
        let alpha_source = match (self.sweep_alpha, self.alpha_per_std) {
            (true, _) => AlphaSource::Sweep,
            (false, Some(_)) => AlphaSource::Given,
            (false, None) => AlphaSource::Default,
        };
        Ok(Protocol {
            dataset: dataset.name().to_owned(),
            slices: dataset.n_slices(),
            prior: self.prior.clone().unwrap_or_else(|| dataset.prior().to_owned()),
            prior_checksum: String::new(),
            views: VIEWS,
            noise: dataset.noise(),
            device: self.device,
            precision: self.precision,
            steps,
            alpha_per_std: self.alpha_per_std.unwrap_or(GraduatedSettings::ALPHA_PER_STD),
            alpha_source,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            methods: methods(&Scale::of(dataset, VIEWS, steps, tv_iterations).into_diagnostic()?),
        })
    }

    /// The folder of the evaluation.
    pub fn folder(&self) -> PathBuf {
        let stem = Path::new(&self.dataset).file_name().unwrap_or_default().to_string_lossy().into_owned();
        self.output.clone().unwrap_or_else(|| Path::new("runs").join(format!("evaluate-{stem}")))
    }
}
