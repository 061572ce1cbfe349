//! What fits into the time there is.

use super::{TableKind, contender};
use std::collections::BTreeMap;

/// Seconds of one reconstruction by each method, by key.
pub type Costs = BTreeMap<&'static str, f64>;

/// How much of a table is run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plan {
    /// Images; 0 when not even the smallest table fits.
    pub images: usize,
    /// Starts of methods that have starts.
    pub starts: usize,
    /// Seconds that it will take.
    pub seconds: f64,
}

/// The largest part of `table`, no larger than `most` images and starts, that `budget_s` seconds hold.
///
/// Where a table has several starts, images and starts grow together: 2 x 2, 3 x 3, ...
#[must_use]
pub fn plan(table: &TableKind, costs: &Costs, most: (usize, usize), budget_s: f64) -> Plan {
    let seconds = |images: usize, starts: usize| {
        let an_image = table.rows.iter().filter_map(|(key, _, _)| {
            let starts = if contender(key)?.has_starts { starts as f64 } else { 1.0 };
            Some(starts * costs.get(key)?)
        });
        images as f64 * an_image.sum::<f64>()
    };
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
    use super::super::table;
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
        let of = |number, most, budget| plan(table(number).unwrap(), &costs, most, budget);
        assert_eq!(of(1, (10, 10), 1e9), Plan { images: 10, starts: 10, seconds: 1810.0 });
        // 3 x 3: 3 (3 x 18 + 1) = 165 s; 4 x 4: 292 s.
        assert_eq!(of(1, (10, 10), 200.0), Plan { images: 3, starts: 3, seconds: 165.0 });
        assert_eq!(of(1, (10, 10), 10.0).images, 0);
        assert_eq!(of(2, (100, 1), 100.0), Plan { images: 3, starts: 1, seconds: 99.0 });
        assert_eq!(of(1, (2, 10), 1e9), Plan { images: 2, starts: 10, seconds: 362.0 });
    }
}
