//! Every reader on damaged files: none panics, hangs, or takes memory out of proportion.
//!
//! Files of the corpus are changed at random, with a seed, and read for a second a reader; `GRADUS_FUZZ_SECONDS=3600
//! cargo test --release -p gradus-tests --test fuzz` does it for an hour each. What fails is named by its number: the
//! same seed makes it again. See `README.md`.
#![allow(clippy::unwrap_used, clippy::panic)]

mod memory;
mod mutate;

use gradus::data::image_files::{read_image, read_image_in, read_slices};
use gradus::data::scan::{SCAN_TOML, Scan};
use gradus::data::units::StatedUnit;
use gradus::paper::tables::{Evaluation, Results};
use gradus::raw::{RawOptions, read_raw};
use gradus::reconstruct::Settings;
use gradus::series::{Record, SeriesFolder};
use gradus::simulate::Simulation;
use gradus::train::{Trainer, TrainingConfig, preset};
use gradus::unet::Weights;
use gradus_core::{Answer, Directional, GradientLike, GraduatedFlow, Preconditioned, Solver};
use mutate::Random;
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const SEED: u64 = 1;
/// An input of a few kilobytes may take so many bytes at once.
const MOST_BYTES: usize = 300 << 20;
/// An input may take so long.
const LONGEST: Duration = Duration::from_secs(10);

fn seconds() -> Duration {
    let seconds = std::env::var("GRADUS_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs_f64(seconds.unwrap_or(1.0))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Files of the corpus whose names have one of these endings.
fn corpus(endings: &[&str]) -> Vec<Vec<u8>> {
    let folders = [
        "tests/cli/inputs",
        "tests/cli/inputs/units",
        "tests/cli/inputs/codecs",
        "tests/cli/inputs/raw",
        "tests/golden",
        "host/samples",
        "host/presets",
    ];
    let mut paths: Vec<PathBuf> = Vec::new();
    for folder in folders {
        paths.extend(fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path()));
    }
    paths.sort();
    let matches = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy();
        path.is_file() && endings.iter().any(|ending| name.ends_with(ending) || name.starts_with(ending))
    };
    let files: Vec<Vec<u8>> = paths.iter().filter(|path| matches(path)).map(|path| fs::read(path).unwrap()).collect();
    let small: Vec<Vec<u8>> = files.into_iter().filter(|file| file.len() < 200_000).collect();
    assert!(!small.is_empty(), "no file of {endings:?}");
    small
}

/// Reads files as they are, then changes them and reads them until the time is up.
fn fuzz(name: &str, corpus: &[Vec<u8>], read: impl Fn(&[u8]) + std::panic::RefUnwindSafe) {
    let begin = Instant::now();
    let mut number = 0_u64;
    while begin.elapsed() < seconds() {
        let whole = usize::try_from(number).ok().and_then(|number| corpus.get(number)).cloned();
        let bytes = whole.unwrap_or_else(|| Random::new(SEED, number).changed(corpus));
        memory::begin();
        let start = Instant::now();
        let outcome = catch_unwind(|| read(&bytes));
        let (took, peak) = (start.elapsed(), memory::peak());
        let fault = match outcome {
            Err(_) => Some("panics".to_owned()),
            Ok(()) if took > LONGEST => Some(format!("takes {took:?}")),
            Ok(()) if peak > MOST_BYTES => Some(format!("takes {peak} bytes")),
            Ok(()) => None,
        };
        if let Some(fault) = fault {
            let kept = std::env::temp_dir().join(format!("gradus-fuzz-{name}-{number}"));
            fs::write(&kept, &bytes).unwrap();
            panic!("{name}: input {number} of seed {SEED} {fault}; it is in {}", kept.display());
        }
        number += 1;
    }
    println!("{name}: {number} inputs");
    assert!(number > 10, "{name}: only {number} inputs in {:?}", seconds());
}

/// Writes the bytes to a file of this name, in a folder that is in memory where the system has one, and reads that.
fn with_file(name: &str, bytes: &[u8], read: impl Fn(&Path)) {
    let shared = Path::new("/dev/shm");
    let dir = if shared.is_dir() { tempfile::tempdir_in(shared) } else { tempfile::tempdir() }.unwrap();
    let path = dir.path().join(name);
    fs::write(&path, bytes).unwrap();
    read(&path);
}

