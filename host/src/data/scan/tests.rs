//! Tests of reading and writing scans.
use super::*;
use crate::ct::{Beam, Detector, Fan};
use crate::data::image_files::{write_npy, write_tiff_f32};
use crate::data::npy::ArchiveWriter;
use crate::data::scan_npz;
use proptest::prelude::*;
use std::fs;

fn scan() -> Scan {
    let (n_views, n_bins) = (6, 9);
    Scan {
        geometry: Geometry {
            height: 4,
            width: 5,
            pixel_mm: 0.7,
            angles_rad: (0..n_views).map(|k| (k as f64 + 0.5) / 1.9).collect(),
            n_bins,
            bin_width_mm: 1.1,
            detector_offset_mm: -0.3,
            beam: Beam::Parallel,
        },
        sinogram: (0..n_views * n_bins).map(|k| (k as f32).sin() * 3.0).collect(),
        truth: Some(Image { height: 4, width: 5, pixels: (0..20).map(|k| (k as f32).cos()).collect() }),
        photons: Some(1e5),
        noise_std: Some(0.1 + 0.2),
        attenuation_per_unit_per_mm: Some(0.081_358_58),
        prior: Some("ct".into()),
        note: "{\"made by\": \"a test, Größe 1 µm\"}".into(),
        warnings: Vec::new(),
    }
}

fn decoded(build: impl FnOnce(&mut ArchiveWriter)) -> Result<Scan, ScanProblem> {
    let mut writer = ArchiveWriter::new();
    build(&mut writer);
    scan_npz::decode(writer.finish().unwrap())
}

#[test]
fn npz_comes_back_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scan.npz");
    let bare = Scan { truth: None, photons: None, noise_std: None, prior: None, note: String::new(), ..scan() };
    for scan in [scan(), bare] {
        scan.write(&path).unwrap();
        let first = fs::read(&path).unwrap();
        assert_eq!(Scan::read(&path).unwrap(), scan);
        scan.write(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), first);
    }
}

#[test]
fn foreign_names_are_understood_with_warnings() {
    let scan = decoded(|w| {
        w.numbers("sino", &[2, 5], &[1.0f32; 10]).unwrap();
        w.numbers("theta", &[2], &[0.0, 1.5]).unwrap();
        w.numbers("centre_px", &[], &[1.5]).unwrap();
        w.numbers("pixelmm", &[], &[0.5]).unwrap();
    })
    .unwrap();
    let geometry = &scan.geometry;
    assert_eq!((geometry.height, geometry.width, geometry.n_bins), (5, 5, 5));
    assert_eq!((geometry.pixel_mm, geometry.bin_width_mm, geometry.detector_offset_mm), (1.0, 1.0, -0.5));
    let warnings = scan.warnings.join("\n");
    for field in ["bin_width_mm", "pixel_mm", "height", "width", "pixelmm is unknown"] {
        assert!(warnings.contains(field), "{field} in {warnings}");
    }
    assert!(warnings.contains("detector_offset_mm is by centre_px, 1.5"), "{warnings}");
}

#[test]
fn two_statements_of_the_axis_must_agree() {
    let with = |axis_bin: f64| {
        decoded(|w| {
            w.numbers("sinogram", &[2, 5], &[1.0f32; 10]).unwrap();
            w.numbers("angles_rad", &[2], &[0.0, 1.5]).unwrap();
            w.numbers("bin_width_mm", &[], &[2.0]).unwrap();
            w.numbers("detector_offset_mm", &[], &[-1.0]).unwrap();
            w.numbers("centre_px", &[], &[axis_bin]).unwrap();
        })
    };
    assert_eq!(with(1.5).unwrap().geometry.detector_offset_mm, -1.0);
    let error = with(2.5).unwrap_err().to_string();
    assert!(error.contains("centre_px is 2.5") && error.contains("detector_offset_mm"), "{error}");
}

#[test]
fn missing_fields_are_listed_with_those_found() {
    let error = decoded(|w| w.numbers("image", &[1, 1], &[1.0f32]).unwrap()).unwrap_err().to_string();
    assert_eq!(error, "is no scan: it needs sinogram, angles_rad, and has image");
    let error = decoded(|w| w.numbers("sino", &[1, 1], &[1.0f32]).unwrap()).unwrap_err().to_string();
    assert_eq!(error, "is no scan: it needs angles_rad, and has sino");
}

