//! A folder of DICOM slices as a stack: those of one series, sorted by their places.
use super::dicom_file::{Dicom, IN_GREY, NO_PIXELS, has_mark, is_directory};
use super::dicom_source::DicomSource;
use super::file_error::{AtPath, ImageError, ImageProblem};
use super::loaded_image::LoadedImage;
use super::natural::natural_order;
use super::selection::Selection;
use super::units::StatedUnit;
use crate::read::read_file;
use dicom_dictionary_std::tags;
use std::collections::{BTreeMap, BTreeSet};
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
    let (mut series, passed_over) = all_series(folder)?;
    let slices = pick(&mut series, name).at(folder)?;
    let (slices, mut warnings) = in_order(slices).at(folder)?;
    warnings.extend(passed_over);
    Ok((slices, warnings))
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

/// The same for all slices of a series: patient, study and series. Anonymisers may give all series one UID.
type Key = [String; 3];
type Series = BTreeMap<Key, Vec<Slice>>;

fn key(source: &DicomSource) -> Key {
    let study = source.text(tags::STUDY_INSTANCE_UID);
    [source.patient_id().unwrap_or_default(), study.unwrap_or_default(), source.series_uid()]
}

/// The images of a folder by series, and what is said of those that cannot be read. What has no grey image in it, such
/// as a report, lies beside the slices of many series and is passed over.
fn all_series(folder: &Path) -> Result<(Series, Option<String>), ImageError> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| entry.map(|e| e.path())).collect())
        .map_err(ImageProblem::Read)
        .at(folder)?;
    paths.sort_by(|a, b| natural_order(a, b));
    let (mut series, mut unread) = (Series::new(), Vec::new());
    for path in paths.into_iter().filter(|path| path.is_file()) {
        let bytes = read_file(&path).map_err(ImageProblem::Read).at(&path)?;
        let is_marked = has_mark(&bytes);
        if !(is_marked || has_usual_name(&path)) || is_directory(&bytes) {
            continue;
        }
        match Dicom::parse(&bytes) {
            Ok(dicom) if dicom.n_frames() > 1 => {
                let what = format!("{} frames in one file; name that file, not its folder", dicom.n_frames());
                return Err(ImageProblem::Stack { what, last: dicom.n_frames() - 1 }).at(&path);
            }
            Ok(dicom) => {
                let source = dicom.source().clone();
                series.entry(key(&source)).or_default().push(Slice { path, source });
            }
            Err(ImageProblem::Unsupported { found, advice }) if found == NO_PIXELS || advice == IN_GREY => {}
            Err(problem @ ImageProblem::Unsupported { .. }) => unread.push((path, problem)),
            Err(problem) if is_marked => return Err(problem).at(&path),
            Err(problem) => unread.push((path, problem)),
        }
    }
    if series.is_empty() {
        return Err(ImageProblem::NoSlices).at(folder);
    }
    Ok((series, passed_over(&unread)))
}

/// True for names that slices without a mark have, too.
fn has_usual_name(path: &Path) -> bool {
    path.extension().is_some_and(|e| ["dcm", "ima"].iter().any(|usual| e.eq_ignore_ascii_case(usual)))
}

fn passed_over(unread: &[(PathBuf, ImageProblem)]) -> Option<String> {
    const MOST: usize = 3;
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let named: Vec<String> =
        unread.iter().take(MOST).map(|(path, problem)| format!("{} ({problem})", name(path))).collect();
    let more = if unread.len() > MOST { format!(" and {} more", unread.len() - MOST) } else { String::new() };
    (!unread.is_empty()).then(|| format!("left out, as they cannot be read: {}{more}", named.join(", ")))
}

