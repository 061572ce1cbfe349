//! A table on the CPU and in batches on CUDA: the same rows, and runs side by side that are those of single runs.

use crate::network::coarse;
use gradus::backend::DeviceChoice;
use gradus::backend::cuda::Device;
use gradus::data::ellipses::ellipses;
use gradus::evaluate::{AlphaSource, Dataset, Evaluation, Job, Protocol, Results, RunEnd, jobs_of, table};
use gradus::reconstruct::{
    Measurement, Method, PreconditionedSettings, ReconstructError, Settings, reconstruct, reconstruct_together,
};
use gradus::simulate::{Simulation, simulate};
use std::ops::ControlFlow;
use std::path::Path;
use std::rc::Rc;
use std::sync::Mutex;

const IMAGES: usize = 2;

fn settings(device: DeviceChoice) -> Settings {
    let own =
        PreconditionedSettings { steps: Some(2), solve_steps: 2, tested_steps: 1, ..PreconditionedSettings::default() };
    Settings { device, steps: 2, tv_iterations: 3, preconditioned: own, ..Settings::default() }
}

fn open(folder: &Path, device: DeviceChoice) -> Evaluation {
    let protocol = Protocol {
        dataset: "ellipses".into(),
        slices: None,
        prior: "random".into(),
        prior_checksum: String::new(),
        views: 3,
        noise: 0.1,
        alpha_per_std: 17.0,
        alpha_source: AlphaSource::Default,
        version: "test".into(),
        reconstruction: settings(device),
    };
    Evaluation::open(folder, protocol, Dataset::open("ellipses").unwrap(), coarse(), &[]).unwrap()
}

/// The last table, which has every way to step, stopped after its first batch and gone on with.
pub fn same_rows(device: &Rc<Device>) {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let jobs = jobs_of(table(2).unwrap(), IMAGES, 1);
    let mut on_cpu = open(here.path(), DeviceChoice::Cpu);
    on_cpu.run(&jobs, 1, &|_| ControlFlow::Continue(())).unwrap();
    let told = Mutex::new(Vec::new());
    let stop_at = |end: usize| {
        let told = &told;
        move |done: Option<&Job>| {
            let mut told = told.lock().unwrap();
            told.extend(done.map(|job| job.contender.key));
            if done.is_some() && told.len() == end { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }
    };
    let first = open(there.path(), DeviceChoice::Cuda(0)).run_on(device, &jobs, 1, &stop_at(3 * IMAGES)).unwrap();
    assert_eq!((first, told.lock().unwrap().len()), (RunEnd::Stopped, 3 * IMAGES));
    let mut on_device = open(there.path(), DeviceChoice::Cuda(0));
    assert_eq!(on_device.results().n_rows(), 3 * IMAGES);
    assert_eq!(on_device.run_on(device, &jobs, 1, &stop_at(usize::MAX)).unwrap(), RunEnd::Done);
    assert_eq!(*told.lock().unwrap(), ORDER);
    compare(&jobs, on_cpu.results(), on_device.results());
}

/// Those without a prior first, image by image; then the others, contender by contender.
const ORDER: [&str; 6 * IMAGES] = [
    "tv",
    "fbp",
    "tv",
    "fbp",
    "flow-constant",
    "flow-constant",
    "flow",
    "flow",
    "gradient-like",
    "gradient-like",
    "preconditioned",
    "preconditioned",
];

fn compare(jobs: &[Job], here: &Results, there: &Results) {
    for job in jobs {
        let row = |results: &Results| results.get(job.image, job.start, job.contender.key).unwrap().clone();
        let (here, there) = (row(here), row(there));
        assert!((here.psnr_db - there.psnr_db).abs() <= 0.01, "{here:?} and {there:?}");
        assert!((here.ssim - there.ssim).abs() <= 1e-3, "{here:?} and {there:?}");
        let counts = |row: &gradus::evaluate::Row| (row.status.clone(), row.skipped_levels, row.failed_searches);
        assert_eq!(counts(&here), counts(&there));
        let close = |a: f64, b: f64| (a - b).abs() <= 1e-3 * a.abs();
        assert!(here.objective.zip(there.objective).is_none_or(|(a, b)| close(a, b)), "{here:?} and {there:?}");
        let norms = here.gradient_norm.zip(there.gradient_norm);
        assert!(norms.is_none_or(|(a, b)| close(a.into(), b.into())), "{here:?} and {there:?}");
    }
}

/// Jobs of three kinds, one of which breaks and one of which is a mean, against single runs: the same bits.
pub fn together(device: &Rc<Device>) {
    let plain = |method| Settings { method, ..settings(DeviceChoice::Cuda(0)) };
    let mean = PreconditionedSettings { average: 2, restart_steps: 2, ..plain(Method::Preconditioned).preconditioned };
    let broken = Settings { alpha: Some(1e30), ..plain(Method::Flow) };
    let of_jobs = [
        plain(Method::GradientLike),
        Settings { preconditioned: mean, ..plain(Method::Preconditioned) },
        broken,
        plain(Method::Preconditioned),
        plain(Method::GradientDescent),
    ];
    let scan = simulate(&ellipses(3, 32), 1.0, &Simulation { angles: 3, ..Simulation::default() }).unwrap();
    let measurement = Measurement::new(&scan).unwrap();
    let jobs: Vec<(&Measurement, Settings)> = of_jobs.into_iter().map(|settings| (&measurement, settings)).collect();
    let found = reconstruct_together(&jobs, &coarse(), device, &mut || ControlFlow::Continue(())).unwrap();
    for ((_, settings), found) in jobs.iter().zip(found) {
        match (reconstruct(&measurement, settings, Some(&coarse()), &mut |_| ControlFlow::Continue(())), found) {
            (Ok(alone), Ok(found)) => {
                assert!(alone.image == found.image && alone.deviation == found.deviation, "{}", settings.method);
                let rest = |r: &gradus::reconstruct::Reconstruction| {
                    (r.status, r.objective, r.weight, r.counters, r.device, r.certificate().copied(), r.trace.len())
                };
                assert_eq!(rest(&alone), rest(&found));
            }
            (
                Err(ReconstructError::Broke { iterations: a, .. }),
                Err(ReconstructError::Broke { iterations: b, .. }),
            ) => {
                assert_eq!((a, settings.alpha), (b, Some(1e30)));
            }
            (alone, found) => assert!(alone.is_ok() && found.is_ok(), "{:?} and {:?}", alone.err(), found.err()),
        }
    }
}
