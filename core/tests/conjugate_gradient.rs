//! Conjugate gradients: against a dense solve, and against the recurrence written as a loop.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, clippy::cast_precision_loss, clippy::panic)]

use gradus_core::math::{dot, sum};
use gradus_core::{ConjugateGradient, Effort, Krylov, Solved};
use proptest::prelude::*;

const N: usize = 12;
const DAMPING: f32 = 0.3;

type Vector = [f32; N];
/// Symmetric, and positive semi-definite.
type Matrix = [Vector; N];

/// `B^T B` for a matrix `B` of numbers between -1 and 1.
fn gram(entries: &[f32]) -> Matrix {
    let row = |k: usize| &entries[N * k..N * (k + 1)];
    std::array::from_fn(|i| std::array::from_fn(|j| sum((0..N).map(|k| row(k)[i] * row(k)[j]))))
}

fn times(matrix: &Matrix, p: &Vector) -> Vector {
    matrix.map(|row| dot(&row, p))
}

/// `(matrix + DAMPING I)^-1 r` by elimination in f64; the pivots of a positive definite matrix are safe.
fn dense(matrix: &Matrix, r: &Vector) -> [f64; N] {
    let (mut m, mut x) = (matrix.map(|row| row.map(f64::from)), r.map(f64::from));
    (0..N).for_each(|i| m[i][i] += f64::from(DAMPING));
    for i in 0..N {
        for k in i + 1..N {
            let factor = m[k][i] / m[i][i];
            (i..N).for_each(|j| m[k][j] -= factor * m[i][j]);
            x[k] -= factor * x[i];
        }
    }
    for i in (0..N).rev() {
        x[i] = (x[i] - (i + 1..N).map(|j| m[i][j] * x[j]).sum::<f64>()) / m[i][i];
    }
    x
}

/// `d` as an evaluator makes it that follows the machine.
fn followed(matrix: &Matrix, r: &Vector, iterations: u32) -> (Vector, Solved) {
    let (mut r, mut p, mut d, mut normal) = (*r, [0.0; N], [0.0; N], [0.0; N]);
    let mut solve = ConjugateGradient::new(dot(&r, &r), Effort::fixed(iterations));
    loop {
        solve.answer(match solve.request() {
            Krylov::Curvature { momentum } => {
                p = std::array::from_fn(|i| r[i] + momentum * p[i]);
                normal = times(matrix, &p);
                sum((0..N).map(|i| p[i] * (normal[i] + DAMPING * p[i])))
            }
            Krylov::Advance { length } => {
                (0..N).for_each(|i| d[i] += length * p[i]);
                (0..N).for_each(|i| r[i] -= length * (normal[i] + DAMPING * p[i]));
                dot(&r, &r)
            }
            Krylov::Done(solved) => return (d, solved),
        });
    }
}

/// `d` by the recurrence as a loop \[HS52\].
fn looped(matrix: &Matrix, r: &Vector, iterations: u32) -> Vector {
    let (mut r, mut p, mut d) = (*r, [0.0; N], [0.0; N]);
    let (mut square, mut momentum) = (dot(&r, &r), 0.0);
    for _ in 0..iterations {
        if square <= ConjugateGradient::NOTHING {
            break;
        }
        p = std::array::from_fn(|i| r[i] + momentum * p[i]);
        let normal = times(matrix, &p);
        let length = square / sum((0..N).map(|i| p[i] * (normal[i] + DAMPING * p[i])));
        if !length.is_finite() {
            break;
        }
        (0..N).for_each(|i| d[i] += length * p[i]);
        (0..N).for_each(|i| r[i] -= length * (normal[i] + DAMPING * p[i]));
        momentum = dot(&r, &r) / square;
        square = dot(&r, &r);
    }
    d
}

