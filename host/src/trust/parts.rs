//! The part of an image that the data determine, and the rest, which is the prior's.

use super::rays::Rays;
use super::shares::Shares;
use crate::ct::{LeastNorm, ProjectionError, Projector};
use crate::image::Image;

/// An image as the sum of what its data say of it and of what they do not.
///
/// **Equation.** `x = A^+ A x + (x - A^+ A x)`: the first part is the image of least norm that has the line integrals
/// of `x`, the second one has none at all, and is at right angles to the first. Another prior may make anything of the
/// second without any ray's objecting. Noise is not looked at: what it drowns counts as determined.
#[derive(Debug, Clone, PartialEq)]
pub struct Parts {
    /// `A^+ A x`.
    pub determined: Image,
    /// The rest.
    pub undetermined: Image,
    /// |A (rest)| / |A x|: 0 but for what the steps of the solve leave.
    pub left: f64,
    /// Steps that it took, one projection and one adjoint each.
    pub steps: usize,
}

/// The end of the solve for the first part.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Effort {
    /// The share of A x at which it ends.
    pub tolerance: f64,
    /// Steps at most.
    pub most: usize,
}

impl Effort {
    /// A small part of the work of a run. Leaves 1e-4 to 1e-3 of A x, in directions that the data hardly see.
    pub const USUAL: Self = Self { tolerance: 1e-5, most: 16 };

    /// As many steps as it takes, hundreds of them.
    #[must_use]
    pub const fn until(tolerance: f64) -> Self {
        Self { tolerance, most: 10_000 }
    }
}

impl Parts {
    /// Those of an image. Rays of weight 0 were not measured, and determine nothing.
    ///
    /// # Errors
    /// When the image does not fit the projector's geometry.
    ///
    /// # Accuracy
    /// `left` at most what is asked for (`the_rest_has_no_line_integrals`).
    pub fn of(
        image: &Image,
        rays: &Rays<'_>,
        projector: &mut Projector,
        effort: Effort,
    ) -> Result<Self, ProjectionError> {
        let mut sinogram = vec![0.0; projector.geometry().sinogram_len()];
        projector.forward_project(&image.pixels, &mut sinogram)?;
        let mut determined = Image::zeros(image.height, image.width);
        let is_measured = |ray: usize| rays.weight(ray) > 0.0;
        let Effort { tolerance, most } = effort;
        let end = LeastNorm::new(projector, &is_measured).solve(&sinogram, &mut determined.pixels, tolerance, most)?;
        let rest = image.pixels.iter().zip(&determined.pixels).map(|(x, z)| x - z).collect();
        let undetermined = Image { pixels: rest, ..*image };
        Ok(Self { determined, undetermined, left: end.left, steps: end.steps })
    }

    /// Share of the second part, by frequency, direction and place.
    #[must_use]
    pub fn shares(&self) -> Shares {
        Shares::of(&self.determined, &self.undetermined)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ct::Geometry;
    use crate::data::ellipses::ellipses;
    use crate::vector::dot;

    fn parts(geometry: Geometry, effort: Effort) -> (Parts, f64) {
        let image = ellipses(101, 64);
        let rays = Rays { sinogram: &[], noise_std: 1.0, weights: None };
        let mut projector = Projector::new(geometry).unwrap();
        let parts = Parts::of(&image, &rays, &mut projector, effort).unwrap();
        let mut seen = vec![0.0; projector.geometry().sinogram_len()];
        projector.forward_project(&parts.undetermined.pixels, &mut seen).unwrap();
        let of_rest = dot(&seen, &seen).sqrt();
        projector.forward_project(&image.pixels, &mut seen).unwrap();
        (parts, of_rest / dot(&seen, &seen).sqrt())
    }

    #[test]
    fn the_rest_has_no_line_integrals() {
        for (views, effort, most) in
            [(8, Effort::until(1e-5), 1e-5), (20, Effort::USUAL, 1e-3), (60, Effort::USUAL, 1e-3)]
        {
            let (parts, left) = parts(Geometry::covering(64, 64, views), effort);
            println!("{views} views: {left:e} after {} steps, {:?}", parts.steps, parts.shares().all);
            assert!(left < 1.2 * most && (left / parts.left - 1.0).abs() < 0.2, "{left} {}", parts.left);
        }
    }

    #[test]
    fn fewer_views_leave_more_to_the_prior_and_fine_detail_first() {
        let [few, many] = [8, 60].map(|views| parts(Geometry::covering(64, 64, views), Effort::USUAL).0.shares());
        assert!(few.all > 3.0 * many.all, "{} {}", few.all, many.all);
        let [coarse, fine] = [few.by_frequency[0], few.by_frequency[6]];
        assert!(coarse < 0.1 && fine > 0.5, "{:?}", few.by_frequency);
    }

    /// Views over 60 degrees: the wedge of the other 120 is not in the data.
    #[test]
    fn a_limited_angle_leaves_the_missing_wedge_to_the_prior() {
        let covering = Geometry::covering(64, 64, 40);
        let angles_rad = covering.angles_rad.iter().map(|angle| angle / 3.0).collect();
        let shares = parts(Geometry { angles_rad, ..covering }, Effort::USUAL).0.shares();
        // Sectors of 15 degrees: the first four are seen but for their ends.
        println!("{:?}", shares.by_direction);
        assert!(shares.by_direction[..4].iter().all(|share| *share < 0.25), "{:?}", shares.by_direction);
        assert!(shares.by_direction[5..11].iter().all(|share| *share > 0.45), "{:?}", shares.by_direction);
    }
}