#[test]
fn lengths_that_disagree_are_named() {
    let with = |shape: [usize; 2], n_angles: usize| {
        let result = decoded(|w| {
            w.numbers("sinogram", &shape, &vec![1.0f32; shape[0] * shape[1]]).unwrap();
            w.numbers("angles_rad", &[n_angles], &vec![0.5; n_angles]).unwrap();
        });
        result.unwrap_err().to_string()
    };
    assert!(with([3, 4], 5).contains("a row for each of the 5 angles"), "{}", with([3, 4], 5));
    assert!(with([3, 4], 4).contains("transpose it"), "{}", with([3, 4], 4));
    assert!(with([0, 4], 0).contains("impossible geometry"), "{}", with([0, 4], 0));
    assert!(with([4, 0], 4).contains("height is 0"), "{}", with([4, 0], 4));
}

#[test]
fn values_that_make_no_sense_are_named() {
    let spoilt = |spoil: fn(&mut Scan)| {
        let mut scan = scan();
        spoil(&mut scan);
        scan.validate().unwrap_err().to_string()
    };
    assert!(spoilt(|s| s.sinogram[10] = f32::NAN).contains("NaN at view 1, bin 1"));
    assert!(spoilt(|s| s.photons = Some(0.0)).contains("photons is 0"));
    assert!(spoilt(|s| s.noise_std = Some(-1.0)).contains("noise_std is -1"));
    assert!(spoilt(|s| s.attenuation_per_unit_per_mm = Some(-1.0)).contains("attenuation_per_unit_per_mm is -1"));
    assert!(spoilt(|s| s.sinogram.truncate(5)).contains("sinogram"));
    assert!(spoilt(|s| s.truth = Some(Image::zeros(5, 4))).contains("truth has shape [5, 4]"));
    for spoil in [
        |s: &mut Scan| s.geometry.pixel_mm = -1.0,
        |s: &mut Scan| s.geometry.bin_width_mm = 0.0,
        |s: &mut Scan| s.geometry.angles_rad[0] = f64::NAN,
    ] {
        assert!(spoilt(spoil).contains("impossible geometry"));
    }
    let folder = tempfile::tempdir().unwrap();
    assert!(Scan { photons: Some(f64::NAN), ..scan() }.write(folder.path().join("a.npz")).is_err());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn sides_must_be_whole_and_sensible() {
    for side in [0.0, 2.5, -3.0, 1e9, f64::NAN] {
        let result = decoded(|w| {
            w.numbers("sinogram", &[1, 2], &[1.0f32; 2]).unwrap();
            w.numbers("angles_rad", &[1], &[0.5]).unwrap();
            w.numbers("height", &[], &[side]).unwrap();
        });
        assert!(matches!(result, Err(ScanProblem::Value { field: "height", .. })), "{side}");
    }
}

const TOML: &str = "
sinogram = 'sinogram.tif'
angles_rad = [0.0, 1.0]
height = 3
width = 3
pixel_mm = 0.5
bin_width_mm = 0.25
";

fn folder_with(toml: &str, sinogram: &[f32]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let image = Image { height: 2, width: sinogram.len() / 2, pixels: sinogram.to_vec() };
    write_tiff_f32(folder.path().join("sinogram.tif"), &image).unwrap();
    fs::write(folder.path().join(SCAN_TOML), toml).unwrap();
    folder
}

#[test]
fn a_folder_is_read_by_its_description() {
    let folder = folder_with(&format!("{TOML}truth = 'truth.npy'\nnote = 'hello'\n"), &[1.0, 2.0, 3.0, 4.0]);
    write_npy(folder.path().join("truth.npy"), &Image::zeros(3, 3)).unwrap();
    let scan = Scan::read(folder.path()).unwrap();
    assert_eq!((scan.geometry.n_bins, scan.geometry.bin_width_mm, scan.note.as_str()), (2, 0.25, "hello"));
    assert_eq!((scan.sinogram.as_slice(), scan.truth.is_some()), (&[1.0, 2.0, 3.0, 4.0][..], true));
    assert_eq!(Scan::read(folder.path().join(SCAN_TOML)).unwrap(), scan);
}

#[test]
fn counts_become_line_integrals() {
    let folder = folder_with(&format!("{TOML}counts = true\nphotons = 1000.0\n"), &[1000.0, 100.0, 0.0, 10.0]);
    let scan = Scan::read(folder.path()).unwrap();
    let expected = [0.0, 10f32.ln(), 2000f32.ln(), 100f32.ln()];
    for (found, expected) in scan.sinogram.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-6, "{found} {expected}");
    }
    assert_eq!(scan.warnings.len(), 1);
    let folder = folder_with(&format!("{TOML}counts = true\n"), &[1.0; 4]);
    assert!(Scan::read(folder.path()).unwrap_err().to_string().contains("photons is missing"));
}

