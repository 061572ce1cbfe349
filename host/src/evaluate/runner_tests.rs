//! Short evaluations.
use super::super::{AlphaSource, summary, table};
use super::*;
use crate::prior::embedded;
use crate::reconstruct::Settings;

fn protocol(steps: u32) -> Protocol {
    Protocol {
        dataset: "ellipses".into(),
        slices: None,
        prior: "ellipses".into(),
        prior_checksum: String::new(),
        views: 12,
        noise: 0.1,
        alpha_per_std: 17.0,
        alpha_source: AlphaSource::Default,
        version: "test".into(),
        reconstruction: Settings { steps, tv_iterations: 5, ..Settings::default() },
    }
}

fn open(folder: &Path, steps: u32) -> Result<Evaluation, EvaluateError> {
    let bytes = embedded("ellipses").unwrap().bytes;
    let prior = Weights::from_bytes(bytes).unwrap();
    Evaluation::open(folder, protocol(steps), Dataset::open("ellipses").unwrap(), prior, bytes)
}

fn go_on(_: Option<&Job>) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

#[test]
fn what_was_stopped_goes_on_to_the_same_bits_whatever_the_jobs() {
    let (whole, parts) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let jobs = jobs_of(table(1).unwrap(), 1, 2);
    assert_eq!(jobs.len(), 4 * 2 + 2);
    let mut evaluation = open(whole.path(), 3).unwrap();
    assert_eq!(evaluation.run(&jobs, 1, &go_on).unwrap(), RunEnd::Done);
    let n_done = AtomicUsize::new(0);
    let mut first = open(parts.path(), 3).unwrap();
    let stopped = first.run(&jobs, 1, &|done| {
        let n = if done.is_some() { n_done.fetch_add(1, Ordering::SeqCst) + 1 } else { n_done.load(Ordering::SeqCst) };
        if n >= 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert_eq!(stopped.unwrap(), RunEnd::Stopped);
    let mut second = open(parts.path(), 3).unwrap();
    let n_rows = second.results().n_rows();
    // The job after the third may have been taken up already.
    assert!((3..=4).contains(&n_rows) && second.pending(&jobs).len() == jobs.len() - n_rows, "{n_rows}");
    assert_eq!(summary(second.results(), table(1).unwrap(), 1, 2).images, 0);
    assert_eq!(second.run(&jobs, 2, &go_on).unwrap(), RunEnd::Done);
    let read = |folder: &tempfile::TempDir| std::fs::read(folder.path().join("results.csv")).unwrap();
    assert!(read(&whole) == read(&parts));
    let found = summary(second.results(), table(1).unwrap(), 1, 2);
    assert!(found.images == 1 && found.lines.iter().all(|line| line.psnr_db.mean.is_finite()));
}

#[test]
fn a_folder_of_other_settings_or_of_something_else_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    open(folder.path(), 3).unwrap();
    let error = open(folder.path(), 4).unwrap_err();
    assert!(error.to_string().contains("reconstruction.steps is 3 there and 4 here"), "{error}");
    let other = tempfile::tempdir().unwrap();
    std::fs::write(other.path().join("file"), "").unwrap();
    assert!(matches!(open(other.path(), 3), Err(EvaluateError::NotAnEvaluation(_))));
    std::fs::write(folder.path().join(PROTOCOL), "dataset = 1").unwrap();
    assert!(matches!(open(folder.path(), 3), Err(EvaluateError::Damaged { .. })));
}
