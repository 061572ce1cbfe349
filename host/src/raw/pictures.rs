//! TIFF pictures: a sinogram, or a folder of projections with their flats and darks.
use super::counts::{self, Counts, Integrals};
use super::options::RawOptions;
use crate::data::file_error::{AtPath, FileError, ImageProblem};
use crate::data::image_files::read_stored;
use crate::data::natural::natural_order;
use crate::data::scan::{Scan, ScanError, ScanProblem};
use crate::image::Image;
use std::fs;
use std::path::{Path, PathBuf};

/// Beginnings of the names of files without object, and without beam, or of their folder.
const FLATS: [&str; 7] = ["flat", "flatfield", "white", "whitefield", "ob", "open", "i0"];
const DARKS: [&str; 5] = ["dark", "darkfield", "dc", "di", "bias"];
/// Degrees that views are spread over where nobody says it.
const HALF_TURN_DEG: f64 = 180.0;
/// Values above this are no line integrals, but counts.
const COUNTS: f32 = 50.0;

/// True if a name is that of a TIFF file.
pub(super) fn is_tiff(path: &Path) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case("tif") || e.eq_ignore_ascii_case("tiff"))
}

/// The scan of a sinogram: a row for each view, a column for each bin.
pub(super) fn sinogram(path: &Path, options: &RawOptions) -> Result<Scan, ScanError> {
    scan_of(stored(path)?, path, options)
}

/// The scan that a picture in a file is.
pub(super) fn scan_of(image: Image, path: &Path, options: &RawOptions) -> Result<Scan, ScanError> {
    if image.pixels.iter().any(|value| *value > COUNTS) {
        let rule = "line integrals; of counts give the folder of projections with their flats";
        return Err(ScanProblem::Value { field: "sinogram", value: "as large as counts".into(), rule }).at(path);
    }
    let angles = options.angles_rad(image.height, HALF_TURN_DEG);
    let integrals = Integrals { sinogram: image.pixels, photons: None, warnings: Vec::new() };
    let mut scan = counts::scan(angles, image.width, options.bin_width_mm(), integrals).at(path)?;
    scan.warnings.push("TIFF: a row is taken to be a view of line integrals, a column a bin".to_owned());
    scan.warnings.extend(assumed(options));
    Ok(scan)
}

/// The scan of one row of the projections in a folder.
pub(super) fn folder(path: &Path, options: &RawOptions) -> Result<Scan, ScanError> {
    let files = Files::of(path)?;
    let rows = |of: &[PathBuf], shape: Option<(usize, usize)>| {
        let mut values = Vec::new();
        let mut shape = shape;
        for file in of {
            let image = stored(file)?;
            let &mut (height, width) = shape.get_or_insert((image.height, image.width));
            if (height, width) != (image.height, image.width) {
                let expected = format!("[{height}, {width}] like the other files");
                let found = vec![image.height, image.width];
                return Err(ScanProblem::Shape { field: "data", found, expected }).at(file);
            }
            let row = options.row_of(height).at(file)?;
            values.extend_from_slice(&image.pixels[row * width..][..width]);
        }
        Ok((values, shape))
    };
    let (views, shape) = rows(&files.views, None)?;
    let (flats, _) = rows(&files.flats, shape)?;
    let (darks, _) = rows(&files.darks, shape)?;
    let (height, n_bins) = shape.unwrap_or_default();
    let angles = options.angles_rad(files.views.len(), HALF_TURN_DEG);
    let counts = Counts { n_bins, views, flats, darks };
    let mut scan =
        counts.integrals().and_then(|of| counts::scan(angles, n_bins, options.bin_width_mm(), of)).at(path)?;
    let (n_views, n_flats, n_darks) = (files.views.len(), files.flats.len(), files.darks.len());
    scan.warnings
        .push(format!("TIFF: {n_views} projections in the order of their names, {n_flats} flats, {n_darks} darks"));
    scan.warnings.extend(files.doubt());
    scan.warnings.push(format!("row {} of {height} is taken (--row)", options.row_of(height).at(path)?));
    scan.warnings.extend(assumed(options));
    Ok(scan)
}

