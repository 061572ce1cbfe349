//! Both maps of a fan, whose rays meet a line at distances that change from ray to ray.

use super::geometry::{Fan, Geometry};
use super::lines::Lines;
use super::padded_rays::{HALF, Margins, PaddedRays};
use super::ray_block::{RayBlock, SPREAD};
use super::ray_window::{ALL, Gather, Gathering, LEFT, RIGHT};
use super::rays::{Crossing, Rays, Segment};
use super::resample::{LANES, Machine, PAD};
use super::sight::Sight;
use rayon::prelude::*;
use std::ops::Range;

/// The views of a fan, with room for a sinogram.
#[derive(Debug, Clone)]
pub(super) struct FanViews {
    machine: Machine,
    n_bins: usize,
    /// Segments of all views in order, and where each view's begin.
    segments: Vec<FanSegment>,
    starts: Vec<usize>,
    /// Bounds, over a block, of what a pixel covers on the detector; see [`Margins`].
    margins: Margins,
    /// The sinogram times lengths of ray, a line for each segment with zeros on either side.
    padded: Vec<Vec<f32>>,
}

/// Neighbouring rays of a view that cross the same kind of lines most steeply.
#[derive(Debug, Clone)]
struct FanSegment {
    view: usize,
    bins: Range<usize>,
    along_rows: bool,
    /// The lines in front of the source.
    lines: Range<usize>,
    middle_line: f64,
    /// Crossings of the rays with the lines.
    crossings: Vec<Crossing>,
    /// See [`Sight::steepness`]; for the zeros on either side as for the nearest ray.
    steepness: Vec<f32>,
    curvature: f32,
    blocks: Vec<(RayBlock, Reach)>,
    sight: Sight,
}

/// The lines that a block of rays reaches, and whether their places fit a window on all of them.
#[derive(Debug, Clone)]
struct Reach {
    lines: Range<usize>,
    fits: bool,
}

impl FanViews {
    pub(super) fn new(geometry: &Geometry, fan: &Fan) -> Self {
        let per_view = |view| {
            let segments = geometry.rays(view).into_iter();
            segments.filter_map(|segment| FanSegment::new(geometry, fan, view, segment)).collect::<Vec<_>>()
        };
        let views: Vec<Vec<FanSegment>> = (0..geometry.angles_rad.len()).into_par_iter().map(per_view).collect();
        let starts =
            views.iter().scan(0, |end, segments| Some(std::mem::replace(end, *end + segments.len()))).collect();
        let segments: Vec<FanSegment> = views.into_iter().flatten().collect();
        Self {
            machine: Machine::detect(),
            n_bins: geometry.n_bins,
            padded: segments.iter().map(|segment| vec![0.0; segment.bins.len() + 2 * PAD]).collect(),
            segments,
            starts,
            margins: Margins::new(geometry, fan),
        }
    }

    /// Line integrals of one view (overwrites `bins`).
    pub(super) fn project(&self, view: usize, lines: &Lines, bins: &mut [f32]) {
        for segment in self.segments[self.starts[view]..].iter().take_while(|segment| segment.view == view) {
            let (values, stride) = lines.along(segment.along_rows);
            let bins = bins[segment.bins.clone()].chunks_mut(LANES);
            for (index, (bins, (block, reach))) in bins.zip(&segment.blocks).enumerate() {
                let lines = reach.lines.clone();
                let values = values[lines.start * stride..lines.end * stride].chunks_exact(stride).zip(lines);
                let sum = if reach.fits {
                    self.machine.sample_rays(block, segment.middle_line, values)
                } else {
                    segment.sample_apart(index * LANES, bins.len(), values)
                };
                bins.iter_mut().zip(sum.iter().zip(block.lengths_mm)).for_each(|(bin, (sum, mm))| *bin = sum * mm);
            }
        }
    }

    /// Takes over the sinogram that [`FanViews::gather`] smears.
    pub(super) fn load(&mut self, sinogram: &[f32]) {
        let n_bins = self.n_bins;
        self.padded.par_iter_mut().zip(&self.segments).for_each(|(padded, segment)| {
            let bins = &sinogram[segment.view * n_bins..][segment.bins.clone()];
            let lengths = segment.blocks.iter().flat_map(|(block, _)| block.lengths_mm);
            padded[PAD..].iter_mut().zip(bins).zip(lengths).for_each(|((to, bin), mm)| *to = bin * mm);
        });
    }

    /// Write the share of the views along rows, or along columns, in the transpose on neighbouring lines (overwrites).
    pub(super) fn gather(&self, along_rows: bool, first_line: usize, lines: &mut [f32], length: usize) {
        lines.fill(0.0);
        self.machine.gather(Tile { views: self, along_rows, first_line, lines, length });
    }
}

