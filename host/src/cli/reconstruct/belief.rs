//! Trust in a picture: intervals about its pixels, and its likeness to the images that the prior learned from.

use crate::ending::Failure;
use gradus::data::scan::Scan;
use gradus::prior::Prior;
use gradus::reconstruct::{Interval, Job, Reconstruction, cut_to};
use gradus::trust::{Look, TrainingLooks};
use miette::IntoDiagnostic;

/// The statements of a learned result about itself.
#[derive(Default)]
pub struct Belief {
    /// Intervals of a mean of runs, or the reason why there are none.
    pub interval: Option<Result<Interval, String>>,
    pub unlike: Option<Unlike>,
}

/// The distance of the image from those of the training, and the one from which on it is far.
pub struct Unlike {
    pub prior: String,
    pub distance: f64,
    pub limit: f64,
    /// The words on an image that is far.
    pub warning: Option<String>,
}

impl Belief {
    pub fn of(result: &Reconstruction, prior: &Prior, scan: &Scan, job: Job<'_>) -> Result<Self, Failure> {
        let interval = Interval::of(result, prior, scan, job);
        let unlike = match TrainingLooks::in_weights(prior.weights()) {
            Some(Ok(looks)) if looks.sides == [result.image.height, result.image.width] => {
                let distance = looks.distance(&Look::at(&result.image, prior).into_diagnostic()?);
                let (prior, limit) = (prior.name().to_owned(), looks.limit);
                let warning = looks.warning(&prior, distance);
                Some(Unlike { prior, distance, limit, warning })
            }
            _ => None,
        };
        Ok(Self { interval, unlike })
    }

    /// The same for an image that is cut to this size.
    pub fn cut(&mut self, (height, width): (usize, usize)) {
        if let Some(Ok(interval)) = &mut self.interval {
            interval.half_width = cut_to(&interval.half_width, height, width);
        }
    }

    pub fn warnings(&self) -> impl Iterator<Item = String> {
        self.unlike.iter().filter_map(|unlike| unlike.warning.clone())
    }

    pub fn interval(&self) -> Option<&Interval> {
        self.interval.as_ref()?.as_ref().ok()
    }
}
