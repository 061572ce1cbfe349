//! The two algorithms on vectors of trajectories, one iteration at a time.
//!
//! With `q_k` the share of component `k` in `p_t(x)`, `v_k` its variance and `m_k` its mean:
//!
//! ```text
//! grad F(x, t) = 0.01 (x_0 + x_1 - 2) (1, 1) + 0.05 sum_k q_k (x - m_k)/v_k
//! f(x + l d) - f(x) = 0.005 g (2 r + g) - 0.05 ln sum_k q_k e^(delta_k),   r = x_0 + x_1 - 2,  g = l (d_0 + d_1)
//! delta_k = -l/2 <d, 2 (x - m_k) + l d>/v_k
//! ```
//!
//! as in `gradus_core`, with the same care for cancellation in the second.

use super::lanes::{Lanes, Mask};
use super::levels::{DiffusedPrior, Iteration, K};
use gradus_core::toy::{BACKTRACKING, DATA_WEIGHT, MINIMISER, PRIOR, PRIOR_WEIGHT, REACHED, STATIONARY, SUM};
use pulp::Simd;

/// A point, or a direction, of each trajectory.
pub(super) type Plane<S> = [Lanes<S>; 2];

/// `grad f` at `x`, and what `f(x + l d) - f(x)` needs to know of `x`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Here<S: Simd> {
    pub(super) x: Plane<S>,
    gradient: Plane<S>,
    /// Logarithm of each component at `x` over the largest.
    exponents: [Lanes<S>; K],
    /// Sum of the components at `x` over the largest: between 1 and `K`.
    total: Lanes<S>,
}

/// `x - m_k`.
#[inline(always)]
fn offset<S: Simd>(simd: S, x: Plane<S>, k: usize) -> Plane<S> {
    let [m0, m1] = PRIOR[k].mean;
    [x[0] - Lanes::splat(simd, m0), x[1] - Lanes::splat(simd, m1)]
}

#[inline(always)]
fn dot<S: Simd>(a: Plane<S>, b: Plane<S>) -> Lanes<S> {
    a[0].mul_add(b[0], a[1] * b[1])
}

#[inline(always)]
fn residual<S: Simd>(simd: S, x: Plane<S>) -> Lanes<S> {
    x[0] + x[1] - Lanes::splat(simd, SUM)
}

impl<S: Simd> Here<S> {
    /// `F(., t)` at `x`, where `t` has made `prior` of the prior.
    #[inline(always)]
    pub(super) fn at(simd: S, x: Plane<S>, prior: &DiffusedPrior) -> Self {
        let splat = |value| Lanes::splat(simd, value);
        let mut exponents = [splat(0.0); K];
        let mut largest = splat(f32::MIN);
        for (k, exponent) in exponents.iter_mut().enumerate() {
            let from_mean = offset(simd, x, k);
            *exponent = dot(from_mean, from_mean).mul_add(splat(-0.5 * prior.precision[k]), splat(prior.ln_peak[k]));
            largest = largest.max(*exponent);
        }
        let (mut total, mut pull) = (splat(0.0), [splat(0.0); 2]);
        for (k, exponent) in exponents.iter_mut().enumerate() {
            *exponent = *exponent - largest;
            let share = exponent.exp();
            total = total + share;
            let weight = share * splat(prior.precision[k]);
            let [o0, o1] = offset(simd, x, k);
            pull = [weight.mul_add(o0, pull[0]), weight.mul_add(o1, pull[1])];
        }
        let data = residual(simd, x) * splat(DATA_WEIGHT);
        let weight = total.recip() * splat(PRIOR_WEIGHT);
        let gradient = pull.map(
            #[inline(always)]
            |pull| pull.mul_add(weight, data),
        );
        Self { x, gradient, exponents, total }
    }

    /// `|grad| <= 0.1`, at `t_min`.
    #[inline(always)]
    pub(super) fn is_stationary(&self, simd: S) -> Mask<S> {
        dot(self.gradient, self.gradient).at_most(Lanes::splat(simd, STATIONARY * STATIONARY))
    }

    /// `-t grad F(x, t)`, for a `Here` made at level `t`.
    #[inline(always)]
    fn direction(&self, simd: S, t: f32) -> Plane<S> {
        let factor = Lanes::splat(simd, -t);
        [self.gradient[0] * factor, self.gradient[1] * factor]
    }
}

/// `|x - (1, 1)| <= 0.1`.
#[inline(always)]
pub(super) fn has_reached_minimiser<S: Simd>(simd: S, x: Plane<S>) -> Mask<S> {
    let away = [x[0] - Lanes::splat(simd, MINIMISER[0]), x[1] - Lanes::splat(simd, MINIMISER[1])];
    dot(away, away).at_most(Lanes::splat(simd, REACHED * REACHED))
}

