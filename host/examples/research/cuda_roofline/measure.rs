//! Measurements on a GPU: JSON lines, the most telling first. Times are of the host's clock, from asking to having,
//! and medians; only those of single kernels are the device's.

use gradus::backend::cuda::vector::{Lanes, Vectors};
use gradus::backend::cuda::{Buffer, CudaNetwork, Device, DeviceError, Launched, Precision, devices};
use gradus::prior::Prior;
use gradus_tests::roofline::gpu::{Gpu, Total, totals};
use gradus_tests::roofline::work::{Outcome, TIME, Training};
use serde_json::{Value, json};
use std::rc::Rc;
use std::time::{Duration, Instant};

const PRECISIONS: [Precision; 2] = [Precision::Full, Precision::Tf32];
/// However often a thing is to be repeated, for no longer than this.
const PATIENCE: Duration = Duration::from_millis(1500);
/// Launches that are waited for together, to know what one costs.
const MANY: usize = 500;

pub fn run(parts: &[String]) -> Outcome<()> {
    let wanted = |part: &str| parts.is_empty() || parts.iter().any(|one| one == part || one == "all");
    let begin = Instant::now();
    let device = Device::open(0)?;
    let opened = begin.elapsed();
    if wanted("start") {
        start(&device, opened)?;
    }
    if wanted("costs") {
        costs(&device)?;
    }
    if wanted("passes") {
        passes(&device)?;
    }
    if wanted("kernels") {
        kernels(&device)?;
    }
    if wanted("training") {
        training(&device)?;
    }
    Ok(())
}

/// A list of numbers from the environment.
fn numbers(name: &str, otherwise: &[usize]) -> Outcome<Vec<usize>> {
    let Ok(text) = std::env::var(name) else { return Ok(otherwise.to_vec()) };
    Ok(text.split_whitespace().map(str::parse).collect::<Result<_, _>>()?)
}

