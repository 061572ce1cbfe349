//! A folder of DICOM slices as a stack: those of one series, sorted by their places.
use super::dicom_file::{Dicom, has_mark, is_directory};
use super::dicom_source::DicomSource;
use super::file_error::{AtPath, ImageError, ImageProblem};
use super::loaded_image::LoadedImage;
use super::selection::Selection;
use super::units::StatedUnit;
use crate::read::read_file;
use dicom_dictionary_std::tags;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Components by which unit normals of parallel planes may differ.
const SAME_NORMAL: f64 = 1e-3;
/// Share of the usual distance by which two slices may be farther apart, or nearer, than others.
const SAME_DISTANCE: f64 = 0.1;

/// A file with one image.
struct Slice {
    path: PathBuf,
    source: DicomSource,
}

/// The files of the series of a folder that is meant, in order, and what is doubtful about them.
pub(super) fn files(folder: &Path, name: Option<&str>) -> Result<(Vec<PathBuf>, Vec<String>), ImageError> {
    let (slices, warnings) = chosen(folder, name)?;
    Ok((slices.into_iter().map(|slice| slice.path).collect(), warnings))
}

fn chosen(folder: &Path, name: Option<&str>) -> Result<(Vec<Slice>, Vec<String>), ImageError> {
    let mut series = all_series(folder)?;
    let slices = pick(&mut series, name).at(folder)?;
    in_order(slices).at(folder)
}

/// Reads the chosen slice of the series in a folder.
pub(super) fn read(
    folder: &Path,
    selection: &Selection,
    stated: Option<StatedUnit>,
) -> Result<LoadedImage, ImageError> {
    let (slices, warnings) = chosen(folder, selection.name.as_deref())?;
    let length = slices.len();
    let Some(index) = selection.slice else {
        let places = [slices.first(), slices.last()].map(|slice| slice.and_then(|slice| slice.source.place_mm()));
        let reach = match places {
            [Some(from), Some(to)] => format!(", from {from} to {to} mm"),
            _ => String::new(),
        };
        let doubts: String = warnings.iter().map(|warning| format!("; {warning}")).collect();
        let what = format!("a series of {length} DICOM slices{reach}{doubts}");
        return Err(ImageProblem::Stack { what, last: length - 1 }).at(folder);
    };
    let slice = slices.get(index).ok_or(ImageProblem::NoSuchSlice { index, length }).at(folder)?;
    let bytes = read_file(&slice.path).map_err(ImageProblem::Read).at(&slice.path)?;
    let mut loaded = Dicom::parse(&bytes).and_then(|dicom| dicom.frame(None, stated)).at(&slice.path)?;
    let name = slice.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    loaded.origins.insert(0, format!("slice {index} of {length}, file {name}"));
    loaded.warnings.extend(warnings);
    Ok(loaded)
}

/// The images of a folder by series. What has no image in it, such as a report, is passed over.
fn all_series(folder: &Path) -> Result<BTreeMap<String, Vec<Slice>>, ImageError> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| entry.map(|e| e.path())).collect())
        .map_err(ImageProblem::Read)
        .at(folder)?;
    paths.sort_unstable();
    let mut series: BTreeMap<String, Vec<Slice>> = BTreeMap::new();
    for path in paths.into_iter().filter(|path| path.is_file()) {
        let bytes = read_file(&path).map_err(ImageProblem::Read).at(&path)?;
        if !has_mark(&bytes) || is_directory(&bytes) {
            continue;
        }
        match Dicom::parse(&bytes) {
            Ok(dicom) if dicom.n_frames() > 1 => {
                let what = format!("{} frames in one file; name that file, not its folder", dicom.n_frames());
                return Err(ImageProblem::Stack { what, last: dicom.n_frames() - 1 }).at(&path);
            }
            Ok(dicom) => {
                let source = dicom.source().clone();
                series.entry(source.series_uid()).or_default().push(Slice { path, source });
            }
            // Reports and colour pictures lie beside the slices of many series.
            Err(ImageProblem::Unsupported { .. }) => {}
            Err(problem) => return Err(problem).at(&path),
        }
    }
    if series.is_empty() {
        return Err(ImageProblem::NoSlices).at(folder);
    }
    Ok(series)
}

