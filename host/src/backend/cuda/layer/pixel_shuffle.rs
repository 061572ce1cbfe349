//! Entrance and exit of images, with the scalars of their lane; the formulas are in pixel_shuffle.cu.

use crate::backend::cuda::device::Device;
use crate::backend::cuda::error::{DeviceError, int};
use crate::backend::cuda::vector::Lanes;
pub use crate::unet::Direction;
use gradus_cuda_kernels::Address;
use gradus_cuda_kernels::pixel_shuffle::{self, LaneScalars, Shuffle, Unshuffle};

/// An activation `[lane][channel][height][width]` of images `side` times as high and wide.
#[derive(Debug, Clone, Copy)]
pub struct PixelShuffle {
    /// Of the activation.
    pub channels: usize,
    /// Of the activation.
    pub height: usize,
    /// Of the activation.
    pub width: usize,
    /// Pixels per side that become channels.
    pub side: usize,
}

fn code(direction: Direction) -> i32 {
    match direction {
        Direction::Forward => pixel_shuffle::direction::FORWARD,
        Direction::Vjp => pixel_shuffle::direction::VJP,
        Direction::Tangent => pixel_shuffle::direction::TANGENT,
    }
}

impl PixelShuffle {
    fn len(&self) -> usize {
        self.channels * self.height * self.width
    }

    /// activation = what enters the network for `image`.
    ///
    /// # Errors
    /// The driver refuses a launch or a copy, or has failed before.
    pub fn unshuffle(
        &self,
        device: &Device,
        (lanes, scalars): (&Lanes, Address<LaneScalars>),
        direction: Direction,
        image: Address<f32>,
        activation: Address<f32>,
    ) -> Result<(), DeviceError> {
        let entry = Unshuffle {
            lanes: lanes.address(),
            scalars,
            image,
            activation,
            n: int(self.len())?,
            height: int(self.height)?,
            width: int(self.width)?,
            side: int(self.side)?,
            direction: code(direction),
        };
        device.launch_over(self.len(), lanes.len(), &entry)
    }

    /// out = what follows from the network's output and the `image` that it is for.
    ///
    /// # Errors
    /// The driver refuses a launch or a copy, or has failed before.
    pub fn shuffle(
        &self,
        device: &Device,
        (lanes, scalars): (&Lanes, Address<LaneScalars>),
        direction: Direction,
        (activation, image): (Address<f32>, Address<f32>),
        out: Address<f32>,
    ) -> Result<(), DeviceError> {
        let entry = Shuffle {
            lanes: lanes.address(),
            scalars,
            activation,
            image,
            out,
            n: int(self.len())?,
            height: int(self.height)?,
            width: int(self.width)?,
            side: int(self.side)?,
            direction: code(direction),
        };
        device.launch_over(self.len(), lanes.len(), &entry)
    }
}