fn images(name: &'static str, endings: &[&str]) {
    fuzz(name, &corpus(endings), |bytes| {
        with_file(name, bytes, |path| {
            // What is accepted is finite, and as large as it says.
            if let Ok(loaded) = read_image(path) {
                assert_eq!(loaded.image.pixels.len(), loaded.image.height * loaded.image.width);
                assert!(loaded.image.pixels.iter().all(|pixel| pixel.is_finite()));
            }
            let _ = read_image_in(path, Some(StatedUnit::Hounsfield));
            let _ = read_image(format!("{}:[1]", path.display()));
            let _ = read_slices(path);
        });
    });
}

#[test]
fn png() {
    images("a.png", &[".png", "png-"]);
}

#[test]
fn tiff() {
    images("a.tif", &[".tif"]);
}

#[test]
fn dicom() {
    images("a.dcm", &[".dcm", "dicom-"]);
}

/// Two slices of which one is damaged.
#[test]
fn folders_of_slices() {
    let whole = fs::read(root().join("tests/cli/inputs/units/08_truth_in_hu/slice.dcm")).unwrap();
    fuzz("folder", std::slice::from_ref(&whole), |bytes| {
        with_file("a", bytes, |path| {
            fs::write(path.with_file_name("b"), &whole).unwrap();
            let folder = path.parent().unwrap();
            let _ = read_image(folder);
            let _ = read_image(format!("{}:[1]", folder.display()));
        });
    });
}

#[test]
fn npy() {
    images("a.npy", &[".npy"]);
}

#[test]
fn npz() {
    images("a.npz", &[".npz"]);
}

#[test]
fn hdf5() {
    images("a.h5", &[".h5"]);
}

#[test]
fn scans() {
    fuzz("scan.npz", &corpus(&[".npz"]), |bytes| {
        with_file("scan.npz", bytes, |path| {
            if let Ok(scan) = Scan::read(path) {
                scan.validate().unwrap();
            }
        });
    });
}

#[test]
fn scan_descriptions() {
    let toml = "sinogram = 'a.npy'\nangles_rad = [0.0, 1.0]\nheight = 2\nwidth = 2\npixel_mm = 0.5\n\
                bin_width_mm = 0.25\n\
                counts = true\nphotons = 1000.0\nnoise_std = 0.1\nunit = 'hu'\nprior = 'ct'\nnote = 'a note'\n";
    let sinogram = corpus(&[".npy"]).swap_remove(0);
    fuzz("scan.toml", &[toml.as_bytes().to_vec()], |bytes| {
        with_file(SCAN_TOML, bytes, |path| {
            fs::write(path.with_file_name("a.npy"), &sinogram).unwrap();
            let _ = Scan::read(path);
        });
    });
}

fn raw(name: &'static str, endings: &[&str]) {
    fuzz(name, &corpus(endings), |bytes| {
        with_file(name, bytes, |path| {
            if let Ok(scan) = read_raw(path, &RawOptions::default()) {
                scan.validate().unwrap();
            }
        });
    });
}

#[test]
fn raw_hdf5() {
    raw("a.h5", &[".h5", "fips73.mat"]);
}

#[test]
fn raw_matlab() {
    raw("a.mat", &["fips.mat"]);
}

/// The small network of `tests/cli`, at its start.
fn small_run() -> TrainingConfig {
    let mut config: TrainingConfig = toml::from_str(preset("ellipses").unwrap()).unwrap();
    config.network.model_channels = 8;
    config.network.channel_mult = vec![1, 2];
    config.network.norm_groups = 4;
    config.network.num_heads = 1;
    config
}

#[test]
fn weights() {
    let trainer = Trainer::new(small_run()).unwrap();
    let bytes = trainer.weights().unwrap().to_bytes().unwrap();
    fuzz("weights", &[bytes], |bytes| drop(Weights::from_bytes(bytes)));
}

#[test]
fn checkpoints() {
    let bytes = Trainer::new(small_run()).unwrap().checkpoint().unwrap();
    fuzz("checkpoint", &[bytes], |bytes| drop(Trainer::resume(bytes, None)));
}