/// Median, least and largest milliseconds of `work`, which has been done once before.
fn milliseconds<E>(mut work: impl FnMut() -> Result<(), E>) -> Outcome<Value>
where
    E: std::error::Error + 'static,
{
    let (repeats, begin) = (numbers("REPEATS", &[50])?.into_iter().next().unwrap_or(50), Instant::now());
    work()?;
    let mut times = Vec::new();
    while times.is_empty() || times.len() < repeats && begin.elapsed() < PATIENCE {
        let begin = Instant::now();
        work()?;
        times.push(1e3 * begin.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    Ok(json!({ "ms": times[times.len() / 2], "least": times[0], "most": times[times.len() - 1], "n": times.len() }))
}

fn say(what: &str, found: Value) {
    let mut line = json!({ "measured": what });
    if let (Some(line), Value::Object(found)) = (line.as_object_mut(), found) {
        line.extend(found);
    }
    println!("{line}");
}

/// From nothing to the first result.
fn start(device: &Rc<Device>, opened: Duration) -> Outcome<()> {
    let begin = Instant::now();
    let mut passes = Passes::new(device, &Prior::named("ellipses")?, numbers("SIDES", &[128])?[0], 1)?;
    let made = begin.elapsed();
    let begin = Instant::now();
    passes.energy_and_score()?;
    let first = begin.elapsed();
    let [open_s, network_s, first_pass_s] = [opened, made, first].map(|time| time.as_secs_f64());
    say("start", json!({ "open_s": open_s, "network_s": network_s, "first_pass_s": first_pass_s }));
    Ok(())
}

/// Of a launch, a copy and a wait, in microseconds.
fn costs(device: &Rc<Device>) -> Outcome<()> {
    let (lanes, vectors) = (Lanes::new(device, 1)?, Vectors::new(device, 1)?);
    let (mut from, to) = (Buffer::of(device, &[1.0; 64])?, Buffer::<f32>::new(device, 64)?);
    let launch = || vectors.copy(&lanes, 64, (1.0, from.address()), to.address());
    let many = milliseconds(|| {
        (0..MANY).try_for_each(|_| launch())?;
        device.synchronise()
    })?;
    let one = milliseconds(|| {
        launch()?;
        device.synchronise()
    })?;
    let wait = milliseconds(|| device.synchronise())?;
    let up = milliseconds(|| {
        (0..MANY).try_for_each(|_| from.upload(0, &[2.0; 64]))?;
        device.synchronise()
    })?;
    let down = milliseconds(|| to.download(0, &mut [0.0; 64]))?;
    let us = |found: &Value, n: usize| 1e3 * found["ms"].as_f64().unwrap_or(f64::NAN) / n as f64;
    say(
        "costs",
        json!({
            "launch_us": us(&many, MANY), "launch_and_wait_us": us(&one, 1), "wait_us": us(&wait, 1),
            "upload_us": us(&up, MANY), "download_us": us(&down, 1),
        }),
    );
    Ok(())
}

/// Some images' energies and scores.
struct Passes {
    device: Rc<Device>,
    lanes: Lanes,
    levels: Vec<(usize, f32)>,
    network: CudaNetwork,
    images: Buffer<f32>,
    scores: Buffer<f32>,
}

impl Passes {
    fn new(device: &Rc<Device>, prior: &Prior, side: usize, n: usize) -> Outcome<Self> {
        let mut lanes = Lanes::new(device, n)?;
        lanes.set(&(0..n).collect::<Vec<_>>())?;
        let images: Vec<f32> = (0..n * side * side).map(|i| (i % 97) as f32 / 97.0).collect();
        Ok(Self {
            device: Rc::clone(device),
            lanes,
            levels: (0..n).map(|lane| (lane, TIME)).collect(),
            network: CudaNetwork::new(device, prior, (side, side), n)?,
            images: Buffer::of(device, &images)?,
            scores: Buffer::new(device, images.len())?,
        })
    }

    fn ask(&mut self) -> Result<(), DeviceError> {
        self.network.forward(&self.lanes, &self.levels, self.images.address())?;
        self.network.vjp(&self.lanes, self.network.h(), self.scores.address())
    }

    fn energy_and_score(&mut self) -> Result<(), DeviceError> {
        self.ask()?;
        self.device.synchronise()
    }
}

/// Energy and score of some images at once; first of one.
fn passes(device: &Rc<Device>) -> Outcome<()> {
    let (sides, ellipses) = (numbers("SIDES", &[128, 256, 512])?, Prior::named("ellipses")?);
    for n in numbers("LANES", &[1, 8, 32])? {
        for precision in PRECISIONS {
            device.set_precision(precision);
            for &side in &sides {
                pass(device, ("ellipses", &ellipses), side, n)?;
            }
            if n == 1 {
                pass(device, ("ct", &Prior::named("ct")?), sides[sides.len() / 2], n)?;
            }
        }
    }
    device.set_precision(Precision::Full);
    Ok(())
}

fn pass(device: &Rc<Device>, (name, prior): (&str, &Prior), side: usize, n: usize) -> Outcome<()> {
    let mut found = json!({ "prior": name, "side": side, "images": n, "precision": device.precision() });
    let times = Passes::new(device, prior, side, n).and_then(|mut passes| {
        let before = device.traffic();
        passes.energy_and_score()?;
        found["launches"] = (device.traffic().launches - before.launches).into();
        milliseconds(|| passes.energy_and_score())
    });
    let image = |ms: &Value| ms.as_f64().map(|ms| ms / n as f64);
    match times {
        Ok(times) => {
            found["ms_an_image"] = image(&times["ms"]).into();
            found["times"] = times;
        }
        Err(error) => found["failed"] = error.to_string().into(),
    }
    say("energy and score", found);
    Ok(())
}

/// Each kernel of energy and score, alone: one line a size.
fn kernels(device: &Rc<Device>) -> Outcome<()> {
    let gpu = Gpu::of(&devices()?.into_iter().next().ok_or("no device")?);
    let (sides, ellipses) = (numbers("SIDES", &[128, 256, 512])?, Prior::named("ellipses")?);
    let of_several = numbers("LANES", &[1, 32])?.into_iter().max().unwrap_or(1);
    for (side, n, precision) in sides
        .iter()
        .map(|&side| (side, 1, Precision::Full))
        .chain([(sides[0], of_several, Precision::Full), (sides[0], 1, Precision::Tf32)])
    {
        device.set_precision(precision);
        let mut passes = Passes::new(device, &ellipses, side, n)?;
        passes.energy_and_score()?;
        let launched = device.profiled(|| passes.ask())?;
        device.set_precision(Precision::Full);
        let found = json!({
            "side": side, "images": n, "precision": precision, "launches": launched.len(),
            "us": launched.iter().filter_map(|one| one.seconds).sum::<f64>() * 1e6,
            "kernels": of_kernels(&launched, &gpu),
        });
        say("kernels", found);
    }
    Ok(())
}

/// Those that take most come first: name, launches, microseconds of all, and the least that they should take.
fn of_kernels(launched: &[Launched], gpu: &Gpu) -> Vec<Value> {
    let mut rows: Vec<(&str, Total)> = totals(launched, std::slice::from_ref(gpu)).into_iter().collect();
    rows.sort_by(|a, b| b.1.seconds.unwrap_or(0.0).total_cmp(&a.1.seconds.unwrap_or(0.0)));
    let us = |seconds: f64| (1e7 * seconds).round() / 10.0;
    rows.iter()
        .map(|(name, total)| json!([name, total.launches, total.seconds.map(us), us(total.estimates[0])]))
        .collect()
}

/// Steps of training by the loss of score matching, on images of the smallest side.
fn training(device: &Rc<Device>) -> Outcome<()> {
    let (side, ellipses) = (numbers("SIDES", &[128])?[0], Prior::named("ellipses")?);
    for n in numbers("IMAGES", &[4, 16, 32])? {
        for precision in PRECISIONS {
            device.set_precision(precision);
            let mut training = Training::new(device, &ellipses, side, n)?;
            let times = milliseconds(|| training.step())?;
            say("training step", json!({ "side": side, "images": n, "precision": precision, "times": times }));
        }
    }
    device.set_precision(Precision::Full);
    Ok(())
}
