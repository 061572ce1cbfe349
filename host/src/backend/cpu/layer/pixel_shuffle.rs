//! Pixel unshuffle: channel `(c r + i) r + j` of the finest tensor holds the pixels (r y + i, r x + j) of channel c.

use super::super::blocked::Blocked;
use crate::unet::perturbation::{Entrance, Exit};

/// Calls `visit(value, pixel)` for every value of a tensor of layout `to`, with the index of its pixel in images
/// `[channel][row][col]` that are `side` times as high and wide.
fn for_each_pixel(to: Blocked, side: usize, mut visit: impl FnMut(usize, usize)) {
    let (height, width) = (to.height * side, to.width * side);
    let mut value = 0;
    for block in 0..to.n_blocks() {
        for channel in 0..to.channels {
            let (image, i, j) = (channel / (side * side), channel / side % side, channel % side);
            for row in to.block_rows(block) {
                let start = (image * height + row * side + i) * width + j;
                for col in 0..to.width {
                    visit(value, start + col * side);
                    value += 1;
                }
            }
        }
    }
}

/// tensor = scale image + shift, unshuffled by `side`.
pub(crate) fn unshuffle(to: Blocked, side: usize, entrance: Entrance, image: &[f32], tensor: &mut [f32]) {
    let Entrance { scale, shift } = entrance;
    for_each_pixel(to, side, |value, pixel| tensor[value] = scale * image[pixel] + shift);
}

/// out = on_tensor tensor + (on_image image + constant), where the tensor, of layout `from`, is shuffled back by
/// `side`.
pub(crate) fn shuffle(from: Blocked, side: usize, exit: Exit, tensor: &[f32], image: &[f32], out: &mut [f32]) {
    let Exit { on_tensor, on_image, constant } = exit;
    for_each_pixel(from, side, |value, pixel| {
        out[pixel] = on_tensor * tensor[value] + (on_image * image[pixel] + constant);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channel_two_i_plus_j_holds_pixels_of_phase_i_j() {
        let to = Blocked { channels: 4, height: 3, width: 2, rows: 2 };
        let image: Vec<f32> = (0..24).map(|i| i as f32).collect();
        let mut values = vec![0.0; 24];
        unshuffle(to, 2, Entrance { scale: 1.0, shift: 0.0 }, &image, &mut values);
        let activation = super::super::super::blocked::Activation::new(&values, to);
        for (i, j, row, col) in [(0, 0, 0, 0), (0, 1, 1, 1), (1, 0, 2, 0), (1, 1, 2, 1)] {
            assert_eq!(activation.row(2 * i + j, row)[col], image[(2 * row + i) * 4 + 2 * col + j]);
        }
        let mut back = vec![0.0; 24];
        let exit = Exit { on_tensor: 2.0, on_image: -1.0, constant: 1.0 };
        shuffle(to, 2, exit, &values, &image, &mut back);
        assert!(back.iter().zip(&image).all(|(b, i)| *b == i + 1.0));
    }
}