proptest! {
    /// In exact arithmetic `N` iterations solve the system; rounding asks for a few more, and a thousand do no harm.
    #[test]
    fn it_solves_the_system(
        entries in prop::collection::vec(-1.0_f32..1.0, N * N),
        r in prop::array::uniform12(-1.0_f32..1.0),
        iterations in 40_u32..1000,
    ) {
        let matrix = gram(&entries);
        let (d, solved) = followed(&matrix, &r, iterations);
        let wanted = dense(&matrix, &r);
        let size = wanted.iter().map(|x| x.abs()).fold(0.0, f64::max);
        for (found, wanted) in d.iter().zip(wanted) {
            prop_assert!((f64::from(*found) - wanted).abs() < 1e-4 * size, "{found} {wanted}");
        }
        prop_assert_eq!(solved.initial_square, dot(&r, &r));
        prop_assert!(solved.residual_square <= 1e-8 * solved.initial_square, "{:?}", solved);
    }

    #[test]
    fn it_is_the_recurrence_bit_for_bit(
        entries in prop::collection::vec(-1.0_f32..1.0, N * N),
        r in prop::array::uniform12(-1.0_f32..1.0),
        iterations in 0_u32..20,
    ) {
        let matrix = gram(&entries);
        let (found, wanted) = (followed(&matrix, &r, iterations).0, looped(&matrix, &r, iterations));
        prop_assert_eq!(found.map(f32::to_bits), wanted.map(f32::to_bits));
    }

    /// Whatever it is told, it asks for finite lengths only, and at most `K` times.
    #[test]
    fn it_ends(first in -1.0_f32..9.0, told in prop::collection::vec(any::<f32>(), 1..50), iterations in 0_u32..9) {
        let mut solve = ConjugateGradient::new(first, Effort::fixed(iterations));
        let mut lengths = 0;
        for told in told.iter().cycle().take(2 * 9 + 2) {
            if let Krylov::Advance { length } = solve.request() {
                prop_assert!(length.is_finite());
                lengths += 1;
            }
            solve.answer(*told);
        }
        prop_assert!(lengths <= iterations && matches!(solve.request(), Krylov::Done(_)));
    }
}

/// The residual halves with every iteration.
#[test]
fn it_goes_on_until_the_system_is_solved_or_the_effort_made() {
    let iterations = |least, most, tolerance| {
        let (mut square, mut made) = (1.0, 0);
        let mut solve = ConjugateGradient::new(square, Effort { least, most, tolerance });
        loop {
            match solve.request() {
                Krylov::Curvature { .. } => solve.answer(1.0),
                Krylov::Advance { .. } => {
                    (square, made) = (square / 4.0, made + 1);
                    solve.answer(square);
                }
                Krylov::Done(_) => return made,
            }
        }
    };
    assert_eq!(iterations(3, 3, 1e-3), 3);
    assert_eq!(iterations(3, 20, 1e-3), 10);
    assert_eq!(iterations(3, 7, 1e-3), 7);
    assert_eq!(iterations(12, 20, 1e-3), 12);
}

fn done(solve: &ConjugateGradient) -> Solved {
    let Krylov::Done(solved) = solve.request() else { panic!("{solve:?}") };
    solved
}

#[test]
fn it_ends_after_its_iterations_at_no_residual_and_where_nothing_is_left() {
    let mut solve = ConjugateGradient::new(8.0, Effort::fixed(2));
    for (told, wanted) in [
        (2.0, Krylov::Advance { length: 4.0 }),
        (2.0, Krylov::Curvature { momentum: 0.25 }),
        (4.0, Krylov::Advance { length: 0.5 }),
        (1.0, Krylov::Done(Solved { initial_square: 8.0, residual_square: 1.0 })),
    ] {
        solve.answer(told);
        assert_eq!(solve.request(), wanted);
    }
    assert_eq!(
        done(&ConjugateGradient::new(0.0, Effort::fixed(2))),
        Solved { initial_square: 0.0, residual_square: 0.0 }
    );
    assert_eq!(done(&ConjugateGradient::new(8.0, Effort::fixed(0))).residual_square, 8.0);
    let mut flat = ConjugateGradient::new(8.0, Effort::fixed(2));
    flat.answer(0.0);
    assert_eq!(done(&flat), Solved { initial_square: 8.0, residual_square: 8.0 });
}

/// Numbers that no solver accepts are handed on, so that the solver refuses them.
#[test]
fn what_is_no_square_ends_it_and_is_handed_on() {
    for bad in [f32::NAN, f32::INFINITY, -1.0] {
        assert_eq!(done(&ConjugateGradient::new(bad, Effort::fixed(3))).residual_square.to_bits(), bad.to_bits());
        for good in [&[][..], &[2.0]] {
            let mut solve = ConjugateGradient::new(8.0, Effort::fixed(3));
            good.iter().for_each(|told| solve.answer(*told));
            solve.answer(bad);
            assert_eq!(done(&solve).residual_square.to_bits(), bad.to_bits());
            solve.answer(1.0);
            assert_eq!(done(&solve).residual_square.to_bits(), bad.to_bits(), "it has ended");
        }
    }
}
