//! Names of images within files: `FILE.npz:NAME[INDEX]`, `FILE:[INDEX]`, `FOLDER:SERIES[INDEX]`.
use std::path::{Path, PathBuf};

/// A file or folder, and which array or series and which slice of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Selection {
    pub(super) path: PathBuf,
    /// An array of an archive, or a series of a folder.
    pub(super) name: Option<String>,
    pub(super) slice: Option<usize>,
}

impl Selection {
    /// Takes a name apart. Without `.npz:` or `.npy:` in it, a path is taken apart only where it names nothing and what
    /// stands before its last colon does.
    pub(super) fn parse(path: &Path) -> Self {
        let whole = Self { path: path.to_owned(), name: None, slice: None };
        let parts = |ending: &str| {
            let (file, selector) = path.to_str()?.rsplit_once(&format!("{ending}:"))?;
            let file = PathBuf::from(format!("{file}{ending}"));
            (!ending.is_empty() || (!path.exists() && file.exists())).then_some((file, selector.to_owned()))
        };
        let Some((path, selector)) = [".npz", ".npy", ""].into_iter().find_map(parts) else { return whole };
        let bracketed = selector.strip_suffix(']').and_then(|rest| rest.rsplit_once('['));
        let (name, slice) = match bracketed.map(|(name, index)| (name, index.parse())) {
            Some((name, Ok(index))) => (name, Some(index)),
            _ => (selector.as_str(), None),
        };
        Self { path, name: (!name.is_empty()).then(|| name.to_owned()), slice }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(name: &str) -> (String, Option<String>, Option<usize>) {
        let Selection { path, name, slice } = Selection::parse(Path::new(name));
        (path.display().to_string(), name, slice)
    }

    #[test]
    fn names_come_apart() {
        assert_eq!(parts("a.npz:hu[3]"), ("a.npz".into(), Some("hu".into()), Some(3)));
        assert_eq!(parts("a.npy:[3]"), ("a.npy".into(), None, Some(3)));
        assert_eq!(parts("a.npz:hu"), ("a.npz".into(), Some("hu".into()), None));
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path().display().to_string();
        assert_eq!(parts(&format!("{here}:[0]")), (here.clone(), None, Some(0)));
        assert_eq!(parts(&format!("{here}:2[0]")), (here.clone(), Some("2".into()), Some(0)));
        // What is there is meant as it stands; what is not there is no selection.
        let odd = format!("{here}:[1]");
        std::fs::create_dir(&odd).unwrap();
        assert_eq!(parts(&odd), (odd.clone(), None, None));
        std::fs::remove_dir(&odd).unwrap();
        assert_eq!(parts("nowhere:[1]"), ("nowhere:[1]".into(), None, None));
    }
}
