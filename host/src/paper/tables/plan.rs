//! Plans that fit into the time there is.

use super::Job;
use std::collections::BTreeMap;

/// Seconds of one reconstruction by each method, by key.
pub type Costs = BTreeMap<&'static str, f64>;

/// The part of a table that is run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plan {
    /// Images; 0 when not even the smallest table fits.
    pub images: usize,
    /// Starts of methods that have starts.
    pub starts: usize,
    /// Seconds that it will take.
    pub seconds: f64,
}

/// Seconds of jobs, by what one reconstruction of each method costs.
#[must_use]
pub fn seconds_of(jobs: &[Job], costs: &Costs) -> f64 {
    jobs.iter().filter_map(|job| costs.get(job.contender.key)).sum()
}

/// The largest part of a table, no larger than `most` images and starts, that `budget_s` seconds hold; `seconds` says
/// what a number of images and starts costs.
///
/// Where a table has several starts, images and starts grow together: 2 x 2, 3 x 3, ...
#[must_use]
pub fn plan(most: (usize, usize), budget_s: f64, seconds: impl Fn(usize, usize) -> f64) -> Plan {
    let sizes: Vec<(usize, usize)> = if most.1 > 1 {
        (2..=most.0.max(most.1)).map(|k| (k.min(most.0), k.min(most.1))).collect()
    } else {
        (1..=most.0).map(|images| (images, 1)).collect()
    };
    let fitting = sizes.into_iter().take_while(|(images, starts)| seconds(*images, *starts) <= budget_s).last();
    let (images, starts) = fitting.unwrap_or((0, most.1));
    Plan { images, starts, seconds: seconds(images, starts) }
}

#[cfg(test)]
mod tests {
    use super::super::{jobs_of, table};
    use super::*;

    #[test]
    fn a_plan_fills_its_budget_and_never_exceeds_it() {
        let costs = Costs::from([
            ("gradient-descent", 6.0),
            ("flow", 6.0),
            ("gradient-like", 6.0),
            ("flow-constant", 20.0),
            ("tv", 1.0),
            ("fbp", 0.0),
        ]);
        let of = |number, most, budget| {
            let jobs = |images, starts| jobs_of(table(number).unwrap(), images, starts);
            plan(most, budget, |images, starts| seconds_of(&jobs(images, starts), &costs))
        };
        assert_eq!(of(1, (10, 10), 1e9), Plan { images: 10, starts: 10, seconds: 1810.0 });
        // 3 x 3: 3 (3 x 18 + 1) = 165 s; 4 x 4: 292 s.
        assert_eq!(of(1, (10, 10), 200.0), Plan { images: 3, starts: 3, seconds: 165.0 });
        assert_eq!(of(1, (10, 10), 10.0).images, 0);
        assert_eq!(of(2, (100, 1), 100.0), Plan { images: 3, starts: 1, seconds: 99.0 });
        assert_eq!(of(1, (2, 10), 1e9), Plan { images: 2, starts: 10, seconds: 362.0 });
    }
}
