//! The last records of a run, in a ring that never grows.

use gradus_core::Record;
use heapless::Deque;

/// Records that the ring holds.
pub const CAPACITY: usize = 8;

/// A ring of records: the solver puts in, the main loop takes out when it has time.
#[derive(Debug, Default)]
pub struct TraceRing {
    records: Deque<Record, CAPACITY>,
    /// Records that nobody took out in time.
    pub n_lost: u32,
}

impl TraceRing {
    /// Puts in the newest record; a full ring loses its oldest.
    pub fn push(&mut self, record: Record) {
        if let Err(record) = self.records.push_back(record) {
            self.records.pop_front();
            self.n_lost = self.n_lost.saturating_add(1);
            // There is room now.
            let _ = self.records.push_back(record);
        }
    }

    /// Takes out the oldest record.
    pub fn pop(&mut self) -> Option<Record> {
        self.records.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradus_core::Outcome;

    #[test]
    fn a_full_ring_loses_its_oldest_and_counts() {
        let mut ring = TraceRing::default();
        for iteration in 0..11 {
            let (t, outcome, step, trials, slope, change) = (1.0, Outcome::Step, 1.0, 1, -1.0, None);
            let (gradient_norm, direction_norm, unsolved) = (1.0, 1.0, 0.0);
            ring.push(Record {
                iteration,
                t,
                outcome,
                step,
                trials,
                gradient_norm,
                direction_norm,
                slope,
                change,
                unsolved,
            });
        }
        let left: Vec<_> = core::iter::from_fn(|| ring.pop()).map(|record| record.iteration).collect();
        assert_eq!((left, ring.n_lost), ((3..11).collect(), 3));
    }
}
