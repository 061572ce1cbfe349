//! The mean of several runs: the first from the start that is named, the others from its result under new noise. Runs
//! of methods that draw noise themselves all start alike.
//!
//! Each minimises `f` from another side, or is another sample; their mean is nearer to the posterior mean, which has
//! the least mean square error, than any of them. The others know nothing of each other, and run side by side.

use super::course::{Course, Results};
use super::{ReconstructError, Reconstruction};
use crate::backend::Slices;
use crate::image::Image;
use gradus_core::Status;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// Runs all tasks of a course, with as many restarts as its tasks want.
pub(super) fn run<B: Slices>(mut course: Course<'_, B>) -> Results
where
    ReconstructError: From<B::Error>,
{
    course.drive(1, |recipe, _| (recipe.solver)(0))?;
    let restarts = course.tasks.first().and_then(|task| task.recipe.restarts.as_ref());
    let Some(count) = restarts.map(|again| again.count as usize) else { return course.finish() };
    let n = course.tasks.len();
    let firsts: Result<Vec<Image>, ReconstructError> = (0..n).map(|task| course.iterate(task)).collect();
    let mut means: Vec<Mean> = firsts?.into_iter().map(Mean::of).collect();
    let seeds = course.tasks.iter().map(|task| ChaCha8Rng::seed_from_u64(task.recipe.seed));
    let mut generators: Vec<ChaCha8Rng> = seeds.collect();
    let mut done = 0;
    while done < count && !course.ends.contains(&Ok(Status::Stopped)) {
        let side_by_side = course.lanes_a_task().min(count - done);
        for lane in 0..n * side_by_side {
            let task = lane % n;
            let Some(again) = &course.tasks[task].recipe.restarts else { continue };
            // Stream 0 is that of the starting noise.
            generators[task].set_stream((done + lane / n + 1) as u64);
            let x = match again.noise_std {
                Some(noise_std) => noisy(&means[task].first, noise_std, &mut generators[task]),
                None => course.tasks[task].start()?,
            };
            course.restart(lane, &x, (again.solver)(0).objective())?;
        }
        let first = 1 + done as u32;
        course.drive(side_by_side, |recipe, k| {
            let solver = recipe.restarts.as_ref().map_or(&recipe.solver, |again| &again.solver);
            solver(first + k as u32)
        })?;
        for lane in 0..n * side_by_side {
            if course.ends[lane % n] != Ok(Status::Stopped) {
                means[lane % n].add(&course.iterate(lane)?.pixels);
            }
        }
        done += side_by_side;
    }
    let averaged = |(result, mean): (Result<Reconstruction, ReconstructError>, Mean)| Ok(mean.instead_of(result?));
    Ok(course.finish()?.into_iter().zip(means).map(averaged).collect())
}

/// The start of a run from the `first` result.
fn noisy(first: &Image, noise_std: f32, generator: &mut ChaCha8Rng) -> Vec<f32> {
    let noise = StandardNormal.sample_iter(generator);
    first.pixels.iter().zip(noise).map(|(x, z): (&f32, f32)| x + noise_std * z).collect()
}

/// Mean and standard deviation of images, pixel by pixel, by Welford's recurrence.
struct Mean {
    first: Image,
    count: f64,
    mean: Vec<f64>,
    squares: Vec<f64>,
}

impl Mean {
    fn of(first: Image) -> Self {
        let mean: Vec<f64> = first.pixels.iter().map(|x| f64::from(*x)).collect();
        Self { count: 1.0, squares: vec![0.0; mean.len()], mean, first }
    }

    fn add(&mut self, image: &[f32]) {
        self.count += 1.0;
        for ((mean, square), x) in self.mean.iter_mut().zip(&mut self.squares).zip(image) {
            let difference = f64::from(*x) - *mean;
            *mean += difference / self.count;
            *square += difference * (f64::from(*x) - *mean);
        }
    }

    /// The result with the mean as its image, of which no objective is known. The deviation is that of the sample, with
    /// `count - 1`. The certificate stays that of all runs.
    fn instead_of(self, result: Reconstruction) -> Reconstruction {
        if self.count == 1.0 {
            return Reconstruction { image: self.first, ..result };
        }
        let image = |pixels: Vec<f32>| Image { pixels, ..self.first };
        let deviation = self.squares.iter().map(|square| (square / (self.count - 1.0)).sqrt() as f32).collect();
        let mean = self.mean.iter().map(|mean| *mean as f32).collect();
        Reconstruction { image: image(mean), deviation: Some(image(deviation)), objective: None, ..result }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Job, Measurement, PlacedPrior, Progress, Settings, SolvedSettings, reconstruct_all};
    use super::*;
    use crate::data::ellipses::ellipses;
    use crate::prior::Prior;
    use crate::simulate::{Simulation, simulate};
    use std::ops::ControlFlow;

    /// Means of five runs of two scans, with room for so many lanes, stopped after so many iterations.
    fn means(lanes: usize, stop_after: u64) -> Vec<Reconstruction> {
        let prior = Prior::named("ellipses").unwrap();
        let measurements = [3, 4].map(|number| {
            let simulation = Simulation { angles: 20, ..Simulation::default() };
            Measurement::new(&simulate(&ellipses(number, 32), 1.0, &simulation).unwrap()).unwrap()
        });
        let settings = Settings::Solved(SolvedSettings { average: 5, steps: Some(3), ..SolvedSettings::default() });
        let jobs = measurements.each_ref().map(|measurement| Job { measurement, settings: &settings });
        let observe = |progress: Progress<'_>| {
            assert!(progress.done <= progress.total && progress.row.is_some());
            if progress.done < stop_after { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(lanes).build().unwrap();
        pool.install(|| {
            let prior = PlacedPrior::on_cpu(&prior);
            let results = reconstruct_all(&jobs, Some(&prior), &mut |progress| observe(progress)).unwrap();
            results.into_iter().map(Result::unwrap).collect()
        })
    }

    #[test]
    fn a_mean_is_the_same_however_many_runs_are_side_by_side() {
        let alone = means(1, u64::MAX);
        for lanes in [2, 4, 7, 16] {
            for (one, other) in alone.iter().zip(means(lanes, u64::MAX)) {
                assert_eq!(one.image.pixels, other.image.pixels, "{lanes}");
                assert_eq!(one.deviation, other.deviation);
                assert_eq!(one.counters, other.counters);
                let rows = |result: &Reconstruction| {
                    result.trace.iter().map(|row| (row.record, row.objective, row.counters)).collect::<Vec<_>>()
                };
                assert_eq!(rows(one), rows(&other));
                assert!(rows(one).windows(2).all(|pair| pair[0].2.network_vjps < pair[1].2.network_vjps));
            }
        }
    }

    #[test]
    fn a_mean_that_is_stopped_is_of_the_runs_that_ended() {
        for lanes in [2, 16] {
            let stopped = means(lanes, 4).swap_remove(0);
            assert_eq!((stopped.status, stopped.deviation), (Some(Status::Stopped), None), "{lanes}");
        }
    }
}
