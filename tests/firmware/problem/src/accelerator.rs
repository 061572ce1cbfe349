//! The projector as a device that works beside the processor and answers later.
//!
//! It takes a job, and is asked again and again until it has done it: one view between two questions, as a DMA engine
//! would have moved on meanwhile. The solver waits at its request, however long that takes; the processor is free for
//! other work.

use crate::projector::{N_BINS, View};
use core::task::Poll;

/// A job on image and sinogram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Job {
    /// `sinogram = A image`.
    ForwardProject,
    /// `image = A^T sinogram`.
    Adjoint,
}

/// The device.
#[derive(Debug)]
pub struct Accelerator<'a> {
    views: &'a [View],
    next_view: usize,
}

impl<'a> Accelerator<'a> {
    /// An idle device for `views`.
    pub const fn new(views: &'a [View]) -> Self {
        Self { views, next_view: 0 }
    }

    /// Asks whether `job` is done; the first question starts it. Buffers must stay the same until it is ready.
    pub fn poll(&mut self, job: Job, image: &mut [f32], sinogram: &mut [f32]) -> Poll<()> {
        if self.next_view == 0 && job == Job::Adjoint {
            image.fill(0.0);
        }
        let bins = sinogram.chunks_exact_mut(N_BINS).nth(self.next_view);
        let (Some(view), Some(bins)) = (self.views.get(self.next_view), bins) else {
            self.next_view = 0;
            return Poll::Ready(());
        };
        match job {
            Job::ForwardProject => view.forward_project(image, bins),
            Job::Adjoint => view.add_adjoint(bins, image),
        }
        self.next_view += 1;
        Poll::Pending
    }
}
