//! Short evaluations.
use super::super::{AlphaSource, Scale, jobs_of, methods, summary, table};
use super::*;
use crate::backend::{DeviceChoice, Precision};
use crate::data::folder_error::FolderError;
use crate::prior::{Prior, embedded};

fn protocol(dataset: &Dataset, steps: u32) -> Protocol {
    Protocol {
        dataset: "ellipses".into(),
        slices: None,
        prior: "ellipses".into(),
        prior_checksum: String::new(),
        views: 12,
        noise: 0.1,
        device: DeviceChoice::Cpu,
        precision: Precision::Full,
        steps,
        alpha_per_std: 17.0,
        alpha_source: AlphaSource::Default,
        version: "test".into(),
        methods: methods(&Scale::of(dataset, 12, steps, 5).unwrap()),
    }
}

fn open(folder: &Path, steps: u32) -> Result<Evaluation, EvaluateError> {
    let (bytes, dataset) = (embedded("ellipses").unwrap().bytes, Dataset::open("ellipses").unwrap());
    let prior = Prior::of_file("ellipses", bytes).unwrap();
    Evaluation::open(folder, protocol(&dataset, steps), dataset, (prior, bytes), Opened::Cpu(None))
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
    assert_eq!(evaluation.run(&jobs, 1, &mut go_on).unwrap(), RunEnd::Done);
    let mut n_done = 0;
    let mut first = open(parts.path(), 3).unwrap();
    let stopped = first.run(&jobs, 1, &mut |done: Option<&Job>| {
        n_done += usize::from(done.is_some());
        if n_done >= 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert_eq!(stopped.unwrap(), RunEnd::Stopped);
    let mut second = open(parts.path(), 3).unwrap();
    let n_rows = second.results().n_rows();
    assert_eq!((n_rows, second.pending(&jobs).len()), (3, jobs.len() - 3));
    assert_eq!(summary(second.results(), table(1).unwrap(), 1, 2).images, 0);
    assert_eq!(second.run(&jobs, 2, &mut go_on).unwrap(), RunEnd::Done);
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
    assert!(error.to_string().contains("; steps is 3 there and 4 here"), "{error}");
    let other = tempfile::tempdir().unwrap();
    std::fs::write(other.path().join("file"), "").unwrap();
    assert!(matches!(open(other.path(), 3), Err(EvaluateError::NotAnEvaluation { .. })));
    std::fs::write(folder.path().join(PROTOCOL), "dataset = 1").unwrap();
    assert!(matches!(open(folder.path(), 3), Err(EvaluateError::Folder(FolderError::Damaged { .. }))));
}
