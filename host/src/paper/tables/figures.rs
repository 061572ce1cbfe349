//! Figs. 2 and 3 of \[FKD24\] for one image: the course of the descent, and pictures.

use super::{EvaluateError, Evaluation, Job, contender};
use crate::ct::Window;
use crate::image::{GreyWindow, Image};
use crate::metrics::psnr;
use crate::reconstruct::TraceRow;
use crate::report::{Curve, Picture};
use std::fmt::Write;
use std::ops::ControlFlow;

/// The content of Figs. 2 and 3.
#[derive(Debug, Clone)]
pub struct Figures {
    /// Fig. 2: PSNR, objective, descent condition and step size over the iterations of Algorithm 2.
    pub curves: Vec<Curve>,
    /// Fig. 3: truth, filtered backprojection, reconstruction, its error.
    pub pictures: Vec<Picture>,
    /// The numbers of Fig. 2: `iteration,psnr_db,objective,descent_cosine,step`.
    pub csv: String,
}

/// Runs Algorithm 2 on test image `image` from start 1; `None` when `go_on` broke it off.
///
/// # Errors
/// [`EvaluateError`] says which image, start or file.
pub fn figures(
    evaluation: &Evaluation,
    image: usize,
    go_on: &dyn Fn() -> ControlFlow<()>,
) -> Result<Option<Figures>, EvaluateError> {
    let Some(contender) = contender("gradient-like") else { return Ok(None) };
    let job = Job { contender, image, start: 1 };
    let truth = evaluation.dataset().image(image);
    let (mut psnrs, mut is_stopped) = (Vec::new(), false);
    let mut iterate = Image::zeros(truth.height, truth.width);
    let (_, measurement, result) = evaluation.reconstruct(&job, &mut |progress| {
        (progress.copy_iterate)(&mut iterate.pixels);
        psnrs.push(psnr(&truth, &iterate, 1.0).unwrap_or(f64::NAN));
        let flow = go_on();
        is_stopped = flow.is_break();
        flow
    })?;
    if is_stopped {
        return Ok(None);
    }
    let window = GreyWindow::of(&truth);
    let fbp = measurement.filtered_backprojection(Window::Hann)?;
    let mut pictures = vec![
        Picture::new("Truth", truth.clone(), window),
        Picture::new("Filtered backprojection", fbp, window).compared_with(&truth, 1.0),
        Picture::new("Algorithm 2, gradient-like", result.image.clone(), window).compared_with(&truth, 1.0),
    ];
    pictures.extend(Picture::error_of(&result.image, &truth));
    Ok(Some(Figures { curves: result.course(&psnrs), pictures, csv: csv(&result.trace, &psnrs) }))
}

fn csv(trace: &[TraceRow], psnrs: &[f64]) -> String {
    let mut csv = String::from("iteration,psnr_db,objective,descent_cosine,step\n");
    for (row, psnr) in trace.iter().zip(psnrs) {
        let r = &row.record;
        // Writing to a string cannot fail.
        let _ = writeln!(
            csv,
            "{},{psnr},{},{},{}",
            r.iteration + 1,
            row.objective.unwrap_or(f64::NAN),
            r.descent_cosine(),
            r.step
        );
    }
    csv
}
