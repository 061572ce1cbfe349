//! Linear solves on the device, for several slices with systems of their own; conjugate_gradient.cu has the equations.

use super::beam::Record;
use super::buffer::Buffer;
use super::data_term::DataTerm;
use super::device::Device;
use super::error::{DeviceError, int};
use super::graph::Graphs;
use super::projector::CudaProjector;
use super::vector::{Lanes, Sums, blocks};
use gradus_core::{Effort, Solved};
use gradus_cuda_kernels::conjugate_gradient::{
    Advance, AdvanceFan, Begin, Conjugate, Project, ProjectFan, Recurrence, Solve,
};
use gradus_cuda_kernels::{Address, BLOCK};
use std::rc::Rc;

/// The iterations that are asked for without looking how the solves go, after those that are made in any case.
const BETWEEN_LOOKS: u32 = 8;

/// The end of a solve.
#[derive(Debug, Clone, Copy)]
pub struct End {
    /// The residual before and after.
    pub solved: Solved,
    /// Projections that it took.
    pub projections: u64,
}

/// The vectors of the conjugate gradient method, `[slice][n]`, and its recurrences.
///
/// `A d` is gathered from the `A p` of the solve, so the line search needs no projection of its own.
#[derive(Debug)]
pub struct LinearSystem {
    device: Rc<Device>,
    residual: Buffer<f32>,
    conjugate: Buffer<f32>,
    projected: Buffer<f32>,
    recurrences: Buffer<Recurrence>,
    sums: Sums,
    graphs: Graphs,
}

impl LinearSystem {
    /// Room for the systems of so many slices of a projector.
    ///
    /// # Errors
    /// The driver refuses a launch or a copy, or has failed before.
    pub(super) fn new(device: &Rc<Device>, slices: usize, projector: &CudaProjector) -> Result<Self, DeviceError> {
        let (pixels, values) = (projector.geometry().image_len(), projector.geometry().sinogram_len());
        let made = |n: usize| Buffer::new(device, slices * n);
        let one = Lanes::new(device, 1)?;
        let grids = [projector.squares(&one), projector.blocks_of_bins(&one), [pixels.div_ceil(BLOCK as usize), 1, 1]];
        let most_blocks = grids.map(|[x, y, _]| x * y).into_iter().max().unwrap_or(1).max(blocks(values));
        Ok(Self {
            residual: made(pixels)?,
            conjugate: made(pixels)?,
            projected: made(values)?,
            recurrences: Buffer::new(device, slices)?,
            sums: Sums::new(device, slices, 1, most_blocks)?,
            graphs: Graphs::new(device),
            device: Rc::clone(device),
        })
    }

    /// The place of the right-hand sides; solves overwrite them.
    pub(super) fn residual(&self) -> Address<f32> {
        self.residual.address()
    }

    /// Solves the systems of the slices that `lanes` names, each with its damping and effort, from `direction = 0`;
    /// `of_direction` becomes `W^(1/2) A direction`. The iterations that every solve makes in any case are asked for at
    /// once, and `copy` waits for what became of the recurrences, with whatever else it wants to know.
    ///
    /// # Errors
    /// The driver refuses a launch or a copy, or has failed before.
    pub(super) fn solve(
        &mut self,
        lanes: &Lanes,
        data_term: &DataTerm,
        starts: &[(f32, Effort)],
        (direction, of_direction): (Address<f32>, Address<f32>),
        mut copy: impl FnMut(&Buffer<Recurrence>, &mut [Recurrence]) -> Result<(), DeviceError>,
    ) -> Result<Vec<End>, DeviceError> {
        let begun: Vec<Recurrence> = starts.iter().map(recurrence).collect();
        self.recurrences.upload(0, &begun)?;
        let [roots, weighted, seen] =
            data_term.weighting().unwrap_or([Address::NULL, self.projected.address(), Address::NULL]);
        let at = Solve {
            lanes: lanes.address(),
            recurrences: self.recurrences.address(),
            r: self.residual.address(),
            p: self.conjugate.address(),
            transposed: data_term.projector().transposed(),
            d: direction,
            seen,
            roots,
            s: self.projected.address(),
            weighted,
            of_direction,
            sums: self.sums.record(),
        };
        let most = starts.iter().map(|(_, effort)| effort.most).max().unwrap_or(0);
        let mut next = starts.iter().map(|(_, effort)| effort.least).max().unwrap_or(0).min(most);
        let (mut made, mut found) = (0, begun);
        loop {
            self.iterate(at, lanes, data_term.projector(), made == 0, next)?;
            made += next;
            copy(&self.recurrences, &mut found)?;
            if made >= most || found.iter().all(|one| one.asks == Recurrence::DONE) {
                return Ok(found.iter().map(end).collect());
            }
            next = BETWEEN_LOOKS.min(most - made);
        }
    }

    /// So many iterations of every solve that goes on, from the beginning or from where they are.
    fn iterate(
        &self,
        at: Solve,
        lanes: &Lanes,
        projector: &CudaProjector,
        begins: bool,
        iterations: u32,
    ) -> Result<(), DeviceError> {
        let key = [
            u64::from(begins),
            u64::from(iterations),
            at.lanes.raw(),
            lanes.len() as u64,
            at.d.raw(),
            at.of_direction.raw(),
            at.roots.raw(),
            at.weighted.raw(),
        ];
        self.graphs.run(&key, || {
            if begins {
                self.begin(at, lanes, projector)?;
            }
            (0..iterations).try_for_each(|_| self.iteration(at, lanes, projector))
        })
    }

    fn begin(&self, at: Solve, lanes: &Lanes, projector: &CudaProjector) -> Result<(), DeviceError> {
        let (n, n_values) = (projector.geometry().image_len(), projector.geometry().sinogram_len());
        let begin = Begin { at, n: int(n)?, n_values: int(n_values)? };
        self.device.launch([blocks(n.max(n_values)), 1, lanes.len()], BLOCK, &begin)
    }

    fn iteration(&self, at: Solve, lanes: &Lanes, projector: &CudaProjector) -> Result<(), DeviceError> {
        let (device, geometry) = (&self.device, projector.geometry());
        let conjugate = Conjugate { at, height: int(geometry.height)?, width: int(geometry.width)? };
        device.launch(projector.squares(lanes), BLOCK, &conjugate)?;
        let (bins, n) = (projector.blocks_of_bins(lanes), geometry.image_len());
        match projector.record()? {
            Record::Parallel(beam) => {
                device.launch(bins, BLOCK, &Project { at, beam })?;
                device.launch_over(n, lanes.len(), &Advance { at, beam })
            }
            Record::Fan(beam) => {
                device.launch(bins, BLOCK, &ProjectFan { at, beam })?;
                device.launch_over(n, lanes.len(), &AdvanceFan { at, beam })
            }
        }
    }
}

fn recurrence(&(damping, effort): &(f32, Effort)) -> Recurrence {
    let Effort { least, most, tolerance } = effort;
    Recurrence { damping, least, most, tolerance, ..Recurrence::default() }
}

fn end(found: &Recurrence) -> End {
    let Recurrence { initial_square, residual_square, answers, .. } = *found;
    End { solved: Solved { initial_square, residual_square }, projections: answers.into() }
}
