//! A question, answered by one method after the other.

use super::fine::fine;
use super::segment::{matthews, otsu};
use super::task::{FACTOR, Task};
use super::{HtcError, Phantom, Row};
use crate::ct::Window;
use crate::image::Image;
use crate::reconstruct::{DdsSettings, Measurement, Method, Observer, PlacedPrior, Settings, reconstruct};
use std::time::Instant;

/// The methods that are compared, with the settings that all phantoms and tasks have in common: their defaults, but for
/// decomposed diffusion sampling.
///
/// A minimiser is one of the many discs that suit the rays of a small arc. The mean of samples is cut where most of
/// them have an edge. More levels and more conjugate gradient steps than by default draw samples that suit the rays
/// better.
#[must_use]
pub fn methods() -> Vec<Settings> {
    let sampled = DdsSettings { steps: 100, solve_steps: 20, average: 8, ..DdsSettings::default() };
    vec![Method::Fbp.into(), Method::Tv.into(), Method::Solved.into(), Settings::Dds(sampled)]
}

/// Half-way between air and material.
const HALF: f32 = 0.5;

/// A phantom's scan with what its image is compared with.
#[derive(Debug)]
pub struct Trial {
    phantom: String,
    task: Task,
    measurement: Measurement,
    /// The challenge's segmentation.
    pub segmentation: Image,
    /// The image from all views without a window, on coarse pixels, for sparse ones.
    whole: Option<Image>,
}

impl Trial {
    /// Reads what a question needs.
    ///
    /// # Errors
    /// [`HtcError`] names the file or the method that failed.
    pub fn new(phantom: &Phantom, task: Task) -> Result<Self, HtcError> {
        let whole = match task {
            Task::Sparse(_) => Task::whole_scan(phantom)?,
            Task::Limited | Task::Arc(_) => None,
        };
        let of_whole = |scan| Ok::<_, HtcError>(Measurement::new(&scan)?.filtered_backprojection(Window::Ramp)?);
        Ok(Self {
            phantom: phantom.name.clone(),
            task,
            measurement: Measurement::new(&task.scan(phantom)?)?,
            segmentation: phantom.segmentation()?,
            whole: whole.map(of_whole).transpose()?,
        })
    }

    /// The answer of a method, and its image on the challenge's pixels, 1 for material and 0 for air; `None` when it
    /// was stopped.
    ///
    /// # Errors
    /// [`HtcError`] names the file or the method that failed.
    pub fn answer(
        &self,
        settings: &Settings,
        prior: &PlacedPrior<'_>,
        observer: Observer<'_>,
    ) -> Result<(Row, Image), HtcError> {
        let begin = Instant::now();
        let image = reconstruct(&self.measurement, settings, Some(prior), observer)?.image;
        let shown = fine(&image, FACTOR);
        let seconds = begin.elapsed().as_secs_f64();
        let cut = |threshold| matthews((&self.segmentation, HALF), (&shown, threshold));
        let angles = &self.measurement.geometry.angles_rad;
        let (first, last) = (angles.first().copied().unwrap_or(0.0), angles.last().copied().unwrap_or(0.0));
        let row = Row {
            phantom: self.phantom.clone(),
            task: self.task.to_string(),
            method: settings.method().to_string(),
            views: angles.len(),
            arc_deg: (last - first).abs().to_degrees(),
            matthews: self.whole.is_none().then(|| cut(HALF)),
            matthews_otsu: self.whole.is_none().then(|| cut(otsu(&shown))),
            relative_rms: self.whole.as_ref().map(|whole| self.inside_rms(whole, &image)),
            segmentation_rms: self.whole.is_some().then(|| self.segmentation_rms(&image)),
            seconds,
        };
        Ok((row, shown))
    }

    /// `|image - whole| / |whole|` inside the disc.
    fn inside_rms(&self, whole: &Image, image: &Image) -> f64 {
        let (mut squares, mut of_whole) = (0.0, 0.0);
        for k in self.inside(image) {
            let [a, b] = [image, whole].map(|image| f64::from(image.pixels[k]));
            squares += (a - b).powi(2);
            of_whole += b * b;
        }
        (squares / of_whole).sqrt()
    }