fn assumed(options: &RawOptions) -> impl Iterator<Item = String> {
    let turn = options.turn_deg.is_none();
    let turn = turn
        .then(|| format!("no angles are given: views evenly over {HALF_TURN_DEG} degrees are assumed (--turn-deg)"));
    turn.into_iter().chain(options.assumed_bin_width())
}

fn stored(path: &Path) -> Result<Image, ScanError> {
    read_stored(path).map_err(|error| FileError { path: error.path, problem: error.problem.into() })
}

/// The files of a folder and of the folders in it, each kind sorted by name.
#[derive(Debug, Default)]
struct Files {
    views: Vec<PathBuf>,
    flats: Vec<PathBuf>,
    darks: Vec<PathBuf>,
}

impl Files {
    fn of(folder: &Path) -> Result<Self, ScanError> {
        let mut files = Self::default();
        for path in listed(folder)? {
            if is_tiff(&path) {
                files.kind(&path).push(path);
            } else if path.is_dir() {
                let inner = listed(&path)?.into_iter().filter(|file| is_tiff(file));
                files.kind(&path).extend(inner);
            }
        }
        Ok(files)
    }

    /// Said of projections with names of several kinds, of which some may be no projections.
    fn doubt(&self) -> Option<String> {
        let stems = self.views.iter().filter_map(|path| path.file_stem());
        let mut words: Vec<String> = stems.map(|stem| leading_word(&stem.to_string_lossy())).collect();
        words.sort_unstable();
        words.dedup();
        let named = words.iter().take(4).map(|word| format!("{word}...")).collect::<Vec<_>>().join(", ");
        (words.len() > 1).then(|| {
            format!("all of {named} are taken for projections; name flats flat..., darks dark..., and move others away")
        })
    }

    fn kind(&mut self, path: &Path) -> &mut Vec<PathBuf> {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().to_lowercase();
        // A word of its own: `object` is no `ob`. With its digits for `i0_0001`, and without its plural.
        let first: String = name.chars().take_while(|c| c.is_alphanumeric()).collect();
        let word = leading_word(&name);
        let words = [first.as_str(), &word, word.strip_suffix('s').unwrap_or(&word)];
        let is = |kinds: &[&str]| words.iter().any(|word| kinds.contains(word));
        match (is(&FLATS), is(&DARKS)) {
            (true, _) => &mut self.flats,
            (_, true) => &mut self.darks,
            _ => &mut self.views,
        }
    }
}

/// The letters that a name begins with.
fn leading_word(name: &str) -> String {
    name.chars().take_while(|c| c.is_alphabetic()).collect()
}

fn listed(folder: &Path) -> Result<Vec<PathBuf>, ScanError> {
    let entries = fs::read_dir(folder).map_err(|e| ScanProblem::from(ImageProblem::Read(e))).at(folder)?;
    let mut paths: Vec<PathBuf> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
    paths.sort_by(|a, b| natural_order(a, b));
    Ok(paths)
}

/// True if a folder holds projections.
pub(super) fn has_projections(folder: &Path) -> bool {
    Files::of(folder).is_ok_and(|files| !files.views.is_empty() && !files.flats.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_a_file_is() {
        let mut files = Files::default();
        let names = [
            "proj_1.tif",
            "object.tif",
            "flat_01.tif",
            "Flats.tif",
            "flatfield3.tif",
            "i0_0001.tif",
            "I0.tif",
            "ob1.tif",
            "bias_0001.tif",
            "darks.tif",
            "darkfield_2.tif",
            "dark3.tif",
        ];
        for name in names {
            files.kind(Path::new(name)).push(name.into());
        }
        let counts = [&files.views, &files.flats, &files.darks].map(Vec::len);
        assert_eq!(counts, [2, 6, 4], "{files:?}");
        let doubt = files.doubt().unwrap();
        assert!(doubt.contains("object..., proj..."), "{doubt}");
        files.views.pop();
        assert_eq!(files.doubt(), None);
    }
}
