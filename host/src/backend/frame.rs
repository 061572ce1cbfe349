//! Images of any size, inside of larger ones with sides that a network takes.

/// The way of an image into a larger one and back.
///
/// `E` continues the image beyond its sides by its mirror images, so that edges and noise go on as they would; `C` cuts
/// a larger image back. With the network's features `h`, the image's are `C h(E x)`, one for each of its pixels, and
/// the products with the transpose of their Jacobian `E^T J^T C^T v`, exactly.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    /// Row of the image that each row of the larger one shows, and the same of columns.
    rows: Vec<usize>,
    cols: Vec<usize>,
    /// Where the image lies.
    top: usize,
    left: usize,
    height: usize,
    width: usize,
}

impl Frame {
    /// The frame of an image of `height` x `width` pixels, in the middle of the smallest larger one with sides that are
    /// multiples of `multiple`; `None` where the image's are. An image without pixels has no frame.
    pub(crate) fn new(height: usize, width: usize, multiple: usize) -> Option<Self> {
        if height == 0 || width == 0 || (height.is_multiple_of(multiple) && width.is_multiple_of(multiple)) {
            return None;
        }
        let (rows, top) = places(height, multiple);
        let (cols, left) = places(width, multiple);
        Some(Self { rows, cols, top, left, height, width })
    }

    /// Rows and columns of the larger image.
    pub(crate) fn outer(&self) -> (usize, usize) {
        (self.rows.len(), self.cols.len())
    }

    /// Values of an image whose larger one has `outer` values.
    pub(crate) fn inner_of(&self, outer: usize) -> usize {
        outer / (self.rows.len() * self.cols.len()) * self.inner_len()
    }

    fn inner_len(&self) -> usize {
        self.height * self.width
    }

    /// `outer = E inner`.
    pub(crate) fn extend(&self, inner: &[f32], outer: &mut [f32]) {
        let images =
            inner.chunks_exact(self.inner_len()).zip(outer.chunks_exact_mut(self.rows.len() * self.cols.len()));
        for (inner, outer) in images {
            for (line, row) in outer.chunks_exact_mut(self.cols.len()).zip(&self.rows) {
                let from = &inner[row * self.width..][..self.width];
                line.iter_mut().zip(&self.cols).for_each(|(to, col)| *to = from[*col]);
            }
        }
    }

    /// `inner = E^T outer`.
    pub(crate) fn fold(&self, outer: &[f32], inner: &mut [f32]) {
        inner.fill(0.0);
        let images =
            inner.chunks_exact_mut(self.inner_len()).zip(outer.chunks_exact(self.rows.len() * self.cols.len()));
        for (inner, outer) in images {
            for (line, row) in outer.chunks_exact(self.cols.len()).zip(&self.rows) {
                let to = &mut inner[row * self.width..][..self.width];
                line.iter().zip(&self.cols).for_each(|(from, col)| to[*col] += from);
            }
        }
    }

    /// `inner = C outer`.
    pub(crate) fn cut(&self, outer: &[f32], inner: &mut [f32]) {
        let images =
            inner.chunks_exact_mut(self.inner_len()).zip(outer.chunks_exact(self.rows.len() * self.cols.len()));
        for (inner, outer) in images {
            for (to, from) in inner.chunks_exact_mut(self.width).zip(self.inside(outer)) {
                to.copy_from_slice(&from[self.left..][..self.width]);
            }
        }
    }

    /// `outer = C^T inner`.
    pub(crate) fn insert(&self, inner: &[f32], outer: &mut [f32]) {
        outer.fill(0.0);
        let (cols, begin) = (self.cols.len(), self.top * self.cols.len());
        let images = inner.chunks_exact(self.inner_len()).zip(outer.chunks_exact_mut(self.rows.len() * cols));
        for (inner, outer) in images {
            for (from, to) in inner.chunks_exact(self.width).zip(outer[begin..].chunks_exact_mut(cols)) {
                to[self.left..][..self.width].copy_from_slice(from);
            }
        }
    }

    /// The lines of the larger image in which the image lies.
    fn inside<'a>(&self, outer: &'a [f32]) -> impl Iterator<Item = &'a [f32]> {
        outer.chunks_exact(self.cols.len()).skip(self.top)
    }
}

/// What each place of the larger side shows of a side of `n` pixels, and where that begins.
fn places(n: usize, multiple: usize) -> (Vec<usize>, usize) {
    let outer = n.next_multiple_of(multiple);
    let begin = (outer - n) / 2;
    // A mirror image shows the edge again: 0 1 2 | 2 1 0 | 0 1 2.
    let place = |k: usize| {
        let turn = (k + 2 * n * begin - begin) % (2 * n);
        turn.min(2 * n - 1 - turn)
    };
    ((0..outer).map(place).collect(), begin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_that_fit_need_no_frame() {
        assert!(Frame::new(16, 24, 8).is_none() && Frame::new(0, 3, 8).is_none());
        assert_eq!(Frame::new(16, 25, 8).unwrap().outer(), (16, 32));
    }

    #[test]
    fn an_image_goes_on_by_its_mirror_images() {
        assert_eq!(places(3, 8), (vec![1, 0, 0, 1, 2, 2, 1, 0], 2));
        assert_eq!(places(1, 4), (vec![0; 4], 1));
        assert_eq!(places(8, 8).0, (0..8).collect::<Vec<_>>());
    }

    /// `<E x, v> = <x, E^T v>`, `<C v, x> = <v, C^T x>`, and `C E x = x`, for two channels.
    #[test]
    fn the_ways_back_are_the_transposes() {
        let frame = Frame::new(5, 13, 4).unwrap();
        let (rows, cols) = frame.outer();
        let numbers = |n: usize, step: f32| (0..n).map(|k| (step * k as f32).sin()).collect::<Vec<f32>>();
        let (x, v) = (numbers(2 * 5 * 13, 0.7), numbers(2 * rows * cols, 1.3));
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>();
        let (mut outer, mut inner) = (vec![9.0; v.len()], vec![9.0; x.len()]);
        frame.extend(&x, &mut outer);
        frame.fold(&v, &mut inner);
        assert!((dot(&outer, &v) - dot(&x, &inner)).abs() < 1e-5);
        frame.cut(&outer, &mut inner);
        assert_eq!(inner, x);
        frame.cut(&v, &mut inner);
        frame.insert(&x, &mut outer);
        assert!((dot(&outer, &v) - dot(&x, &inner)).abs() < 1e-5);
    }
}