    /// `|image - (a s + b (1 - s))| / |image|` inside the disc, for the `a` and `b` that make it least, where `s` is
    /// the share of material of a pixel: the distance from the object that is there, whatever its greys.
    fn segmentation_rms(&self, image: &Image) -> f64 {
        let mut share = Image::zeros(image.height, image.width);
        for (k, pixel) in self.segmentation.pixels.iter().enumerate() {
            let [row, col] = [k / self.segmentation.width, k % self.segmentation.width].map(|place| place / FACTOR);
            share.pixels[row * share.width + col] += pixel / (FACTOR * FACTOR) as f32;
        }
        // The square of what a line in the share leaves is that of the image, without mean and slope.
        let (mut n, mut sums, mut products) = (0.0, [0.0; 2], [0.0; 3]);
        for k in self.inside(image) {
            let [s, x] = [&share, image].map(|image| f64::from(image.pixels[k]));
            n += 1.0;
            sums = [sums[0] + s, sums[1] + x];
            products = [products[0] + s * s, products[1] + s * x, products[2] + x * x];
        }
        let [ss, sx, xx] = [
            products[0] - sums[0] * sums[0] / n,
            products[1] - sums[0] * sums[1] / n,
            products[2] - sums[1] * sums[1] / n,
        ];
        // A disc without holes has one grey.
        let explained = if ss > 0.0 { sx * sx / ss } else { 0.0 };
        ((xx - explained).max(0.0) / products[2]).sqrt()
    }

    /// The pixels of an image inside the circle around the material of the segmentation.
    fn inside(&self, image: &Image) -> impl Iterator<Item = usize> {
        let [mut rows, mut cols] = [(f64::MAX, 0.0_f64); 2];
        let width = self.segmentation.width;
        for (k, _) in self.segmentation.pixels.iter().enumerate().filter(|(_, pixel)| **pixel > HALF) {
            let [row, col] = [k / width, k % width].map(|place| place as f64 + 0.5);
            rows = (rows.0.min(row), rows.1.max(row));
            cols = (cols.0.min(col), cols.1.max(col));
        }
        let factor = FACTOR as f64;
        let middle = [rows, cols].map(|(low, high)| 0.5 * (low + high) / factor);
        let radius = 0.25 * (rows.1 - rows.0 + cols.1 - cols.0) / factor;
        let width = image.width;
        (0..image.pixels.len()).filter(move |k| {
            let [row, col] = [k / width, k % width].map(|place| place as f64 + 0.5);
            (row - middle[0]).hypot(col - middle[1]) < radius
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::coarse::coarse;
    use super::*;
    use crate::data::disc::disc;
    use crate::prior::Prior;
    use crate::simulate::{Simulation, simulate};
    use std::ops::ControlFlow;

    /// A disc of the generator on the challenge's pixels, seen by a fan all around, is found again by filtered
    /// backprojection on coarse pixels and cut as it is.
    #[test]
    fn a_generated_disc_is_found_again() {
        let (fine_disc, prior) = (disc(2, 512), Prior::named("ellipses").unwrap());
        let simulation =
            Simulation { angles: 120, noise: 0.005, source_to_axis_mm: Some(410.0), ..Simulation::default() };
        let scan = coarse(&simulate(&fine_disc, 0.15, &simulation).unwrap(), FACTOR);
        let measurement = Measurement::new(&scan).unwrap();
        let whole = measurement.filtered_backprojection(Window::Hann).unwrap();
        let go_on = &mut |_: crate::reconstruct::Progress<'_>| ControlFlow::Continue(());
        let prior = PlacedPrior::on_cpu(&prior);
        let trial = |task, whole| Trial {
            phantom: "disc".into(),
            task,
            measurement: measurement.clone(),
            segmentation: fine_disc.clone(),
            whole,
        };
        let (row, shown) = trial(Task::Limited, None).answer(&Method::Fbp.into(), &prior, go_on).unwrap();
        assert!(row.matthews.unwrap() > 0.97 && row.matthews_otsu.unwrap() > 0.97, "{row:?}");
        assert_eq!((shown.height, row.views, row.relative_rms), (512, 120, None));
        let (row, _) = trial(Task::Sparse(120), Some(whole)).answer(&Method::Fbp.into(), &prior, go_on).unwrap();
        assert!(row.relative_rms.unwrap() == 0.0 && row.matthews.is_none(), "{row:?}");
        // Grey and light of the segmentation's shape are the object; its neighbour's are not.
        let trial = trial(Task::Limited, None);
        let mut grey = crate::image::Image::zeros(128, 128);
        for (k, pixel) in fine_disc.pixels.iter().enumerate() {
            grey.pixels[k / 512 / 4 * 128 + k % 512 / 4] += 0.3 * pixel / 16.0;
        }
        grey.pixels.iter_mut().for_each(|pixel| *pixel += 0.1);
        assert!(trial.segmentation_rms(&grey) < 1e-3, "{}", trial.segmentation_rms(&grey));
        grey.pixels.rotate_left(2);
        assert!(trial.segmentation_rms(&grey) > 0.1, "{}", trial.segmentation_rms(&grey));
    }
}
