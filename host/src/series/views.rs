//! Pictures of a volume, made in one pass over its slices: a montage, a sagittal and a coronal cut.
use super::volume::Volume;
use crate::image::Image;
use crate::report::shrunk;
use std::io;

/// Slices of a montage, those in a row, and the longest side of each in pixels.
const SHOWN: usize = 24;
const IN_ROW: usize = 6;
const SIDE: usize = 128;

/// Pictures of a volume.
#[derive(Debug)]
pub struct Views {
    /// Slices at equal distances, row by row.
    pub montage: Image,
    /// Their places in the volume, counted from 0.
    pub shown: Vec<usize>,
    /// Through the middle column: a row for each slice, or several where slices are farther apart than pixels.
    pub sagittal: Image,
    /// Through the middle row.
    pub coronal: Image,
    /// Least and largest value.
    pub range: (f32, f32),
}

/// Makes the pictures. Slices are `rows` rows of a cut apart; in cuts the last slice is on top, if so wanted.
///
/// # Errors
/// Those of the file system.
pub fn views(volume: &Volume, rows: usize, last_on_top: bool) -> io::Result<Views> {
    let [n, height, width] = volume.shape();
    let count = n.min(SHOWN);
    let shown: Vec<usize> = (0..count).map(|k| k * (n - 1) / (count - 1).max(1)).collect();
    let (mut thumbs, mut sagittal, mut coronal) = (Vec::new(), Vec::new(), Vec::new());
    let mut range = (f32::INFINITY, f32::NEG_INFINITY);
    for slice in 0..n {
        let image = volume.read(slice)?;
        // Comparisons with NaN, of slices that were not made, are false.
        let widen = |(lo, hi): (f32, f32), &pixel: &f32| {
            (if pixel < lo { pixel } else { lo }, if pixel > hi { pixel } else { hi })
        };
        range = image.pixels.iter().fold(range, widen);
        sagittal.push(image.rows().map(|row| row[width / 2]).collect());
        coronal.push(image.pixels[height / 2 * width..][..width].to_vec());
        if shown.contains(&slice) {
            thumbs.push(shrunk(&image, height.max(width).div_ceil(SIDE)));
        }
    }
    let range = if range.0 <= range.1 { range } else { (0.0, 0.0) };
    let cut = |lines| cut(lines, rows.max(1), last_on_top);
    Ok(Views { montage: montage(&thumbs, range.0), shown, sagittal: cut(sagittal), coronal: cut(coronal), range })
}

/// The lines of all slices as a picture.
fn cut(mut lines: Vec<Vec<f32>>, rows: usize, last_on_top: bool) -> Image {
    if last_on_top {
        lines.reverse();
    }
    let (height, width) = (lines.len() * rows, lines.first().map_or(0, Vec::len));
    let pixels = lines.iter().flat_map(|line| std::iter::repeat_n(line, rows)).flatten().copied().collect();
    Image { height, width, pixels }
}

/// Images of one size side by side, row by row, and `blank` where there are none.
fn montage(images: &[Image], blank: f32) -> Image {
    let (height, width) = images.first().map_or((0, 0), |image| (image.height, image.width));
    let columns = images.len().min(IN_ROW);
    let mut whole = Image {
        height: images.len().div_ceil(IN_ROW) * height,
        width: columns * width,
        pixels: vec![blank; images.len().div_ceil(IN_ROW) * height * columns * width],
    };
    for (k, image) in images.iter().enumerate() {
        let (top, left) = (k / IN_ROW * height, k % IN_ROW * width);
        for (row, pixels) in image.rows().enumerate() {
            whole.pixels[(top + row) * whole.width + left..][..width].copy_from_slice(pixels);
        }
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_go_through_the_middle_and_montages_hold_the_ends() {
        let folder = tempfile::tempdir().unwrap();
        let volume = Volume::open(folder.path(), [30, 2, 4], false).unwrap();
        for slice in 0..30 {
            let pixels = (0..8).map(|k| (10 * slice + k) as f32).collect();
            volume.write(slice, Some(&Image { height: 2, width: 4, pixels })).unwrap();
        }
        volume.write(7, None).unwrap();
        let seen = views(&volume, 2, true).unwrap();
        assert_eq!((seen.range, seen.shown[0], seen.shown[23]), ((0.0, 297.0), 0, 29));
        assert_eq!((seen.montage.height, seen.montage.width), (4 * 2, 6 * 4));
        assert_eq!((seen.sagittal.height, seen.sagittal.width), (60, 2));
        assert_eq!(seen.sagittal.pixels[..4], [292.0, 296.0, 292.0, 296.0]);
        assert_eq!(seen.coronal.pixels[59 * 4..], [4.0, 5.0, 6.0, 7.0]);
        let other = tempfile::tempdir().unwrap();
        let one = Volume::open(other.path(), [1, 2, 4], false).unwrap();
        assert_eq!(views(&one, 1, false).unwrap().montage.width, 4);
    }
}
