//! Data Exchange (DXchange) files of synchrotrons: HDF5 with counts, flats, darks and angles in degrees.
//!
//! De Carlo et al. 2014, J. Synchrotron Rad. 21, 1224: `exchange/data` is `[view][row][bin]`, `data_white` and
//! `data_dark` `[frame][row][bin]`, and `theta` has an angle for each view.
use super::counts::{self, Counts};
use super::hdf5::{Hdf5, Numbers};
use super::options::RawOptions;
use crate::data::file_error::{Cause, ImageProblem};
use crate::data::scan::{Scan, ScanProblem};

/// The scan of one detector row.
pub(super) fn read(file: &Hdf5, options: &RawOptions) -> Result<Scan, ScanProblem> {
    let (Some(data), Some(flats), Some(theta)) =
        (file.numbers("exchange/data"), file.numbers("exchange/data_white"), file.numbers("exchange/theta"))
    else {
        let fields = ["exchange/data", "exchange/data_white", "exchange/theta"];
        let (found, needed) = fields.into_iter().partition::<Vec<_>, _>(|field| file.numbers(field).is_some());
        return Err(ScanProblem::MissingFields { needed, found: found.into_iter().map(str::to_owned).collect() });
    };
    options.refuse("turn_deg", "the file says its angles")?;
    let stack = Stack::new("exchange/data", &data)?;
    let row = options.row_of(stack.n_rows)?;
    let mut angles_rad = theta.values().map_err(damaged)?;
    let is_radians = theta.attribute("units").is_some_and(|unit| unit.starts_with("rad"));
    if !is_radians {
        angles_rad.iter_mut().for_each(|angle| *angle = angle.to_radians());
    }
    if angles_rad.len() != stack.n_frames {
        let expected = format!("an angle for each of the {} views", stack.n_frames);
        return Err(ScanProblem::Shape { field: "exchange/theta", found: theta.shape.clone(), expected });
    }
    let same = |field, numbers: &Numbers| {
        let frames = Stack::new(field, numbers)?;
        if (frames.n_rows, frames.n_bins) != (stack.n_rows, stack.n_bins) {
            let expected = format!("frames of {} rows and {} bins", stack.n_rows, stack.n_bins);
            return Err(ScanProblem::Shape { field, found: numbers.shape.clone(), expected });
        }
        frames.row(row)
    };
    let darks = file.numbers("exchange/data_dark");
    let counts = Counts {
        n_bins: stack.n_bins,
        views: stack.row(row)?,
        flats: same("exchange/data_white", &flats)?,
        darks: darks.as_ref().map_or(Ok(Vec::new()), |darks| same("exchange/data_dark", darks))?,
    };
    let mut scan = counts::scan(angles_rad, stack.n_bins, options.bin_width_mm(), counts.integrals()?)?;
    let said = |warning: String| Some(warning);
    let assumed = [
        said(format!("DXchange: row {row} of {} is taken (--row)", stack.n_rows)),
        said(format!("exchange/theta is taken to be in {}", if is_radians { "radians" } else { "degrees" })),
        darks.is_none().then(|| "exchange/data_dark is missing: no dark current is assumed".to_owned()),
        options.assumed_bin_width(),
    ];
    scan.warnings.splice(0..0, assumed.into_iter().flatten());
    Ok(scan)
}

/// Frames of rows of bins.
struct Stack<'a> {
    numbers: &'a Numbers,
    n_frames: usize,
    n_rows: usize,
    n_bins: usize,
}

impl<'a> Stack<'a> {
    fn new(field: &'static str, numbers: &'a Numbers) -> Result<Self, ScanProblem> {
        let &[n_frames, n_rows, n_bins] = numbers.shape.as_slice() else {
            let expected = "[frame][row][bin]".to_owned();
            return Err(ScanProblem::Shape { field, found: numbers.shape.clone(), expected });
        };
        Ok(Self { numbers, n_frames, n_rows, n_bins })
    }

    /// One row of every frame.
    fn row(&self, row: usize) -> Result<Vec<f32>, ScanProblem> {
        let mut values = Vec::new();
        for frame in 0..self.n_frames {
            let numbers = self.numbers.rows(frame..frame + 1).map_err(damaged)?;
            values.extend(numbers[row * self.n_bins..][..self.n_bins].iter().map(|value| *value as f32));
        }
        Ok(values)
    }
}

fn damaged(cause: Cause) -> ScanProblem {
    ImageProblem::damaged("HDF5", cause).into()
}
