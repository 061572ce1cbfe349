//! The rotation axis, found from the data.

use super::axis_views::gaps;
use super::geometry::{Beam, Geometry};
use super::projection_error::{ProjectionError, check_lengths};
use super::view_weights::n_distinct;
use super::{axis_fan, axis_parallel};
use std::f64::consts::{PI, TAU};

/// A gap between neighbouring views that is so many times the mean gap is a wedge that nobody measured.
const WEDGE: f64 = 4.0;
/// Fewest views and bins that tell an axis.
const LEAST_VIEWS: usize = 8;
const LEAST_BINS: usize = 16;
/// Bins by which parts of the data may disagree on an axis that they tell.
const MOST_UNCERTAIN: f64 = 1.0;

/// A place of the rotation axis on the detector, found from the data, and how sure it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FoundAxis {
    /// The value for [`Geometry::detector_offset_mm`].
    pub detector_offset_mm: f64,
    /// Standard deviation, from how far parts of the data disagree.
    pub uncertainty_mm: f64,
}

/// An axis that the data do not tell.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum AxisError {
    /// Too little of everything.
    #[error("the rotation axis is found from {LEAST_VIEWS} views of {LEAST_BINS} bins or more; give its place in mm")]
    TooFew,
    /// Views that see no line twice.
    #[error("the rotation axis is found from views over {needed}; give its place in mm, as found with more views")]
    PartOfATurn {
        /// The turn that is needed.
        needed: &'static str,
    },
    /// A sinogram that no axis explains better than others.
    #[error("no rotation axis stands out: the object is not seen whole, or is not there; give its place in mm")]
    Flat,
    /// A sinogram of another length.
    #[error(transparent)]
    Length(#[from] ProjectionError),
}

/// Finds the rotation axis from what the views say twice; what the geometry says of it is not used.
///
/// In a parallel beam over half a turn or more the sinogram's two-dimensional spectrum is a double wedge; the axis is
/// where least lies outside of it (Edholm, Lewitt and Lindholm 1986; Vo, Drakopoulos, Atwood and Reinhard 2014, Opt.
/// Express 22, 19078), taken here from views at any angles. In a fan over a full turn, every line is measured by two
/// rays, and the axis is where these agree best.
///
/// # Errors
/// [`AxisError`] when the views do not tell the axis.
///
/// # Accuracy
/// A tenth of a bin from 30 views (`axes_are_found_to_a_tenth_of_a_bin`).
pub fn find_axis(geometry: &Geometry, sinogram: &[f32]) -> Result<FoundAxis, AxisError> {
    check_lengths(geometry, geometry.image_len(), sinogram.len())?;
    if geometry.angles_rad.len() < LEAST_VIEWS || geometry.n_bins < LEAST_BINS {
        return Err(AxisError::TooFew);
    }
    let is_covered =
        |period| gaps(&geometry.angles_rad, period).iter().all(|gap| *gap <= WEDGE * mean_gap(geometry, period));
    let estimate = match &geometry.beam {
        Beam::Parallel if is_covered(PI) => axis_parallel::find(geometry, sinogram),
        Beam::Parallel => return Err(AxisError::PartOfATurn { needed: "half a turn" }),
        Beam::Fan(fan) if is_covered(TAU) => axis_fan::find(geometry, fan, sinogram),
        Beam::Fan(_) => return Err(AxisError::PartOfATurn { needed: "a full turn, in a fan" }),
    };
    let estimate = estimate.filter(|found| found.uncertainty <= MOST_UNCERTAIN).ok_or(AxisError::Flat)?;
    let middle = (geometry.n_bins as f64 - 1.0) / 2.0;
    Ok(FoundAxis {
        detector_offset_mm: (estimate.bin - middle) * geometry.bin_width_mm,
        uncertainty_mm: estimate.uncertainty * geometry.bin_width_mm,
    })
}

fn mean_gap(geometry: &Geometry, period: f64) -> f64 {
    period / n_distinct(&geometry.angles_rad, period) as f64
}

#[cfg(test)]
mod tests {
    use super::super::geometry::{Detector, Fan};
    use super::super::noise::relative_gaussian;
    use super::super::test_support::{Ellipse, analytic_sinogram};
    use super::*;

    fn object() -> [Ellipse; 3] {
        [
            Ellipse { value: 0.02, half_axes: (30.0, 22.0), ..Ellipse::disc(0.02, 1.0, (6.0, -4.0)) },
            Ellipse::disc(0.03, 5.0, (18.0, 2.0)),
            Ellipse::disc(-0.02, 7.0, (-8.0, 3.0)),
        ]
    }

    /// Largest error in bins, over offsets, of a scan with 1 % noise.
    fn check(name: &str, geometry: &Geometry) {
        for offset_mm in [0.0, 3.37, -9.81] {
            let g = Geometry { detector_offset_mm: offset_mm, ..geometry.clone() };
            let mut sinogram = analytic_sinogram(&g, &object());
            relative_gaussian(&mut sinogram, 0.01, 7).unwrap();
            let found = find_axis(&Geometry { detector_offset_mm: 1e-3, ..g.clone() }, &sinogram).unwrap();
            let error = (found.detector_offset_mm - offset_mm) / g.bin_width_mm;
            println!("{name}, {offset_mm}: {error:.3} bins, said {:.3}", found.uncertainty_mm / g.bin_width_mm);
            assert!(error.abs() < 0.1, "{name}, {offset_mm}: {error}");
            assert!(found.uncertainty_mm / g.bin_width_mm < 0.2);
        }
    }

    fn turned(geometry: Geometry, n_views: usize, turn: f64) -> Geometry {
        let angles_rad = (0..n_views).map(|k| 0.3 + turn * k as f64 / n_views as f64).collect();
        Geometry { n_bins: 180, angles_rad, ..geometry }
    }

    #[test]
    fn axes_are_found_to_a_tenth_of_a_bin() {
        let parallel = Geometry::covering(96, 96, 1);
        let fan = |detector| Fan { detector, source_to_axis_mm: 250.0, source_to_detector_mm: 400.0 };
        let fan = |detector| Geometry::covering_by_fan(96, 96, 1, fan(detector));
        check("half a turn", &turned(parallel.clone(), 120, PI));
        check("half a turn, 30 views", &turned(parallel.clone(), 30, PI));
        check("an odd number of bins", &Geometry { n_bins: 153, ..turned(parallel.clone(), 60, PI) });
        check("a turn", &turned(parallel, 240, TAU));
        check("flat fan", &turned(fan(Detector::Flat), 240, TAU));
        check("curved fan, 60 views", &turned(fan(Detector::Curved), 60, -TAU));
    }

    #[test]
    fn what_tells_no_axis_is_said() {
        let part = turned(Geometry::covering(32, 32, 1), 40, 2.0);
        let sinogram = vec![1.0; part.sinogram_len()];
        assert!(matches!(find_axis(&part, &sinogram), Err(AxisError::PartOfATurn { .. })));
        let whole = turned(Geometry::covering(32, 32, 1), 40, PI);
        assert_eq!(find_axis(&whole, &vec![0.0; whole.sinogram_len()]), Err(AxisError::Flat));
        assert_eq!(find_axis(&Geometry::covering(4, 4, 2), &[0.0; 14]), Err(AxisError::TooFew));
    }
}
