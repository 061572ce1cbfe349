//! The layout of tensors: `[block of rows][channel][row in block][col]`.
//!
//! A block of rows with all its channels is contiguous, so that the tasks of a convolution own disjoint slices; within
//! a block every channel is contiguous, so that elementwise work runs over long vectors.

use crate::unet::operation::TensorShape;
use std::ops::Range;

/// Shape of an activation cut into blocks of `rows` rows; the last block may be lower.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Blocked {
    pub(crate) channels: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) rows: usize,
}

impl Blocked {
    pub(crate) fn new(shape: TensorShape, rows: usize) -> Self {
        Self { channels: shape.channels, height: shape.height, width: shape.width, rows }
    }

    pub(crate) fn len(&self) -> usize {
        self.channels * self.height * self.width
    }

    pub(crate) fn n_blocks(&self) -> usize {
        self.height.div_ceil(self.rows)
    }

    /// Values in a full block.
    pub(crate) fn block_len(&self) -> usize {
        self.channels * self.rows * self.width
    }

    /// Image rows of block `block`.
    pub(crate) fn block_rows(&self, block: usize) -> Range<usize> {
        block * self.rows..((block + 1) * self.rows).min(self.height)
    }

    /// Pixels of one channel in block `block`.
    pub(crate) fn block_pixels(&self, block: usize) -> usize {
        self.block_rows(block).len() * self.width
    }

    /// Offset at which channel `channel` of block `block` begins.
    pub(crate) fn start(&self, block: usize, channel: usize) -> usize {
        block * self.block_len() + channel * self.block_pixels(block)
    }
}

/// Some channels of a blocked activation, borrowed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Activation<'a> {
    data: &'a [f32],
    layout: Blocked,
    first: usize,
    channels: usize,
}

impl<'a> Activation<'a> {
    /// All channels; `data` may be longer than the layout asks for.
    pub(crate) fn new(data: &'a [f32], layout: Blocked) -> Self {
        Self { data, layout, first: 0, channels: layout.channels }
    }

    /// `channels` channels from `first` on.
    pub(crate) fn window(self, first: usize, channels: usize) -> Self {
        Self { first: self.first + first, channels, ..self }
    }

    pub(crate) fn channels(&self) -> usize {
        self.channels
    }

    pub(crate) fn layout(&self) -> Blocked {
        self.layout
    }

    /// All values of the activation, and what may stand behind them.
    pub(crate) fn values(&self) -> &'a [f32] {
        self.data
    }

    /// All rows of one channel in one block, contiguous.
    #[inline(always)]
    pub(crate) fn block(&self, block: usize, channel: usize) -> &'a [f32] {
        let start = self.layout.start(block, self.first + channel);
        &self.data[start..start + self.layout.block_pixels(block)]
    }

    /// `n` channels from `channel` on in one block, `[channel][pixel]`.
    #[inline(always)]
    pub(crate) fn block_channels(&self, block: usize, channel: usize, n: usize) -> &'a [f32] {
        let start = self.layout.start(block, self.first + channel);
        &self.data[start..start + n * self.layout.block_pixels(block)]
    }

    /// One row of one channel; `row` counts from the top of the image.
    #[inline(always)]
    pub(crate) fn row(&self, channel: usize, row: usize) -> &'a [f32] {
        self.rows(channel, row, 1)
    }

    /// `n` rows of one channel from `row` on, all in one block.
    #[inline(always)]
    pub(crate) fn rows(&self, channel: usize, row: usize, n: usize) -> &'a [f32] {
        let (values, distance) = self.row_on(row);
        &values[channel * distance..][..n * self.layout.width]
    }

    /// The values from row `row` of the first channel on, and how far behind it that row of the next channel begins.
    #[inline(always)]
    pub(crate) fn row_on(&self, row: usize) -> (&'a [f32], usize) {
        let (block, inside) = (row / self.layout.rows, row % self.layout.rows);
        let start = self.layout.start(block, self.first) + inside * self.layout.width;
        (&self.data[start..], self.layout.block_pixels(block))
    }
}

/// One activation, or two of the same size with the channels of the second behind those of the first.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Concat<'a> {
    pub(crate) first: Activation<'a>,
    pub(crate) second: Option<Activation<'a>>,
}

impl<'a> Concat<'a> {
    pub(crate) fn one(first: Activation<'a>) -> Self {
        Self { first, second: None }
    }

    /// `channels` channels from `first` on.
    pub(crate) fn window(&self, first: usize, channels: usize) -> Self {
        let in_first = self.first.channels();
        match self.second {
            None => Self::one(self.first.window(first, channels)),
            Some(second) if first >= in_first => Self::one(second.window(first - in_first, channels)),
            Some(_) if first + channels <= in_first => Self::one(self.first.window(first, channels)),
            Some(second) => {
                let left = in_first - first;
                Self { first: self.first.window(first, left), second: Some(second.window(0, channels - left)) }
            }
        }
    }

    /// The tensors that it joins.
    pub(crate) fn activations(&self) -> impl Iterator<Item = Activation<'a>> + use<'a> {
        std::iter::once(self.first).chain(self.second)
    }

    /// The activation that holds channel `channel`, and its number there.
    #[inline(always)]
    pub(crate) fn channel(&self, channel: usize) -> (Activation<'a>, usize) {
        match self.second {
            Some(second) if channel >= self.first.channels() => (second, channel - self.first.channels()),
            _ => (self.first, channel),
        }
    }

    /// All rows of one channel in one block, as [`Activation::block`].
    #[inline(always)]
    pub(crate) fn block(&self, block: usize, channel: usize) -> &'a [f32] {
        let (activation, channel) = self.channel(channel);
        activation.block(block, channel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_blocks_address_the_same_values() {
        let layout = Blocked { channels: 3, height: 5, width: 4, rows: 2 };
        let data: Vec<f32> = (0..layout.len()).map(|i| i as f32).collect();
        let activation = Activation::new(&data, layout);
        assert_eq!(layout.n_blocks(), 3);
        for channel in 0..3 {
            for row in 0..5 {
                let (block, inside) = (row / 2, row % 2);
                assert_eq!(activation.row(channel, row), &activation.block(block, channel)[inside * 4..][..4]);
            }
        }
        assert_eq!(activation.window(1, 2).row(1, 4), activation.row(2, 4));
        assert_eq!(activation.row(2, 4).last(), Some(&59.0));
    }
}
