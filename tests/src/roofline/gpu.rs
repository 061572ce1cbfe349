//! What GPUs do at most, and how long a launch takes at least.

use gradus::backend::cuda::{Description, Launched};
use std::collections::BTreeMap;

/// For a launch to begin, about; a measured H100 takes more for small kernels, which wait for each other as well.
const SECONDS_PER_LAUNCH: f64 = 2e-6;
/// Warps that keep a multiprocessor's units busy.
const WARPS_PER_MULTIPROCESSOR: f64 = 8.0;
/// Multiply-adds of a thread's HMMA over those of its FFMA.
const HMMA: f64 = 32.0;
/// What ptxas made of the kernels.
const SASS: &str = include_str!("../../../cuda-kernels/SASS.md");

/// Peaks of a GPU.
#[derive(Debug, Clone)]
pub struct Gpu {
    pub name: String,
    /// The section of SASS.md that comes nearest to it.
    architecture: u32,
    /// f32 multiply-adds at 2 flop each.
    flop_per_s: f64,
    /// The same if every instruction that can be issued were one.
    issue_flop_per_s: f64,
    /// TF32 on tensor cores.
    tensor_flop_per_s: f64,
    bytes_per_s: f64,
    multiprocessors: f64,
}

impl Gpu {
    /// From what a driver says: its highest clocks, and what multiprocessors of the compute capability do in a cycle.
    pub fn of(found: &Description) -> Self {
        let (lanes, tensor) = match found.capability {
            (8, 0) => (64.0, 1024.0),
            (9, _) => (128.0, 2048.0),
            (10, _) => (128.0, 4096.0),
            _ => (128.0, 256.0),
        };
        let clocks = f64::from(found.multiprocessors) * f64::from(found.clocks_khz.0) * 1e3;
        Self {
            name: found.name.clone(),
            architecture: match found.capability.0 {
                8 => 80,
                9 => 90,
                _ => 100,
            },
            flop_per_s: 2.0 * lanes * clocks,
            // Four schedulers, each an instruction of 32 threads a cycle.
            issue_flop_per_s: 256.0 * clocks,
            tensor_flop_per_s: tensor * clocks,
            // Twice a clock.
            bytes_per_s: 2.0 * f64::from(found.clocks_khz.1) * 1e3 * f64::from(found.memory_bus_bits) / 8.0,
            multiprocessors: f64::from(found.multiprocessors),
        }
    }

    /// Cards of the three architectures, with their makers' clocks.
    pub fn cards() -> [Self; 3] {
        let card = |name: &str, capability, multiprocessors, clocks_khz, memory_bus_bits| {
            let (name, memory) = (name.to_owned(), 0);
            Self::of(&Description {
                ordinal: 0,
                name,
                capability,
                memory,
                multiprocessors,
                clocks_khz,
                memory_bus_bits,
            })
        };
        [
            card("A100", (8, 0), 108, (1_410_000, 1_215_000), 5120),
            card("H100", (9, 0), 132, (1_980_000, 2_619_000), 5120),
            card("B200", (10, 0), 148, (1_965_000, 3_906_000), 8192),
        ]
    }

    /// What limits a launch, and its seconds: arithmetic at the rate that the inner loop allows, less where there are
    /// too few warps to fill the device; or memory; and the launch itself.
    pub fn seconds(&self, one: &Launched) -> (Limit, f64) {
        let loops = InnerLoop::of(self.architecture, one.kernel);
        let peak = if loops.on_tensor_cores { self.tensor_flop_per_s } else { self.flop_per_s };
        let issued = self.issue_flop_per_s * loops.share * if loops.on_tensor_cores { HMMA } else { 1.0 };
        let warps = one.launch.n_threads() / 32.0;
        let filled = (warps / (self.multiprocessors * WARPS_PER_MULTIPROCESSOR)).min(1.0);
        // Where no loop multiplies, only memory says anything.
        let rate = if issued > 0.0 { peak.min(issued) * filled } else { f64::INFINITY };
        let (computing, moving) = (one.work.flop / rate, one.work.bytes / self.bytes_per_s);
        let (limit, most) = if computing > moving { (Limit::Arithmetic, computing) } else { (Limit::Memory, moving) };
        (if most > SECONDS_PER_LAUNCH { limit } else { Limit::Launch }, most + SECONDS_PER_LAUNCH)
    }
}

/// What a launch waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Limit {
    Arithmetic,
    Memory,
    /// It is so small that starting it takes longer.
    Launch,
}

impl Limit {
    pub fn word(self) -> &'static str {
        match self {
            Self::Arithmetic => "arithmetic",
            Self::Memory => "memory",
            Self::Launch => "launch",
        }
    }
}

/// The busiest loop of a kernel, as SASS.md has it.
struct InnerLoop {
    /// Of multiply-adds among its instructions.
    share: f64,
    on_tensor_cores: bool,
}

impl InnerLoop {
    fn of(architecture: u32, kernel: &str) -> Self {
        let section = SASS.split("\n## sm_").find(|section| section.starts_with(&format!("{architecture}\n")));
        let row = section.and_then(|text| text.lines().find(|line| line.starts_with(&format!("| `{kernel}` |"))));
        let cells: Vec<&str> = row.into_iter().flat_map(|row| row.split(" | ").map(str::trim)).collect();
        let number = |at: usize| cells.get(at).and_then(|cell| cell.parse::<f64>().ok()).unwrap_or(0.0);
        Self { share: number(7), on_tensor_cores: number(6) > 0.0 }
    }
}

/// All launches of one kernel together.
#[derive(Debug, Clone, Default)]
pub struct Total {
    pub launches: usize,
    pub flop: f64,
    pub bytes: f64,
    /// Estimated, on each of some GPUs.
    pub estimates: Vec<f64>,
    /// Seconds by what limits them, on all of these.
    pub limits: BTreeMap<Limit, f64>,
    /// Measured, where the launches were made.
    pub seconds: Option<f64>,
}

impl Total {
    pub fn limit(&self) -> Limit {
        self.limits.iter().max_by(|a, b| a.1.total_cmp(b.1)).map_or(Limit::Launch, |(limit, _)| *limit)
    }
}

/// Sums by kernel.
pub fn totals(launched: &[Launched], gpus: &[Gpu]) -> BTreeMap<&'static str, Total> {
    let mut totals = BTreeMap::<_, Total>::new();
    for one in launched {
        let total = totals.entry(one.kernel).or_default();
        total.launches += 1;
        total.flop += one.work.flop;
        total.bytes += one.work.bytes;
        total.estimates.resize(gpus.len(), 0.0);
        for (sum, gpu) in total.estimates.iter_mut().zip(gpus) {
            let (limit, seconds) = gpu.seconds(one);
            *sum += seconds;
            *total.limits.entry(limit).or_default() += seconds;
        }
        total.seconds = one.seconds.map(|seconds| total.seconds.unwrap_or(0.0) + seconds);
    }
    totals
}

/// The same launches with `n` times the lanes.
pub fn with_lanes(launched: &[Launched], n: usize) -> Vec<Launched> {
    let mut wider = launched.to_vec();
    for one in &mut wider {
        one.launch.grid[2] *= n;
        one.work.flop *= n as f64;
        one.work.bytes *= n as f64;
    }
    wider
}
