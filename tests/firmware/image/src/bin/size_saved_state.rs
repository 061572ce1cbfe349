//! Flash of Algorithm 2 with its state saved and restored before every answer.
#![no_std]
#![no_main]

use core::hint::black_box;
use cortex_m_rt::entry;
use firmware_image::{NoProblem, exit, settings};
use gradus_core::{GradientLike, Request, Solver};

#[entry]
fn main() -> ! {
    static mut SOLVER: Option<GradientLike> = None;
    let Ok((homotopy, candidate, backtracking)) = settings(300) else { exit(false) };
    let Ok(solver) = GradientLike::new(homotopy, candidate, backtracking, 0.0) else { exit(false) };
    let solver = SOLVER.insert(solver);
    let mut answers = NoProblem::new(3);
    while !matches!(solver.request(), Request::Done(_)) {
        let Ok(restored) = GradientLike::from_bytes(&black_box(solver.to_bytes())) else { exit(false) };
        *solver = restored;
        if solver.answer(answers.answer(solver.request())).is_err() {
            exit(false)
        }
    }
    exit(true)
}
