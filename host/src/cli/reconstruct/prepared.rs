//! A run that is ready to be computed: its scan in the units of the work, its settings with what the data decide.

use super::belief::Belief;
use super::evidence::{Divided, Evidence};
use super::finished::Finished;
use crate::config::RunConfig;
use crate::ending::Failure;
use crate::problem::{Problem, Unit};
use gradus::ct::Window;
use gradus::data::scan::Scan;
use gradus::image::Image;
use gradus::memory;
use gradus::prior::Prior;
use gradus::reconstruct::{
    Job, Measurement, Observer, PlacedPrior, Reconstruction, ReducedFit, Settings, field_of, in_field, reduced_fit,
};
use gradus::trust::Field;
use gradus_core::Status;
use miette::IntoDiagnostic;

/// A run before its work begins.
pub struct Prepared {
    pub run: RunConfig,
    pub problem: Problem,
    pub unit: Unit,
    /// Of several priors that were tried each with what it left of held-out views, in standard deviations a ray.
    pub tried: Vec<(String, f64)>,
    field: Field,
    divided: Divided,
    fbp: Image,
}

/// The scan in the units of the work.
pub fn measured(scan: &Scan, prior: Option<&Prior>) -> Result<Measurement, Failure> {
    let geometry = &scan.geometry;
    if let Some(prior) = prior {
        let bytes = memory::of_prior(prior, geometry.image_len() as u64);
        memory::check("this prior on an image of this size", bytes, "take a smaller image, or --method tv or fbp")
            .into_diagnostic()?;
    }
    memory::check("this scan", memory::of_scan(geometry), "take a coarser image").into_diagnostic()?;
    prior.map_or_else(|| Measurement::new(scan), |prior| Measurement::suiting(scan, prior)).into_diagnostic()
}

impl Prepared {
    /// The run on its problem, of which `field` says what detector and image do not hold.
    pub fn new(mut run: RunConfig, problem: Problem, field: Field, prior: Option<&Prior>) -> Result<Self, Failure> {
        let whole = measured(&in_field(&problem.scan, &field), prior)?.within(&field);
        let divided = Divided::new(whole, run.hold_out)?;
        let measurement = &divided.kept;
        if let Some(prior) = prior {
            run.reconstruction = run.reconstruction.clone().suiting(prior, measurement);
        }
        let unit = problem.unit.unwrap_or(Unit::Attenuation(measurement.attenuation_per_unit));
        let window = if let Settings::Fbp(own) = &run.reconstruction { own.window } else { Window::Hann };
        let fbp = measurement.filtered_backprojection(window).into_diagnostic()?;
        Ok(Self { run, problem, unit, tried: Vec::new(), field, divided, fbp })
    }

    /// The run on its problem, after a look at what detector and image do not hold.
    pub fn looked_at(run: RunConfig, mut problem: Problem, prior: Option<&Prior>) -> Result<Self, Failure> {
        let scan = &problem.scan;
        let field = field_of(scan).into_diagnostic()?;
        problem.scan.warnings.extend(field.warnings());
        Self::new(run, problem, field, prior)
    }

    /// Attenuation in 1/mm of network unit 1.
    pub fn scale(&self) -> f64 {
        self.divided.kept.attenuation_per_unit
    }

    /// The prior on the device that the run names, for so many slices like this one.
    pub fn place<'a>(&self, prior: &'a Prior, slices: usize) -> Result<PlacedPrior<'a>, Failure> {
        let (device, precision) = (self.run.device.unwrap_or_default(), self.run.precision.unwrap_or_default());
        PlacedPrior::open_for(&self.job(), slices, prior, device, precision).into_diagnostic()
    }

    /// The job to be computed.
    pub fn job(&self) -> Job<'_> {
        Job { measurement: &self.divided.kept, settings: &self.run.reconstruction }
    }

    /// The reduced fit of a result, where one is wanted and the run was not ended.
    pub fn reduced(
        &self,
        result: &Reconstruction,
        placed: Option<&PlacedPrior<'_>>,
        observer: Observer<'_>,
    ) -> Result<Option<ReducedFit>, Failure> {
        if !self.run.reduced_fit || result.status == Some(Status::Stopped) {
            return Ok(None);
        }
        reduced_fit(self.job(), &result.image, None, placed, observer).into_diagnostic()
    }

    /// An image of the size of the work.
    pub fn blank(&self) -> Image {
        Image::zeros(self.fbp.height, self.fbp.width)
    }

    /// The run with its result, which took `seconds`, and the reduced fit of that, where one was wanted.
    pub fn finish(
        self,
        (result, reduced): (Reconstruction, Option<ReducedFit>),
        prior: Option<&Prior>,
        psnrs: Vec<f64>,
        seconds: f64,
    ) -> Result<Finished, Failure> {
        let Self { mut run, problem, unit, tried, field, divided, fbp } = self;
        let method = run.reconstruction.method();
        let evidence = Evidence { reduced, ..Evidence::of((&run, &problem), &divided, &result, &fbp)? };
        if method.is_learned() {
            // So that the file of the run repeats it on the same device, with the same factors.
            (run.device, run.precision) = (Some(result.device), Some(result.precision));
        }
        let scan = in_field(&problem.scan, &field);
        let believed = |prior| {
            Belief::of(&result, prior, &scan, Job { measurement: &divided.kept, settings: &run.reconstruction })
        };
        let belief = prior.map(believed).transpose()?.unwrap_or_default();
        let measurement = divided.kept;
        Ok(Finished { run, problem, measurement, unit, result, evidence, tried, field, psnrs, fbp, seconds, belief }
            .cut())
    }
}
