//! `cuda-kernels/ROOFLINE.md`: estimates for three cards, of every kernel in what it is launched for.

use super::earlier;
use super::gpu::{Cycles, Gpu, SECONDS_PER_WAIT, SECONDS_TO_ASK_FOR_GRAPH, critical_path, totals, with_lanes};
use super::work::{
    Listed, Outcome, PASSES, Passes, SOLVE_STEPS, Training, VIEWS, algorithm_2, approach, listed, solved,
};
use gradus::backend::cuda::{Device, Launched, Precision};
use gradus::prior::Prior;
use std::fmt::Write as _;
use std::rc::Rc;

pub const SIDES: [usize; 3] = [128, 256, 512];
/// Images of the step of training. Few, so that a listing fits a small device.
const IMAGES: usize = 4;
const SLICES: usize = 32;

type Listing = fn(&Rc<Device>, &Prior, usize) -> Outcome<Listed>;

fn energy_and_score(device: &Rc<Device>, prior: &Prior, side: usize) -> Outcome<Listed> {
    let mut passes = Passes::new(device, prior, side)?;
    listed(device, || PASSES[..2].iter().try_for_each(|pass| passes.run(pass)))
}

fn training(device: &Rc<Device>, prior: &Prior, side: usize) -> Outcome<Listed> {
    let mut training = Training::new(device, prior, side, IMAGES)?;
    listed(device, || training.step())
}

/// The launches of `list` at a precision.
fn at_precision(
    device: &Rc<Device>,
    (list, precision): (Listing, Precision),
    prior: &Prior,
    side: usize,
) -> Outcome<Listed> {
    device.set_precision(precision);
    let launched = list(device, prior, side);
    device.set_precision(Precision::Full);
    launched
}

const WHOLE: [(&str, Listing, Precision); 5] = [
    ("energy and score", energy_and_score, Precision::Full),
    ("energy and score on tensor cores (TF32)", energy_and_score, Precision::Tf32),
    ("iteration of Algorithm 2", algorithm_2, Precision::Full),
    ("level of the default method's approach", approach, Precision::Full),
    ("iteration of the default method", solved, Precision::Full),
];

const INTRODUCTION: &str = "\
# How long the kernels should take
Estimates, not measurements: printed by `cargo run --release --example cuda_roofline -- --table`, which lists the
launches on any driver and makes none of them. Estimated is the critical path (`tests/src/roofline/gpu.rs`): a launch
begins 2 us after the one before it, and takes the longest of the way of its blocks, which wait for memory and issue one
instruction after the other; of the instructions of all blocks; and of its traffic (`src/work/` says what counts,
`SASS.md` what the inner loops are). A wait of the host takes 10 us, and so does it to ask for a graph.";

/// The file, for the given sides; nothing is launched.
pub fn markdown(device: &Rc<Device>, prior: &Prior, sides: &[usize]) -> Outcome<String> {
    let cards = Gpu::cards();
    let mut text = format!(
        "{INTRODUCTION} Prior\n`ellipses`, {VIEWS} views, {SOLVE_STEPS} conjugate gradient steps; the limit is what \
         most of the time goes to.\n\n{}\n",
        earlier::markdown()
    );
    let listings = WHOLE.map(|(name, list, precision)| {
        let of_sides = sides.iter().map(|&side| at_precision(device, (list, precision), prior, side));
        of_sides.collect::<Outcome<Vec<_>>>().map(|listed| (name, listed))
    });
    let mut all = Vec::new();
    for listing in listings {
        all.push(listing?);
    }
    wholes(&mut text, &all, (sides, &cards));
    for (name, of_sides) in &all {
        for (listed, side) in of_sides.iter().zip(sides) {
            kernels(&mut text, &format!("{name}, one slice, {side} x {side}"), &listed.launches, &cards);
        }
    }
    let side = sides[0];
    for (name, precision) in
        [("Step of training", Precision::Full), ("Step of training on tensor cores (TF32)", Precision::Tf32)]
    {
        let title = format!("{name}, {IMAGES} images of {side} x {side}");
        kernels(&mut text, &title, &at_precision(device, (training, precision), prior, side)?.launches, &cards);
    }
    Ok(text)
}

/// The times of everything whole, with the spread of the readings.
fn wholes(text: &mut String, all: &[(&str, Vec<Listed>)], (sides, cards): (&[usize], &[Gpu])) {
    let _ = write!(
        text,
        "## Whole, in ms for one slice / for a slice of {SLICES} in lockstep, and between which numbers the readings \
         lie\n| | card |{}\n|---|---|{}\n",
        sides.iter().map(|side| format!(" {side} x {side} |")).collect::<String>(),
        "---|".repeat(sides.len())
    );
    for ((name, of_sides), card) in all.iter().flat_map(|of| cards.iter().map(move |card| (of, card))) {
        let _ = write!(text, "| {name} | {} |", card.name);
        for listed in of_sides {
            let _ = write!(text, " {} / {} |", whole(listed, card, 1), whole(listed, card, SLICES));
        }
        text.push('\n');
    }
}

/// Milliseconds a slice of so many in lockstep: as first read, and the least and most.
fn whole(listed: &Listed, card: &Gpu, slices: usize) -> String {
    let launches = with_lanes(&listed.launches, slices);
    let ms = Cycles::READINGS.map(|cycles| {
        let card = card.reading(cycles);
        let on_device = critical_path(launches.iter().map(|one| card.seconds(one).1), 0.0);
        let standing_still = SECONDS_TO_ASK_FOR_GRAPH + SECONDS_PER_WAIT * listed.waits as f64;
        1e3 * (on_device + standing_still) / slices as f64
    });
    let (least, most) = ms.iter().fold((f64::MAX, 0.0_f64), |(least, most), ms| (least.min(*ms), most.max(*ms)));
    format!("{:.2} ({least:.2}-{most:.2})", ms[0])
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
