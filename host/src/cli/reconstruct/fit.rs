//! The fit of a result to its data in the words of the report, the summary and `--json`.

use super::finished::Finished;
use gradus::image::GreyWindow;
use gradus::report::Picture;
use serde_json::{Value, json};

/// Half the range of the picture of residuals, over the root of chi squared.
const SPAN: f64 = 3.0;

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
