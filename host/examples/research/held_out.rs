//! Wrong priors and weights by held-out views: `cargo run --release --example held_out [-- FILE.npz:K,K,K]`
//!
//! Six scans: `ellipses:101` to `103` (60 views, 10 % noise), and three slices in HU (60 views, 5 % noise), or without
//! a file three scans of the sample `spine`. Every fifth view is kept from the reconstruction. For the right prior and
//! weight and for ten wrong ones: what is left of these views in standard deviations a ray, and the PSNR (dB).
#![allow(missing_docs)]

use gradus::ct::hu_to_network;
use gradus::data::ellipses::ellipses;
use gradus::data::image_files::read_image;
use gradus::data::samples::Sample;
use gradus::image::Image;
use gradus::metrics::psnr;
use gradus::prior::Prior;
use gradus::reconstruct::{Job, Measurement, PlacedPrior, Settings, SolvedSettings, USUAL_HOLD_OUT, reconstruct_all};
use gradus::simulate::{Simulation, simulate};
use std::ops::ControlFlow;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Priors by what is wrong with them, each with the factors on its weight; the first of all is right.
const TRIALS: [(bool, &[f64]); 2] = [
    (true, &[1.0, 1.0 / 1024.0, 1.0 / 256.0, 1.0 / 64.0, 32.0, 64.0, 256.0, 1024.0]),
    (false, &[1.0, 1.0 / 16.0, 16.0]),
];

struct Scanned {
    name: String,
    truth: Image,
    prior: &'static str,
    simulation: Simulation,
}

fn main() -> Outcome<()> {
    let given = std::env::args().nth(1);
    let mut lost = 0;
    for scanned in scans(given.as_deref())? {
        let rows = rows(&scanned)?;
        let [(_, right, _), wrong @ ..] = rows.as_slice() else { continue };
        let worse = wrong.iter().filter(|(_, sigma, _)| sigma > right).count();
        println!("{}: {worse} of {} wrong ones are worse in held-out views", scanned.name, wrong.len());
        rows.iter().for_each(|(what, sigma, db)| println!("    {what:24} {sigma:7.4} sigma {db:7.2} dB"));
        lost += wrong.len() - worse;
    }
    if lost == 0 { Ok(()) } else { Err(format!("{lost} wrong ones foretell as well as the right one").into()) }
}

fn scans(given: Option<&str>) -> Outcome<Vec<Scanned>> {
    let shapes = (101..=103).map(|seed| Scanned {
        name: format!("ellipses:{seed}"),
        truth: ellipses(seed, 128),
        prior: "ellipses",
        simulation: Simulation::default(),
    });
    let body = |name: String, image: Image, simulation| Scanned {
        name,
        truth: Image { pixels: image.pixels.iter().map(|hu| hu_to_network(*hu)).collect(), ..image },
        prior: "ct",
        simulation,
    };
    let usual = Simulation { noise: 0.05, ..Simulation::default() };
    let bodies: Vec<Scanned> = if let Some(given) = given {
        let (file, which) = given.rsplit_once(':').ok_or("slices are FILE.npz:K,K,K")?;
        let slice = |k: &str| -> Outcome<Scanned> {
            let (name, simulation) = (format!("{file}:[{k}]"), Simulation { seed: k.parse()?, ..usual.clone() });
            Ok(body(name.clone(), read_image(&name)?.image, simulation))
        };
        which.split(',').map(slice).collect::<Outcome<_>>()?
    } else {
        let image = Sample::parse("spine").ok_or("no sample")?.load()?.image;
        let few = Simulation { angles: 30, ..usual.clone() };
        let counted = Simulation { photons: Some(1e4), ..usual.clone() };
        let of = |(name, simulation): (&str, Simulation)| body(name.to_owned(), image.clone(), simulation);
        [("spine", usual), ("spine, 30 views", few), ("spine, 1e4 photons", counted)].map(of).into()
    };
    Ok(shapes.chain(bodies).collect())
}

/// Of each trial its name, the standard deviations a ray that it leaves of held-out views, and its PSNR.
fn rows(scanned: &Scanned) -> Outcome<Vec<(String, f64, f64)>> {
    let measurement = Measurement::new(&simulate(&scanned.truth, 1.0, &scanned.simulation)?)?;
    let (kept, held) = measurement.without_every(USUAL_HOLD_OUT)?;
    let mut rows = Vec::new();
    for (is_right, factors) in TRIALS {
        let name = if is_right == (scanned.prior == "ct") { "ct" } else { "ellipses" };
        let prior = Prior::named(name)?;
        let with = |factor: &f64| {
            let alpha = Some(factor * kept.noise_std.powi(2));
            Settings::Solved(SolvedSettings { alpha, ..SolvedSettings::default() })
        };
        let settings: Vec<Settings> = factors.iter().map(with).collect();
        let jobs: Vec<Job<'_>> = settings.iter().map(|settings| Job { measurement: &kept, settings }).collect();
        let runs = reconstruct_all(&jobs, Some(&PlacedPrior::on_cpu(&prior)), &mut |_| ControlFlow::Continue(()))?;
        for (run, factor) in runs.into_iter().zip(factors) {
            let image = run?.image;
            let sigma = held.residual(&image)?.chi_squared().sqrt();
            rows.push((format!("{name}, weight x {factor}"), sigma, psnr(&scanned.truth, &image, 1.0)?));
        }
    }
    Ok(rows)
}
