//! Counts over all starts, iterations and values of `t_max`.

use super::descent::{Here, Plane, flow_step, gradient_like_step, has_reached_minimiser};
use super::lanes::{Lanes, Mask};
use super::levels::{DiffusedPrior, Iteration, iterations};
use super::{Algorithm, t_max};
use gradus_core::SettingsError;
use gradus_core::toy::T_MIN;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// Trajectories of one block, whatever the vector width.
const BLOCK: usize = 16;
/// Blocks that one task takes, one after the other.
const BLOCKS_A_TASK: usize = 25;

/// The work to be done.
#[derive(Debug, Clone)]
pub struct Work {
    /// The algorithm.
    pub algorithm: Algorithm,
    /// Indices of the values of `t_max`, each below [`super::N_T_MAX`].
    pub t_max_indices: Vec<usize>,
    /// Starting points.
    pub starts: Vec<[f32; 2]>,
    /// Iterations of each trajectory; at least 2.
    pub iterations: u32,
}

/// The counts. Element `i` of a count over iterations is that of the iterate after `i` iterations, so element 0 is that
/// of the starts.
#[derive(Debug, Clone, PartialEq)]
pub struct Rates {
    /// The algorithm.
    pub algorithm: Algorithm,
    /// Indices of the values of `t_max`.
    pub t_max_indices: Vec<usize>,
    /// Number of starts.
    pub n_starts: usize,
    /// `[t_max][iteration]`: how many iterates are within 0.1 of the global minimiser (1, 1).
    pub reached: Vec<Vec<u32>>,
    /// `[t_max][iteration]`: how many iterates have `|grad f| <= 0.1`.
    pub stationary: Vec<Vec<u32>>,
    /// `[t_max][start]`: the last iterates.
    pub ends: Vec<Vec<[f32; 2]>>,
}

impl Rates {
    fn last_rate(&self, counts: &[u32]) -> f64 {
        f64::from(counts.last().copied().unwrap_or(0)) / self.n_starts as f64
    }

    /// Share of the starts whose last iterate is at the global minimiser, for the `k`-th value of `t_max`.
    #[must_use]
    pub fn global_minimum(&self, k: usize) -> f64 {
        self.last_rate(&self.reached[k])
    }

    /// Share of the starts whose last iterate is stationary, for the `k`-th value of `t_max`.
    #[must_use]
    pub fn stationary(&self, k: usize) -> f64 {
        self.last_rate(&self.stationary[k])
    }

    /// For each start, the share of the values of `t_max` from which it ends at the global minimiser.
    #[must_use]
    pub fn by_start(&self) -> Vec<f64> {
        let reached = |start: usize| {
            self.ends.iter().filter(|ends| gradus_core::toy::has_reached_minimiser(&ends[start])).count()
        };
        (0..self.n_starts).map(|start| reached(start) as f64 / self.ends.len().max(1) as f64).collect()
    }
}

/// Told how many trajectories have just ended; says whether to go on.
pub type Observer<'a> = &'a (dyn Fn(usize) -> bool + Sync);

/// Runs every trajectory of `work`; the result is `None` when the observer ended it.
///
/// # Errors
/// When a schedule is impossible.
pub fn rates(work: &Work, observe: Observer<'_>) -> Result<Option<Rates>, SettingsError> {
    rates_on(Arch::new(), work, observe)
}

fn rates_on(arch: Arch, work: &Work, observe: Observer<'_>) -> Result<Option<Rates>, SettingsError> {
    let objective = DiffusedPrior::at(T_MIN);
    let of_index = |index: &usize| -> Result<Option<Counts>, SettingsError> {
        let iterations = iterations(t_max(*index), work.iterations)?;
        let tasks = work.starts.par_chunks(BLOCK * BLOCKS_A_TASK).map(|starts| {
            let mut counts = Counts::new(iterations.len());
            for block in starts.chunks(BLOCK) {
                let (iterations, objective, counts) = (&iterations, &objective, &mut counts);
                arch.dispatch(Block { algorithm: work.algorithm, starts: block, iterations, objective, counts });
            }
            observe(starts.len()).then_some(counts)
        });
        let counts: Option<Vec<Counts>> = tasks.collect();
        Ok(counts.map(|counts| counts.into_iter().fold(Counts::new(iterations.len()), Counts::join)))
    };
    let counts: Vec<Option<Counts>> = work.t_max_indices.par_iter().map(of_index).collect::<Result<_, _>>()?;
    let Some(counts) = counts.into_iter().collect::<Option<Vec<Counts>>>() else { return Ok(None) };
    let mut rates = Rates {
        algorithm: work.algorithm,
        t_max_indices: work.t_max_indices.clone(),
        n_starts: work.starts.len(),
        reached: Vec::new(),
        stationary: Vec::new(),
        ends: Vec::new(),
    };
    for Counts { reached, stationary, ends } in counts {
        rates.reached.push(reached);
        rates.stationary.push(stationary);
        rates.ends.push(ends);
    }
    Ok(Some(rates))
}

