//! The time of launches on a GPU, by estimate: their critical path.
//!
//! A launch has its blocks in waves, as many at a time as the card holds. A wave takes the longer of two: the way of a
//! block, which waits for memory ([`gradus_cuda_kernels::Work`] says how often) and issues its instructions one after
//! the other; and the instructions of all blocks that share a multiprocessor. What the last block does alone comes on
//! top. Launches of a stream follow each other, and none begins before the host has asked for it. `earlier.rs` holds
//! this against measured times.

use super::code::Code;
use gradus::backend::cuda::{Description, Launched};
use std::collections::BTreeMap;

/// From the end of a launch to the beginning of the next.
const SECONDS_PER_LAUNCH: f64 = 2e-6;
/// For the host to ask for a launch, and for a graph of any number of them.
pub const SECONDS_TO_ASK: f64 = 4e-6;
pub const SECONDS_TO_ASK_FOR_GRAPH: f64 = 10e-6;
/// For the host to wait for what is done already and to ask for more, while the device stands still.
pub const SECONDS_PER_WAIT: f64 = 10e-6;
/// The room of a multiprocessor: registers, threads, blocks.
const REGISTERS: f64 = 65_536.0;
const THREADS: f64 = 2_048.0;
const BLOCKS: f64 = 32.0;
/// Of a warp's product on tensor cores, 16 x 8 x 8.
const FLOP_OF_PRODUCT: f64 = 2_048.0;
/// Of each block, for the driver.
const SHARED_BYTES_OF_DRIVER: f64 = 1_024.0;

/// Cycles that the way of a block is made of.
#[derive(Debug, Clone, Copy)]
pub struct Cycles {
    /// A wait for memory, with the arithmetic of addresses and the barrier around it.
    pub wait: f64,
    /// From an instruction of a warp to its next.
    pub instruction: f64,
}

impl Cycles {
    /// Readings of the measured times of `earlier.rs`: the first explains them, and so do the others, about as well,
    /// since kernels that wait more also compute more.
    pub const READINGS: [Self; 3] = [
        Self { wait: 1_300.0, instruction: 5.0 },
        Self { wait: 600.0, instruction: 7.0 },
        Self { wait: 2_300.0, instruction: 2.5 },
    ];
    /// Of a wait that a block spends computing: the part for which it cannot, since all its warps meet at a barrier and
    /// write what has come. Likewise where they write what they have computed.
    const AT_BARRIER: f64 = 1.0 / 3.0;

    /// The way of a block.
    fn way(self, one: &Launched, instructions: f64) -> f64 {
        let (waits, prefetched) = (self.wait * one.work.waits, self.wait * one.work.prefetched);
        let computing = self.instruction * instructions;
        let at_barriers = Self::AT_BARRIER * (prefetched + self.wait * one.work.exchanges);
        waits + at_barriers + computing.max((1.0 - Self::AT_BARRIER) * prefetched)
    }
}

/// Peaks of a GPU.
#[derive(Debug, Clone)]
pub struct Gpu {
    pub name: String,
    /// The section of SASS.md that comes nearest to it.
    architecture: u32,
    hertz: f64,
    /// f32 multiply-adds at 2 flop each.
    flop_per_s: f64,
    /// TF32 on the tensor cores of a multiprocessor.
    tensor_flop_per_cycle: f64,
    bytes_per_s: f64,
    multiprocessors: f64,
    shared_bytes: f64,
    pub cycles: Cycles,
}

impl Gpu {
    /// From what a driver says: its highest clocks, and what multiprocessors of the compute capability do in a cycle.
    pub fn of(found: &Description) -> Self {
        // TF32 by NVIDIA's data sheets is 1024, 2048 and 4096 flop a cycle. Of that, the products of single warps (mma)
        // reach five eighths on Hopper; on Blackwell nothing is published, and they are taken for Ampere's.
        let (lanes, tensor, shared_kilobytes) = match found.capability {
            (8, 0) => (64.0, 1024.0, 164.0),
            (9, _) => (128.0, 1280.0, 228.0),
            (10, _) => (128.0, 1024.0, 228.0),
            _ => (128.0, 256.0, 100.0),
        };
        let (hertz, multiprocessors) = (f64::from(found.clocks_khz.0) * 1e3, f64::from(found.multiprocessors));
        Self {
            name: found.name.clone(),
            architecture: match found.capability.0 {
                8 => 80,
                9 => 90,
                _ => 100,
            },
            hertz,
            flop_per_s: 2.0 * lanes * multiprocessors * hertz,
            tensor_flop_per_cycle: tensor,
            // Twice a clock.
            bytes_per_s: 2.0 * f64::from(found.clocks_khz.1) * 1e3 * f64::from(found.memory_bus_bits) / 8.0,
            multiprocessors,
            shared_bytes: 1024.0 * shared_kilobytes,
            cycles: Cycles::READINGS[0],
        }
    }

