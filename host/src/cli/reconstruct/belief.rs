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
}

impl Belief {
    pub fn of(result: &Reconstruction, prior: &Prior, scan: &Scan, job: Job<'_>) -> Result<Self, Failure> {
        let interval = Interval::of(result, prior, scan, job);
        let unlike = match TrainingLooks::in_weights(prior.weights()) {
            Some(Ok(looks)) if looks.sides == [result.image.height, result.image.width] => {
                let distance = looks.distance(&Look::at(&result.image, prior).into_diagnostic()?);
                Some(Unlike { prior: prior.name().to_owned(), distance, limit: looks.limit })
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
        let far = self.unlike.iter().filter(|unlike| unlike.distance > unlike.limit);
        far.map(|Unlike { prior, distance, limit }| {
            format!(
                "the image is unlike those that the prior {prior} learned from: its distance from them is \
                 {distance:.1}, and 1 in 100 of them is beyond {limit:.1}. What the data do not determine is made up \
                 from other kinds of images: compare with --method tv, or take another prior"
            )
        })
    }

    pub fn interval(&self) -> Option<&Interval> {
        self.interval.as_ref()?.as_ref().ok()
    }
}
