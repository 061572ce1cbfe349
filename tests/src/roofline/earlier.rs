//! The estimate held against measured times: of earlier kernels (`earlier.txt`), since the present ones have run on no
//! GPU.

use super::code::Code;
use super::gpu::{Cycles, Gpu, SECONDS_TO_ASK, critical_path};
use gradus::backend::cuda::Launched;
use gradus_cuda_kernels::{Launch, Work};
use std::collections::HashMap;
use std::fmt::Write as _;

const EARLIER: &str = include_str!("earlier.txt");

/// Work whose time was measured, and its launches.
#[derive(Debug)]
pub struct Measured {
    pub name: &'static str,
    pub ms: f64,
    launches: Vec<(Launched, Code)>,
}

impl Measured {
    /// All that was measured.
    pub fn all() -> Vec<Self> {
        let (mut codes, mut all) = (HashMap::new(), Vec::<Self>::new());
        for line in EARLIER.lines().filter(|line| !line.starts_with('#')) {
            let words: Vec<&'static str> = line.split(' ').collect();
            let number = |at: usize| words.get(at).and_then(|word| word.parse::<f64>().ok()).unwrap_or(f64::NAN);
            match words[..] {
                ["kernel", kernel, ..] => {
                    let [registers, shared_bytes, instructions, multiply_adds, shared_loads] =
                        [2, 3, 4, 5, 6].map(number);
                    let (products, wide_loads, compensation) = (0.0, 0.0, 1.0);
                    let code = Code {
                        registers,
                        shared_bytes,
                        instructions,
                        multiply_adds,
                        products,
                        shared_loads,
                        wide_loads,
                        compensation,
                    };
                    codes.insert(kernel, code);
                }
                ["measured", ..] => {
                    let name = line.split_once(": ").map_or(line, |(_, name)| name);
                    all.push(Self { name, ms: number(1), launches: Vec::new() });
                }
                [_, kernel, ..] => {
                    let launch = Launch { grid: [number(2) as usize, 1, 1], threads: number(3) as u32 };
                    let (flop, bytes, waits) = (number(4), number(5), number(6));
                    let work = Work { flop, bytes, waits, prefetched: 0.0, exchanges: 0.0, last: 0.0 };
                    let one = (Launched { kernel, launch, work, seconds: None }, codes[kernel]);
                    let of_kind = std::iter::repeat_n(one, number(0) as usize);
                    all.last_mut().into_iter().for_each(|measured| measured.launches.extend(of_kind.clone()));
                }
                _ => {}
            }
        }
        all
    }

    /// The estimate of it, by one reading of the measurements.
    pub fn estimate_ms(&self, cycles: Cycles) -> f64 {
        let gpu = Gpu::h200().reading(cycles);
        1e3 * critical_path(self.launches.iter().map(|(one, code)| gpu.seconds_of(one, *code).1), SECONDS_TO_ASK)
    }
}

/// A table of them.
pub fn markdown() -> String {
    let mut text = String::from(
        "## Held against measurements\nOf earlier kernels on an H200 at 1980 MHz, launched one by one \
         (`tests/src/roofline/earlier.txt`). The cycles of a wait\nand from an instruction to the next were chosen so \
         that the first three times come out; the fourth is a test of it.\nSeveral pairs do as well: three readings of \
         the same measurements, whose spread is the doubt in all estimates below.\n\n\
         | | measured ms |",
    );
    for Cycles { wait, instruction } in Cycles::READINGS {
        let _ = write!(text, " {wait} and {instruction} cycles |");
    }
    let _ = write!(text, "\n|---|---|{}\n", "---|".repeat(Cycles::READINGS.len()));
    for measured in Measured::all() {
        let _ = write!(text, "| {} | {:.2} |", measured.name, measured.ms);
        for cycles in Cycles::READINGS {
            let ms = measured.estimate_ms(cycles);
            let _ = write!(text, " {ms:.2} ({:+.0} %) |", 100.0 * (ms / measured.ms - 1.0));
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bound within which an estimate may be quoted.
    #[test]
    fn measured_times_are_explained() {
        let all = Measured::all();
        assert_eq!(all.iter().map(|one| one.launches.len()).collect::<Vec<_>>(), [213, 213, 213, 659]);
        for (measured, cycles) in all.iter().flat_map(|one| Cycles::READINGS.map(|cycles| (one, cycles))) {
            let ratio = measured.estimate_ms(cycles) / measured.ms;
            assert!((ratio - 1.0).abs() < 0.25, "{}: {ratio:.2} of the measured time by {cycles:?}", measured.name);
        }
    }

    #[test]
    fn a_stream_waits_for_its_host_and_for_itself() {
        assert!((critical_path([3.0, 3.0, 3.0], 1.0) - 10.0).abs() < 1e-12);
        assert!((critical_path([1.0, 1.0, 1.0], 2.0) - 7.0).abs() < 1e-12);
        assert!((critical_path([1.0, 5.0, 1.0], 2.0) - 10.0).abs() < 1e-12);
    }
}
