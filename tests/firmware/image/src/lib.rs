//! The part that all images share: a panic handler that nothing calls, and inputs that the compiler cannot see.
#![no_std]

use core::hint::black_box;
use cortex_m_semihosting::debug;
use gradus_core::{
    Answer, Backtracking, Directional, Homotopy, PerturbationKernel, RegularisationWeight, Request, Schedule,
    ScheduleError, Solved, Spacing, StepCandidate,
};

/// Never called: the checks find no panic in the image. It would end the run in failure.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    exit(false)
}

/// Leaves QEMU with exit code 0 or 1.
pub fn exit(success: bool) -> ! {
    debug::exit(if success { debug::EXIT_SUCCESS } else { debug::EXIT_FAILURE });
    loop {
        cortex_m::asm::wfi();
    }
}

/// Settings of which any may be chosen at run time, as far as the compiler knows.
///
/// # Errors
/// Never: the schedule is possible.
pub fn settings(n_levels: u32) -> Result<(Homotopy, StepCandidate, Backtracking), ScheduleError> {
    let weight = RegularisationWeight::NoiseToSignal { alpha: 2.0, early: 0.0, kernel: PerturbationKernel::VP };
    let schedule = Schedule::new(black_box(Spacing::Logarithmic), black_box(1.0), black_box(0.01), n_levels)?;
    let homotopy = Homotopy { schedule, weight: black_box(weight) };
    Ok((homotopy, black_box(StepCandidate::BARZILAI_BORWEIN), black_box(Backtracking::DEFAULT)))
}

/// Answers as from a problem, but without one: directions that descend, trials of which only the shortest of `n_trials`
/// passes, and updates.
#[derive(Debug)]
pub struct NoProblem {
    n_trials: u32,
    asked: u32,
}

impl NoProblem {
    /// A line search takes `n_trials` trials, at least 1.
    pub const fn new(n_trials: u32) -> Self {
        Self { n_trials, asked: 0 }
    }

    /// The answer to `request` of a method that solves no linear system.
    pub fn answer(&mut self, request: Request) -> Answer {
        let answer = match request {
            Request::Direction { .. } => self.direction(),
            Request::Change { step } => {
                self.asked = self.asked.wrapping_add(1);
                Answer::Change(if self.asked < self.n_trials { step } else { -step })
            }
            _ => Answer::Ready,
        };
        black_box(answer)
    }

    /// The answer to `request` of any method.
    pub fn answer_any(&mut self, request: Request) -> Answer {
        match request {
            Request::Solve { .. } => black_box(Answer::Solved(Solved { initial_square: 4.0, residual_square: 1.0 })),
            Request::Products => black_box(self.direction()),
            _ => self.answer(request),
        }
    }

    fn direction(&mut self) -> Answer {
        self.asked = 0;
        Answer::Direction(Directional {
            gradient_norm_sq: 4.0,
            slope: -1.0,
            direction_norm_sq: 2.0,
            previous_dot_difference: 1.0,
            difference_norm_sq: 3.0,
        })
    }
}
