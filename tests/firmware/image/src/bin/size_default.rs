//! Flash and RAM of the default method, without buffers or problem.
#![no_std]
#![no_main]

use core::hint::black_box;
use cortex_m_rt::entry;
use firmware_image::{NoProblem, exit, settings};
use gradus_core::{Effort, PerturbationKernel, Preconditioned, Request, Solver};

#[entry]
fn main() -> ! {
    static mut SOLVER: Option<Preconditioned> = None;
    let Ok((homotopy, _, backtracking)) = settings(300) else { exit(false) };
    let kernel = black_box(PerturbationKernel::VP);
    let effort = Effort::fixed(black_box(4));
    let Ok(solver) = Preconditioned::new(homotopy, kernel, effort, backtracking, 0.0) else { exit(false) };
    let solver = SOLVER.insert(solver.with_approach(black_box(100)));
    let mut answers = NoProblem::new(3);
    while !matches!(solver.request(), Request::Done(_)) {
        if solver.answer(answers.answer_any(solver.request())).is_err() {
            exit(false)
        }
    }
    exit(true)
}