/// The only series, or the one with this number or UID.
fn pick(series: &mut BTreeMap<String, Vec<Slice>>, name: Option<&str>) -> Result<Vec<Slice>, ImageProblem> {
    let number = |slices: &[Slice]| slices[0].source.text(tags::SERIES_NUMBER).unwrap_or_default();
    let is_meant =
        |(uid, slices): &(&String, &Vec<Slice>)| name.is_none_or(|name| name == uid.as_str() || name == number(slices));
    let mut meant = series.iter().filter(is_meant).map(|(uid, _)| uid.clone());
    match (meant.next(), meant.next()) {
        (Some(uid), None) => Ok(series.remove(&uid).unwrap_or_default()),
        _ => {
            let described = |(uid, slices): (&String, &Vec<Slice>)| {
                let text = slices[0].source.text(tags::SERIES_DESCRIPTION).unwrap_or_default();
                let name = Some(number(slices)).filter(|number| !number.is_empty()).unwrap_or_else(|| uid.clone());
                format!("{name} ({text}, {} slices)", slices.len())
            };
            Err(ImageProblem::NoSuchSeries { present: series.iter().map(described).collect() })
        }
    }
}

/// Sorts the slices of a series along the normal of their planes, or by their numbers where places are missing, and
/// says where some seem to be missing.
fn in_order(mut slices: Vec<Slice>) -> Result<(Vec<Slice>, Vec<String>), ImageProblem> {
    let mut warnings = Vec::new();
    let n = slices.len();
    slices.retain(|slice| {
        let kind = slice.source.element(tags::IMAGE_TYPE).and_then(|element| element.to_multi_str().ok());
        n == 1 || !kind.is_some_and(|kind| kind.iter().any(|word| word.trim() == "LOCALIZER"))
    });
    if slices.is_empty() {
        return Err(ImageProblem::NoSlices);
    }
    if slices.len() < n {
        warnings.push(format!("{} localizers are left out", n - slices.len()));
    }
    let normals: Vec<[f64; 3]> = slices.iter().filter_map(|slice| slice.source.normal()).collect();
    let differs = |normal: &[f64; 3]| normal.iter().zip(normals[0]).any(|(a, b)| (a - b).abs() > SAME_NORMAL);
    if normals.iter().any(differs) {
        return Err(ImageProblem::unsupported("slices of one series in several directions", "name one of its files"));
    }
    if slices.len() > 1 && slices.iter().any(|slice| slice.source.place_mm().is_none()) {
        slices.sort_by_key(|slice| slice.source.integer(tags::INSTANCE_NUMBER));
        warnings.push("slices without places are sorted by Instance Number".to_owned());
        return Ok((slices, warnings));
    }
    let place = |slice: &Slice| slice.source.place_mm().unwrap_or_default();
    slices.sort_by(|a, b| place(a).total_cmp(&place(b)));
    let places: Vec<f64> = slices.iter().map(place).collect();
    warnings.extend(gaps(&places));
    Ok((slices, warnings))
}