#[test]
fn training_runs() {
    fuzz("training", &corpus(&["training-", ".toml"]), |bytes| {
        let Ok(text) = str::from_utf8(bytes) else { return };
        let Ok(config) = toml::from_str::<TrainingConfig>(text) else { return };
        if config.validate().is_ok() {
            let _ = (config.total_steps(), config.is_begin_of(&config, 3));
        }
    });
}

/// The parts of a run.toml that the library reads.
#[test]
fn runs() {
    let run = "input = 'spine'\n[simulation]\nangles = 60\nnoise = 0.1\nseed = 1\n[reconstruction]\n\
               method = 'preconditioned'\nsteps = 8\nalpha = 2.5\n";
    let corpus = [&corpus(&["run-"])[..], &[run.as_bytes().to_vec()]].concat();
    fuzz("run.toml", &corpus, |bytes| {
        let Ok(text) = str::from_utf8(bytes) else { return };
        let Ok(table) = toml::from_str::<toml::Table>(text) else { return };
        let part = |name: &str| table.get(name).cloned();
        if let Some(Ok(settings)) = part("reconstruction").map(toml::Value::try_into::<Settings>) {
            assert!(toml::to_string(&settings).is_ok());
        }
        let _ = part("simulation").map(toml::Value::try_into::<Simulation>);
    });
}

/// What is accepted goes on without a panic.
#[test]
fn saved_states() {
    let mut solver = gradus_core::toy::gradient_like(1.0, 30).unwrap();
    let mut corpus = Vec::new();
    for gradient_norm_sq in [0.5, 0.25] {
        corpus.push(solver.to_bytes().to_vec());
        let directional = Directional { gradient_norm_sq, ..Directional::default() };
        let _ = solver.answer(Answer::Direction(directional));
    }
    fuzz("state", &corpus, |bytes| {
        if let Ok(solver) = GradientLike::from_bytes(bytes) {
            assert_eq!(GradientLike::from_bytes(&solver.to_bytes()), Ok(solver));
            let _ = solver.request();
        }
        let _ = GraduatedFlow::from_bytes(bytes);
        let _ = Preconditioned::from_bytes(bytes);
    });
}

/// The settings of a series, and the record of a slice.
#[test]
fn series_folders() {
    let settings: toml::Table = toml::from_str("slices = 'all'\n[run]\nseed = 1\nnoise = 0.1\n").unwrap();
    fuzz("series.toml", &[toml::to_string(&settings).unwrap().into_bytes()], |bytes| {
        with_file("series.toml", bytes, |path| drop(SeriesFolder::open(path.parent().unwrap(), &settings)));
    });
    let record = Record { status: "done".into(), psnr: Some(31.5), warnings: vec!["one".into()], ..Record::default() };
    fuzz("00000.json", &[serde_json::to_vec(&record).unwrap()], |bytes| {
        with_file("series.toml", toml::to_string(&settings).unwrap().as_bytes(), |path| {
            let folder = path.parent().unwrap();
            fs::create_dir(folder.join("slices")).unwrap();
            fs::write(folder.join("slices/00000.json"), bytes).unwrap();
            let series = SeriesFolder::open(folder, &settings).unwrap();
            let _ = series.records(0..1);
        });
    });
}

#[test]
fn results() {
    let csv = "image,start,method,psnr_db,ssim,rmse_hu,window_psnr_db,status,objective,gradient_norm,skipped_levels,\
               failed_searches\n1,1,flow,30.5,0.9,,,schedule-done,0.3,0.1,2,0\n1,2,tv,31.5,0.9,,,done,,,,\n";
    fuzz("results.csv", &[csv.as_bytes().to_vec()], |bytes| {
        with_file("results.csv", bytes, |path| drop(Results::read(path.parent().unwrap())));
    });
    let toml = "dataset = 'ellipses'\nprior = 'ellipses'\nprior_checksum = '0'\nviews = 60\nnoise = 0.1\n\
                alpha_per_std = 9.0\nalpha_source = 'default'\nversion = '0.1.0'\n[reconstruction]\nsteps = 3\n";
    fuzz("evaluation.toml", &[toml.as_bytes().to_vec()], |bytes| {
        with_file("evaluation.toml", bytes, |path| drop(Evaluation::protocol_in(path.parent().unwrap())));
    });
}
