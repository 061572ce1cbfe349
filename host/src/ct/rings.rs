//! Rings, suppressed in the sinogram.

use super::geometry::Geometry;
use super::projection_error::{ProjectionError, check_lengths};
use rayon::prelude::*;

/// Suppresses what bins that answer differently from their neighbours leave in a sinogram: stripes along the views,
/// which become rings.
///
/// **Method.** Vo, Atwood and Drakopoulos 2018, Opt. Express 26, 28396, algorithm 3: each bin's values over the views
/// are sorted; among sorted neighbours, which see nearly the same values, the median over `window` bins takes the
/// place of each value; and the values go back to their views. What moves from view to view keeps its place and its
/// edges, while a stripe of any strength that lasts, or that depends on the attenuation, goes.
///
/// **Shapes.** `sinogram` `[angle][bin]` (overwrites); `window` counts bins and is odd, one more where it is even. At
/// the detector's ends the window is cut.
///
/// # Errors
/// [`ProjectionError`] when the sinogram does not fit the geometry; nothing is written then.
pub fn suppress_rings(geometry: &Geometry, window: usize, sinogram: &mut [f32]) -> Result<(), ProjectionError> {
    check_lengths(geometry, geometry.image_len(), sinogram.len())?;
    let (n_views, n_bins) = (geometry.angles_rad.len(), geometry.n_bins);
    let sorted: Vec<Vec<(f32, usize)>> = (0..n_bins)
        .into_par_iter()
        .map(|k| {
            let mut values: Vec<(f32, usize)> = (0..n_views).map(|view| (sinogram[view * n_bins + k], view)).collect();
            values.sort_by(|a, b| a.0.total_cmp(&b.0));
            values
        })
        .collect();
    let reach = window / 2;
    let medians: Vec<Vec<f32>> = (0..n_views)
        .into_par_iter()
        .map_init(Vec::new, |near, rank| {
            let median = |k: usize| {
                near.clear();
                near.extend(sorted[k.saturating_sub(reach)..(k + reach + 1).min(n_bins)].iter().map(|of| of[rank].0));
                let middle = near.len() / 2;
                *near.select_nth_unstable_by(middle, f32::total_cmp).1
            };
            (0..n_bins).map(median).collect()
        })
        .collect();
    for (k, of_bin) in sorted.iter().enumerate() {
        for (medians, (_, view)) in medians.iter().zip(of_bin) {
            sinogram[view * n_bins + k] = medians[k];
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::test_support::{Ellipse, analytic_sinogram, relative_error};
    use super::*;

    fn geometry() -> Geometry {
        Geometry::covering(128, 128, 180)
    }

    fn clean(g: &Geometry) -> Vec<f32> {
        analytic_sinogram(g, &[Ellipse::disc(0.02, 45.0, (5.0, -7.0)), Ellipse::disc(0.03, 9.0, (-12.0, 20.0))])
    }

    /// Energy of what the mean over the views has from bin to bin.
    fn stripes(n_bins: usize, difference: &[f32]) -> f64 {
        let mean = |k: usize| difference.chunks_exact(n_bins).map(|view| f64::from(view[k])).sum::<f64>();
        (0..n_bins).map(|k| mean(k).powi(2)).sum()
    }

    #[test]
    fn stripes_go_and_the_object_stays() {
        let g = geometry();
        let clean = clean(&g);
        let mut striped = clean.clone();
        for (at, value) in striped.iter_mut().enumerate() {
            // Every seventh bin answers too little or too much, one with a gain.
            match at % g.n_bins {
                80 => *value *= 1.05,
                k if k % 7 == 3 => *value += if k % 2 == 0 { 0.08 } else { -0.06 },
                _ => {}
            }
        }
        let difference = |a: &[f32]| a.iter().zip(&clean).map(|(a, b)| a - b).collect::<Vec<f32>>();
        let before = stripes(g.n_bins, &difference(&striped));
        suppress_rings(&g, 21, &mut striped).unwrap();
        let after = stripes(g.n_bins, &difference(&striped));
        println!("stripes: {before} to {after}; the object: {}", relative_error(&striped, &clean));
        assert!(after < before / 10.0, "{before} {after}");
        assert!(relative_error(&striped, &clean) < 0.02);
    }

    #[test]
    fn any_number_of_threads_gives_the_same_bits() {
        let g = geometry();
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let mut sinogram = clean(&g);
            pool.install(|| suppress_rings(&g, 9, &mut sinogram)).unwrap();
            sinogram.iter().map(|value| value.to_bits()).collect::<Vec<_>>()
        };
        assert_eq!(run(1), run(3));
        assert!(suppress_rings(&g, 9, &mut [0.0; 3]).is_err());
    }
}
