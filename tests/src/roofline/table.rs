//! `cuda-kernels/ROOFLINE.md`: estimates for three cards, of every kernel in what it is launched for.

use super::gpu::{Gpu, totals, with_lanes};
use super::work::{Outcome, Passes, SOLVE_STEPS, Training, VIEWS, algorithm_2, approach, solved};
use gradus::backend::cuda::{Device, Launched, Precision};
use gradus::prior::Prior;
use std::fmt::Write as _;
use std::rc::Rc;

pub const SIDES: [usize; 3] = [128, 256, 512];
/// Images of the step of training. Few, so that a listing fits a small device.
const IMAGES: usize = 4;
const SLICES: usize = 16;

type Listing = fn(&Rc<Device>, &Prior, usize) -> Outcome<Vec<Launched>>;

fn passes(device: &Rc<Device>, prior: &Prior, side: usize) -> Outcome<Vec<Launched>> {
    let mut passes = Passes::new(device, prior, side)?;
    Ok(device.listed(|| passes.all())?)
}

fn training(device: &Rc<Device>, prior: &Prior, side: usize) -> Outcome<Vec<Launched>> {
    let mut training = Training::new(device, prior, side, IMAGES)?;
    Ok(device.listed(|| training.step())?)
}

/// What `list` launches at a precision.
fn launched(
    device: &Rc<Device>,
    (list, precision): (Listing, Precision),
    prior: &Prior,
    side: usize,
) -> Outcome<Vec<Launched>> {
    device.set_precision(precision);
    let launched = list(device, prior, side);
    device.set_precision(Precision::Full);
    launched
}

const WHOLE: [(&str, Listing, Precision); 5] = [
    ("forward pass, vjp, projection and adjoint", passes, Precision::Full),
    ("the same on tensor cores (TF32)", passes, Precision::Tf32),
    ("iteration of Algorithm 2", algorithm_2, Precision::Full),
    ("level of the default method's approach", approach, Precision::Full),
    ("iteration of the default method", solved, Precision::Full),
];

/// The file, for the given sides; nothing is launched.
pub fn markdown(device: &Rc<Device>, prior: &Prior, sides: &[usize]) -> Outcome<String> {
    let cards = Gpu::cards();
    let mut text = format!(
        "# How long the kernels should take at least\n\
         Estimates, not measurements: printed by `cargo run --release --example cuda_roofline -- --table`, which \
         lists the\n\
         launches on any driver and makes none of them. A launch takes 2 us, and the longer of its arithmetic and its \
         traffic\n\
         (`src/work/` says what counts). Arithmetic: at the card's peak as far as the inner loop lets it (`SASS.md`), \
         less with\n\
         too few warps to fill the card. That kernels wait for each other is not in it. Prior `ellipses`, {VIEWS} \
         views,\n\
         {SOLVE_STEPS} conjugate gradient steps; the limit is what most of the time goes to.\n\n\
         ## Whole, in ms for one slice / for a slice of sixteen in lockstep\n\
         | | card |{}\n|---|---|{}\n",
        sides.iter().map(|side| format!(" {side} x {side} |")).collect::<String>(),
        "---|".repeat(sides.len())
    );
    let listings = WHOLE.map(|(name, list, precision)| {
        let of_sides = sides.iter().map(|&side| launched(device, (list, precision), prior, side));
        of_sides.collect::<Outcome<Vec<_>>>().map(|launched| (name, launched))
    });
    let mut all = Vec::new();
    for listing in listings {
        all.push(listing?);
    }
    for (name, launched) in &all {
        for card in &cards {
            let _ = write!(text, "| {name} | {} |", card.name);
            for launched in launched {
                let of_many = whole(&with_lanes(launched, SLICES), card) / SLICES as f64;
                let _ = write!(text, " {:.2} / {:.2} |", 1e3 * whole(launched, card), 1e3 * of_many);
            }
            text.push('\n');
        }
    }
    for ((name, launched), side) in
        all.iter().flat_map(|of| of.1.iter().zip(sides).map(|(one, side)| ((of.0, one), side)))
    {
        if name != WHOLE[0].0 {
            let name = if name == WHOLE[1].0 { "Passes on tensor cores (TF32)" } else { name };
            kernels(&mut text, &format!("{name}, one slice, {side} x {side}"), launched, &cards);
        }
    }
    let side = sides[0];
    for (name, precision) in
        [("Step of training", Precision::Full), ("Step of training on tensor cores (TF32)", Precision::Tf32)]
    {
        let title = format!("{name}, {IMAGES} images of {side} x {side}");
        kernels(&mut text, &title, &launched(device, (training, precision), prior, side)?, &cards);
    }
    Ok(text)
}

fn whole(launched: &[Launched], card: &Gpu) -> f64 {
    launched.iter().map(|one| card.seconds(one).1).sum()
}

/// A row for each kernel.
fn kernels(text: &mut String, title: &str, launched: &[Launched], cards: &[Gpu; 3]) {
    let names: Vec<&str> = cards.iter().map(|card| card.name.as_str()).collect();
    let mut letters = title.chars();
    let title: String = letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect();
    let _ = write!(
        text,
        "\n## {title}\n| kernel | launches | Mflop | MB | limit | us {} |\n|---|---|---|---|---|---|---|---|\n",
        names.join(" | us ")
    );
    for (kernel, total) in totals(launched, cards) {
        let [a, b, c] = [0, 1, 2].map(|i| 1e6 * total.estimates[i]);
        let (launches, limit) = (total.launches, total.limit().word());
        let (mflop, mb) = (1e-6 * total.flop, 1e-6 * total.bytes);
        let _ =
            writeln!(text, "| `{kernel}` | {launches} | {mflop:.2} | {mb:.2} | {limit} | {a:.1} | {b:.1} | {c:.1} |");
    }
}
