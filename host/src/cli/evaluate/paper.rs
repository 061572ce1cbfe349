//! `--paper`: everything that fits into the time there is, planned by measured first runs.

use super::arguments::Arguments;
use super::session::Session;
use crate::ending::{End, Failure};
use crate::toy;
use gradus::data::write_atomically;
use gradus::paper::tables::{CONTENDERS, Costs, Job, RunEnd, TABLES, TableKind, jobs_of, plan, seconds_of};
use gradus::paper::toy::{N_T_MAX, by_iteration_csv, rates_csv};
use miette::IntoDiagnostic;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// Share of the time that is left when the first table begins, for that table.
const FIRST_TABLE: f64 = 0.45;
/// Share of the time that the toy may take.
const TOY: f64 = 0.2;
/// The value of `t_max` that the toy's time is measured with; it takes about the mean of all.
const MEASURED_T_MAX: usize = 30;

/// Seconds that are left of a budget.
struct Budget {
    begin: Instant,
    whole: Duration,
}

impl Budget {
    fn left_s(&self) -> f64 {
        self.whole.saturating_sub(self.begin.elapsed()).as_secs_f64()
    }

    fn done_s(&self) -> f64 {
        self.begin.elapsed().as_secs_f64()
    }
}

/// Runs the command.
pub fn run(arguments: &Arguments, mut session: Session<'_>) -> Result<End, Failure> {
    // More than a century is never.
    let whole = Duration::try_from_secs_f64(60.0 * arguments.minutes).unwrap_or(Duration::MAX);
    let budget = Budget { begin: Instant::now(), whole };
    let costs = measure(&mut session)?;
    let mut is_done = costs.is_some() && toy_part(&mut session, &budget)?;
    if let Some(costs) = costs.filter(|_| is_done) {
        is_done = session.keep_figures()? && tables(arguments, &mut session, &costs, &budget)?;
    }
    if !session.evaluation.dataset().has_hounsfield_units() {
        let line =
            "the paper's AAPM slices, whose licence keeps them from here: --dataset FOLDER runs the tables on others";
        session.output.left_out.push(line.to_owned());
    }
    session.output.seconds = Some(budget.done_s());
    session.output.finish(&session.evaluation, is_done, session.terminal)?;
    Ok(if is_done { End::Done } else { End::Unfinished })
}

/// Seconds of one reconstruction by each method; `None` when stopped. One that was made in an earlier run is made
/// again, for its time.
fn measure(session: &mut Session<'_>) -> Result<Option<Costs>, Failure> {
    let mut costs = Costs::new();
    for contender in &CONTENDERS {
        let job = Job { contender, image: 1, start: 1 };
        let begin = Instant::now();
        if session.evaluation.pending(&[job]).is_empty() {
            let go_on = || if session.is_stopped() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
            session.evaluation.reconstruct(&job, &mut |_| go_on()).into_diagnostic()?;
        } else {
            session.run(&[job], contender.key, &|| false)?;
        }
        if session.is_stopped() {
            return Ok(None);
        }
        costs.insert(contender.key, begin.elapsed().as_secs_f64());
    }
    Ok(Some(costs))
}

/// Fig. 1, if it fits; `false` when stopped.
fn toy_part(session: &mut Session<'_>, budget: &Budget) -> Result<bool, Failure> {
    let is_stopped = || session.stop.load(std::sync::atomic::Ordering::SeqCst);
    let begin = Instant::now();
    if toy::compute(None, &[MEASURED_T_MAX], session.terminal, &is_stopped)?.is_none() {
        return Ok(false);
    }
    let expected_s = begin.elapsed().as_secs_f64() * N_T_MAX as f64;
    if expected_s > TOY * budget.left_s() {
        let line = format!("the toy experiment, which would take {:.1} minutes: gradus toy", expected_s / 60.0);
        session.output.left_out.push(line);
        return Ok(true);
    }
    let all: Vec<usize> = (0..N_T_MAX).collect();
    let Some(rates) = toy::compute(None, &all, session.terminal, &is_stopped)? else { return Ok(false) };
    let output = &mut session.output;
    output.panels = toy::write_panels(&rates, &|name| output.file(&format!("toy-{name}")))?;
    output.other_tables.push(toy::table(&rates));
    write_atomically(&output.file("toy-rates.csv"), rates_csv(&rates).as_bytes()).into_diagnostic()?;
    write_atomically(&output.file("toy-rates-by-iteration.csv"), by_iteration_csv(&rates).as_bytes())
        .into_diagnostic()?;
    Ok(true)
}

/// Both tables, as much of them as fits; `false` when stopped.
fn tables(arguments: &Arguments, session: &mut Session<'_>, costs: &Costs, budget: &Budget) -> Result<bool, Failure> {
    let mut is_done = true;
    for (kind, share) in TABLES.iter().zip([FIRST_TABLE, 1.0]) {
        if is_done {
            is_done = table(arguments, session, (kind, costs), share * budget.left_s())?;
        }
    }
    Ok(is_done)
}

/// As much of a table as fits into `seconds`; `false` when stopped.
fn table(
    arguments: &Arguments,
    session: &mut Session<'_>,
    (kind, costs): (&TableKind, &Costs),
    seconds: f64,
) -> Result<bool, Failure> {
    let most = arguments.size(kind, session.evaluation.dataset());
    // What earlier runs have left costs nothing, so that the same command again gets farther.
    let planned = plan(most, seconds, |images, starts| {
        seconds_of(&session.evaluation.pending(&jobs_of(kind, images, starts)), costs)
    });
    let begin = Instant::now();
    let is_late = || begin.elapsed().as_secs_f64() > seconds;
    let jobs = jobs_of(kind, planned.images, planned.starts);
    let end = session.run(&jobs, &format!("table {}", kind.number), &is_late)?;
    session.keep_table(kind, planned.images, planned.starts);
    let complete = session.output.tables.last().map_or(0, |(summary, _)| summary.images);
    if complete == 0 {
        session.output.tables.pop();
    }
    let n = kind.number;
    if complete == 0 {
        session.output.left_out.push(format!("table {n}: not even its smallest part fits; --table {n} runs it"));
    } else if (complete, planned.starts) != (kind.images, kind.starts) {
        let (images, starts) = (kind.images, kind.starts);
        session.output.left_out.push(format!(
            "table {n}: all but {complete} of {images} images and {} of {starts} starts; --table {n} runs the rest",
            planned.starts
        ));
    }
    Ok(end == RunEnd::Done || !session.is_stopped())
}
