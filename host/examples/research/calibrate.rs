//! The statements of weights on how far their results are to be believed, found out from images that are known:
//!
//! - `calibrate runs PRIOR LIST KEPT` makes a mean of runs of each of four scans of the images of LIST in the folder
//!   KEPT; a second call goes on where the first one ended. A line of LIST is `ROLE NAME IMAGE PIXEL_MM`: the role
//!   `calibration` or the name of a group to test on, a patient, an image in HU as `gradus reconstruct` takes it.
//! - `calibrate intervals PRIOR LIST KEPT WORDS OUT` calibrates intervals on these, prints how they do on each group,
//!   and writes the weights with the calibration; WORDS say who the patients are. Each patient of the calibration is
//!   judged by a calibration on the others.
//! - `calibrate looks PRIOR FOLDER|ellipses:N|disc:N WORDS OUT` looks at training images, and writes the weights with
//!   it.
//! - `calibrate unlike PRIOR FILE|ellipses:N|disc:N...` prints how far images are from those: of files in network
//!   units, or the first N test images.
//!
//! `cargo run --release --example calibrate -- runs ct list.txt kept`
#![allow(missing_docs)]

use gradus::ct::{ATTENUATION_PER_UNIT, hu_to_network, network_to_hu};
use gradus::data::disc::disc;
use gradus::data::ellipses::ellipses;
use gradus::data::image_files::{read_image, read_slices, write_npy};
use gradus::data::scan::Scan;
use gradus::image::Image;
use gradus::prior::Prior;
use gradus::reconstruct::{Measurement, PlacedPrior, Settings, SolvedSettings, reconstruct};
use gradus::simulate::{Simulation, simulate};
use gradus::train::Slices;
use gradus::trust::{CalibratedScan, Calibration, Look, Noise, TrainingLooks, body, controlled_factor, spread};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Runs of a mean, and the share of pixels that intervals hold.
const RUNS: u32 = 4;
const LEVEL: f64 = 0.9;
/// The role of patients to calibrate on.
const CALIBRATION: &str = "calibration";
/// Rows and columns of an image.
const SIDE: usize = 256;
/// Slices of a patient, of a folder's, that are looked at.
const SLICES: usize = 4;
/// Seeds of random images that training sees have this bit.
const TRAINING_SEEDS: u64 = 1 << 63;

/// The scans: a name, the number of views, the noise.
const SCANS: [(&str, usize, Noise); 4] = [
    ("a60", 60, Noise::Relative(0.05)),
    ("a20", 20, Noise::Relative(0.05)),
    ("p60", 60, Noise::Photons(1e4)),
    ("p20", 20, Noise::Photons(1e4)),
];

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["runs", prior, list, kept] => runs(&Prior::named(prior)?, &read_list(list)?, Path::new(kept)),
        ["intervals", prior, list, kept, words, out] => {
            intervals(&Prior::named(prior)?, &read_list(list)?, Path::new(kept), (words, Path::new(out)))
        }
        ["looks", prior, images, words, out] => looks(&Prior::named(prior)?, images, words, Path::new(out)),
        ["unlike", prior, files @ ..] => unlike(&Prior::named(prior)?, files),
        _ => {
            Err("usage: calibrate runs|intervals|looks|unlike PRIOR ...; the first lines of the example say more"
                .into())
        }
    }
}

/// A line of the list.
struct Subject {
    role: String,
    name: String,
    image: String,
    pixel_mm: f64,
    /// Of the noise.
    seed: u64,
}

fn read_list(path: &str) -> Outcome<Vec<Subject>> {
    let text = std::fs::read_to_string(path)?;
    let subject = |(seed, line): (u64, &str)| {
        let [role, name, image, pixel_mm] = line.split_whitespace().collect::<Vec<_>>()[..] else {
            return Err(format!("{path}: a line is ROLE NAME IMAGE PIXEL_MM, not {line:?}").into());
        };
        let [role, name, image] = [role, name, image].map(str::to_owned);
        Ok(Subject { role, name, image, pixel_mm: pixel_mm.parse()?, seed })
    };
    (1..).zip(text.lines()).map(subject).collect()
}

impl Subject {
    fn folder(&self, kept: &Path, scan: &str) -> PathBuf {
        kept.join(format!("{}-{scan}", self.name))
    }
}

