//! The fit of a result to its data in the words of the report, the summary and `--json`.

use super::finished::Finished;
use gradus::ct::estimate_noise;
use gradus::image::GreyWindow;
use gradus::reconstruct::{Method, Rival, is_explained};
use gradus::report::Picture;
use gradus::trust::{Misfit, Residual};
use serde_json::{Value, json};

/// Half the range of the picture of residuals, over the root of chi squared.
const SPAN: f64 = 3.0;

/// True if picture and data do not belong together. Filtered backprojection, which minimises no misfit, is not at fault
/// where another method explains the data.
pub fn is_hopeless(finished: &Finished) -> bool {
    let is_fbp = finished.run.reconstruction.method() == Method::Fbp;
    let misfit = unexplained(finished).map(Residual::misfit);
    misfit == Some(Misfit::Hopeless) && !(is_fbp && is_sound(finished))
}

/// The residual, where it is more than the noise and the method leave, or, of methods that know of noise, much less.
fn unexplained(finished: &Finished) -> Option<&Residual> {
    let method = finished.run.reconstruction.method();
    let residual = finished.result.residual.as_ref()?;
    let follows_noise = method != Method::Fbp && residual.misfit() == Misfit::Overfitted;
    (follows_noise || !is_explained(method, residual)).then_some(residual)
}

/// True if another method explains the data: then they are no contradiction.
fn is_sound(finished: &Finished) -> bool {
    finished.rival.as_ref().is_some_and(|rival| rival.residual.is_small())
}

/// What a reader must know before believing the picture.
pub fn warnings(finished: &Finished) -> Vec<String> {
    let measurement = &finished.measurement;
    let shown = estimate_noise(&measurement.sinogram, measurement.geometry.n_bins);
    let stated = if shown > 0.0 { measurement.noise_std / shown } else { 1.0 };
    let own = unexplained(finished).and_then(|residual| residual.warning(stated, is_sound(finished)));
    own.into_iter().chain(finished.rival.as_ref().map(better)).collect()
}

fn better(rival: &Rival) -> String {
    let (chi, method) = (rival.residual.chi_squared(), rival.method);
    format!("--method {method} explains the data better: chi squared {chi:.3} a ray")
}

/// The number, for people.
pub fn chi_squared(finished: &Finished) -> String {
    finished.result.residual.as_ref().map_or_else(|| "unknown".to_owned(), |residual| number(residual.chi_squared()))
}

/// Three digits, and none after the point where there are more before it.
fn number(value: f64) -> String {
    if value.is_finite() && value < 100.0 { format!("{value:.3}") } else { format!("{value:.0}") }
}

/// A line for people.
pub fn text(finished: &Finished) -> String {
    let percent = finished.result.residual.as_ref().map_or(f64::NAN, |residual| 100.0 * residual.relative());
    format!(
        "chi squared {} a ray (1: as the noise): {percent:.2} % of the line integrals unexplained",
        chi_squared(finished)
    )
}

/// The object for machines; numbers that are not finite become null.
pub fn json(finished: &Finished) -> Value {
    let Some(residual) = &finished.result.residual else { return Value::Null };
    let rival = finished.rival.as_ref();
    json!({
        "chi_squared": residual.chi_squared(),
        "relative": residual.relative(),
        "misfit": residual.misfit().name(),
        "noise_std": finished.measurement.noise_std,
        "better": rival.map(|rival| json!({
            "method": rival.method, "chi_squared": rival.residual.chi_squared(),
        })),
    })
}

/// The residual sinogram; none of data without noise, against which every difference is infinite.
pub fn picture(finished: &Finished) -> Option<Picture> {
    let residual = finished.result.residual.as_ref()?;
    let span = (SPAN * residual.chi_squared().sqrt().max(1.0)) as f32;
    if !span.is_finite() {
        return None;
    }
    let caption = "Residual A x \u{2212} y, one row a view";
    let picture = Picture::new(caption, residual.image.clone(), GreyWindow::new(-span, span));
    Some(Picture { unit: "standard deviations of the noise".to_owned(), ..picture })
}
