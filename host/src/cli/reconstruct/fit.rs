//! The fit of a result to its data in the words of the report, the summary and `--json`.

use super::finished::Finished;
use gradus::image::GreyWindow;
use gradus::reconstruct::is_explained;
use gradus::report::{Finding, Picture, PictureKind, Tone};
use gradus::trust::Residual;
use serde_json::{Value, json};

/// Half the range of the picture of residuals, over the root of chi squared.
const SPAN: f64 = 3.0;

/// Views or bins that the picture of residuals shows; of more, means of blocks. A quarter of the values says as much of
/// faults, which run along views and bins, and the report stays small.
const SHOWN: usize = 512;

/// The number, for people.
pub fn chi_squared(finished: &Finished) -> String {
    finished.result.residual.as_ref().map_or_else(|| "unknown".to_owned(), |residual| number(residual.chi_squared()))
}

/// Three digits, and none after the point where there are more before it.
pub fn number(value: f64) -> String {
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

/// A line on the fit over what the method leaves of noise, for people.
pub fn reduced_text(finished: &Finished) -> Option<String> {
    let fit = finished.evidence.reduced?;
    let left = format!("the method leaves {:.2} of noise that is added", fit.noise_left);
    let model = if finished.measurement.model_std > 0.0 {
        format!("; there is room for {:.1} % of the largest error of pixels and bins", 100.0 * fit.model_share)
    } else {
        String::new()
    };
    Some(format!("reduced chi squared {} a ray: {left}{model}", number(fit.chi_squared)))
}

/// A line on the views that the image was made without, for people.
pub fn held_out_text(finished: &Finished) -> Option<String> {
    let (residual, every) = (finished.evidence.held_out.as_ref()?, finished.run.hold_out?);
    let [sigma, own] = sigmas(finished, residual);
    Some(format!(
        "held-out views (one in {every}): {sigma:.3} standard deviations a ray, {own:.3} in the others{}",
        floor(finished)
    ))
}

/// The statement of the report on them.
pub fn held_out_finding(finished: &Finished) -> Option<Finding> {
    let residual = finished.evidence.held_out.as_ref()?;
    let [sigma, own] = sigmas(finished, residual);
    let (words, tone) = if is_explained(finished.run.reconstruction.method(), residual) {
        ("Yes, within their noise: what stands between the views is not made up.", Tone::Good)
    } else {
        ("No: it is further from them than their noise is. Between its views the picture is a guess.", Tone::Warning)
    };
    let rows =
        [("Views held out", residual.image.height.to_string()), ("Standard deviations a ray", format!("{sigma:.3}"))];
    let others = ("The same of the other views", format!("{own:.3}{}", floor(finished)));
    let rows = rows.into_iter().chain([others]).map(|(name, value)| (name.to_owned(), value)).collect();
    let title = "Does the picture foretell views that it was made without?".to_owned();
    Some(Finding { title, words: words.to_owned(), tone, rows, ..Finding::default() })
}

/// The residuals of the held-out views and of the others, in standard deviations a ray.
fn sigmas(finished: &Finished, held_out: &Residual) -> [f64; 2] {
    let own = finished.result.residual.as_ref().map_or(f64::NAN, |own| own.chi_squared());
    [held_out.chi_squared(), own].map(f64::sqrt)
}

/// Said where the variance of a ray has the floor of the model's error.
fn floor(finished: &Finished) -> String {
    let share = finished.measurement.model_share();
    if share > 0.0 {
        format!("; {:.0} % of the variance is that of pixels and bins of finite size", 100.0 * share)
    } else {
        String::new()
    }
}

/// Priors that were tried and what they left, for people.
pub fn tried_text(finished: &Finished) -> Option<String> {
    let of_each = finished.tried.iter().map(|(name, sigma)| format!("{name} {sigma:.3}"));
    let of_each = of_each.collect::<Vec<_>>().join(", ");
    (!of_each.is_empty()).then(|| format!("held-out views by prior, in standard deviations a ray: {of_each}"))
}

/// The object for machines on held-out views.
pub fn held_out_json(finished: &Finished) -> Value {
    let Some((residual, every)) = finished.evidence.held_out.as_ref().zip(finished.run.hold_out) else {
        return Value::Null;
    };
    let [sigma, own] = sigmas(finished, residual);
    json!({
        "every": every,
        "views": residual.image.height,
        "sigma": sigma,
        "sigma_of_others": own,
        "relative": residual.relative(),
        "model_share": finished.measurement.model_share(),
    })
}

/// The same on priors that were tried.
pub fn tried_json(finished: &Finished) -> Value {
    finished.tried.iter().map(|(name, sigma)| json!({ "prior": name, "sigma": sigma })).collect()
}

/// The object for machines; numbers that are not finite become null.
pub fn json(finished: &Finished) -> Value {
    let Some(residual) = &finished.result.residual else { return Value::Null };
    let rival = finished.evidence.rival.as_ref();
    json!({
        "chi_squared": residual.chi_squared(),
        "relative": residual.relative(),
        "by_view": residual.by_view(),
        "by_bin": residual.by_bin(),
        "misfit": residual.misfit().name(),
        "noise_std": finished.measurement.noise_std,
        "reduced": finished.evidence.reduced.map(|fit| json!({
            "chi_squared": fit.chi_squared, "noise_left": fit.noise_left, "model_share": fit.model_share,
        })),
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
    let unit = "standard deviations of the noise".to_owned();
    Some(Picture { unit, kind: PictureKind::Sinogram, ..picture.pooled_to(SHOWN) })
}