/// The only series, or the one with this number or UID.
fn pick(series: &mut Series, name: Option<&str>) -> Result<Vec<Slice>, ImageProblem> {
    let number = |slices: &[Slice]| slices[0].source.text(tags::SERIES_NUMBER).unwrap_or_default();
    let is_meant = |([.., uid], slices): &(&Key, &Vec<Slice>)| {
        name.is_none_or(|name| name == uid.as_str() || name == number(slices))
    };
    let mut meant = series.iter().filter(is_meant).map(|(key, _)| key.clone());
    match (meant.next(), meant.next()) {
        (Some(key), None) => Ok(series.remove(&key).unwrap_or_default()),
        (Some(_), Some(_)) if name.is_some() => {
            let found = "series of several patients or studies, of one number or UID";
            Err(ImageProblem::unsupported(found, "move each into a folder of its own"))
        }
        _ => {
            let patients: BTreeSet<&String> = series.keys().map(|[patient, ..]| patient).collect();
            let described = |([patient, _, uid], slices): (&Key, &Vec<Slice>)| {
                let text = slices[0].source.text(tags::SERIES_DESCRIPTION).unwrap_or_default();
                let name = Some(number(slices)).filter(|number| !number.is_empty()).unwrap_or_else(|| uid.clone());
                let of = if patients.len() > 1 { format!(" of patient {patient:?}") } else { String::new() };
                format!("{name} ({text}, {} slices{of})", slices.len())
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
        let number = |slice: &Slice| slice.source.integer(tags::INSTANCE_NUMBER);
        if slices.iter().all(|slice| number(slice).is_some()) {
            slices.sort_by_key(number);
            warnings.push("slices without places are sorted by Instance Number".to_owned());
        } else {
            warnings.push("slices without places and numbers are in the order of their names".to_owned());
        }
        return Ok((slices, warnings));
    }
    let place = |slice: &Slice| normals.first().and_then(|own| slice.source.place_along(*own)).unwrap_or_default();
    slices.sort_by(|a, b| place(a).total_cmp(&place(b)));
    let places: Vec<f64> = slices.iter().map(place).collect();
    warnings.extend(gaps(&places));
    Ok((slices, warnings))
}

/// Said of a file whose frames, which keep their numbers, are not in the order of their places.
pub(super) fn doubt_about_frames(dicom: &Dicom) -> Option<String> {
    let place = |frame| DicomSource { frame, ..dicom.source().clone() }.place_mm();
    doubt_about_places((0..dicom.n_frames()).map(place).collect::<Option<Vec<f64>>>()?)
}

fn doubt_about_places(mut places: Vec<f64>) -> Option<String> {
    if places.first() > places.last() {
        places.iter_mut().for_each(|place| *place = -*place);
    }
    if places.is_sorted() {
        return gaps(&places);
    }
    Some("the frames are not in the order of their places: the volume has them as the file does".to_owned())
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
        let by_key = |slices: Vec<Slice>| {
            let mut series = Series::new();
            slices.into_iter().for_each(|slice| series.entry(key(&slice.source)).or_default().push(slice));
            series
        };
        let both = || by_key(vec![of("1.2", "3"), of("1.3", "4")]);
        assert_eq!(pick(&mut both(), Some("4")).unwrap()[0].source.series_uid(), "1.3");
        assert_eq!(pick(&mut both(), Some("1.2")).unwrap()[0].source.series_uid(), "1.2");
        for name in [None, Some("5")] {
            let problem = pick(&mut both(), name).err().unwrap().to_string();
            assert!(problem.contains("3 (") && problem.contains("4 (") && problem.contains("FOLDER:"), "{problem}");
        }
        // Two patients are no series, whatever has become of its UID.
        let of =
            |patient: &str| slice(&[(tags::SERIES_INSTANCE_UID, VR::UI, "0"), (tags::PATIENT_ID, VR::LO, patient)]);
        let two = || by_key(vec![of("ALICE"), of("BOB"), of("ALICE")]);
        let problem = pick(&mut two(), None).err().unwrap().to_string();
        assert!(problem.contains("2 slices of patient \"ALICE\"") && problem.contains("BOB"), "{problem}");
        let problem = pick(&mut two(), Some("0")).err().unwrap().to_string();
        assert!(problem.contains("several patients") && problem.contains("folder of its own"), "{problem}");
    }

    /// Slices that cannot be read are named; files that are no image are not.
    #[test]
    fn slices_are_not_left_out_in_silence() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
        write("IM1", SPINE);
        write("no_mark.dcm", &SPINE[132..]);
        write("cut_short.dcm", b"not an image");
        write("readme.txt", b"not an image");
        let (files, warnings) = files(folder.path(), None).unwrap();
        assert_eq!(files.len(), 2, "a slice without its mark is one all the same");
        let said = warnings.join("; ");
        assert!(said.contains("cut_short.dcm (") && !said.contains("readme"), "{said}");
    }

    #[test]
    fn frames_out_of_order_are_told() {
        let doubt = |places: &[f64]| doubt_about_places(places.to_vec());
        assert_eq!((doubt(&[0.0, 2.0, 4.0]), doubt(&[4.0, 2.0, 0.0]), doubt(&[7.0])), (None, None, None));
        assert!(doubt(&[50.0, 0.0, 10.0]).unwrap().contains("not in the order"));
        assert!(doubt(&[6.0, 4.0, 2.0, -2.0]).unwrap().contains("4.000 mm apart"));
    }

    /// Rounded directions far from the axis move no slice before another.
    #[test]
    fn places_are_those_along_one_normal() {
        let at = |k: usize| {
            let tilt = if k.is_multiple_of(2) { "1\\0\\0\\0\\1\\0" } else { "1\\0\\0.0008\\0\\1\\0" };
            let place = format!("-250\\-250\\{}", 0.1 * k as f64);
            let orientation = (tags::IMAGE_ORIENTATION_PATIENT, VR::DS, tilt);
            slice(&[orientation, (tags::IMAGE_POSITION_PATIENT, VR::DS, place.as_str())])
        };
        let (ordered, warnings) = in_order((0..6).map(at).collect()).unwrap();
        let places: Vec<f64> = ordered.iter().map(|slice| slice.source.place_along([0.0, 0.0, 1.0]).unwrap()).collect();
        assert!(places.is_sorted() && warnings.is_empty(), "{places:?} {warnings:?}");
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