#[test]
fn mistakes_in_the_description_are_shown() {
    let message = |toml: &str| {
        let folder = folder_with(toml, &[1.0; 4]);
        let error = Scan::read(folder.path()).unwrap_err();
        let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        format!("{error}\n{source}")
    };
    assert!(message(&format!("{TOML}colour = 1\n")).contains("unknown field `colour`"));
    assert!(message(&TOML.replace("pixel_mm = 0.5", "")).contains("missing field `pixel_mm`"));
    assert!(message(&TOML.replace("[0.0, 1.0]", "3")).contains("list of numbers, or the name"));
    assert!(message(&TOML.replace("[0.0, 1.0]", "[0.0, 1.0, 2.0]")).contains("each of the 3 angles"));
    assert!(message(&TOML.replace("sinogram.tif", "gone.tif")).contains("gone.tif: cannot be read"));
    let empty = tempfile::tempdir().unwrap();
    assert!(Scan::read(empty.path()).unwrap_err().to_string().contains("no scan.toml in it"));
}

#[test]
fn files_cut_anywhere_are_errors() {
    let bytes = scan_npz::encode(&scan()).unwrap();
    for length in 0..bytes.len() {
        assert!(scan_npz::decode(bytes[..length].to_vec()).is_err(), "{length} of {}", bytes.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn damaged_files_never_panic(edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let mut bytes = scan_npz::encode(&scan()).unwrap();
        for (at, value) in edits {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Ok(scan) = scan_npz::decode(bytes) {
            scan.validate().unwrap();
        }
    }

    #[test]
    fn noise_never_panics(noise in prop::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(scan_npz::decode([b"PK\x03\x04".as_slice(), &noise].concat()).is_err());
    }
}

fn fan() -> Scan {
    let fan = Fan { detector: Detector::Curved, source_to_axis_mm: 20.5, source_to_detector_mm: 33.25 };
    let scan = scan();
    Scan { geometry: Geometry { beam: Beam::Fan(fan), ..scan.geometry }, ..scan }
}

#[test]
fn a_fan_comes_back_and_half_a_fan_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fan.npz");
    fan().write(&path).unwrap();
    assert_eq!(Scan::read(&path).unwrap(), fan());
    let with = |fields: &[(&str, f64)], detector: Option<&str>| {
        decoded(|writer| {
            writer.numbers("sinogram", &[1, 3], &[1.0_f32, 2.0, 3.0]).unwrap();
            writer.numbers("angles_rad", &[1], &[0.0]).unwrap();
            fields.iter().for_each(|(name, value)| writer.numbers(name, &[], &[*value]).unwrap());
            detector.into_iter().for_each(|name| writer.text("detector", name).unwrap());
        })
    };
    let both = [("source_to_axis_mm", 20.0), ("source_to_detector_mm", 30.0)];
    assert_eq!(with(&both, None).unwrap().geometry.fan().unwrap().detector, Detector::Flat);
    assert_eq!(with(&[], None).unwrap().geometry.beam, Beam::Parallel);
    let refused = |fields: &[_], detector| with(fields, detector).unwrap_err().to_string();
    assert!(refused(&both[..1], None).starts_with("field source_to_detector_mm is missing"));
    assert!(refused(&both[1..], None).starts_with("field source_to_axis_mm is missing"));
    assert!(refused(&[], Some("flat")).starts_with("field source_to_axis_mm is missing"));
    assert!(refused(&both, Some("round")).starts_with("field detector is round, expected flat or curved"));
    assert!(with(&[("source_to_axis_mm", 1.0), both[1]], None).is_err());
}

#[test]
fn a_scan_toml_says_how_the_rays_run() {
    let folder = tempfile::tempdir().unwrap();
    write_npy(folder.path().join("s.npy"), &Image { height: 1, width: 3, pixels: vec![1.0, 2.0, 3.0] }).unwrap();
    let text = "sinogram = \"s.npy\"\nangles_rad = [0.5]\nheight = 4\nwidth = 4\npixel_mm = 1\nbin_width_mm = 1\n\
                source_to_axis_mm = 20\nsource_to_detector_mm = 30\ndetector = \"curved\"\n";
    std::fs::write(folder.path().join("scan.toml"), text).unwrap();
    let fan = Fan { detector: Detector::Curved, source_to_axis_mm: 20.0, source_to_detector_mm: 30.0 };
    assert_eq!(Scan::read(folder.path()).unwrap().geometry.beam, Beam::Fan(fan));
}
