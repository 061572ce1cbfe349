//! A run as lines of 32-bit words: what the image prints and what this machine compares it with.

use crate::run::Observer;
use gradus_core::{Outcome, Record};

/// Words on a line.
pub const WORDS: usize = 32;

/// A taker of lines.
pub trait Lines {
    /// One line: a name and at most [`WORDS`] words.
    fn line(&mut self, name: &str, words: &[u32]);
}

/// Writes what it observes as lines.
#[derive(Debug)]
pub struct Written<'a, L>(pub &'a mut L);

impl<L: Lines> Written<'_, L> {
    /// Words of any number, on as many lines as it takes.
    fn lines(&mut self, name: &str, words: impl Iterator<Item = u32>) {
        let (mut line, mut n) = ([0; WORDS], 0);
        for word in words {
            if n == WORDS {
                self.0.line(name, &line);
                n = 0;
            }
            if let Some(slot) = line.get_mut(n) {
                *slot = word;
                n += 1;
            }
        }
        self.0.line(name, line.get(..n).unwrap_or_default());
    }
}

impl<L: Lines> Observer for Written<'_, L> {
    fn accepted(&mut self, state: &[u8], iterate: &[f32]) {
        self.lines("state", state.as_chunks().0.iter().map(|word| u32::from_le_bytes(*word)));
        self.lines("iterate", iterate.iter().map(|value| value.to_bits()));
    }

    fn record(&mut self, record: &Record) {
        self.0.line("record", &record_words(record));
    }
}

/// The fields of a record in their order, floats as their bits.
pub fn record_words(record: &Record) -> [u32; 10] {
    let outcome = match record.outcome {
        Outcome::Step => 0,
        Outcome::NotDescent => 1,
        Outcome::NoTrialPassed => 2,
        Outcome::Approach => 3,
    };
    let bits = |value: f32| value.to_bits();
    [
        record.iteration,
        bits(record.t),
        outcome,
        bits(record.step),
        record.trials,
        bits(record.gradient_norm),
        bits(record.direction_norm),
        bits(record.slope),
        u32::from(record.change.is_some()),
        bits(record.change.unwrap_or_default()),
    ]
}
