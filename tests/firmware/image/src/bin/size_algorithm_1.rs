//! Flash and RAM of Algorithm 1 with its line search, without buffers or problem.
#![no_std]
#![no_main]

use cortex_m_rt::entry;
use firmware_image::{NoProblem, exit, settings};
use gradus_core::{FlowStep, GraduatedFlow, Request, Solver};

#[entry]
fn main() -> ! {
    static mut SOLVER: Option<GraduatedFlow> = None;
    let Ok((homotopy, candidate, backtracking)) = settings(300) else { exit(false) };
    let Ok(solver) = GraduatedFlow::new(homotopy, FlowStep::LineSearch(candidate, backtracking)) else { exit(false) };
    let solver = SOLVER.insert(solver);
    let mut answers = NoProblem::new(3);
    while !matches!(solver.request(), Request::Done(_)) {
        if solver.answer(answers.answer(solver.request())).is_err() {
            exit(false)
        }
    }
    exit(true)
}