/// Neighbouring lines of the transpose. Segment by segment, so that what one holds is near when the next line needs it.
struct Tile<'a> {
    views: &'a FanViews,
    along_rows: bool,
    first_line: usize,
    lines: &'a mut [f32],
    length: usize,
}

impl Gathering for Tile<'_> {
    #[inline(always)]
    fn run<W: Gather>(self, w: W) {
        let FanViews { padded, segments, margins, .. } = self.views;
        // The pixels of each line behind its last whole block.
        let mut rests = vec![[0.0; LANES]; self.lines.len() / self.length];
        for (values, segment) in padded.iter().zip(segments) {
            if segment.along_rows == self.along_rows {
                let lines = self.lines.chunks_exact_mut(self.length).zip(&mut rests);
                for (line, (pixels, rest)) in (self.first_line..).zip(lines) {
                    if segment.lines.contains(&line) {
                        OnLine { segment, values, line }.gather(w, margins, pixels, rest);
                    }
                }
            }
        }
        for (pixels, rest) in self.lines.chunks_exact_mut(self.length).zip(&rests) {
            let (_, pixels) = pixels.as_chunks_mut::<LANES>();
            pixels.copy_from_slice(&rest[..pixels.len()]);
        }
    }
}

impl FanSegment {
    /// `None` for the rays of a parallel beam.
    fn new(geometry: &Geometry, fan: &Fan, view: usize, segment: Segment) -> Option<Self> {
        let Segment { bins, along_rows, lines, rays: Rays::Fan(crossings) } = segment else { return None };
        let (length, n_lines) = geometry.line_length_and_count(along_rows);
        let middle_line = (n_lines as f64 - 1.0) / 2.0;
        let blocks = crossings.chunks(LANES).map(|block| {
            let reach = reach(block, &lines, length, middle_line);
            (RayBlock::new(block, middle_line), reach)
        });
        let blocks = blocks.collect();
        let sight = Sight::new(geometry, fan, view, along_rows);
        let around = |bin: usize| std::iter::repeat_n(bin, PAD);
        let padded = around(bins.start).chain(bins.clone()).chain(around(bins.end - 1));
        Some(Self {
            view,
            along_rows,
            lines,
            middle_line,
            blocks,
            steepness: padded.map(|k| sight.steepness(k) as f32).collect(),
            curvature: sight.curvature() as f32,
            sight,
            crossings,
            bins,
        })
    }

    #[inline(always)]
    fn rays<'a>(&'a self, values: &'a [f32]) -> PaddedRays<'a> {
        let (steepness, first_bin) = (&self.steepness[..], self.bins.start as f64);
        PaddedRays { values, steepness, curvature: self.curvature, first_bin }
    }

    /// The sums of up to sixteen rays, one by one: for blocks whose places are far apart.
    #[cold]
    fn sample_apart<'a>(
        &self,
        first_ray: usize,
        n_rays: usize,
        lines: impl Iterator<Item = (&'a [f32], usize)>,
    ) -> [f32; LANES] {
        let mut sums = [0.0f64; LANES];
        for (values, line) in lines {
            for (lane, sum) in sums.iter_mut().enumerate().take(n_rays) {
                let place = self.place(first_ray + lane, line);
                let floor = place.floor();
                let start = (floor as i32).saturating_add(PAD as i32);
                if let Some([here, next]) = values.get(start as u32 as usize..).and_then(|rest| rest.first_chunk()) {
                    let f = place - floor;
                    *sum += (1.0 - f) * f64::from(*here) + f * f64::from(*next);
                }
            }
        }
        sums.map(|sum| sum as f32)
    }

    /// The place at which a ray meets a line.
    fn place(&self, ray: usize, line: usize) -> f64 {
        self.crossings[ray].first + self.crossings[ray].per_line * line as f64
    }
}

/// A segment as a line of pixels finds it, with the values of its rays.
#[derive(Clone, Copy)]
struct OnLine<'a> {
    segment: &'a FanSegment,
    values: &'a [f32],
    line: usize,
}

