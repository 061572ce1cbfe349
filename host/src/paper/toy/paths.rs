//! Single trajectories, by core's solvers.

use super::experiment::{Algorithm, core_solver};
use gradus_core::toy::Toy;
use gradus_core::{Buffers, SettingsError, drive};
use std::ops::ControlFlow;

/// Starts of the paths that are drawn.
pub const PATH_STARTS: [[f32; 2]; 8] =
    [[-9.0, 8.0], [-4.0, 9.0], [4.0, 8.5], [9.0, 7.0], [-9.0, -5.0], [-5.0, -8.5], [3.5, -8.0], [9.0, -6.0]];

/// The iterates `x_1, x_2, ...` of a trajectory over `len` levels; a rejected step repeats its iterate.
///
/// # Errors
/// When there are no such levels.
pub fn path(algorithm: Algorithm, t_max: f32, len: u32, start: [f32; 2]) -> Result<Vec<[f32; 2]>, SettingsError> {
    let mut solver = core_solver(algorithm, t_max, len)?;
    let mut problem = Toy::new();
    let mut memory = [0.0; Buffers::<Toy>::floats(2)];
    let mut path = vec![start];
    let Ok(mut buffers) = Buffers::new(&mut problem, &mut memory, solver.objective()) else { return Ok(path) };
    if buffers.set_iterate(&start).is_ok() {
        // A number that is not finite would end the path there; there is none in the square of starts.
        let _ = drive(&mut *solver, &mut buffers, |_, buffers| {
            path.extend(<[f32; 2]>::try_from(buffers.iterate()));
            ControlFlow::Continue(())
        });
    }
    Ok(path)
}