fn runs(prior: &Prior, subjects: &[Subject], kept: &Path) -> Outcome<()> {
    let placed = PlacedPrior::on_cpu(prior);
    let settings = Settings::Solved(SolvedSettings { average: RUNS, ..SolvedSettings::default() });
    for subject in subjects {
        let image = read_image(&subject.image)?.image;
        if [image.height, image.width] != [SIDE; 2] {
            return Err(format!("{} is not {SIDE} x {SIDE} pixels", subject.image).into());
        }
        let truth = Image { pixels: image.pixels.iter().map(|hu| hu_to_network(*hu)).collect(), ..image };
        for (scan, angles, noise) in SCANS {
            let folder = subject.folder(kept, scan);
            if folder.exists() {
                continue;
            }
            let (noise, photons) = match noise {
                Noise::Relative(share) => (share, None),
                Noise::Photons(photons) => (0.0, Some(photons)),
            };
            let simulation = Simulation { angles, noise, photons, seed: subject.seed, ..Simulation::default() };
            let scan = simulate(&truth, subject.pixel_mm, &simulation)?;
            // The images' own scale, which weights in a file do not say.
            let scan = Scan { attenuation_per_unit_per_mm: Some(ATTENUATION_PER_UNIT.into()), ..scan };
            let measurement = Measurement::new(&scan)?;
            let result = reconstruct(&measurement, &settings, Some(&placed), &mut |_| ControlFlow::Continue(()))?;
            let deviation = result.deviation.ok_or("a single run has no deviation")?;
            std::fs::create_dir_all(&folder)?;
            for (name, image) in [("truth", &truth), ("image", &result.image), ("deviation", &deviation)] {
                write_npy(folder.join(name).with_extension("npy"), image)?;
            }
            println!("{}", folder.display());
        }
    }
    Ok(())
}

/// The pixels inside the body of a kept mean of runs.
struct Pixels {
    role: String,
    errors: Vec<f32>,
    spreads: Vec<f32>,
    deviations: Vec<f32>,
}

/// `None` where it is not there yet.
fn read_kept(subject: &Subject, folder: &Path) -> Outcome<Option<Pixels>> {
    if !folder.join("deviation.npy").exists() {
        return Ok(None);
    }
    let read = |name: &str| -> Outcome<Image> { Ok(read_image(folder.join(name))?.image) };
    let (truth, image, deviation) = (read("truth.npy")?, read("image.npy")?, read("deviation.npy")?);
    let (spread, body) = (spread(&image, &deviation), body(&image));
    let inside = |values: &[f32]| values.iter().zip(&body).filter(|(_, inside)| **inside).map(|(v, _)| *v).collect();
    let errors: Vec<f32> = truth.pixels.iter().zip(&image.pixels).map(|(truth, x)| (truth - x).abs()).collect();
    Ok(Some(Pixels {
        role: subject.role.clone(),
        errors: inside(&errors),
        spreads: inside(&spread.pixels),
        deviations: inside(&deviation.pixels),
    }))
}

fn intervals(prior: &Prior, subjects: &[Subject], kept: &Path, (words, out): (&str, &Path)) -> Outcome<()> {
    let is_kept = |subject: &&Subject| SCANS.iter().any(|(name, ..)| subject.folder(kept, name).exists());
    let known = subjects.iter().filter(|subject| subject.role == CALIBRATION).filter(is_kept);
    let sides = known.map(|subject| subject.pixel_mm);
    let pixel_mm = [sides.clone().fold(f64::MAX, f64::min), sides.fold(0.0, f64::max)];
    let mut scans = Vec::new();
    println!("scan  group       slices  covered (least)  by deviation alone  width HU  rank correlation (alone)");
    for (name, views, noise) in SCANS {
        let read = |subject: &Subject| read_kept(subject, &subject.folder(kept, name)).transpose();
        let all: Vec<Pixels> = subjects.iter().filter_map(read).collect::<Outcome<_>>()?;
        let known: Vec<&Pixels> = all.iter().filter(|pixels| pixels.role == CALIBRATION).collect();
        let mut groups: BTreeMap<&str, Vec<[f64; 5]>> = BTreeMap::new();
        for pixels in &all {
            // Who is calibrated on is judged by the others.
            let others: Vec<&Pixels> = known.iter().filter(|other| !std::ptr::eq(**other, pixels)).copied().collect();
            groups.entry(&pixels.role).or_default().push(pixels.judged(factors(&others)?));
        }
        for (role, rows) in groups {
            let mean = |k: usize| rows.iter().map(|row| row[k]).sum::<f64>() / rows.len() as f64;
            let least = rows.iter().map(|row| row[0]).fold(f64::MAX, f64::min);
            let (n, [held, plain, width, own, alone]) = (rows.len(), [0, 1, 2, 3, 4].map(mean));
            print!("{name:5} {role:11} {n:6} {held:8.1} ({least:4.1}) {plain:19.1} {width:9.0}");
            println!(" {own:17.3} ({alone:.3})");
        }
        scans.push(CalibratedScan { views, noise, patients: known.len(), factor: factors(&known)?[0] });
    }
    let (level, patients) = (LEVEL, words.to_owned());
    let calibration = Calibration { level, runs: RUNS, patients, sides: [SIDE; 2], pixel_mm, scans };
    std::fs::write(out, calibration.into_weights(prior.weights().clone())?.to_bytes()?)?;
    println!("{}", serde_json::to_string(&calibration)?);
    Ok(())
}

/// Factors of the spread and of the plain deviation.
fn factors(known: &[&Pixels]) -> Outcome<[f64; 2]> {
    let factor = |scale: fn(&Pixels) -> &[f32]| {
        let mut ratios: Vec<Vec<f32>> = known.iter().map(|pixels| over(&pixels.errors, scale(pixels))).collect();
        controlled_factor(&mut ratios, 1.0 - LEVEL).ok_or("too few patients to calibrate on")
    };
    Ok([factor(|pixels| &pixels.spreads)?, factor(|pixels| &pixels.deviations)?])
}

