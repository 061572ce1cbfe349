//! A loop of your own around the solver, as firmware has it: `cargo run --release --example firmware_loop`.
//!
//! The solver holds scalars only. It says what it needs, and waits for as long as that takes: the vectors may be in
//! static memory, on a GPU or behind a DMA engine. Nothing in `trajectory` needs a heap or `std`. Its state may be
//! saved at any request.
#![allow(missing_docs)]

use gradus_core::toy::{Toy, gradient_like, has_reached_minimiser};
use gradus_core::{Buffers, BuffersError, Evaluator, GradientLike, Request, Solver, Status};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Runs the paper's experiment in the plane from a start; the end and the last iterate.
fn trajectory(start: [f32; 2]) -> Outcome<(Status, [f32; 2])> {
    let mut solver = gradient_like(1.0, 1300)?;
    let mut problem = Toy::new();
    let mut memory = [0.0; Buffers::<Toy>::floats(2)];
    let mut buffers = Buffers::new(&mut problem, &mut memory, solver.objective())?;
    buffers.set_iterate(&start)?;
    loop {
        let answer = match solver.request() {
            Request::Done(status) => {
                let mut x = [0.0; 2];
                x.copy_from_slice(buffers.iterate());
                return Ok((status, x));
            }
            // Start the transfer here, return to other work, and come back when it is done.
            request => buffers.answer(request).map_err(|error: BuffersError<_>| error.to_string())?,
        };
        if let Some(record) = solver.answer(answer)?
            && record.iteration % 500 == 0
        {
            println!("level {:4}, t = {:.3}: {:?}", record.iteration, record.t, record.outcome);
            // Saved and loaded, as around a loss of power: the run goes on with the same bits.
            solver = GradientLike::from_bytes(&solver.to_bytes())?;
        }
    }
}

fn main() -> Outcome<()> {
    for start in [[0.0, 3.0], [-5.0, 5.0]] {
        let (status, x) = trajectory(start)?;
        println!("{status} at {x:?}; the global minimum: {}", has_reached_minimiser(&x));
    }
    println!("state: {} bytes", GradientLike::BYTES);
    Ok(())
}
