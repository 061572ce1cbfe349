//! The symmetries of the priors: an image and its mirror images are equally likely.

/// A mirror: the axes of an image that are turned round; each of the four is its own inverse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mirror {
    /// The first row becomes the last.
    pub rows: bool,
    /// The first column becomes the last.
    pub cols: bool,
}

impl Mirror {
    /// The mirror of a `turn` of the approach, of period four: neighbouring turns differ in at least one axis.
    ///
    /// In an image with even sides, each mirror moves every pixel to another place in the network's 2 x 2 cells.
    #[must_use]
    pub const fn of_turn(turn: u32) -> Self {
        let (rows, cols) = [(false, false), (true, true), (true, false), (false, true)][(turn % 4) as usize];
        Self { rows, cols }
    }

    /// `out = scale M image`, both `[row][col]` with `width` columns.
    ///
    /// # Panics
    /// When `image` and `out` are no whole number of rows.
    pub fn apply(self, scale: f32, image: &[f32], width: usize, out: &mut [f32]) {
        assert!(image.len() == out.len() && image.len().is_multiple_of(width), "images of whole rows");
        let height = image.len() / width;
        for (row, out) in out.chunks_exact_mut(width).enumerate() {
            let from = if self.rows { height - 1 - row } else { row };
            let image = &image[from * width..][..width];
            out.iter_mut().zip(image).for_each(|(out, x)| *out = scale * x);
            if self.cols {
                out.reverse();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_turns_are_all_mirrors_and_each_undoes_itself() {
        let image: Vec<f32> = (1..=6).map(|k| k as f32).collect();
        let wanted = [[1, 2, 3, 4, 5, 6], [6, 5, 4, 3, 2, 1], [4, 5, 6, 1, 2, 3], [3, 2, 1, 6, 5, 4]];
        for (turn, wanted) in wanted.into_iter().enumerate() {
            let (mirror, mut out, mut back) = (Mirror::of_turn(turn as u32 + 4), vec![0.0; 6], vec![0.0; 6]);
            mirror.apply(2.0, &image, 3, &mut out);
            assert_eq!(out, wanted.map(|k| 2.0 * k as f32));
            mirror.apply(0.5, &out, 3, &mut back);
            assert_eq!(back, image);
        }
    }
}