fn over(errors: &[f32], scales: &[f32]) -> Vec<f32> {
    errors.iter().zip(scales).map(|(error, scale)| error / scale.max(f32::MIN_POSITIVE)).collect()
}

impl Pixels {
    /// In per cent the coverage of the interval and of one by the plain deviation, the mean width in HU, and the rank
    /// correlations of both with the error.
    fn judged(&self, [factor, plain]: [f64; 2]) -> [f64; 5] {
        let covered = |scales: &[f32], factor: f64| {
            let held = over(&self.errors, scales).iter().filter(|ratio| f64::from(**ratio) <= factor).count();
            100.0 * held as f64 / self.errors.len() as f64
        };
        let hu = f64::from(network_to_hu(1.0) - network_to_hu(0.0));
        let mean = self.spreads.iter().map(|spread| f64::from(*spread)).sum::<f64>() / self.spreads.len() as f64;
        [
            covered(&self.spreads, factor),
            covered(&self.deviations, plain),
            2.0 * factor * hu * mean,
            rank_correlation(&self.spreads, &self.errors),
            rank_correlation(&self.deviations, &self.errors),
        ]
    }
}

/// Spearman's.
fn rank_correlation(a: &[f32], b: &[f32]) -> f64 {
    let (a, b) = (ranks(a), ranks(b));
    let middle = (a.len() as f64 - 1.0) / 2.0;
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - middle) * (b - middle)).sum::<f64>();
    product(&a, &b) / (product(&a, &a) * product(&b, &b)).sqrt()
}

/// The place of each value in their order; equal ones share the mean of theirs.
fn ranks(values: &[f32]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&i, &j| values[i].total_cmp(&values[j]));
    let (mut ranks, mut first) = (vec![0.0; values.len()], 0);
    for equal in order.chunk_by(|&i, &j| values[i] == values[j]) {
        let mean = first as f64 + (equal.len() as f64 - 1.0) / 2.0;
        equal.iter().for_each(|&k| ranks[k] = mean);
        first += equal.len();
    }
    ranks
}

/// A generator of images by seed and side, and how many are wanted: of `ellipses:N` and `disc:N`.
type Random = (fn(u64, usize) -> Image, u64);

fn random(images: &str) -> Outcome<Option<Random>> {
    Ok(match images.split_once(':') {
        Some(("ellipses", count)) => Some((ellipses, count.parse()?)),
        Some(("disc", count)) => Some((disc, count.parse()?)),
        _ => None,
    })
}

fn looks(prior: &Prior, images: &str, words: &str, out: &Path) -> Outcome<()> {
    let patients: Vec<Vec<Image>> = match random(images)? {
        Some((of, count)) => (0..count).map(|k| vec![of(TRAINING_SEEDS + k, 128)]).collect(),
        None => {
            let image = |pixels: &Vec<f32>| Image { height: SIDE, width: SIDE, pixels: pixels.clone() };
            let some =
                |slices: Vec<Vec<f32>>| slices.iter().step_by(slices.len().div_ceil(SLICES)).map(image).collect();
            Slices::read(Path::new(images), SIDE)?.patients.into_iter().map(some).collect()
        }
    };
    let look = |image: &Image| Look::at(image, prior);
    let seen: Vec<Vec<Look>> = patients.iter().map(|own| own.iter().map(look).collect()).collect::<Result<_, _>>()?;
    let sides = patients.iter().flatten().next().map(|image| [image.height, image.width]).ok_or("there is no image")?;
    let looks = TrainingLooks::of(&seen, words.to_owned(), sides).ok_or("these images do not differ enough")?;
    let beyond = seen.iter().flatten().filter(|look| looks.distance(look) > looks.limit).count();
    println!("{} images, limit {:.3}, beyond it {beyond}", seen.iter().flatten().count(), looks.limit);
    std::fs::write(out, looks.into_weights(prior.weights().clone())?.to_bytes()?)?;
    Ok(())
}

fn unlike(prior: &Prior, files: &[&str]) -> Outcome<()> {
    let looks = TrainingLooks::in_weights(prior.weights()).ok_or("the weights bring no looks along")??;
    for file in files {
        let images: Vec<Image> = match random(file)? {
            Some((of, count)) => (1..=count).map(|seed| of(seed, 128)).collect(),
            None => read_slices(file)?.into_iter().map(|loaded| loaded.image).collect(),
        };
        let distances =
            images.iter().map(|image| Ok(looks.distance(&Look::at(image, prior)?))).collect::<Outcome<Vec<f64>>>()?;
        let flagged = distances.iter().filter(|distance| **distance > looks.limit).count();
        println!("{file}: {flagged} of {} beyond {:.2}: {distances:.2?}", distances.len(), looks.limit);
    }
    Ok(())
}
