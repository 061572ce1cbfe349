//! From a cell of the grid to its row.

use super::grid::{Cell, PARTS, Photons};
use super::lesion::Lesion;
use super::rows::Row;
use crate::image::Image;
use crate::metrics::{psnr, ssim_uniform};
use crate::paper::tables::EvaluateError;
use crate::reconstruct::{
    Job, Measurement, Observer, PlacedPrior, ReconstructError, Settings, discrepancy, reconstruct, reduced_fit,
};
use crate::simulate::{Simulation, simulate};
use gradus_core::Status;

/// The maker of rows.
#[derive(Debug)]
pub struct Bench<'a> {
    /// The prior of the learned methods.
    pub prior: &'a PlacedPrior<'a>,
}

impl Bench<'_> {
    /// The row of a cell, for an image in network units; `None` where the observer ended it.
    ///
    /// # Errors
    /// [`EvaluateError`] says which image, start or file.
    pub fn row(&self, cell: &Cell, image: &Image, observer: Observer<'_>) -> Result<Option<Row>, EvaluateError> {
        let lesion = Lesion::in_object(image);
        let truth = lesion.added_to(image);
        let measurement = scanned(cell, &truth)?;
        let settings = Settings::from(cell.method);
        let made = reconstruct(&measurement, &settings, Some(self.prior), observer);
        let row = Row { image: cell.image, views: cell.views, photons: cell.photons.0, ..Row::broken(cell.method) };
        let result = match made {
            Ok(result) if result.status == Some(Status::Stopped) => return Ok(None),
            Ok(result) => result,
            // A run that met a number that is not finite is a row, too.
            Err(ReconstructError::Broke { .. }) => return Ok(Some(row)),
            Err(error) => return Err(error.into()),
        };
        let weights = measurement.weights.as_deref();
        let job = Job { measurement: &measurement, settings: &settings };
        // Without noise nothing but the error of the model could be compared with the error of the model.
        let exact = scanned(&Cell { photons: Photons(None), ..*cell }, &truth)?;
        let model = cell.photons.0.map(|_| exact.left_by(&truth)).transpose()?;
        let reduced = reduced_fit(job, &result.image, model.as_deref(), Some(self.prior), observer)?;
        let Some(reduced) = reduced else { return Ok(None) };
        Ok(Some(Row {
            psnr_db: psnr(&truth, &result.image, 1.0)?,
            ssim: ssim_uniform(&truth, &result.image, 1.0)?,
            chi_squared: discrepancy(&measurement, weights, &result.image)?,
            reduced: reduced.chi_squared,
            lesion_kept: lesion.kept(&truth, &result.image),
            status: result.status.map_or_else(|| "done".to_owned(), |status| status.to_string()),
            ..row
        }))
    }
}

fn scanned(cell: &Cell, truth: &Image) -> Result<Measurement, EvaluateError> {
    let (photons, seed) = (cell.photons.0, cell.image as u64);
    let simulation =
        Simulation { angles: cell.views, noise: 0.0, photons, seed, parts: PARTS, ..Simulation::default() };
    Ok(Measurement::new(&simulate(truth, 1.0, &simulation)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::ellipses::ellipses;
    use crate::paper::range::{Grid, heat_maps, table};
    use crate::prior::Prior;
    use crate::reconstruct::Method;
    use std::ops::ControlFlow;

    /// A small image over a small grid: better data never make the default method or FBP worse.
    #[test]
    fn a_small_grid_gets_better_with_its_data() {
        let prior = Prior::named("ellipses").unwrap();
        let (placed, image) = (PlacedPrior::on_cpu(&prior), ellipses(3, 48));
        let methods = vec![Method::Solved, Method::Fbp];
        let grid =
            Grid { views: vec![12, 60], photons: [Some(1e3), Some(1e6)].map(Photons).to_vec(), methods, images: 1 };
        let row = |cell: &Cell| {
            let row = Bench { prior: &placed }.row(cell, &image, &mut |_| ControlFlow::Continue(())).unwrap();
            row.unwrap()
        };
        let rows: Vec<Row> = grid.cells().iter().map(row).collect();
        let of = |views, photons, method: Method| {
            let is = |row: &&Row| row.views == views && row.photons == Some(photons) && row.method == method.name();
            rows.iter().find(is).unwrap().psnr_db
        };
        for method in [Method::Solved, Method::Fbp] {
            for (views, photons) in [(12, 1e6), (60, 1e3), (60, 1e6)] {
                assert!(of(views, photons, method) + 0.1 > of(12, 1e3, method), "{method} {views} {photons}");
            }
        }
        for views in [12, 60] {
            assert!(of(views, 1e6, Method::Solved) > of(views, 1e6, Method::Fbp) + 3.0, "{rows:?}");
        }
        assert!(rows.iter().all(|row| row.chi_squared > 0.0 && row.lesion_kept.is_finite()));
        assert_eq!(heat_maps(&grid, &rows).len(), 2 * 3);
        assert_eq!(table(&grid, &rows).rows.len(), 4);
    }
}