/// `x + step d`.
#[inline(always)]
fn moved<S: Simd>(simd: S, x: Plane<S>, d: Plane<S>, step: f32) -> Plane<S> {
    let step = Lanes::splat(simd, step);
    [d[0].mul_add(step, x[0]), d[1].mul_add(step, x[1])]
}

/// Algorithm 1 with the constant step 1.
#[inline(always)]
pub(super) fn flow_step<S: Simd>(simd: S, here: &Here<S>, iteration: &Iteration) -> Plane<S> {
    let there = Here::at(simd, here.x, &iteration.prior);
    moved(simd, here.x, there.direction(simd, iteration.t), 1.0)
}

/// Algorithm 2 with the first of the steps `0.9^l` that passes Armijo's test; where the direction does not descend, or
/// no step passes, the trajectory stays. `here` is at `t_min`, `objective` the prior there.
#[inline(always)]
pub(super) fn gradient_like_step<S: Simd>(
    simd: S,
    here: &Here<S>,
    iteration: &Iteration,
    objective: &DiffusedPrior,
) -> Plane<S> {
    let splat = |value| Lanes::splat(simd, value);
    let d = Here::at(simd, here.x, &iteration.prior).direction(simd, iteration.t);
    let slope = dot(here.gradient, d);
    let mut searching = slope.less_than(splat(0.0));
    let mut x = here.x;
    if !searching.any() {
        return x;
    }
    let line = Line::new(simd, here, d, objective);
    let mut step = 1.0;
    for _ in 0..BACKTRACKING.max_trials {
        let change = line.change(simd, step);
        let wanted = slope.abs() * splat(-BACKTRACKING.sufficient_decrease * step);
        let passed = searching.and(change.less_than(splat(0.0))).and(change.at_most(wanted));
        let [x0, x1] = moved(simd, here.x, d, step);
        x = [passed.select(x0, x[0]), passed.select(x1, x[1])];
        searching = searching.and_not(passed);
        if !searching.any() {
            break;
        }
        step *= BACKTRACKING.shrink;
    }
    x
}

/// `f` along `x + l d`: what does not depend on `l`.
struct Line<S: Simd> {
    /// `x_0 + x_1 - 2` and `d_0 + d_1`.
    residual: Lanes<S>,
    growth: Lanes<S>,
    ln_share: [Lanes<S>; K],
    share: [Lanes<S>; K],
    /// `delta_k = l (first_k + l second_k)`.
    first: [Lanes<S>; K],
    second: [Lanes<S>; K],
}

impl<S: Simd> Line<S> {
    #[inline(always)]
    fn new(simd: S, here: &Here<S>, d: Plane<S>, prior: &DiffusedPrior) -> Self {
        let zero = Lanes::splat(simd, 0.0);
        let mut line = Self {
            residual: residual(simd, here.x),
            growth: d[0] + d[1],
            ln_share: here.exponents,
            share: [zero; K],
            first: [zero; K],
            second: [zero; K],
        };
        let (ln_total, square) = (here.total.ln(), dot(d, d));
        for k in 0..K {
            line.ln_share[k] = here.exponents[k] - ln_total;
            line.share[k] = line.ln_share[k].exp();
            let precision = Lanes::splat(simd, prior.precision[k]);
            line.first[k] = -(dot(d, offset(simd, here.x, k)) * precision);
            line.second[k] = square * precision * Lanes::splat(simd, -0.5);
        }
        line
    }

    /// `f(x + step d) - f(x)`.
    #[inline(always)]
    fn change(&self, simd: S, step: f32) -> Lanes<S> {
        let splat = |value| Lanes::splat(simd, value);
        let mut moved = [splat(0.0); K];
        let (mut growth, mut largest) = (splat(0.0), splat(f32::MIN));
        for (k, moved) in moved.iter_mut().enumerate() {
            let delta = splat(step) * self.second[k].mul_add(splat(step), self.first[k]);
            *moved = self.ln_share[k] + delta;
            largest = largest.max(*moved);
            // Beyond 1/2 nothing cancels, and the first form knows shares that underflow.
            let grown = moved.exp() - self.share[k];
            growth = growth + splat(0.5).less_than(delta).select(grown, self.share[k] * delta.exp_m1());
        }
        let mut total = splat(0.0);
        for moved in moved {
            total = total + (moved - largest).exp();
        }
        // ln(1 + growth) where that is near zero, else largest + ln(total) with total = m 2^e between 1 and K.
        let (m, e) = total.mantissa_and_exponent();
        let near = splat(-0.25).less_than(growth).and(growth.less_than(splat(0.25)));
        let logarithm = near.select(growth, m - splat(1.0)).ln_1p_near_zero();
        let rest = e.mul_add(splat(std::f32::consts::LN_2), largest);
        let energy = -near.select(logarithm, rest + logarithm);
        let by = splat(step) * self.growth;
        let data = by * (self.residual + self.residual + by) * splat(0.5 * DATA_WEIGHT);
        energy.mul_add(splat(PRIOR_WEIGHT), data)
    }
}