impl OnLine<'_> {
    /// Adds what the rays contribute to the transpose: to the whole blocks of the line, and to the `rest` behind them.
    #[inline(always)]
    fn gather<W: Gather>(self, w: W, margins: &Margins, pixels: &mut [f32], rest: &mut [f32; LANES]) {
        let sight = &self.segment.sight;
        let most = sight.most_per_pixel(self.line as f64, HALF, pixels.len() as f64);
        let rays = self.segment.rays(self.values);
        let (blocks, behind) = pixels.as_chunks_mut();
        let rest = if behind.is_empty() { &mut [] } else { std::slice::from_mut(rest) };
        let first_of_rest = blocks.len() * LANES;
        for (first_pixel, blocks) in [(0, blocks), (first_of_rest, rest)] {
            let walk = |half: f64| sight.walk(self.line as f64, first_pixel as f64 + half, 2.0 * half);
            if blocks.is_empty() {
                continue;
            } else if margins.fits(most, HALF) {
                rays.add_blocks(w, [&ALL], walk(HALF), margins, blocks);
            } else if margins.fits(most, HALF / 2.0) {
                rays.add_blocks(w, [&LEFT, &RIGHT], walk(HALF / 2.0), margins, blocks);
            } else {
                let blocks = (first_pixel..).step_by(LANES).zip(blocks);
                blocks.for_each(|(pixel, sums)| self.gather_apart(pixel, sums));
            }
        }
    }

    /// Adds, pixel by pixel, the rays near sixteen pixels: for windows that would not hold them.
    #[cold]
    fn gather_apart(&self, first_pixel: usize, sums: &mut [f32; LANES]) {
        let Self { segment, values, line } = *self;
        let n_rays = segment.bins.len();
        let rising = segment.place(0, line) <= segment.place(n_rays - 1, line);
        for (lane, sum) in sums.iter_mut().enumerate() {
            let pixel = (first_pixel + lane) as f64;
            let is_before = |ray: usize| {
                let place = segment.place(ray, line);
                if rising { place <= pixel - 1.0 } else { place >= pixel + 1.0 }
            };
            let (mut low, mut high) = (0, n_rays);
            while low < high {
                let middle = low.midpoint(high);
                if is_before(middle) { low = middle + 1 } else { high = middle }
            }
            let weights = (low..n_rays).map(|ray| (ray, 1.0 - (segment.place(ray, line) - pixel).abs()));
            let near = weights.take_while(|&(_, weight)| weight > 0.0);
            *sum += near.map(|(ray, weight)| weight * f64::from(values[PAD + ray])).sum::<f64>() as f32;
        }
    }
}

impl RayBlock {
    /// Of up to sixteen rays; the last stands for those that lack.
    fn new(rays: &[Crossing], middle_line: f64) -> Self {
        let own = own(rays, middle_line);
        let lane = |of: fn(&Crossing, f64) -> f64| {
            let last = rays.len() - 1;
            std::array::from_fn(|lane| (of(&rays[lane.min(last)], middle_line) - of(&own, middle_line)) as f32)
        };
        Self {
            first: own.first,
            per_line: own.per_line,
            offsets: lane(|ray, line| ray.first + line * ray.per_line),
            per_line_offsets: lane(|ray, _| ray.per_line),
            lengths_mm: std::array::from_fn(|lane| rays[lane.min(rays.len() - 1)].length_mm as f32),
        }
    }
}

/// The ray whose place is the block's own: one of the two in the middle, the one with more rays to its left.
fn own(rays: &[Crossing], middle_line: f64) -> Crossing {
    let place = |ray: &Crossing| ray.first + middle_line * ray.per_line;
    let (first, last) = (&rays[0], &rays[rays.len() - 1]);
    if place(first) <= place(last) { rays[rays.len() / 2] } else { rays[(rays.len() - 1) / 2] }
}

/// The lines out of `in_front` on which neighbouring rays can touch any of `length` pixels.
///
/// They are next to each other, as rays are a wedge and the image is convex.
fn reach(rays: &[Crossing], in_front: &Range<usize>, length: usize, middle_line: f64) -> Reach {
    let own = own(rays, middle_line);
    let ends = [rays[0], rays[rays.len() - 1]];
    let places = |line: usize| ends.map(|ray| ray.first + line as f64 * ray.per_line);
    let is_reached = |&line: &usize| {
        let [a, b] = places(line);
        a.max(b) > -1.0 && a.min(b) < length as f64
    };
    let (mut lines, mut from_end) = (in_front.clone(), in_front.clone().rev());
    let lines = match (lines.find(is_reached), from_end.find(is_reached)) {
        (Some(first), Some(last)) => first..last + 1,
        _ => 0..0,
    };
    // Places are affine in the line, so that they are farthest apart on the first or the last one.
    let fits = [lines.start, lines.end.saturating_sub(1)].into_iter().all(|line| {
        let place = own.first + line as f64 * own.per_line;
        places(line).iter().all(|end| SPREAD.contains(&(end - place)))
    });
    Reach { lines, fits }
}
