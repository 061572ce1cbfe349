//! A table in batches on the CPU and on CUDA: the same rows, and runs side by side that are those of single runs.

use crate::network::coarse;
use gradus::backend::choice::Opened;
use gradus::backend::cuda::Device;
use gradus::backend::{DeviceChoice, Precision};
use gradus::data::ellipses::ellipses;
use gradus::paper::tables::{
    AlphaSource, Dataset, Evaluation, Job, Protocol, Results, RunEnd, Scale, jobs_of, methods, table,
};
use gradus::reconstruct::{
    self, Measurement, Method, PlacedPrior, ReconstructError, Reconstruction, Settings, SolvedSettings, reconstruct,
    reconstruct_all,
};
use gradus::simulate::{Simulation, simulate};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::rc::Rc;

const IMAGES: usize = 2;
const VIEWS: usize = 3;

/// Two iterations of each.
fn short_methods() -> BTreeMap<String, Settings> {
    let scale = Scale::of(&Dataset::open("ellipses").unwrap(), VIEWS, 2, 3).unwrap();
    let mut methods = methods(&scale);
    methods.insert("preconditioned".into(), Settings::Solved(solved()));
    methods
}

fn solved() -> SolvedSettings {
    SolvedSettings { steps: Some(2), solve_steps: Some(2), solve_most: 2, tested_steps: 1, ..SolvedSettings::default() }
}

fn open(folder: &Path, device: DeviceChoice) -> Evaluation {
    let protocol = Protocol {
        dataset: "ellipses".into(),
        slices: None,
        prior: "random".into(),
        prior_checksum: String::new(),
        views: VIEWS,
        noise: 0.1,
        device,
        precision: Precision::Full,
        steps: 2,
        alpha_per_std: 17.0,
        alpha_source: AlphaSource::Default,
        version: "test".into(),
        methods: short_methods(),
    };
    let opened = device.open(Precision::Full, |_| None).unwrap();
    Evaluation::open(folder, protocol, Dataset::open("ellipses").unwrap(), (coarse(), &[]), opened).unwrap()
}

/// The last table, which has every way to step, stopped after its third batch and gone on with.
pub fn same_rows(_: &Rc<Device>) {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let jobs = jobs_of(table(2).unwrap(), IMAGES, 1);
    let mut on_cpu = open(here.path(), DeviceChoice::Cpu);
    on_cpu.run(&jobs, 2, &mut |_| ControlFlow::Continue(())).unwrap();
    let mut told = Vec::new();
    let mut run_to = |end: usize| {
        let mut on_device = open(there.path(), DeviceChoice::Cuda(0));
        let ended = on_device.run(&jobs, 1, &mut |done: Option<&Job>| {
            told.extend(done.map(|job| job.contender.key));
            if done.is_some() && told.len() == end { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        (ended.unwrap(), on_device, told.clone())
    };
    let (first, on_device, told) = run_to(3 * IMAGES);
    assert_eq!((first, told.len(), on_device.results().n_rows()), (RunEnd::Stopped, 3 * IMAGES, 3 * IMAGES));
    let (last, on_device, told) = run_to(usize::MAX);
    assert_eq!((last, &told[..]), (RunEnd::Done, &ORDER[..]));
    compare(&jobs, on_cpu.results(), on_device.results());
}

/// All images together, contender by contender.
const ORDER: [&str; 6 * IMAGES] = [
    "flow-constant",
    "flow-constant",
    "flow",
    "flow",
    "gradient-like",
    "gradient-like",
    "preconditioned",
    "preconditioned",
    "tv",
    "tv",
    "fbp",
    "fbp",
];

fn compare(jobs: &[Job], here: &Results, there: &Results) {
    for job in jobs {
        let row = |results: &Results| results.get(job.image, job.start, job.contender.key).unwrap().clone();
        let (here, there) = (row(here), row(there));
        assert!((here.psnr_db - there.psnr_db).abs() <= 0.01, "{here:?} and {there:?}");
        assert!((here.ssim - there.ssim).abs() <= 1e-3, "{here:?} and {there:?}");
        let counts = |row: &gradus::paper::tables::Row| (row.status.clone(), row.skipped_levels, row.failed_searches);
        assert_eq!(counts(&here), counts(&there));
        let close = |a: f64, b: f64| (a - b).abs() <= 1e-3 * a.abs();
        assert!(here.objective.zip(there.objective).is_none_or(|(a, b)| close(a, b)), "{here:?} and {there:?}");
        let norms = here.gradient_norm.zip(there.gradient_norm);
        assert!(norms.is_none_or(|(a, b)| close(a.into(), b.into())), "{here:?} and {there:?}");
    }
}

/// Jobs of several kinds, one of which breaks and two of which are means, against single runs: the same bits.
pub fn together(device: &Rc<Device>) {
    let plain = |key: &str| short_methods()[key].clone();
    let mean = |seed| SolvedSettings { seed, average: 2, restart_steps: Some(2), ..solved() };
    let mut broken = plain("flow");
    broken.graduated_mut().unwrap().alpha = Some(1e30);
    let settings = [
        plain("gradient-like"),
        Settings::Solved(mean(1)),
        broken,
        plain("preconditioned"),
        plain("gradient-descent"),
        Settings::Solved(mean(2)),
        Method::Fbp.into(),
    ];
    let scan = simulate(&ellipses(3, 32), 1.0, &Simulation { angles: VIEWS, ..Simulation::default() }).unwrap();
    let measurement = Measurement::new(&scan).unwrap();
    let jobs: Vec<_> =
        settings.iter().map(|settings| reconstruct::Job { measurement: &measurement, settings }).collect();
    let coarse = coarse();
    for opened in [Opened::Cpu(None), Opened::Cuda(Rc::clone(device))] {
        let prior = PlacedPrior { prior: &coarse, opened };
        let found = reconstruct_all(&jobs, Some(&prior), &mut |_| ControlFlow::Continue(())).unwrap();
        assert_eq!(found.len(), jobs.len());
        for (settings, found) in settings.iter().zip(found) {
            let alone = reconstruct(&measurement, settings, Some(&prior), &mut |_| ControlFlow::Continue(()));
            assert_same(alone, found, settings);
        }
    }
}

type Outcome = Result<Reconstruction, ReconstructError>;

fn assert_same(alone: Outcome, together: Outcome, settings: &Settings) {
    match (alone, together) {
        (Ok(a), Ok(b)) => {
            assert!(a.image == b.image && a.deviation == b.deviation, "{settings:?}");
            let rest = |r: &Reconstruction| {
                (r.status, r.objective, r.weight, r.counters, r.device, r.certificate, r.trace.len())
            };
            assert_eq!(rest(&a), rest(&b), "{settings:?}");
        }
        (Err(ReconstructError::Broke { iterations: a, .. }), Err(ReconstructError::Broke { iterations: b, .. })) => {
            assert_eq!((a, settings.method()), (b, Method::Flow));
        }
        (alone, together) => assert!(alone.is_ok() && together.is_ok(), "{:?} and {:?}", alone.err(), together.err()),
    }
}
