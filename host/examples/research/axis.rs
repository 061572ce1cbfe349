//! Rotation axes from few views and of moved scans: `cargo run --release --example axis -- FILE...`
//!
//! Every file is a raw measurement or a scan. Its axis is found from all views, from 180, 60 and 30 of them, and from
//! all views moved by 2.6 and 5.3 bins; the last column is what an answer misses that of all views by, with the move.
#![allow(missing_docs)]

use gradus::ct::{Geometry, find_axis};
use gradus::data::scan::Scan;
use gradus::raw::{RawOptions, is_raw, read_raw};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

const VIEWS: [usize; 3] = [180, 60, 30];
const MOVES: [f64; 2] = [2.6, 5.3];

fn main() -> Outcome<()> {
    println!(
        "| scan | views | moved by (bins) | axis (bin) | stated uncertainty | difference |\n|---|---|---|---|---|---|"
    );
    for file in std::env::args().skip(1) {
        let options = RawOptions::default();
        let scan = if is_raw(&file, &options) { read_raw(&file, &options)? } else { Scan::read(&file)? };
        let name = std::path::Path::new(&file).file_stem().unwrap_or_default().to_string_lossy();
        let whole = row(&name, &scan.geometry, &scan.sinogram, 0.0, None)?;
        for n in VIEWS.into_iter().filter(|n| *n < scan.geometry.angles_rad.len()) {
            let (geometry, sinogram) = with_views(&scan, n);
            row(&name, &geometry, &sinogram, 0.0, Some(whole))?;
        }
        for bins in MOVES {
            let sinogram = moved(&scan, bins);
            row(&name, &scan.geometry, &sinogram, bins, Some(whole))?;
        }
    }
    Ok(())
}

/// The bin of the axis, in a row of the table.
fn row(name: &str, geometry: &Geometry, sinogram: &[f32], bins: f64, whole: Option<f64>) -> Outcome<f64> {
    let found = find_axis(geometry, sinogram)?;
    let bin = Geometry { detector_offset_mm: found.detector_offset_mm, ..geometry.clone() }.bin_at(0.0);
    let (views, uncertainty) = (geometry.angles_rad.len(), found.uncertainty_mm / geometry.bin_width_mm);
    let difference = whole.map_or_else(String::new, |whole| format!("{:.2}", bin - bins - whole));
    println!("| {name} | {views} | {bins} | {bin:.2} | {uncertainty:.2} | {difference} |");
    Ok(bin)
}

/// View floor(k views / n), for k from 0 to n - 1.
fn with_views(scan: &Scan, n: usize) -> (Geometry, Vec<f32>) {
    let Geometry { angles_rad, n_bins, .. } = &scan.geometry;
    let kept: Vec<usize> = (0..n).map(|k| k * angles_rad.len() / n).collect();
    let sinogram = kept.iter().flat_map(|view| &scan.sinogram[view * n_bins..][..*n_bins]).copied().collect();
    let angles_rad = kept.iter().map(|view| angles_rad[*view]).collect();
    (Geometry { angles_rad, ..scan.geometry.clone() }, sinogram)
}

/// The sinogram moved towards higher bins, by cubic convolution \[Key81, a = -1/2\]; beyond its ends it goes on as
/// there.
fn moved(scan: &Scan, bins: f64) -> Vec<f32> {
    let whole = bins.floor();
    let (u, last) = (1.0 - (bins - whole), scan.geometry.n_bins as isize - 1);
    let (v, w) = (1.0 - u, u * (1.0 - u));
    let shares = [-0.5 * v * w, v + w * (v - 0.5 * u), u + w * (u - 0.5 * v), -0.5 * u * w];
    let of_view = |view: &[f32]| {
        let value = |k: isize| {
            let first = k - whole as isize - 2;
            let near = (first..).zip(shares).map(|(j, share)| share * f64::from(view[j.clamp(0, last) as usize]));
            near.sum::<f64>() as f32
        };
        (0..=last).map(value).collect::<Vec<f32>>()
    };
    scan.sinogram.chunks_exact(scan.geometry.n_bins).flat_map(of_view).collect()
}
