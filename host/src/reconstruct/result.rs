//! The result of a reconstruction.

use crate::backend::{Counters, DeviceChoice, Precision, Traffic};
use crate::image::Image;
use crate::trust::Residual;
use gradus_core::{Certificate, Record, Status};

/// One iteration, with what it left behind.
#[derive(Debug, Clone, Copy)]
pub struct TraceRow {
    /// The record of the solver.
    pub record: Record,
    /// `f(x_{i+1})`, without the constant of the prior; `None` after an untested step, which does not look at it.
    pub objective: Option<f64>,
    /// Cost of the run up to here.
    pub counters: Counters,
}

/// The result.
#[derive(Debug, Clone)]
pub struct Reconstruction {
    /// The image, in network units.
    pub image: Image,
    /// The end of the run; `None` for methods that do not iterate by a solver.
    pub status: Option<Status>,
    /// Iterations made.
    pub iterations: u64,
    /// Every iteration of a solver.
    pub trace: Vec<TraceRow>,
    /// The evidence for the conditions of Theorem 3.2; `None` for methods that make no claim of descent.
    pub certificate: Option<Certificate>,
    /// `f` at the image, where the method has one.
    pub objective: Option<f64>,
    /// `alpha` or the weight of total variation, where the method has one.
    pub weight: Option<f64>,
    /// Standard deviation of each pixel over the runs of which `image` is the mean, in network units.
    pub deviation: Option<Image>,
    /// The data that `image` leaves unexplained.
    pub residual: Option<Residual>,
    /// Its cost.
    pub counters: Counters,
    /// The device that computed it.
    pub device: DeviceChoice,
    /// The factors of its convolutions.
    pub precision: Precision,
    /// The traffic between host and device, where there was one, for all runs that were made together.
    pub traffic: Option<Traffic>,
    /// The reason why it was not computed on the GPU that this machine has.
    pub warning: Option<String>,
}

impl Reconstruction {
    /// An image of which nothing more is known, from the CPU.
    pub(super) fn of(image: Image) -> Self {
        Self {
            image,
            status: None,
            iterations: 0,
            trace: Vec::new(),
            certificate: None,
            objective: None,
            weight: None,
            deviation: None,
            residual: None,
            counters: Counters::default(),
            device: DeviceChoice::Cpu,
            precision: Precision::Full,
            traffic: None,
            warning: None,
        }
    }

    /// The result of a run that left this image and this trace, with `|grad f|` at its end.
    pub(super) fn ended(image: Image, status: Status, trace: Vec<TraceRow>, gradient_norm: f32) -> Self {
        let mut certificate = Certificate::default();
        trace.iter().for_each(|row| certificate.observe(&row.record));
        certificate.finish(gradient_norm);
        Self {
            status: Some(status),
            iterations: trace.len() as u64,
            trace,
            certificate: Some(certificate),
            ..Self::of(image)
        }
    }
}
