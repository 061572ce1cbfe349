//! Data Exchange (DXchange) files of synchrotrons: HDF5 with counts, flats, darks and angles in degrees.
//!
//! De Carlo et al. 2014, J. Synchrotron Rad. 21, 1224: `exchange/data` is `[view][row][bin]`, `data_white` and
//! `data_dark` `[frame][row][bin]`, and `theta` has an angle for each view.
use super::counts::{self, Counts};
use super::options::RawOptions;
use crate::data::file_error::{Cause, ImageProblem};
use crate::data::hdf5::{Hdf5, Numbers};
use crate::data::scan::{Scan, ScanProblem};
use std::ops::Range;

/// Numbers that are read at once: frames that are packed together are unpacked anew for each read.
const AT_ONCE: usize = 1 << 22;
/// Bytes of a window of rows that is kept in memory.
const WINDOW: usize = 64 << 20;

/// The scan of one detector row.
pub(super) fn read(file: &Hdf5, options: &RawOptions) -> Result<Scan, ScanProblem> {
    let mut rows = DetectorRows::open(file, *options)?;
    let row = options.row_of(rows.n_rows())?;
    let mut scan = rows.scan(row, 1)?;
    scan.warnings.insert(0, format!("DXchange: row {row} of {} is taken (--row)", rows.n_rows()));
    Ok(scan)
}

/// The scans of a detector's rows, one by one.
pub(super) struct DetectorRows {
    options: RawOptions,
    views: Stack,
    flats: Stack,
    darks: Option<Stack>,
    angles_rad: Vec<f64>,
    /// The unit that the file's angles were taken to have.
    unit: &'static str,
    window: Window,
}

/// Rows of all frames that have been read together: every read of a row goes through the whole file.
#[derive(Default)]
struct Window {
    rows: Range<usize>,
    views: Vec<f32>,
    flats: Vec<f32>,
    darks: Vec<f32>,
}

impl DetectorRows {
    pub(super) fn open(file: &Hdf5, options: RawOptions) -> Result<Self, ScanProblem> {
        let numbers = |field| file.numbers(field).map_err(damaged);
        let (Some(data), Some(flats), Some(theta)) =
            (numbers("exchange/data")?, numbers("exchange/data_white")?, numbers("exchange/theta")?)
        else {
            let fields = ["exchange/data", "exchange/data_white", "exchange/theta"];
            let (found, needed) = fields.into_iter().partition::<Vec<_>, _>(|field| file.has(field));
            return Err(ScanProblem::MissingFields { needed, found: found.into_iter().map(str::to_owned).collect() });
        };
        options.refuse("turn_deg", "the file says its angles")?;
        let views = Stack::new("exchange/data", data)?;
        let (angles_rad, unit) = angles(&theta, views.n_frames)?;
        let flats = views.like("exchange/data_white", flats)?;
        let darks = numbers("exchange/data_dark")?;
        let darks = darks.map(|darks| views.like("exchange/data_dark", darks)).transpose()?;
        Ok(Self { options, views, flats, darks, angles_rad, unit, window: Window::default() })
    }

    pub(super) fn n_rows(&self) -> usize {
        self.views.n_rows
    }

    /// The scan of a row, read together with the rows behind it that a window holds, at most so many.
    pub(super) fn scan(&mut self, row: usize, at_most: usize) -> Result<Scan, ScanProblem> {
        if !self.window.rows.contains(&row) {
            self.window = self.read(row, at_most)?;
        }
        let (n_bins, n_rows, at) = (self.views.n_bins, self.window.rows.len(), row - self.window.rows.start);
        let of = |values: &[f32]| -> Vec<f32> {
            values.chunks_exact(n_bins).skip(at).step_by(n_rows).flatten().copied().collect()
        };
        let Window { views, flats, darks, .. } = &self.window;
        let counts = Counts { n_bins, views: of(views), flats: of(flats), darks: of(darks) };
        let bin_width_mm = self.options.bin_width_mm();
        let mut scan = counts::scan(self.angles_rad.clone(), n_bins, bin_width_mm, counts.integrals()?)?;
        let assumed = [
            Some(format!("exchange/theta is taken to be in {}", self.unit)),
            self.darks.is_none().then(|| "exchange/data_dark is missing: no dark current is assumed".to_owned()),
            self.options.assumed_bin_width(),
        ];
        scan.warnings.splice(0..0, assumed.into_iter().flatten());
        Ok(scan)
    }

