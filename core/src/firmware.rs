//! Costs of the solver on a microcontroller, and the way to bring your own scanner.
//!
//! This page has no code. `tests/firmware/` in the repository is a complete image for a Cortex-M4F; its `run.sh`
//! builds it, runs it in QEMU, compares each accepted step with a desktop, bit for bit, and prints the table below.
//! That table is the one checked in: a growth of more than 2 % fails.
//!
//! # What it costs
#![doc = include_str!("firmware_figures.md")]
//!
//! Measured on thumbv7em-none-eabihf at `opt-level = "s"` with link-time optimisation, instructions counted by QEMU
//! (`-icount shift=0`, to 40 instructions). Flash is what an image grows by over start-up code alone; parts of `libm`
//! that two rows share are counted in both.
//!
//! **Not in the image:** panics, a heap, soft-float `f64`, formatting. `Display` of the errors costs flash only where
//! it is called.
//!
//! # RAM
//! | what | bytes |
//! |---|---|
//! | solver | see above; `Copy`, no pointers |
//! | [`Buffers`](crate::Buffers) | 16 a pixel: `x`, `grad f`, `d`, the previous `d` |
//! | [`Buffers::with_solve`](crate::Buffers::with_solve) | 12 a pixel more, for the default method |
//! | your operator | as you like; the 32 x 32 image of the tests keeps 8 a ray and 4 a pixel more |
//! | [`GaussianMixture`](crate::GaussianMixture) | `4 K (D + 2)`, its kernel; on the stack at most `4 K (D + 8)` |
//! | trace | one [`Record`](crate::Record) a slot of a ring of your choice |
//!
//! # Instructions in an iteration
//! With `n` pixels, `T` trials of the line search (at most
//! [`max_trials`](crate::Backtracking::max_trials)), `G` for a gradient of `F` and `C` for a change of `f` of your
//! problem:
//!
//! ```text
//! instructions <= solver + trial (T - 1) + pixel n + 2 G + C T
//! ```
//!
//! `solver` is the longest iteration with one trial, `trial` each further one, `pixel` the vector work of
//! [`Buffers`](crate::Buffers), all in the table; the last is 0 with an evaluator of your own. `2 G` is for `grad f`
//! and `d`; one `G` suffices at `t_min` or where the iterate has not moved. The solver has no loop over anything else
//! and no recursion, so this is the worst case. `sqrt` and `exp` of `libm` are software.
//!
//! The default method adds `K` conjugate gradient iterations, each one `A` and one `A^T`, and wants a few iterations
//! where the others want a schedule of many.
//!
//! # Features
//! | feature | what it costs |
//! |---|---|
//! | none | `libm`: the same bits on every target |
//! | `defmt` | `Format` on every public type: flash only for what is logged, see the table |
//! | `micromath` | nothing until a [`Preview`](crate::prior) is used |
//!
//! A `Preview` takes half the instructions of the exact score, and is off by up to 0.2 % of the spread of the
//! components' scores.
//!
//! # Your own operator
//! Three levels, each with less of ours:
//!
//! * [`Problem`](crate::Problem): gradients and changes on `f32` slices, and for the default method its
//!   [`LinearModel`](crate::LinearModel); [`Buffers`](crate::Buffers) holds the vectors and [`drive`](crate::drive) is
//!   the loop.
//! * [`Evaluator`](crate::Evaluator): you hold the vectors, [`drive`](crate::drive) is the loop.
//! * [`Solver::request`](crate::Solver::request) and [`Solver::answer`](crate::Solver::answer): the loop is yours too.
//!   A request does not change until it is answered, so start the DMA, return, and answer from the main loop when the
//!   interrupt has come; `scanner.rs` of the image does it this way, and `linear_solve.rs` beside it for
//!   [`Request::Solve`](crate::Request::Solve). What the solver needs are inner products
//!   ([`Directional`](crate::Directional)), sums of your own in whatever precision the device has.
//!
//! Compute `f(x + step d) - f(x)` as a difference: `<step A d, r + step/2 A d>` with `r = A x - y` for the data term.
//! The difference of two values of `f` has no correct digits left near a minimum. The adjoint must be the transpose of
//! the projector as shipped, weight for weight, or directions stop descending before the minimum.
//!
//! # Your own prior
//! Three functions at any `t` of the schedule: the score, the change of the energy along a line, and both for the same
//! density. [`GaussianMixture`](crate::GaussianMixture) has them in closed form; on patches of 4 x 4 pixels fifteen
//! components (flat patches and edges) are 1.1 kB.
//!
//! # Power loss
//! [`GradientLike::to_bytes`](crate::GradientLike::to_bytes) at any request is 148 bytes, and no method has more than
//! 160. With the vectors ([`Buffers::vectors`](crate::Buffers::vectors)) a run goes on from there with the same bits,
//! on this device or on a desktop. Keep a checksum beside them.
//!
//! # When something is wrong
//! Every check returns a small `Copy` enum. A NaN or infinity in an answer is
//! [`AnswerError::NotFinite`](crate::AnswerError::NotFinite) and leaves the solver where it was; ends are
//! [`Status`](crate::Status). No call loops for longer than its input.
