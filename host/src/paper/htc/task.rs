//! What is asked about a phantom.

use super::coarse::{coarse, with_views};
use super::material::length_mm;
use super::phantoms::SIDE;
use super::{HtcError, Phantom};
use crate::data::scan::Scan;
use crate::raw::ct_data;
use std::fmt;
use std::path::Path;

/// Fine pixels of a coarse one.
pub(super) const FACTOR: usize = 4;
/// Arcs that are cut out of whole turns, in degrees.
const ARCS: [u32; 3] = [90, 60, 30];
/// Views that are kept of whole turns.
const SPARSE: [usize; 2] = [60, 20];

/// A question about a phantom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Task {
    /// The segmentation from the scan over part of a turn.
    Limited,
    /// The segmentation from so many first degrees of the whole turn.
    Arc(u32),
    /// The image from so many evenly spread views, against that from all.
    Sparse(usize),
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Limited => f.write_str("limited"),
            Self::Arc(degrees) => write!(f, "{degrees} degrees"),
            Self::Sparse(views) => write!(f, "{views} views"),
        }
    }
}

/// The questions about a phantom: those of the challenge where it has a scan over part of a turn, else arcs of the
/// whole one; and sparse views of the whole turn.
#[must_use]
pub fn tasks(phantom: &Phantom) -> Vec<Task> {
    let arcs = phantom.full.iter().flat_map(|_| ARCS.map(Task::Arc)).filter(|_| phantom.limited.is_none());
    let sparse = phantom.full.iter().flat_map(|_| SPARSE.map(Task::Sparse));
    phantom.limited.iter().map(|_| Task::Limited).chain(arcs).chain(sparse).collect()
}

impl Task {
    /// The scan, in lengths of material, on coarse pixels.
    pub(super) fn scan(self, phantom: &Phantom) -> Result<Scan, HtcError> {
        let file = match self {
            Self::Limited => phantom.limited.as_ref(),
            Self::Arc(_) | Self::Sparse(_) => phantom.full.as_ref(),
        };
        let whole = read(file.ok_or_else(|| HtcError::NoPhantoms(phantom.reference.clone()))?)?;
        Ok(match self {
            Self::Limited => whole,
            Self::Arc(degrees) => {
                let angles = whole.geometry.angles_rad.clone();
                let last = f64::from(degrees).to_radians() + 1e-9;
                with_views(&whole, |view| (angles[view] - angles[0]).abs() <= last)
            }
            Self::Sparse(n) => {
                let views = whole.geometry.angles_rad.len();
                // View floor(k views / n), for k from 0 to n - 1.
                let is_one = |view: usize| (view * n).div_ceil(views) * views / n == view;
                with_views(&whole, |view| n >= views || is_one(view))
            }
        })
    }

    /// The scan of the whole turn.
    pub(super) fn whole_scan(phantom: &Phantom) -> Result<Option<Scan>, HtcError> {
        phantom.full.as_deref().map(read).transpose()
    }
}

fn read(path: &Path) -> Result<Scan, HtcError> {
    let mut scan = ct_data::read(path)?;
    if [scan.geometry.height, scan.geometry.width] != [SIDE; 2] {
        return Err(HtcError::Grid(path.to_owned()));
    }
    scan.sinogram.iter_mut().for_each(|value| *value = length_mm(*value));
    scan.attenuation_per_unit_per_mm = Some(1.0);
    Ok(coarse(&scan, FACTOR))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    #[test]
    fn questions_follow_from_the_files() {
        let name = |words: &str| Some(PathBuf::from(words));
        let reference = PathBuf::from("seg.mat");
        let teaching = Phantom { name: "t".into(), full: name("full.mat"), limited: None, reference };
        let shown = |phantom: &Phantom| tasks(phantom).iter().map(Task::to_string).collect::<Vec<_>>();
        assert_eq!(shown(&teaching), ["90 degrees", "60 degrees", "30 degrees", "60 views", "20 views"]);
        let test = Phantom { limited: name("limited.mat"), ..teaching };
        assert_eq!(shown(&test), ["limited", "60 views", "20 views"]);
        assert_eq!(shown(&Phantom { full: None, ..test }), ["limited"]);
    }
}
