//! Quality over settings, on several images:
//! `cargo run --release --example sweep -- PRIOR IMAGES [FIELD=VALUE[/VALUE...]]...`
//!
//! IMAGES are `ellipses:FIRST-LAST` (10 % noise), or slices in HU, `FILE.npz:K,K,...` (5 % noise), or
//! several of these with `+` between. A FIELD is that of
//! a run's `[reconstruction]` table, such as `method` (first), `steps` or `line_search.first`; or `alpha_per_std`,
//! `alpha_per_variance`, `tv_per_variance` for weights in proportion to the noise; or `simulation.angles` and so on.
//! `device=cuda:0`, of one value, makes all images of a combination in lockstep there.
//! Every combination prints the mean PSNR and SSIM (data range 1) of the result, and of the result denoised once at its
//! last level; mean RMSE (in HU for slices); network passes, projections, and seconds for one image, on a GPU
//! those of all over their number.
#![allow(missing_docs)]

use gradus::backend::Precision;
use gradus::ct::{hu_to_network, network_to_hu};
use gradus::data::ellipses::ellipses;
use gradus::data::image_files::read_image;
use gradus::image::Image;
use gradus::metrics::{psnr, rmse, ssim_uniform};
use gradus::prior::Prior;
use gradus::reconstruct::{
    Job, Measurement, Method, PlacedPrior, Reconstruction, Settings, SolvedSettings, denoise, reconstruct_all,
};
use gradus::simulate::{Simulation, simulate};
use std::ops::ControlFlow;
use std::time::Instant;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// An image in network units, and how it is scanned.
struct Subject {
    truth: Image,
    seed: u64,
    hounsfield: bool,
}

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [prior, images, fields @ ..] = arguments.as_slice() else {
        return Err("usage: sweep PRIOR IMAGES [FIELD=VALUE[/VALUE...]]...".into());
    };
    let named = Prior::named(prior)?;
    let subjects = subjects(images)?;
    let fields: Vec<(&str, Vec<&str>)> = fields
        .iter()
        .map(|field| field.split_once('=').ok_or("a field is FIELD=VALUE"))
        .map(|pair| pair.map(|(name, values)| (name, values.split('/').collect())))
        .collect::<Result<_, _>>()?;
    let device = fields.iter().find(|(name, _)| *name == "device").and_then(|(_, values)| values.first());
    let bench = Bench(PlacedPrior::open(&named, device.unwrap_or(&"auto").parse()?, Precision::Full)?);
    println!("{prior}, {images}: {} images", subjects.len());
    println!("PSNR dB   SSIM    RMSE   denoised: PSNR dB   SSIM   forwards   vjps   projections   seconds   settings");
    let combinations: usize = fields.iter().map(|(_, values)| values.len()).product();
    for mut index in 0..combinations {
        let mut chosen = Vec::new();
        for (name, values) in &fields {
            chosen.push((*name, values[index % values.len()]));
            index /= values.len();
        }
        bench.row(&subjects, &chosen)?;
    }
    Ok(())
}

fn subjects(images: &str) -> Outcome<Vec<Subject>> {
    let sets: Vec<Vec<Subject>> = images.split('+').map(set_of_subjects).collect::<Outcome<_>>()?;
    Ok(sets.into_iter().flatten().collect())
}

fn set_of_subjects(images: &str) -> Outcome<Vec<Subject>> {
    let (name, which) = images.rsplit_once(':').ok_or("images are ellipses:FIRST-LAST or FILE.npz:K,K,...")?;
    if name == "ellipses" {
        let (first, last) = which.split_once('-').unwrap_or((which, which));
        let subject = |seed| Subject { truth: ellipses(seed, 128), seed: 1, hounsfield: false };
        return Ok((first.parse()?..=last.parse()?).map(subject).collect());
    }
    let slice = |k: &str| -> Outcome<Subject> {
        let image = read_image(format!("{name}:[{k}]"))?.image;
        let pixels = image.pixels.iter().map(|hu| hu_to_network(*hu)).collect();
        Ok(Subject { truth: Image { pixels, ..image }, seed: k.parse()?, hounsfield: true })
    };
    which.split(',').map(slice).collect()
}

/// A value as TOML, or else a string.
fn value(text: &str) -> toml::Value {
    let parsed = format!("v = {text}").parse::<toml::Table>().ok().and_then(|mut table| table.remove("v"));
    parsed.unwrap_or_else(|| toml::Value::String(text.to_owned()))
}

