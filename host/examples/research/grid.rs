//! Traces of a prior in slices that nobody trained on:
//! `cargo run --release --example grid -- PRIOR FILE.npz:K,K,... [FIELD=VALUE]...`
//!
//! Each slice in HU is scanned from 60 views with 5 % noise and reconstructed with the fields of a run's
//! `[reconstruction]` table, `method` first. Printed are PSNR for the data range 1 and RMSE in HU; the power on the
//! Nyquist lines of the spectrum over that of their neighbours, in the window of soft tissue, of the result and of the
//! truth: a regular grid of 2 x 2 pixels raises it; and the contrast that is left of a spot of +300 HU with radius 2
//! pixels, put where the slice is most even, by a second run with the same noise.
#![allow(missing_docs)]

use gradus::ct::{hu_to_network, network_to_hu};
use gradus::data::image_files::read_image;
use gradus::image::Image;
use gradus::metrics::{psnr, rmse_hu};
use gradus::prior::Prior;
use gradus::reconstruct::{Measurement, Method, PlacedPrior, Settings, reconstruct};
use gradus::simulate::{Simulation, simulate};
use std::ops::ControlFlow;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Soft tissue, in HU.
const WINDOW: (f32, f32) = (-160.0, 240.0);
/// The spot.
const CONTRAST_HU: f32 = 300.0;
const RADIUS: usize = 2;
/// Half the side of the square that is to be even.
const REACH: usize = 8;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [prior, slices, fields @ ..] = arguments.as_slice() else {
        return Err("usage: grid PRIOR FILE.npz:K,K,... [FIELD=VALUE]...".into());
    };
    let prior = Prior::named(prior)?;
    let mut settings = Settings::default();
    for field in fields {
        let (name, text) = field.split_once('=').ok_or("a field is FIELD=VALUE")?;
        let parsed = format!("v = {text}").parse::<toml::Table>().ok().and_then(|mut table| table.remove("v"));
        let value = parsed.unwrap_or_else(|| toml::Value::String(text.to_owned()));
        settings = match name {
            "method" => Settings::from(value.try_into::<Method>()?),
            name => settings.with(name, value)?,
        };
    }
    let (file, which) = slices.rsplit_once(':').ok_or("slices are FILE.npz:K,K,...")?;
    let (mut sums, mut n) = ([0.0; 5], 0.0);
    println!("slice   PSNR dB   RMSE HU   Nyquist: result   truth   contrast left %");
    for k in which.split(',') {
        let hounsfield = read_image(format!("{file}:[{k}]"))?.image;
        let row = row(&hounsfield, k.parse()?, &PlacedPrior::on_cpu(&prior), &settings)?;
        print(k, row);
        sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
        n += 1.0;
    }
    print("mean", sums.map(|sum| sum / n));
    Ok(())
}

fn print(name: &str, [psnr, rmse, result, truth, left]: [f64; 5]) {
    println!("{name:>5} {psnr:9.2} {rmse:9.1} {result:17.2} {truth:7.2} {:17.0}", 100.0 * left);
}

fn row(hounsfield: &Image, seed: u64, prior: &PlacedPrior<'_>, settings: &Settings) -> Outcome<[f64; 5]> {
    let made = |hounsfield: &Image| -> Outcome<(Image, Image)> {
        let pixels = hounsfield.pixels.iter().map(|hu| hu_to_network(*hu)).collect();
        let truth = Image { pixels, ..*hounsfield };
        let scan = simulate(&truth, 1.0, &Simulation { noise: 0.05, seed, ..Simulation::default() })?;
        let run = reconstruct(&Measurement::new(&scan)?, settings, Some(prior), &mut |_| ControlFlow::Continue(()))?;
        Ok((truth, run.image))
    };
    let (truth, image) = made(hounsfield)?;
    let (spot, mut with_spot) = (spot(hounsfield), hounsfield.clone());
    spot.iter().for_each(|pixel| with_spot.pixels[*pixel] += CONTRAST_HU);
    let (_, marked) = made(&with_spot)?;
    let raised = |pixel: &usize| f64::from(network_to_hu(marked.pixels[*pixel]) - network_to_hu(image.pixels[*pixel]));
    let left = spot.iter().map(raised).sum::<f64>() / spot.len() as f64 / f64::from(CONTRAST_HU);
    Ok([psnr(&truth, &image, 1.0)?, rmse_hu(&truth, &image)?, nyquist(&image), nyquist(&truth), left])
}

/// Power on the two Nyquist lines over that on the lines beside them, in the window of soft tissue.
fn nyquist(image: &Image) -> f64 {
    let shown: Vec<f64> = image.pixels.iter().map(|x| f64::from(network_to_hu(*x).clamp(WINDOW.0, WINDOW.1))).collect();
    let (height, width) = (image.height, image.width);
    let along = |n: usize, other: usize, at: &dyn Fn(usize, usize) -> f64, k: usize| -> f64 {
        let line = |j: usize| {
            let wave = |i: usize| std::f64::consts::TAU * ((i * k) % n) as f64 / n as f64;
            let [re, im] = (0..n).fold([0.0, 0.0], |[re, im], i| {
                let (sine, cosine) = wave(i).sin_cos();
                [re + cosine * at(i, j), im + sine * at(i, j)]
            });
            re * re + im * im
        };
        (0..other).map(line).sum()
    };
    let power = |off: usize| {
        let rows = along(height, width, &|i, j| shown[i * width + j], height / 2 - off);
        rows + along(width, height, &|i, j| shown[j * width + i], width / 2 - off)
    };
    power(0) / power(1)
}

/// The pixels of the spot in the middle of the most even soft tissue.
fn spot(hounsfield: &Image) -> Vec<usize> {
    let (height, width) = (hounsfield.height, hounsfield.width);
    let variance = |row: usize, col: usize| {
        let rows = row - REACH..=row + REACH;
        let values: Vec<f64> = rows
            .flat_map(|r| &hounsfield.pixels[r * width + col - REACH..=r * width + col + REACH])
            .map(|hu| f64::from(*hu))
            .collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let variance = values.iter().map(|hu| (hu - mean).powi(2)).sum::<f64>() / values.len() as f64;
        if (0.0..100.0).contains(&mean) { variance } else { f64::INFINITY }
    };
    let places = (REACH..height - REACH).flat_map(|row| (REACH..width - REACH).map(move |col| (row, col)));
    let (row, col) = places.min_by(|a, b| variance(a.0, a.1).total_cmp(&variance(b.0, b.1))).unwrap_or((0, 0));
    let around = |centre: usize| centre - RADIUS..=centre + RADIUS;
    let inside = |r: usize, c: usize| r.abs_diff(row).pow(2) + c.abs_diff(col).pow(2) <= RADIUS * RADIUS;
    around(row)
        .flat_map(|r| around(col).map(move |c| (r, c)))
        .filter(|(r, c)| inside(*r, *c))
        .map(|(r, c)| r * width + c)
        .collect()
}
