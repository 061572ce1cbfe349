//! The grid as pictures, one pixel a scan, and as a table.

use super::grid::{Grid, Photons};
use super::rows::Row;
use crate::image::{GreyWindow, Image};
use crate::report::{Picture, Table};

/// A number of each row, its name, and the range from black to white.
type Shown = (fn(&Row) -> f64, &'static str, (f32, f32));

const SHOWN: [Shown; 3] = [
    (|row| row.psnr_db, "PSNR in dB, 15 to 50", (15.0, 50.0)),
    (|row| row.reduced, "reduced chi squared a ray, 0 to 2", (0.0, 2.0)),
    (|row| row.lesion_kept, "contrast of the lesion that is kept, 0 to 1", (0.0, 1.0)),
];

/// Mean of a number over the images of a scan by a method; `None` where there is no row.
fn mean(rows: &[Row], (views, photons, method): (usize, Photons, &str), of: fn(&Row) -> f64) -> Option<f64> {
    let is = |row: &&Row| row.views == views && row.photons == photons.0 && row.method == method;
    let (sum, n) = rows.iter().filter(is).fold((0.0, 0.0), |(sum, n), row| (sum + of(row), n + 1.0));
    (n > 0.0).then(|| sum / n)
}

/// For each method three maps: PSNR, reduced chi squared, and the contrast of the lesion; views from left to right,
/// photons from top to bottom. What has no row is black.
#[must_use]
pub fn heat_maps(grid: &Grid, rows: &[Row]) -> Vec<Picture> {
    let mut pictures = Vec::new();
    for method in grid.methods.iter().map(|method| method.name()) {
        for (of, name, (lo, hi)) in SHOWN {
            let scans = grid.photons.iter().flat_map(|&photons| grid.views.iter().map(move |&views| (views, photons)));
            let value = |(views, photons)| mean(rows, (views, photons, method), of).unwrap_or(f64::from(lo)) as f32;
            let pixels = scans.map(value).collect();
            let image = Image { height: grid.photons.len(), width: grid.views.len(), pixels };
            pictures.push(Picture::new(format!("{method}: {name}"), image, GreyWindow::new(lo, hi)));
        }
    }
    pictures
}

/// One row a scan and method column: PSNR, reduced chi squared, contrast kept.
#[must_use]
pub fn table(grid: &Grid, rows: &[Row]) -> Table {
    let columns = grid.methods.iter().map(|method| method.name().to_owned());
    let header = ["views".to_owned(), "photons".to_owned()].into_iter().chain(columns).collect();
    let scans = grid.views.iter().flat_map(|&views| grid.photons.iter().map(move |&photons| (views, photons)));
    let line = |(views, photons): (usize, Photons)| {
        let cell = |method: &str| {
            let numbers = SHOWN.map(|(of, ..)| mean(rows, (views, photons, method), of));
            match numbers {
                [Some(psnr), Some(chi), Some(kept)] => format!("{psnr:.2}; {chi:.2}; {kept:.2}"),
                _ => String::new(),
            }
        };
        let cells = grid.methods.iter().map(|method| cell(method.name()));
        [views.to_string(), photons.to_string()].into_iter().chain(cells).collect()
    };
    Table {
        title: "From few views to many, from few photons to no noise".into(),
        header,
        rows: scans.map(line).collect(),
        note: "PSNR in dB; reduced chi squared a ray (with noise: over what is left of the error of the truth); \
               contrast that a lesion of a radius of two pixels keeps. Scans are made on a grid three times as fine as \
               that of the reconstruction."
            .into(),
    }
}
