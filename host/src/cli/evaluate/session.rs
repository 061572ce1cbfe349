//! An evaluation under way.

use super::arguments::{Arguments, SWEPT};
use super::files::Output;
use crate::ending::Failure;
use crate::problem::prior_bytes;
use crate::terminal::Terminal;
use gradus::backend::DeviceChoice;
use gradus::data::write_atomically;
use gradus::paper::tables::{
    Dataset, Evaluation, Job, Protocol, RunEnd, SWEEP_FACTORS, Sweep, TableKind, figures, summary, sweep,
};
use gradus::prior::Prior;
use gradus::ranks::Ranks;
use gradus::reconstruct::PlacedPrior;
use miette::IntoDiagnostic;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// An evaluation under way, and its watcher.
pub struct Session<'a> {
    pub evaluation: Evaluation,
    pub output: Output,
    pub terminal: &'a Terminal,
    pub stop: Arc<AtomicBool>,
    jobs: usize,
}

impl<'a> Session<'a> {
    /// Opens the folder, after a sweep where one is asked for and has not been made; `None` when that was stopped.
    pub fn open(
        arguments: &Arguments,
        dataset: Dataset,
        terminal: &'a Terminal,
        stop: Arc<AtomicBool>,
        ranks: &Ranks,
    ) -> Result<Option<Self>, Failure> {
        let mut protocol = arguments.protocol(&dataset)?;
        let bytes = prior_bytes(&protocol.prior)?;
        let prior = Prior::of_file(&protocol.prior, &bytes).into_diagnostic()?;
        let placed = PlacedPrior::open(&prior, arguments.device, arguments.precision).into_diagnostic()?;
        placed.opened.warning().into_iter().for_each(|warning| terminal.warn(warning));
        (protocol.device, protocol.precision) = (placed.opened.choice(), placed.opened.precision());
        let opened = placed.opened.clone();
        let folder = arguments.folder();
        let mut swept = None;
        if arguments.sweep_alpha {
            // What is there decides, also when it is not from a sweep: then it is refused below.
            let there = Evaluation::protocol_in(&folder).into_diagnostic()?;
            if ranks.agreed(there.is_some()) {
                protocol.alpha_per_std = there.map_or(protocol.alpha_per_std, |there| there.alpha_per_std);
            } else {
                let Some(sweep) = run_sweep(&dataset, &protocol, &placed, (terminal, ranks), &stop)? else {
                    return Ok(None);
                };
                protocol.alpha_per_std = sweep.best();
                swept = Some(sweep).filter(|_| ranks.is_first());
            }
        }
        let evaluation = Evaluation::open(&folder, protocol, dataset, (prior, &bytes), opened).into_diagnostic()?;
        if let Some(sweep) = swept {
            write_atomically(&folder.join("sweep.csv"), sweep.to_csv().as_bytes()).into_diagnostic()?;
        }
        let output = Output::new(folder);
        Ok(Some(Self { evaluation, output, terminal, stop, jobs: arguments.jobs }))
    }

    /// True if somebody has ended it.
    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// Does the pending ones of `jobs` until `is_late`.
    pub fn run(&mut self, jobs: &[Job], what: &str, is_late: &dyn Fn() -> bool) -> Result<RunEnd, Failure> {
        let bar = self.terminal.progress(self.evaluation.pending(jobs).len() as u64, what);
        let (stop, on_gpu) = (Arc::clone(&self.stop), self.evaluation.protocol().device != DeviceChoice::Cpu);
        let mut observe = |done: Option<&Job>| {
            if let Some(job) = done {
                bar.inc(1);
                bar.set_message(format!("image {}, {}", job.image, job.contender.key));
            }
            // A batch that has begun is not lost to the clock.
            let must_end = stop.load(Ordering::SeqCst) || ((done.is_some() || !on_gpu) && is_late());
            if must_end { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let end = self.evaluation.run(jobs, self.jobs, &mut observe).into_diagnostic()?;
        bar.finish_and_clear();
        Ok(end)
    }

    /// The complete part of a table, into the output.
    pub fn keep_table(&mut self, kind: &TableKind, images: usize, starts: usize) {
        let found = summary(self.evaluation.results(), kind, images, starts);
        self.output.tables.push((found, *kind));
    }

    /// Figs. 2 and 3 of the first image, into the output; whether they were finished.
    pub fn keep_figures(&mut self) -> Result<bool, Failure> {
        let bar = self.terminal.progress(u64::from(self.evaluation.protocol().steps), "figures");
        let go_on = || {
            bar.inc(1);
            if self.is_stopped() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let found = figures(&self.evaluation, 1, &go_on).into_diagnostic()?;
        bar.finish_and_clear();
        self.output.figures = found;
        Ok(self.output.figures.is_some())
    }
}

fn run_sweep(
    dataset: &Dataset,
    protocol: &Protocol,
    prior: &PlacedPrior<'_>,
    (terminal, ranks): (&Terminal, &Ranks),
    stop: &AtomicBool,
) -> Result<Option<Sweep>, Failure> {
    let runs = (SWEPT * SWEEP_FACTORS.len()).div_ceil(ranks.count());
    let bar = terminal.progress(runs as u64, "sweep over alpha");
    let found = sweep(dataset, protocol, prior, SWEPT, ranks, &mut |done| {
        bar.set_position(done as u64);
        if stop.load(Ordering::SeqCst) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    bar.finish_and_clear();
    found.into_diagnostic()
}
