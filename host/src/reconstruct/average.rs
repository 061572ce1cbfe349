//! The mean of several runs: the first from the start that is named, the others from its result under new noise.
//!
//! Each minimises `f` from another side; their mean is nearer to the posterior mean, which has the least mean square
//! error, than any of them.

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
    course.drive(|recipe| (recipe.solver)())?;
    let restarts = course.tasks.first().and_then(|task| task.recipe.restarts.as_ref());
    let Some(count) = restarts.map(|again| again.count) else { return course.finish() };
    let slices = 0..course.tasks.len();
    let firsts: Result<Vec<Image>, ReconstructError> = slices.map(|slice| course.iterate(slice)).collect();
    let mut means: Vec<Mean> = firsts?.into_iter().map(Mean::of).collect();
    let seeds = course.tasks.iter().map(|task| ChaCha8Rng::seed_from_u64(task.recipe.seed));
    let mut generators: Vec<ChaCha8Rng> = seeds.collect();
    for k in 1..=count {
        if course.ends.contains(&Ok(Status::Stopped)) {
            break;
        }
        for (slice, (mean, generator)) in means.iter().zip(&mut generators).enumerate() {
            // Stream 0 is that of the starting noise.
            generator.set_stream(k.into());
            restart(&mut course, slice, &mean.first, generator)?;
        }
        course.drive(|recipe| recipe.restarts.as_ref().map_or_else(|| (recipe.solver)(), |again| (again.solver)()))?;
        for (slice, mean) in means.iter_mut().enumerate() {
            if course.ends[slice] != Ok(Status::Stopped) {
                mean.add(&course.iterate(slice)?.pixels);
            }
        }
    }
    let averaged = |(result, mean): (Result<Reconstruction, ReconstructError>, Mean)| Ok(mean.instead_of(result?));
    Ok(course.finish()?.into_iter().zip(means).map(averaged).collect())
}

/// Goes on with a slice from its `first` result under noise.
fn restart<B: Slices>(
    course: &mut Course<'_, B>,
    slice: usize,
    first: &Image,
    generator: &mut ChaCha8Rng,
) -> Result<(), ReconstructError>
where
    ReconstructError: From<B::Error>,
{
    let Some(again) = &course.tasks[slice].recipe.restarts else { return Ok(()) };
    let noise = StandardNormal.sample_iter(generator);
    let noisy = first.pixels.iter().zip(noise).map(|(x, z): (&f32, f32)| x + again.noise_std * z);
    let (noisy, objective) = (noisy.collect::<Vec<f32>>(), (again.solver)().objective());
    Ok(course.slices.restart(slice, &noisy, objective)?)
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