/// The scan of a subject and its reconstruction, with the fields chosen.
fn configured(subject: &Subject, chosen: &[(&str, &str)]) -> Outcome<(Measurement, Settings)> {
    let noise = if subject.hounsfield { 0.05 } else { 0.1 };
    let simulation = Simulation { noise, seed: subject.seed, ..Simulation::default() };
    let mut simulation = toml::Table::try_from(simulation)?;
    let of_scan = chosen.iter().filter_map(|(name, text)| Some((name.strip_prefix("simulation.")?, text)));
    simulation.extend(of_scan.map(|(name, text)| (name.to_owned(), value(text))));
    let measurement = Measurement::new(&simulate(&subject.truth, 1.0, &simulation.try_into()?)?)?;
    let mut settings = Settings::default();
    let std = measurement.noise_std;
    for (name, text) in chosen {
        settings = match *name {
            "method" => Settings::from(value(text).try_into::<Method>()?),
            "device" => settings,
            "alpha_per_std" => settings.with("alpha", (text.parse::<f64>()? * std).into())?,
            "alpha_per_variance" => settings.with("alpha", (text.parse::<f64>()? * std * std).into())?,
            "tv_per_variance" => settings.with("tv_weight", (text.parse::<f64>()? * std * std).into())?,
            name if name.starts_with("simulation.") => settings,
            name => settings.with(name, value(text))?,
        };
    }
    Ok((measurement, settings))
}

/// The prior where it computes.
struct Bench<'a>(PlacedPrior<'a>);

impl Bench<'_> {
    fn runs(&self, jobs: &[(Measurement, Settings)]) -> Outcome<Vec<Reconstruction>> {
        let jobs: Vec<Job<'_>> = jobs.iter().map(|(measurement, settings)| Job { measurement, settings }).collect();
        let runs = reconstruct_all(&jobs, Some(&self.0), &mut |_| ControlFlow::Continue(()))?;
        Ok(runs.into_iter().collect::<Result<_, _>>()?)
    }

    fn row(&self, subjects: &[Subject], chosen: &[(&str, &str)]) -> Outcome<()> {
        let jobs: Vec<_> = subjects.iter().map(|subject| configured(subject, chosen)).collect::<Outcome<_>>()?;
        let start = Instant::now();
        let runs = self.runs(&jobs)?;
        let seconds = start.elapsed().as_secs_f64() / subjects.len() as f64;
        let mut sums = [0.0; 8];
        for ((subject, (_, settings)), run) in subjects.iter().zip(&jobs).zip(&runs) {
            let of_run = self.values(subject, settings, run)?;
            sums.iter_mut().zip(of_run).for_each(|(sum, value)| *sum += value / subjects.len() as f64);
        }
        let [psnr, ssim, rmse, once, once_ssim, forwards, vjps, projections] = sums;
        let settings: Vec<String> = chosen.iter().map(|(name, value)| format!("{name}={value}")).collect();
        println!(
            "{psnr:7.2} {ssim:6.3} {rmse:7.4} {once:19.2} {once_ssim:6.3} {forwards:10.0} {vjps:6.0} \
             {projections:13.0} {seconds:9.2}   {}",
            settings.join(" ")
        );
        Ok(())
    }

    fn values(&self, subject: &Subject, settings: &Settings, run: &Reconstruction) -> Outcome<[f64; 8]> {
        // The methods without levels are denoised as the default method would be.
        let t_min = settings.t_min().unwrap_or(SolvedSettings::default().t_min);
        let (once, c) = (denoise(self.0.prior, &run.image, t_min)?, run.counters);
        Ok([
            psnr(&subject.truth, &run.image, 1.0)?,
            ssim_uniform(&subject.truth, &run.image, 1.0)?,
            error(subject, &run.image)?,
            psnr(&subject.truth, &once, 1.0)?,
            ssim_uniform(&subject.truth, &once, 1.0)?,
            c.network_forwards as f64,
            c.network_vjps as f64,
            c.projections as f64,
        ])
    }
}

/// Root mean square error, in HU for slices.
fn error(subject: &Subject, image: &Image) -> Outcome<f64> {
    if !subject.hounsfield {
        return Ok(rmse(&subject.truth, image)?);
    }
    let hu = |image: &Image| Image { pixels: image.pixels.iter().map(|x| network_to_hu(*x)).collect(), ..*image };
    Ok(rmse(&hu(&subject.truth), &hu(image))?)
}
