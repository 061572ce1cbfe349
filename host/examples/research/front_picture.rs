//! The picture of README.md: `cargo run --release --example front_picture -- FILE.png`.
//!
//! From left to right truth, filtered backprojection, total variation and the default method; above a CT slice that
//! comes with the program (60 views, 5 % noise, prior `ct`), below random ellipses (60 views, 10 % noise, prior
//! `ellipses`). The PSNR of each, for the data range 1 of network units, is printed.
#![allow(missing_docs)]

use gradus::ct::hu_to_network;
use gradus::data::samples::Sample;
use gradus::image::{GreyWindow, Image};
use gradus::metrics::psnr;
use gradus::prior::Prior;
use gradus::reconstruct::{Measurement, Method, PlacedPrior, Settings, reconstruct};
use gradus::report::{Picture, picture_strip};
use gradus::simulate::{Simulation, simulate};
use std::ops::ControlFlow;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// White pixels between pictures.
const GAP: usize = 4;
/// Soft tissue and bone, in HU.
const WINDOW_HU: [f32; 2] = [-300.0, 700.0];

fn main() -> Outcome<()> {
    let file = std::env::args().nth(1).ok_or("usage: front_picture FILE.png")?;
    let slice = Sample::Spine.load()?;
    let pixels = slice.image.pixels.iter().map(|hu| hu_to_network(*hu)).collect();
    let slice = row("spine", Image { pixels, ..slice.image }, 0.05, "ct", WINDOW_HU.map(hu_to_network))?;
    let ellipses = row("ellipses:1", Sample::Ellipses { seed: 1 }.load()?.image, 0.1, "ellipses", [0.0, 1.0])?;
    let white = Image { height: GAP, width: slice.width, pixels: vec![1.0; GAP * slice.width] };
    let pixels = [slice.pixels, white.pixels, ellipses.pixels].concat();
    let height = pixels.len() / slice.width;
    let both = Image { height, width: slice.width, pixels };
    std::fs::write(&file, picture_strip(&[Picture::new("both", both, GreyWindow::new(0.0, 1.0))], 1)?)?;
    Ok(())
}

/// Truth and results of a subject side by side, as brightness from 0 to 1.
fn row(name: &str, truth: Image, noise: f64, prior: &str, window: [f32; 2]) -> Outcome<Image> {
    let measurement = Measurement::new(&simulate(&truth, 1.0, &Simulation { noise, ..Simulation::default() })?)?;
    let prior = Prior::named(prior)?;
    let prior = PlacedPrior::on_cpu(&prior);
    let mut shown = vec![truth.clone()];
    for method in [Method::Fbp, Method::Tv, Method::default()] {
        let go_on = &mut |_: gradus::reconstruct::Progress<'_>| ControlFlow::Continue(());
        let result = reconstruct(&measurement, &Settings::from(method), Some(&prior), go_on)?.image;
        println!("{name} {method}: {:.2} dB", psnr(&truth, &result, 1.0)?);
        shown.push(result);
    }
    let window = GreyWindow::new(window[0], window[1]);
    let mut pixels = Vec::new();
    for row in 0..truth.height {
        for (k, image) in shown.iter().enumerate() {
            pixels.extend(std::iter::repeat_n(1.0, if k == 0 { 0 } else { GAP }));
            let of_row = &image.pixels[row * image.width..][..image.width];
            pixels.extend(of_row.iter().map(|value| window.brightness(*value)));
        }
    }
    Ok(Image { height: truth.height, width: pixels.len() / truth.height, pixels })
}
