//! Times of kernels on a GPU by estimate, and measured where there is one:
//!
//! ```text
//! cargo run --release --example cuda_roofline -- --table    estimates: cuda-kernels/ROOFLINE.md
//! cargo run --release --example cuda_roofline -- PART...    measures: start, costs, passes, kernels, training; or all
//! ```
//!
//! `gpu.rs` (in `tests/src/roofline`) says how it estimates, `earlier.rs` how that was held against measured times,
//! `measure.rs` what is measured: one JSON line as each is known. `SIDES`, `LANES` and `IMAGES` in the environment
//! are lists of numbers in place of the usual ones, `REPEATS` how often each thing is measured. Either needs a driver;
//! the tests' stand-in will do (`tests/cuda-stand-in`), whose times say nothing.
#![allow(missing_docs)]

mod measure;

use gradus::backend::cuda::Device;
use gradus::prior::Prior;
use gradus_tests::roofline::table;
use gradus_tests::roofline::work::Outcome;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == "--table") {
        let prior = Prior::named("ellipses")?;
        print!("{}", table::markdown(&Device::open(0)?, &prior, &table::SIDES)?);
        return Ok(());
    }
    measure::run(&arguments)
}
