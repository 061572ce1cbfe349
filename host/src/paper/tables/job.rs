//! The reconstructions that a table is made of.

use super::{Contender, TableKind, contender};

/// One reconstruction to be made.
#[derive(Debug, Clone, Copy)]
pub struct Job {
    /// The method.
    pub contender: &'static Contender,
    /// Test image, counted from 1.
    pub image: usize,
    /// Start, counted from 1.
    pub start: usize,
}

/// The reconstructions of a table, image by image, so that the images done when it ends early are complete.
#[must_use]
pub fn jobs_of(table: &TableKind, images: usize, starts: usize) -> Vec<Job> {
    let contenders: Vec<&Contender> = table.rows.iter().filter_map(|(key, _, _)| contender(key)).collect();
    let mut jobs = Vec::new();
    for image in 1..=images {
        for contender in &contenders {
            let starts = if contender.has_starts { starts } else { 1 };
            jobs.extend((1..=starts).map(|start| Job { contender, image, start }));
        }
    }
    jobs
}