    fn read(&self, row: usize, at_most: usize) -> Result<Window, ScanProblem> {
        let fitting = WINDOW / (size_of::<f32>() * self.views.n_frames * self.views.n_bins).max(1);
        let rows = row..(row + fitting.clamp(1, at_most.max(1))).min(self.views.n_rows);
        let darks = self.darks.as_ref().map_or(Ok(Vec::new()), |darks| darks.rows(&rows))?;
        Ok(Window { views: self.views.rows(&rows)?, flats: self.flats.rows(&rows)?, darks, rows })
    }
}

/// An angle for each view in radians, and the unit that they were taken to have.
fn angles(theta: &Numbers, n_views: usize) -> Result<(Vec<f64>, &'static str), ScanProblem> {
    let angles = theta.values().map_err(damaged)?;
    if angles.len() != n_views {
        let expected = format!("an angle for each of the {n_views} views");
        return Err(ScanProblem::Shape { field: "exchange/theta", found: theta.shape.clone(), expected });
    }
    if theta.attribute("units").is_some_and(|unit| unit.to_ascii_lowercase().starts_with("rad")) {
        return Ok((angles, "radians"));
    }
    Ok((angles.into_iter().map(f64::to_radians).collect(), "degrees"))
}

/// Frames of rows of bins.
struct Stack {
    numbers: Numbers,
    n_frames: usize,
    n_rows: usize,
    n_bins: usize,
}

impl Stack {
    fn new(field: &'static str, numbers: Numbers) -> Result<Self, ScanProblem> {
        let &[n_frames, n_rows, n_bins] = numbers.shape.as_slice() else {
            let expected = "[frame][row][bin]".to_owned();
            return Err(ScanProblem::Shape { field, found: numbers.shape, expected });
        };
        if numbers.shape.contains(&0) {
            let expected = "at least one frame of one row and one bin".to_owned();
            return Err(ScanProblem::Shape { field, found: numbers.shape, expected });
        }
        Ok(Self { numbers, n_frames, n_rows, n_bins })
    }

    /// Other frames of the same detector.
    fn like(&self, field: &'static str, numbers: Numbers) -> Result<Self, ScanProblem> {
        let frames = Self::new(field, numbers)?;
        if (frames.n_rows, frames.n_bins) == (self.n_rows, self.n_bins) {
            return Ok(frames);
        }
        let expected = format!("frames of {} rows and {} bins", self.n_rows, self.n_bins);
        Err(ScanProblem::Shape { field, found: frames.numbers.shape, expected })
    }

    /// Some rows of every frame, `[frame][row][bin]`.
    fn rows(&self, rows: &Range<usize>) -> Result<Vec<f32>, ScanProblem> {
        let mut values = Vec::with_capacity(self.n_frames * rows.len() * self.n_bins);
        let size = (self.n_rows * self.n_bins).max(1);
        let at_once = (AT_ONCE / size).max(1);
        for first in (0..self.n_frames).step_by(at_once) {
            let numbers = self.numbers.rows(first..self.n_frames.min(first + at_once)).map_err(damaged)?;
            let chosen =
                numbers.chunks_exact(size).map(|frame| &frame[rows.start * self.n_bins..rows.end * self.n_bins]);
            values.extend(chosen.flatten().map(|value| *value as f32));
        }
        Ok(values)
    }
}

fn damaged(cause: Cause) -> ScanProblem {
    ImageProblem::damaged("HDF5", cause).into()
}
