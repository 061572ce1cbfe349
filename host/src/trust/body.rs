//! The body in a slice: all inside its skin.

use super::spread::blurred;
use crate::image::Image;

/// Air and lungs are below, fat above: -300 HU in network units.
const SKIN: f32 = 0.172;
/// The standard deviation, in pixels, of the Gaussian that a table's thin shell does not outlive.
const BLUR: f64 = 1.0;

/// The pixels of the largest piece that is denser than air, with all that it encloses; the image is in network units
/// of a prior for bodies.
#[must_use]
pub fn body(image: &Image) -> Vec<bool> {
    let dense: Vec<bool> = blurred(image, BLUR).pixels.iter().map(|p| *p > SKIN).collect();
    let (height, width) = (image.height, image.width);
    let pieces = pieces(&dense, (height, width));
    let largest = pieces.into_iter().max_by_key(Vec::len).unwrap_or_default();
    let mut outside = vec![true; dense.len()];
    largest.iter().for_each(|&k| outside[k] = false);
    // What the border does not reach is enclosed.
    let borders = |piece: &[usize]| {
        let at_border = |k: &usize| {
            let (row, col) = (k / width, k % width);
            row == 0 || col == 0 || row + 1 == height || col + 1 == width
        };
        piece.iter().any(at_border)
    };
    let mut body = vec![true; dense.len()];
    let air = self::pieces(&outside, (height, width)).into_iter().filter(|piece| borders(piece));
    air.flatten().for_each(|k| body[k] = false);
    body
}

/// The pixels of each connected piece of a mask, neighbours sharing a side.
fn pieces(mask: &[bool], (height, width): (usize, usize)) -> Vec<Vec<usize>> {
    let mut left = mask.to_vec();
    let mut pieces = Vec::new();
    for start in 0..left.len() {
        if !std::mem::take(&mut left[start]) {
            continue;
        }
        let (mut piece, mut next) = (vec![start], 0);
        while let Some(&k) = piece.get(next) {
            next += 1;
            let (row, col) = (k / width, k % width);
            let sides = [
                (row > 0).then(|| k - width),
                (row + 1 < height).then(|| k + width),
                (col > 0).then(|| k - 1),
                (col + 1 < width).then(|| k + 1),
            ];
            piece.extend(sides.into_iter().flatten().filter(|&side| std::mem::take(&mut left[side])));
        }
        pieces.push(piece);
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disc of water with lungs, over a thin table.
    #[test]
    fn lungs_are_inside_and_the_table_is_not() {
        let pixel = |k: usize| {
            let (row, col) = ((k / 64) as f64, (k % 64) as f64);
            let is_lung = (row - 30.0).hypot(col - 24.0) < 8.0;
            let is_body = (row - 30.0).hypot(col - 32.0) < 20.0 && !is_lung;
            let is_table = (58.0..59.0).contains(&row) && (8.0..56.0).contains(&col);
            if is_body || is_table { 0.25 } else { 0.0 }
        };
        let image = Image { height: 64, width: 64, pixels: (0..64 * 64).map(pixel).collect() };
        let body = body(&image);
        let at = |row: usize, col: usize| body[row * 64 + col];
        assert!(at(30, 24) && at(30, 45) && !at(30, 60) && !at(58, 32));
        let radius = (body.iter().filter(|inside| **inside).count() as f64 / std::f64::consts::PI).sqrt();
        assert!((19.0..20.5).contains(&radius), "to a pixel: {radius}");
        assert!(super::body(&Image::zeros(8, 8)).iter().all(|inside| !inside), "nothing but air");
    }
}
