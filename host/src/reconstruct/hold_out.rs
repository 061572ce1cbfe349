//! Views that are kept from a reconstruction.

use super::{Measurement, ReconstructError};

/// One view in so many is held out where nothing else is said.
pub const USUAL_HOLD_OUT: usize = 5;
/// A weight of the prior is tried with 4 to the power of whole numbers from minus this one to this one.
const MOST_POWER: i32 = 3;

/// True for one view in `every`, from the middle of the first group on, so that it has neighbours on either side.
#[must_use]
pub fn is_held_out(view: usize, every: usize) -> bool {
    view % every == every / 2
}

impl Measurement {
    /// The measurement without every `every`-th view, and those views alone. The scale of the image and the level of
    /// the noise stay those of the whole.
    ///
    /// # Errors
    /// [`ReconstructError::HoldOut`] when nothing would be left of either.
    pub fn without_every(&self, every: usize) -> Result<(Self, Self), ReconstructError> {
        let views = self.geometry.angles_rad.len();
        if every < 2 || every > views {
            return Err(ReconstructError::HoldOut { every, views });
        }
        let is_held = |view: usize| is_held_out(view, every);
        Ok((self.with_views(|view| !is_held(view)), self.with_views(is_held)))
    }

    /// The measurement with some of its views.
    fn with_views(&self, is_wanted: impl Fn(usize) -> bool) -> Self {
        let wanted: Vec<usize> = (0..self.geometry.angles_rad.len()).filter(|view| is_wanted(*view)).collect();
        let n_bins = self.geometry.n_bins;
        let rows = |values: &[f32]| -> Vec<f32> {
            wanted.iter().flat_map(|view| &values[view * n_bins..][..n_bins]).copied().collect()
        };
        let mut part = Self { sinogram: rows(&self.sinogram), ..self.clone() };
        part.geometry.angles_rad = wanted.iter().map(|view| self.geometry.angles_rad[*view]).collect();
        part.weights = self.weights.as_deref().map(rows);
        part.edges = self.edges.as_deref().map(rows);
        if let Some(own) = &mut part.pixel_wide {
            own.weights = own.weights.as_deref().map(rows);
            own.edges = own.edges.as_deref().map(rows);
        }
        part
    }
}

/// The rest that each of some factors leaves, and nothing once the runs are stopped.
type Left = Result<Option<Vec<f64>>, ReconstructError>;
/// The tries of some factors.
type Tries<'a> = &'a mut dyn FnMut(&[f64]) -> Left;

/// The power of 4 that leaves least, downhill from 1 on. Either way begins with 4, so it is tried together with 1.
///
/// # Errors
/// Those of the tries.
pub(super) fn least(left: Tries<'_>) -> Result<f64, ReconstructError> {
    let factor = |power: i32| 4.0_f64.powi(power);
    let Some([of_1, of_4]) = left(&[1.0, 4.0])?.and_then(|left| <[f64; 2]>::try_from(left).ok()) else {
        return Ok(1.0);
    };
    let (direction, mut best, mut least) = if of_4 < of_1 { (1, 1, of_4) } else { (-1, 0, of_1) };
    while best * direction < MOST_POWER {
        match left(&[factor(best + direction)])?.as_deref() {
            Some(&[found]) if found < least => (best, least) = (best + direction, found),
            _ => break,
        }
    }
    Ok(factor(best))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::ellipses::ellipses;
    use crate::simulate::{Simulation, simulate};

    fn measurement(photons: Option<f64>) -> Measurement {
        Measurement::new(&simulate(&ellipses(102, 64), 1.0, &Simulation { photons, ..Simulation::default() }).unwrap())
            .unwrap()
    }

    #[test]
    fn views_are_either_kept_or_held_out() {
        let whole = measurement(Some(1e4));
        let (kept, held) = whole.without_every(5).unwrap();
        assert_eq!((kept.geometry.angles_rad.len(), held.geometry.angles_rad.len()), (48, 12));
        assert_eq!(held.geometry.angles_rad[1], whole.geometry.angles_rad[7]);
        let n_bins = whole.geometry.n_bins;
        assert_eq!(held.sinogram[n_bins..2 * n_bins], whole.sinogram[7 * n_bins..8 * n_bins]);
        assert_eq!(held.weights.unwrap()[n_bins], whole.weights.as_ref().unwrap()[7 * n_bins]);
        assert_eq!(kept.sinogram.len() + held.sinogram.len(), whole.sinogram.len());
        for every in [0, 1, 61] {
            let error = whole.without_every(every).unwrap_err().to_string();
            assert!(error.contains(&format!("every {every}-th view of 60")), "{error}");
        }
    }

    #[test]
    fn the_least_is_found_on_either_side_or_at_a_bound() {
        let at = |wanted: f64| {
            let left = |factor: &f64| (factor / wanted).ln().abs();
            least(&mut |factors| Ok(Some(factors.iter().map(left).collect()))).unwrap()
        };
        assert_eq!([at(1.0), at(16.0), at(1.0 / 4.0), at(1e9)], [1.0, 16.0, 0.25, 64.0]);
        assert_eq!(least(&mut |_| Ok(None)).unwrap(), 1.0);
    }
}
