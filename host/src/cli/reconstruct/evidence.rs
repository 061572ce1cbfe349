//! The evidence on a result: what it says of its data, and its data of it.

use super::causes::{Names, warnings};
use crate::config::RunConfig;
use crate::ending::Failure;
use crate::problem::Problem;
use gradus::image::Image;
use gradus::reconstruct::{Measurement, Method, Reconstruction, ReducedFit, Rival, cut_to, is_held_out, rival};
use gradus::trust::{Effort, Parts, Residual, Shares};
use miette::IntoDiagnostic;

/// A measurement in two: the views that an image is made from, and those that it is to foretell.
pub struct Divided {
    pub kept: Measurement,
    pub held_out: Option<Measurement>,
}

impl Divided {
    pub fn new(whole: Measurement, every: Option<usize>) -> Result<Self, Failure> {
        let Some(every) = every else { return Ok(Self { kept: whole, held_out: None }) };
        let (kept, held_out) = whole.without_every(every).into_diagnostic()?;
        Ok(Self { kept, held_out: Some(held_out) })
    }
}

/// The evidence on a result.
pub struct Evidence {
    /// A classical method that explains the data better.
    pub rival: Option<Rival>,
    /// The fit over what the method leaves of noise.
    pub reduced: Option<ReducedFit>,
    /// The residual of the views that the image was made without.
    pub held_out: Option<Residual>,
    /// Faults of the scan in words, the likeliest first.
    pub causes: Vec<String>,
    /// The part of the image that the data determine, the rest, and its shares; not of filtered backprojection, which
    /// has no prior.
    pub parts: Option<(Parts, Shares)>,
}

impl Evidence {
    /// That on a result, of a measurement in which `fbp` is the filtered backprojection.
    pub fn of(
        (run, problem): (&RunConfig, &Problem),
        measurement: &Divided,
        result: &Reconstruction,
        fbp: &Image,
    ) -> Result<Self, Failure> {
        let (method, kept) = (run.reconstruction.method(), &measurement.kept);
        let held_out = measurement.held_out.as_ref().map(|held_out| held_out.residual(&result.image));
        let effort = run.parts_tolerance.map_or(Effort::USUAL, Effort::until);
        let parts = (method != Method::Fbp).then(|| kept.parts(&result.image, effort));
        let with_shares = |parts: Parts| {
            let shares = parts.shares();
            (parts, shares)
        };
        let rival = rival(kept, method, result, fbp).into_diagnostic()?;
        Ok(Self {
            causes: causes((run, problem), kept, result, rival.as_ref())?,
            rival,
            reduced: None,
            held_out: held_out.transpose().into_diagnostic()?,
            parts: parts.transpose().into_diagnostic()?.map(with_shares),
        })
    }

    /// The same with images of the scan's size.
    pub fn cut(self, height: usize, width: usize) -> Self {
        let parts = self.parts.map(|(parts, shares)| {
            let [determined, undetermined] =
                [&parts.determined, &parts.undetermined].map(|part| cut_to(part, height, width));
            (Parts { determined, undetermined, ..parts }, shares)
        });
        Self { parts, ..self }
    }
}

fn causes(
    (run, problem): (&RunConfig, &Problem),
    measurement: &Measurement,
    result: &Reconstruction,
    rival: Option<&Rival>,
) -> Result<Vec<String>, Failure> {
    let is_kept = |at: &usize| run.hold_out.is_none_or(|every| !is_held_out(*at, every));
    let views: Vec<usize> = (0..problem.views.len()).filter(is_kept).map(|at| problem.views[at]).collect();
    let names = Names { input: &run.input, pixel_mm: problem.scan.geometry.pixel_mm, views: &views };
    let found = measurement.causes(run.reconstruction.method(), result, rival).into_diagnostic()?;
    Ok(warnings(&found, names))
}