/// Counts of some starts at one `t_max`; the meaning is that of [`Rates`].
struct Counts {
    reached: Vec<u32>,
    stationary: Vec<u32>,
    ends: Vec<[f32; 2]>,
}

impl Counts {
    fn new(iterations: usize) -> Self {
        Self { reached: vec![0; iterations + 1], stationary: vec![0; iterations + 1], ends: Vec::new() }
    }

    fn join(mut self, other: Self) -> Self {
        let add = |a: &mut Vec<u32>, b: Vec<u32>| a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
        add(&mut self.reached, other.reached);
        add(&mut self.stationary, other.stationary);
        self.ends.extend(other.ends);
        self
    }

    /// Takes the iterates after `i` iterations into account.
    #[inline(always)]
    fn judge<S: Simd>(&mut self, simd: S, i: usize, here: &Here<S>, counted: Mask<S>) {
        self.reached[i] += has_reached_minimiser(simd, here.x).and(counted).count();
        self.stationary[i] += here.is_stationary(simd).and(counted).count();
    }
}

/// Up to [`BLOCK`] trajectories, from their starts to their ends.
struct Block<'a> {
    algorithm: Algorithm,
    starts: &'a [[f32; 2]],
    iterations: &'a [Iteration],
    objective: &'a DiffusedPrior,
    counts: &'a mut Counts,
}

impl WithSimd for Block<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let objective = self.objective;
        for starts in self.starts.chunks(S::F32_LANES) {
            // What fills up a vector runs along with the first trajectory, and is not counted.
            let (mut x, mut y) = ([starts[0][0]; BLOCK], [starts[0][1]; BLOCK]);
            let mut fill = [1.0; BLOCK];
            for (k, start) in starts.iter().enumerate() {
                [x[k], y[k]] = *start;
                fill[k] = 0.0;
            }
            let start = [Lanes::load(simd, &x, 0), Lanes::load(simd, &y, 0)];
            let counted = Lanes::load(simd, &fill, 0).less_than(Lanes::splat(simd, 1.0));
            let end = match self.algorithm {
                Algorithm::Flow => self.run(
                    simd,
                    start,
                    counted,
                    #[inline(always)]
                    |here, iteration| flow_step(simd, here, iteration),
                ),
                Algorithm::GradientLike => self.run(
                    simd,
                    start,
                    counted,
                    #[inline(always)]
                    |here, iteration| gradient_like_step(simd, here, iteration, objective),
                ),
            };
            end[0].store(&mut x, 0);
            end[1].store(&mut y, 0);
            self.counts.ends.extend(x.iter().zip(&y).take(starts.len()).map(|(x, y)| [*x, *y]));
        }
    }
}

impl Block<'_> {
    /// All iterations of one vector of trajectories, each iterate judged.
    #[inline(always)]
    fn run<S: Simd>(
        &mut self,
        simd: S,
        start: Plane<S>,
        counted: Mask<S>,
        step: impl Fn(&Here<S>, &Iteration) -> Plane<S>,
    ) -> Plane<S> {
        let objective = self.objective;
        let mut here = Here::at(simd, start, objective);
        self.counts.judge(simd, 0, &here, counted);
        for (i, iteration) in self.iterations.iter().enumerate() {
            here = Here::at(simd, step(&here, iteration), objective);
            self.counts.judge(simd, i + 1, &here, counted);
        }
        here.x
    }
}

#[cfg(test)]
mod tests;