/// Places at which slices seem to be missing, or to be there twice.
fn gaps(places: &[f64]) -> Option<String> {
    let distances: Vec<f64> = places.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let mut sorted = distances.clone();
    sorted.sort_by(f64::total_cmp);
    let usual = *sorted.get(distances.len() / 2)?;
    let odd = distances.iter().enumerate().filter(|(_, mm)| (**mm - usual).abs() > SAME_DISTANCE * usual);
    let named: Vec<String> = odd.map(|(k, mm)| format!("[{k}] and [{}] are {mm:.3} mm apart", k + 1)).collect();
    let more = if named.len() > 3 { format!(" (and {} more)", named.len() - 3) } else { String::new() };
    let first = named.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
    (!named.is_empty()).then(|| format!("slices {first}{more}, others {usual:.3} mm: some are missing or there twice"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::image_files::read_image;
    use dicom_core::{DataElement, PrimitiveValue, Tag, VR};

    const SPINE: &[u8] = include_bytes!("../../samples/spine.dcm");

    fn slice(changes: &[(Tag, VR, &str)]) -> Slice {
        let mut source = Dicom::parse(SPINE).unwrap().source().clone();
        for (tag, vr, text) in changes {
            let values = text.split('\\').map(str::to_owned).collect();
            source.object.put(DataElement::new(*tag, *vr, PrimitiveValue::Strs(values)));
        }
        Slice { path: PathBuf::new(), source }
    }

    fn at(z: f64) -> Slice {
        slice(&[(tags::IMAGE_POSITION_PATIENT, VR::DS, &format!("0\\0\\{z}"))])
    }

    #[test]
    fn slices_are_ordered_along_the_normal() {
        let (ordered, warnings) = in_order(vec![at(5.0), at(-2.5), at(0.0), at(2.5)]).unwrap();
        let places: Vec<f64> = ordered.iter().map(|slice| slice.source.place_mm().unwrap()).collect();
        assert_eq!((places, warnings.len()), (vec![-2.5, 0.0, 2.5, 5.0], 0));
        let (_, warnings) = in_order(vec![at(0.0), at(7.5), at(2.5), at(10.0), at(10.0)]).unwrap();
        assert!(warnings[0].contains("[1] and [2] are 5.000 mm apart, [3] and [4] are 0.000 mm"), "{warnings:?}");
        // By number where one has no place.
        let numbered =
            |n: &str| slice(&[(tags::INSTANCE_NUMBER, VR::IS, n), (tags::IMAGE_POSITION_PATIENT, VR::DS, "")]);
        let (ordered, warnings) = in_order(vec![numbered("10"), numbered("9")]).unwrap();
        assert_eq!(ordered[0].source.integer(tags::INSTANCE_NUMBER), Some(9));
        assert!(warnings[0].contains("Instance Number"), "{warnings:?}");
        let turned = slice(&[(tags::IMAGE_ORIENTATION_PATIENT, VR::DS, "0\\1\\0\\0\\0\\1")]);
        assert!(in_order(vec![at(0.0), turned]).is_err());
        let scout = slice(&[(tags::IMAGE_TYPE, VR::CS, "ORIGINAL\\PRIMARY\\LOCALIZER")]);
        let (ordered, warnings) = in_order(vec![scout, at(0.0), at(1.0)]).unwrap();
        assert!(ordered.len() == 2 && warnings[0].contains("1 localizers"), "{warnings:?}");
    }

    #[test]
    fn one_series_is_picked() {
        let of = |uid: &str, number: &str| {
            slice(&[(tags::SERIES_INSTANCE_UID, VR::UI, uid), (tags::SERIES_NUMBER, VR::IS, number)])
        };
        let both = || BTreeMap::from([("1.2".to_owned(), vec![of("1.2", "3")]), ("1.3".into(), vec![of("1.3", "4")])]);
        assert_eq!(pick(&mut both(), Some("4")).unwrap()[0].source.series_uid(), "1.3");
        assert_eq!(pick(&mut both(), Some("1.2")).unwrap()[0].source.series_uid(), "1.2");
        for name in [None, Some("5")] {
            let problem = pick(&mut both(), name).err().unwrap().to_string();
            assert!(problem.contains("3 (") && problem.contains("4 (") && problem.contains("FOLDER:"), "{problem}");
        }
    }

    #[test]
    fn a_folder_is_a_stack() {
        let folder = tempfile::tempdir().unwrap();
        let message = |name: &str| read_image(folder.path().with_file_name(name)).unwrap_err().to_string();
        let name = folder.path().file_name().unwrap().to_str().unwrap();
        assert!(message(name).contains("nor a DICOM slice"), "{}", message(name));
        std::fs::write(folder.path().join("IM0001"), SPINE).unwrap();
        std::fs::write(folder.path().join("readme.txt"), "not an image").unwrap();
        assert!(message(name).contains("a series of 1 DICOM slices"), "{}", message(name));
        assert!(message(&format!("{name}:[1]")).contains("no slice 1"), "{}", message(&format!("{name}:[1]")));
        let loaded = read_image(folder.path().with_file_name(format!("{name}:[0]"))).unwrap();
        assert_eq!(loaded.image.pixels[..2], [-849.0, -844.0]);
        assert!(loaded.origins[0].contains("slice 0 of 1, file IM0001"), "{:?}", loaded.origins);
    }
}
