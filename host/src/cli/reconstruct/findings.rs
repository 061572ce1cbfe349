//! The statements of the report about a run: words that need no knowledge of the method, and behind them the numbers.

use super::certificate;
use super::finished::Finished;
use super::{fit, parts, statements};
use gradus::reconstruct::Method;
use gradus::report::{Finding, Tone};
use gradus::trust::{Misfit, Residual};
use gradus_core::{Certificate, Status};

/// A share of the variance from which on it is mostly the error of pixels and bins.
const MODEL_PREVAILS: f64 = 0.5;

/// All statements, the most important first.
pub fn of(finished: &Finished) -> Vec<Finding> {
    let fit = finished.result.residual.as_ref().map(|residual| fit(finished, residual));
    let descent = finished.result.certificate.as_ref().map(descent);
    let of_data = fit::held_out_finding(finished).into_iter().chain(parts::finding(finished));
    fit.into_iter().chain(of_data).chain(statements::findings(finished)).chain(descent).collect()
}

/// The end of the run.
pub fn status(finished: &Finished) -> String {
    let end = match finished.result.status {
        None => "The method ran to its end",
        Some(Status::ScheduleDone) => "All levels of the schedule were run",
        Some(Status::Stationary) => "The descent came to rest",
        Some(Status::NoStep) => "The descent ended early: no step lowers the objective any more",
        Some(Status::Stopped) => "The run was stopped before its end",
    };
    // The words for machines say so, too.
    let explains = finished.status().ends_with("does not explain the data");
    if explains { format!("{end}, but the picture does not explain the data") } else { end.to_owned() }
}

fn fit(finished: &Finished, residual: &Residual) -> Finding {
    let is_fbp = finished.run.reconstruction.method() == Method::Fbp;
    let (words, tone) = match residual.misfit() {
        Misfit::None => (
            "Yes, as well as the noise lets any picture do it. That holds for the rays that were measured; what no ray \
             saw, the method has filled in.",
            Tone::Good,
        ),
        Misfit::Overfitted if is_fbp => {
            ("Closer than the noise allows: the picture repeats noise, as filtered backprojection does.", Tone::Plain)
        }
        Misfit::Overfitted if finished.measurement.model_share() > MODEL_PREVAILS => (
            "Yes, and closer than was reckoned with: most of what may be left is the error of pixels and bins of \
             finite size, and the picture makes up for it.",
            Tone::Good,
        ),
        Misfit::Overfitted => (
            "Closer than the noise allows: either the picture repeats noise, or there is less noise than was stated.",
            Tone::Warning,
        ),
        Misfit::Doubtful | Misfit::Hopeless if is_fbp => (
            "Less than the noise would allow. Filtered backprojection does not ask for it; see the warnings for what \
             another method makes of the data.",
            Tone::Plain,
        ),
        Misfit::Doubtful => ("Not quite: more is left over than the noise explains.", Tone::Warning),
        Misfit::Hopeless => ("No: picture and data do not belong together.", Tone::Warning),
    };
    Finding {
        title: "Does the picture explain the data?".to_owned(),
        words: words.to_owned(),
        tone,
        rows: named(&fit_rows(finished, residual)),
        ..Finding::default()
    }
}

fn fit_rows(finished: &Finished, residual: &Residual) -> Vec<(&'static str, String)> {
    let mut rows = vec![
        ("Chi squared a ray (1 is the noise)", fit::chi_squared(finished)),
        ("Line integrals left unexplained", format!("{:.2} %", 100.0 * residual.relative())),
    ];
    if let Some(reduced) = finished.evidence.reduced {
        rows.push(("Reduced chi squared a ray", fit::number(reduced.chi_squared)));
        rows.push(("Share of added noise that the method leaves", format!("{:.2}", reduced.noise_left)));
    }
    rows
}

fn descent(c: &Certificate) -> Finding {
    let steps = |n: u32| if n == 1 { "1 step".to_owned() } else { format!("{n} steps") };
    let is_clean = c.every_step_descended() && certificate::warnings(c).is_empty();
    let (words, tone) = if is_clean && c.steps > 0 {
        let approach = match c.approach_steps {
            0 => String::new(),
            n => format!(" The {} before chose where the descent began, and are not tested.", steps(n)),
        };
        (
            format!("Yes: {} that were tested lowered the objective as the theorem asks.{approach}", steps(c.steps)),
            Tone::Good,
        )
    } else if c.steps == 0 {
        ("No step was tested: the run says nothing about descent.".to_owned(), Tone::Plain)
    } else {
        ("Not throughout: the warnings above name the steps that broke the rules.".to_owned(), Tone::Warning)
    };
    Finding {
        title: "Certificate: did the descent keep its rules?".to_owned(),
        words,
        tone,
        rows: named(&certificate::rows(c)),
        ..Finding::default()
    }
}

fn named(rows: &[(&str, String)]) -> Vec<(String, String)> {
    rows.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}
