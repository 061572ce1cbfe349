//! The rays of a geometry as the kernels take them: places in units of 2^-32 pixels.

use super::buffer::Buffer;
use super::device::Device;
use super::error::{DeviceError, int};
use super::projector_error::{FARTHEST_PIXEL, ProjectorError};
use crate::ct::rays::{Crossing, Rays, Segment};
use crate::ct::{Detector, Fan, Geometry};
use gradus_cuda_kernels::fan::{Fan as FanRecord, FanRay, FanSegment, FanView};
use gradus_cuda_kernels::projector::{Parallel as ParallelRecord, UNITS_PER_PIXEL, View};
use std::ops::Range;
use std::rc::Rc;

/// Rays on the device.
#[derive(Debug)]
pub(super) enum Beam {
    Parallel(Buffer<View>),
    Fan(Box<FanTables>),
}

/// The rays of a fan: one record each, a few segments a view, and the views from their sources.
#[derive(Debug)]
pub(super) struct FanTables {
    rays: Buffer<FanRay>,
    segments: Buffer<FanSegment>,
    views: Buffer<FanView>,
    middle_bin: f32,
    bins: f32,
    is_curved: bool,
}

/// As kernels take a beam.
pub(super) enum Record {
    Parallel(ParallelRecord),
    Fan(FanRecord),
}

impl Beam {
    /// Takes the rays of a geometry, which is valid, to the device.
    pub(super) fn new(device: &Rc<Device>, geometry: &Geometry) -> Result<Self, ProjectorError> {
        match geometry.fan() {
            Some(fan) => Ok(Self::Fan(Box::new(FanTables::new(device, geometry, fan)?))),
            None => {
                let segments = (0..geometry.angles_rad.len()).flat_map(|view| geometry.rays(view));
                let views = segments.filter_map(|segment| view_record(geometry, &segment));
                Ok(Self::Parallel(Buffer::of(device, &views.collect::<Result<Vec<_>, _>>()?)?))
            }
        }
    }

    /// The beam of the geometry that it was made for.
    pub(super) fn record(&self, geometry: &Geometry) -> Result<Record, DeviceError> {
        let (height, width) = (int(geometry.height)?, int(geometry.width)?);
        let (n_views, n_bins) = (int(geometry.angles_rad.len())?, int(geometry.n_bins)?);
        Ok(match self {
            Self::Parallel(views) => {
                Record::Parallel(ParallelRecord { views: views.address(), height, width, n_views, n_bins })
            }
            Self::Fan(tables) => Record::Fan(FanRecord {
                rays: tables.rays.address(),
                segments: tables.segments.address(),
                views: tables.views.address(),
                height,
                width,
                n_views,
                n_bins,
                middle_bin: tables.middle_bin,
                bins: tables.bins,
                is_curved: tables.is_curved.into(),
                unused: 0,
            }),
        })
    }
}

impl FanTables {
    fn new(device: &Rc<Device>, geometry: &Geometry, fan: &Fan) -> Result<Self, ProjectorError> {
        let (mut rays, mut segments, mut views) = (Vec::new(), Vec::new(), Vec::new());
        for view in 0..geometry.angles_rad.len() {
            let first_segment = segments.len();
            for segment in geometry.rays(view) {
                let Rays::Fan(crossings) = &segment.rays else { continue };
                let number = int(segments.len())?;
                for crossing in crossings {
                    rays.push(ray_record(geometry, segment.along_rows, crossing, number)?);
                }
                segments.push(segment_record(&segment)?);
            }
            views.push(from_source(geometry, fan, view, first_segment..segments.len())?);
        }
        Ok(Self {
            rays: Buffer::of(device, &rays)?,
            segments: Buffer::of(device, &segments)?,
            views: Buffer::of(device, &views)?,
            middle_bin: geometry.bin_at(0.0) as f32,
            bins: (fan.source_to_detector_mm / geometry.bin_width_mm) as f32,
            is_curved: fan.detector == Detector::Curved,
        })
    }
}

fn units(pixels: f64) -> i64 {
    (pixels * UNITS_PER_PIXEL).round() as i64
}

/// Refuses places that have no number on the device.
fn within(farthest: f64) -> Result<(), ProjectorError> {
    if farthest > FARTHEST_PIXEL { Err(ProjectorError::TooFar { farthest }) } else { Ok(()) }
}

/// The record of a segment that is a whole view of parallel rays.
fn view_record(geometry: &Geometry, segment: &Segment) -> Option<Result<View, ProjectorError>> {
    let Rays::Parallel { first, per_line, step, length_mm } = segment.rays else { return None };
    let (_, n_lines) = geometry.line_length_and_count(segment.along_rows);
    let n_bins = geometry.n_bins as f64;
    let farthest = first.abs() + per_line.abs() * n_lines as f64 + step.abs() * n_bins;
    Some(within(farthest).map(|()| View {
        first: units(first),
        per_line: units(per_line),
        step: units(step),
        length: length_mm as f32,
        inverse_step: (1.0 / step) as f32,
        // Two reaches of a hat, and one bin more for the place in f32.
        n_bins_near: (2.0 / step.abs()).ceil().min(n_bins) as i32 + 2,
        along_rows: segment.along_rows.into(),
    }))
}

fn ray_record(geometry: &Geometry, along_rows: bool, ray: &Crossing, segment: i32) -> Result<FanRay, ProjectorError> {
    let (_, n_lines) = geometry.line_length_and_count(along_rows);
    within(ray.first.abs() + ray.per_line.abs() * n_lines as f64)?;
    let (first, per_line) = (units(ray.first), units(ray.per_line));
    Ok(FanRay { first, per_line, length: ray.length_mm as f32, segment })
}

fn segment_record(segment: &Segment) -> Result<FanSegment, DeviceError> {
    Ok(FanSegment {
        first_bin: int(segment.bins.start)?,
        end_bin: int(segment.bins.end)?,
        first_line: int(segment.lines.start)?,
        end_line: int(segment.lines.end)?,
        along_rows: segment.along_rows.into(),
    })
}

/// Coordinates of a pixel across and along the ray through the axis, from the source, in pixels: at angle a, across is
/// x cos a + y sin a, and along is y cos a - x sin a from the axis.
fn from_source(geometry: &Geometry, fan: &Fan, view: usize, segments: Range<usize>) -> Result<FanView, DeviceError> {
    let (sin, cos) = geometry.angles_rad[view].sin_cos();
    let (x, y) = (geometry.column_x_mm(0.0) / geometry.pixel_mm, geometry.row_y_mm(0.0) / geometry.pixel_mm);
    let to_axis = fan.source_to_axis_mm / geometry.pixel_mm;
    // One row down is one pixel less in y.
    let across = [x * cos + y * sin, -sin, cos];
    let along = [to_axis + y * cos - x * sin, -cos, -sin];
    Ok(FanView {
        across: across.map(|value| value as f32),
        along: along.map(|value| value as f32),
        first_segment: int(segments.start)?,
        end_segment: int(segments.end)?,
    })
}
