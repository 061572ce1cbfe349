//! The images of an evaluation: those that are tested on, and others for the choice of `alpha`.

use crate::data::ellipses::ellipses;
use crate::image::Image;
use crate::prior::{Unit, suiting};
use crate::train::{FolderError, Slices};
use std::path::{Path, PathBuf};

/// Name of the generated images.
const ELLIPSES: &str = "ellipses";
const ELLIPSES_SIZE: usize = 128;
/// Rows and columns of the slices of a folder.
const SLICE_SIZE: usize = 256;
/// Images that no table is made of, for sweeps.
const FIRST_SWEPT: u64 = 101;
/// Test images of the ellipses: the paper's number, and where the sweep begins.
const N_ELLIPSES: usize = 100;

/// A source of images.
///
/// `ellipses`: test image k is `ellipses:K`, k from 1 to 100; sweeps use those from 101 on. Images that training saw
/// have seeds with bit 63, those of its validation seeds with bit 62 and not 63, and a seed has a stream of its own, so
/// the four sets do not meet.
///
/// A folder: slices of 256 x 256 pixels. Test image k is the k-th in an order that spreads over all slices, sweeps use
/// the last ones in that order, so these two do not meet. That nothing of the folder was trained on is for its owner to
/// see to: patients in it must not be among those of the prior's training, which `gradus inspect PRIOR` names.
#[derive(Debug)]
pub struct Dataset {
    name: String,
    slices: Option<Vec<Vec<f32>>>,
}

/// Reasons why there are no images.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// The folder gives nothing.
    #[error("no images in {}; give ellipses or a folder of slices", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The cause.
        #[source]
        source: FolderError,
    },
    /// More images are asked for than there are.
    #[error("{asked} images are asked for, {available} can be had from {name}; ask for fewer")]
    TooFew {
        /// The data set.
        name: String,
        /// Images asked for.
        asked: usize,
        /// Images it has.
        available: usize,
    },
}

impl Dataset {
    /// The data set of this name: `ellipses`, or a folder.
    ///
    /// # Errors
    /// [`DatasetError::Folder`].
    pub fn open(name: &str) -> Result<Self, DatasetError> {
        if name == ELLIPSES {
            return Ok(Self { name: name.to_owned(), slices: None });
        }
        let folder = |source| DatasetError::Folder { path: name.into(), source };
        let patients = Slices::read(Path::new(name), SLICE_SIZE).map_err(folder)?.patients;
        let all: Vec<Vec<f32>> = patients.into_iter().flatten().collect();
        let slices = spread(all.len()).into_iter().map(|k| all[k].clone()).collect();
        Ok(Self { name: name.to_owned(), slices: Some(slices) })
    }

    /// Its name, as it was given.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// True if the images are slices, whose pixels have Hounsfield units.
    #[must_use]
    pub fn has_hounsfield_units(&self) -> bool {
        self.slices.is_some()
    }

    /// Number of slices of a folder.
    #[must_use]
    pub fn n_slices(&self) -> Option<usize> {
        self.slices.as_ref().map(Vec::len)
    }

    /// The prior that suits the images.
    #[must_use]
    pub fn prior(&self) -> &'static str {
        suiting(if self.has_hounsfield_units() { Unit::Hounsfield } else { Unit::Relative }).name
    }

    /// Standard deviation of the noise over the mean of the line integrals, as in the paper.
    #[must_use]
    pub fn noise(&self) -> f64 {
        if self.has_hounsfield_units() { 0.05 } else { 0.1 }
    }

    /// Test images that can be had when `swept` others are kept for sweeps.
    #[must_use]
    pub fn n_images(&self, swept: usize) -> usize {
        self.slices.as_ref().map_or(N_ELLIPSES, |slices| slices.len().saturating_sub(swept))
    }

    /// Makes sure that there are as many.
    ///
    /// # Errors
    /// [`DatasetError::TooFew`].
    pub fn check(&self, images: usize, swept: usize) -> Result<(), DatasetError> {
        let available = self.n_images(swept);
        if images > available || self.n_slices().is_some_and(|n| swept > n) {
            return Err(DatasetError::TooFew { name: self.name.clone(), asked: images, available });
        }
        Ok(())
    }

    /// Test image `k`, counted from 1, in network units.
    #[must_use]
    pub fn image(&self, k: usize) -> Image {
        self.at(k as u64, |slices| k.saturating_sub(1) % slices)
    }

    /// Image `k` of a sweep, counted from 1.
    #[must_use]
    pub fn swept_image(&self, k: usize) -> Image {
        self.at(FIRST_SWEPT + k as u64 - 1, |slices| slices.saturating_sub(k))
    }

    fn at(&self, seed: u64, index: impl Fn(usize) -> usize) -> Image {
        match &self.slices {
            None => ellipses(seed, ELLIPSES_SIZE),
            Some(slices) => {
                let pixels = slices[index(slices.len())].clone();
                Image { height: SLICE_SIZE, width: SLICE_SIZE, pixels }
            }
        }
    }
}

/// The numbers below `n`, such that the first ones of any length lie evenly among all: by the reversed bits of their
/// rank.
fn spread(n: usize) -> Vec<usize> {
    let bits = usize::BITS - n.saturating_sub(1).leading_zeros();
    let reversed = |k: usize| if bits == 0 { 0 } else { k.reverse_bits() >> (usize::BITS - bits) };
    (0..n.next_power_of_two()).map(reversed).filter(|k| *k < n).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::image_files::write_npy;

    #[test]
    fn the_order_is_a_permutation_that_spreads() {
        assert_eq!(spread(8), [0, 4, 2, 6, 1, 5, 3, 7]);
        for n in [0, 1, 2, 5, 100] {
            let mut sorted = spread(n);
            sorted.sort_unstable();
            assert_eq!(sorted, (0..n).collect::<Vec<_>>());
        }
    }

    #[test]
    fn test_and_sweep_images_do_not_meet() {
        let folder = tempfile::tempdir().unwrap();
        for k in 0_u8..5 {
            let image =
                Image { height: SLICE_SIZE, width: SLICE_SIZE, pixels: vec![k.into(); SLICE_SIZE * SLICE_SIZE] };
            write_npy(folder.path().join(format!("{k}.npy")), &image).unwrap();
        }
        for (name, images) in [(ELLIPSES, 100), (folder.path().to_str().unwrap(), 3)] {
            let data = Dataset::open(name).unwrap();
            data.check(images, 2).unwrap();
            let (tested, swept) = ([1, images].map(|k| data.image(k)), [1, 2].map(|k| data.swept_image(k)));
            assert!(tested.iter().all(|image| !swept.contains(image)) && swept[0] != swept[1]);
            assert!(data.check(images + 1, 2).is_err());
        }
        assert!(Dataset::open("no-such-folder").is_err());
    }
}