    /// The card of a name, with its maker's clocks.
    fn card(
        name: &str,
        capability: (i32, i32),
        multiprocessors: i32,
        clocks_khz: (i32, i32),
        memory_bus_bits: i32,
    ) -> Self {
        let (name, memory) = (name.to_owned(), 0);
        let (ordinal, clocks_khz) = (0, clocks_khz);
        Self::of(&Description { ordinal, name, capability, memory, multiprocessors, clocks_khz, memory_bus_bits })
    }

    /// Cards of the three architectures.
    pub fn cards() -> [Self; 3] {
        [
            Self::card("A100", (8, 0), 108, (1_410_000, 1_215_000), 5120),
            Self::card("H100", (9, 0), 132, (1_980_000, 2_619_000), 5120),
            Self::card("B200", (10, 0), 148, (1_965_000, 3_906_000), 8192),
        ]
    }

    /// The card of which there are measurements.
    pub fn h200() -> Self {
        Self::card("H200", (9, 0), 132, (1_980_000, 3_201_000), 6144)
    }

    /// The same with another reading of the measurements.
    pub fn reading(&self, cycles: Cycles) -> Self {
        Self { cycles, ..self.clone() }
    }

    /// The limit of a launch, and its seconds.
    pub fn seconds(&self, one: &Launched) -> (Limit, f64) {
        self.seconds_of(one, Code::of(self.architecture, one.kernel))
    }

    /// The same of a kernel with that code.
    pub fn seconds_of(&self, one: &Launched, code: Code) -> (Limit, f64) {
        let (blocks, threads) = (one.launch.n_blocks(), f64::from(one.launch.threads));
        let held = (REGISTERS / (code.registers.max(16.0) * threads))
            .min(self.shared_bytes / (code.shared_bytes + SHARED_BYTES_OF_DRIVER))
            .min(THREADS / threads)
            .min(BLOCKS);
        let held = held.floor().max(1.0).min((blocks / self.multiprocessors).ceil());
        let waves = (blocks / (self.multiprocessors * held)).ceil();
        let issued = code.issued_for(one.work.flop / 2.0 / one.launch.n_threads());
        // Four schedulers issue one instruction of a warp each, and one load from shared memory is served, a cycle.
        let products = issued.products * FLOP_OF_PRODUCT / self.tensor_flop_per_cycle;
        let all = held * threads / 32.0 * (issued.instructions / 4.0).max(issued.shared_cycles).max(products);
        let way = self.cycles.way(one, issued.instructions);
        let tensor_flop_per_s = self.tensor_flop_per_cycle / code.compensation * self.multiprocessors * self.hertz;
        let peak = if code.is_on_tensor_cores() { tensor_flop_per_s } else { self.flop_per_s };
        let limits = [
            (Limit::Waits, (waves * way + one.work.last * self.cycles.wait) / self.hertz),
            (Limit::Arithmetic, (waves * all / self.hertz).max(one.work.flop / peak)),
            (Limit::Memory, one.work.bytes / self.bytes_per_s),
        ];
        let most = limits.into_iter().fold((Limit::Launch, 0.0), |most, one| if one.1 > most.1 { one } else { most });
        (if most.1 > SECONDS_PER_LAUNCH { most.0 } else { Limit::Launch }, most.1 + SECONDS_PER_LAUNCH)
    }
}

/// The end of the last launch of a stream, each of which takes its seconds: none begins before the one before it has
/// ended, nor before the host, which asks for one after the other, has asked for it.
pub fn critical_path(seconds: impl IntoIterator<Item = f64>, to_ask: f64) -> f64 {
    let of_launch = |(asked, end): (f64, f64), seconds: f64| (asked + to_ask, (asked + to_ask).max(end) + seconds);
    seconds.into_iter().fold((0.0, 0.0), of_launch).1
}

/// The use of most of a launch's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Limit {
    /// Memory, and instructions before, of each block by itself.
    Waits,
    Arithmetic,
    Memory,
    /// It is so small that starting it takes longer.
    Launch,
}

impl Limit {
    pub fn word(self) -> &'static str {
        match self {
            Self::Waits => "waits",
            Self::Arithmetic => "arithmetic",
            Self::Memory => "memory",
            Self::Launch => "launch",
        }
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
