//! The lanes against core's solvers, and against the paper.
use super::super::{ITERATIONS, REFERENCES, path, starts};
use super::*;
use crate::backend::cpu::simd::tests::all_archs;
use gradus_core::Problem;
use gradus_core::toy::{self, Toy, has_reached_minimiser};

fn work(algorithm: Algorithm, index: usize, starts: Vec<[f32; 2]>) -> Work {
    Work { algorithm, t_max_indices: vec![index], starts, iterations: ITERATIONS }
}

fn run(algorithm: Algorithm, index: usize, starts: Vec<[f32; 2]>) -> Rates {
    rates(&work(algorithm, index, starts), &|_| true).unwrap().unwrap()
}

/// Some of the starts, from all parts of the square: the stride is prime.
fn sample() -> Vec<[f32; 2]> {
    starts().into_iter().step_by(97).collect()
}

#[test]
fn trajectories_are_those_of_the_cores_solvers() {
    for (algorithm, index) in Algorithm::ALL.into_iter().flat_map(|algorithm| [0, 30, 60, 99].map(|i| (algorithm, i))) {
        let found = run(algorithm, index, sample());
        let mut apart = Vec::new();
        for (start, end) in sample().iter().zip(&found.ends[0]) {
            let wanted = *path(algorithm, t_max(index), ITERATIONS, *start).unwrap().last().unwrap();
            assert_eq!(
                has_reached_minimiser(end),
                has_reached_minimiser(&wanted),
                "{algorithm} {index} from {start:?}"
            );
            apart.push((wanted[0] - end[0]).hypot(wanted[1] - end[1]));
        }
        apart.sort_by(f32::total_cmp);
        // A trial at the very edge of Armijo's test may pass in one arithmetic and fail in the other, and then the
        // paths part for a while; the flow has no test.
        let near = if algorithm == Algorithm::Flow { apart.len() - 1 } else { apart.len() * 85 / 100 };
        assert!(apart[near] < 1e-3, "{algorithm} {index}: {} apart", apart[near]);
    }
}

#[test]
fn counts_are_those_of_the_cores_iterates() {
    let norm_at = |x: &[f32; 2]| {
        let mut gradient = [0.0; 2];
        let objective = gradus_core::Solver::objective(&toy::graduated_flow(1.0, 2).unwrap());
        Toy::new().gradient(x, objective, &mut gradient).unwrap();
        gradient[0].hypot(gradient[1])
    };
    for algorithm in Algorithm::ALL {
        let found = run(algorithm, 30, sample());
        let paths: Vec<_> = sample().iter().map(|s| path(algorithm, t_max(30), ITERATIONS, *s).unwrap()).collect();
        for i in (0..=ITERATIONS as usize).step_by(13) {
            // A run that found no step at t_min has ended: its last iterate stays.
            let at = |path: &Vec<[f32; 2]>| *path.get(i).unwrap_or(path.last().unwrap());
            let count = |is: &dyn Fn(&[f32; 2]) -> bool| paths.iter().filter(|path| is(&at(path))).count() as i64;
            let reached = count(&|x| has_reached_minimiser(x));
            let stationary = count(&|x| norm_at(x) <= toy::STATIONARY);
            let off = |counts: &[u32], wanted: i64| (i64::from(counts[i]) - wanted).abs();
            assert!(
                off(&found.reached[0], reached) <= 1,
                "{algorithm}, iteration {i}: {} {reached}",
                found.reached[0][i]
            );
            assert!(off(&found.stationary[0], stationary) <= 1, "{algorithm}, iteration {i}: stationary {stationary}");
        }
    }
}

#[test]
fn rates_are_those_of_the_paper() {
    for (algorithm, index, wanted) in REFERENCES {
        let found = run(algorithm, index, starts()).global_minimum(0);
        assert!((found - wanted).abs() <= 0.0005, "{algorithm} {index}: {found}, the paper has {wanted}");
    }
}

#[test]
fn vectors_of_eight_and_sixteen_give_the_same_bits_and_fillers_do_not_count() {
    // 103 starts leave one lane over in vectors of 8, and nine in vectors of 16.
    let starts = sample()[..103].to_vec();
    for algorithm in Algorithm::ALL {
        let of = |arch| rates_on(arch, &work(algorithm, 30, starts.clone()), &|_| true).unwrap().unwrap();
        let found: Vec<Rates> = all_archs().into_iter().map(of).collect();
        // The portable path has no fused multiply-add.
        assert!(found[1..].windows(2).all(|pair| pair[0] == pair[1]));
        let stationary = |rates: &Rates| rates.stationary(0);
        assert!(found.iter().all(|rates| (stationary(rates) - stationary(&found[0])).abs() < 0.03));
        assert!(found.iter().all(|rates| rates.stationary[0].iter().all(|n| *n <= 103)));
    }
}

#[test]
fn an_observer_can_end_it_and_no_levels_are_refused() {
    let work = work(Algorithm::Flow, 0, sample());
    assert_eq!(rates(&work, &|_| false), Ok(None));
    assert!(rates(&Work { iterations: 1, ..work }, &|_| true).is_err());
}
