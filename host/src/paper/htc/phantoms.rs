//! The challenge's files.

use super::HtcError;
use crate::data::folder_error::FolderError;
use crate::image::Image;
use crate::raw::matlab;
use std::path::{Path, PathBuf};

/// Side of the challenge's images.
pub(super) const SIDE: usize = 512;

/// The files of one phantom.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Phantom {
    /// The common part of its files' names: `htc2022_01a`.
    pub name: String,
    /// The scan of a whole turn.
    pub full: Option<PathBuf>,
    /// That over part of a turn.
    pub limited: Option<PathBuf>,
    /// The segmentation.
    pub reference: PathBuf,
}

/// The phantoms in `folder` and in the folders in it, by name: those that have a segmentation and a scan.
///
/// # Errors
/// [`HtcError::Folder`], [`HtcError::NoPhantoms`].
pub fn phantoms(folder: &Path) -> Result<Vec<Phantom>, HtcError> {
    let mut found = Vec::new();
    let mut inside = entries(folder)?;
    for deeper in inside.iter().filter(|path| path.is_dir()).cloned().collect::<Vec<_>>() {
        inside.extend(entries(&deeper)?);
    }
    for reference in inside {
        let name = reference.file_name().unwrap_or_default().to_string_lossy();
        let Some(stem) = name.strip_suffix("_recon_fbp_seg.mat") else { continue };
        let stem = stem.strip_suffix("_full").unwrap_or(stem).to_owned();
        let beside = |end: &str| Some(reference.with_file_name(format!("{stem}_{end}.mat"))).filter(|p| p.exists());
        let (full, limited) = (beside("full"), beside("limited"));
        if full.is_some() || limited.is_some() {
            found.push(Phantom { name: stem, full, limited, reference });
        }
    }
    found.sort();
    if found.is_empty() { Err(HtcError::NoPhantoms(folder.to_owned())) } else { Ok(found) }
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, HtcError> {
    let file = FolderError::file(folder);
    let entries: Result<Vec<_>, _> = std::fs::read_dir(folder).map_err(&file)?.collect();
    Ok(entries.map_err(&file)?.into_iter().map(|entry| entry.path()).collect())
}

impl Phantom {
    /// The segmentation: 1 for material, 0 for air.
    ///
    /// # Errors
    /// [`HtcError::Segmentation`], [`HtcError::Image`].
    pub fn segmentation(&self) -> Result<Image, HtcError> {
        let file = matlab::read(&self.reference)?;
        let images = file.names().into_iter().filter_map(|name| file.field(name)?.array()?.image());
        let image = images.into_iter().find(|image| (image.height, image.width) == (SIDE, SIDE));
        image.ok_or_else(|| HtcError::Segmentation(self.reference.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn files_are_put_together_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str| dir.path().join(name);
        assert!(matches!(phantoms(dir.path()), Err(HtcError::NoPhantoms(_))));
        fs::create_dir(file("teaching")).unwrap();
        for name in [
            "b_limited.mat",
            "b_recon_fbp_seg.mat",
            "c_recon_fbp_seg.mat",
            "teaching/a_full.mat",
            "teaching/a_full_recon_fbp_seg.mat",
            "README.md",
        ] {
            fs::write(file(name), "").unwrap();
        }
        let [a, b] = &phantoms(dir.path()).unwrap()[..] else { panic!("two phantoms") };
        assert_eq!((a.name.as_str(), &a.full, &a.limited), ("a", &Some(file("teaching/a_full.mat")), &None));
        assert_eq!((b.name.as_str(), &b.full, &b.limited), ("b", &None, &Some(file("b_limited.mat"))));
        assert!(phantoms(&file("nowhere")).is_err() && b.segmentation().is_err());
    }
}
