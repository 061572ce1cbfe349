//! Slices in files as scanners, archives and other programs write them: coded pixels, frames, folders, pages.

use super::honest::{EXTENT, coded, distance, extent, input, inspected, reconstructed, reference};
use super::{gradus, json, message, text};
use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn pixels_are_unpacked_as_other_programs_do() {
    let dir = tempfile::tempdir().unwrap();
    for file in ["jpeg-lossless", "jpeg-ls", "jpeg-ls-signed", "jpeg-2000", "jpeg-2000-signed"] {
        let found = inspected(dir.path(), &coded(&format!("{file}.dcm")), &[]);
        assert_eq!((extent(&found), found["unit"].as_str()), (EXTENT, Some("HU")), "{file}");
    }
    // With losses: JPEG-LS keeps each pixel to 2, JPEG of 8 bits that stand for 8 HU each loses more.
    for (file, bound) in [("jpeg-ls-near", 2.0), ("jpeg", 30.0)] {
        let found = extent(&inspected(dir.path(), &coded(&format!("{file}.dcm")), &[]));
        let worst = found.iter().zip(EXTENT).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(worst <= bound, "{file}: {found:?}");
    }
    let (image, _) = reconstructed(dir.path(), coded("jpeg-ls-signed.dcm").to_str().unwrap(), &[]);
    assert!(distance(&image, &reference("hu.ref.npy")) < 0.15);
}

#[test]
fn frames_are_chosen_by_number() {
    let dir = tempfile::tempdir().unwrap();
    for file in ["enhanced", "enhanced-rle", "enhanced-jpeg-2000", "enhanced-no-table"] {
        let path = coded(&format!("{file}.dcm"));
        let whole = gradus(dir.path(), &["inspect", path.to_str().unwrap()]);
        assert!(message(&whole).contains("holds 3 frames; choose one") && message(&whole).contains("[0] to [2]"));
        for (frame, shift) in [(0, 0.0), (1, -100.0), (2, -200.0)] {
            let path = PathBuf::from(format!("{}:[{frame}]", path.display()));
            let found = inspected(dir.path(), &path, &[]);
            assert_eq!(extent(&found), EXTENT.map(|value| value + shift), "{file} {frame}: {found}");
            assert_eq!((&found["pixel_mm"], found["unit"].as_str()), (&0.8.into(), Some("HU")));
            let origin = found["taken_from"].as_str().unwrap();
            assert!(origin.contains(&format!("frame {frame} of 3")) && origin.contains("Pixel Spacing"), "{origin}");
        }
    }
    // What goes out lies where the frame lay, as a slice of its own.
    let path = format!("{}:[2]", coded("enhanced.dcm").display());
    json(&gradus(dir.path(), &["reconstruct", &path, "--method", "fbp", "-o", "out", "--json"]));
    let out =
        text(&fs::read(dir.path().join("out/image.dcm")).unwrap().into_iter().filter(u8::is_ascii).collect::<Vec<_>>());
    for words in ["1.2.840.10008.5.1.4.1.1.2\0", "simulated, 10.000 % noise, 60 views, fbp", "-70.699997"] {
        assert!(out.contains(words), "{words} is not in the file");
    }
}

/// A folder with slices of one series at these places in mm.
pub fn series(folder: &Path, places: &[(&str, &str)]) {
    fs::create_dir_all(folder).unwrap();
    let slice = fs::read(input("08_truth_in_hu/slice.dcm")).unwrap();
    let place = b"-75.699997";
    let at = slice.windows(place.len()).position(|window| window == place).unwrap();
    for (name, z) in places {
        let mut changed = slice.clone();
        changed[at..at + place.len()].copy_from_slice(format!("{z:>10}").as_bytes());
        fs::write(folder.join(name), changed).unwrap();
    }
}

#[test]
fn a_folder_of_slices_is_a_stack() {
    let dir = tempfile::tempdir().unwrap();
    series(&dir.path().join("ct"), &[("a", "10"), ("b", "-2.5"), ("c", "0"), ("d", "2.5")]);
    fs::write(dir.path().join("ct/notes.txt"), "not a slice").unwrap();
    let whole = gradus(dir.path(), &["reconstruct", "ct"]);
    assert_eq!(whole.status.code(), Some(2));
    for words in ["a series of 4 DICOM slices, from -2.5 to 10 mm", "[2] and [3] are 7.500 mm apart", "[0] to [3]"] {
        assert!(message(&whole).contains(words), "{words}: {}", message(&whole));
    }
    for (index, file) in ["b", "c", "d", "a"].into_iter().enumerate() {
        let found = inspected(dir.path(), Path::new(&format!("ct:[{index}]")), &[]);
        assert!(found["taken_from"].as_str().unwrap().contains(&format!("slice {index} of 4, file {file}")), "{found}");
        assert!(found["warnings"].as_str().unwrap().contains("some are missing"), "{found}");
    }
    let run = json(&gradus(dir.path(), &["reconstruct", "ct:[1]", "--method", "fbp", "--json"]));
    assert_eq!(run["output"], "runs/ct-fbp");
    let beyond = gradus(dir.path(), &["reconstruct", "ct:[4]"]);
    assert!(message(&beyond).contains("no slice 4: the stack holds 4"), "{}", message(&beyond));
}

/// Which end of the values is shown as white does not change what they measure.
#[test]
fn white_at_the_lower_end_changes_no_value() {
    let dir = tempfile::tempdir().unwrap();
    let mut slice = fs::read(input("08_truth_in_hu/slice.dcm")).unwrap();
    let at = slice.windows(12).position(|window| window == b"MONOCHROME2 ").unwrap();
    slice[at + 10] = b'1';
    fs::write(dir.path().join("inverted.dcm"), slice).unwrap();
    assert_eq!(extent(&inspected(dir.path(), Path::new("inverted.dcm"), &[])), EXTENT);
}

/// Slices of one source series and one run make one new series; another run, another.
#[test]
fn a_run_makes_one_series() {
    let dir = tempfile::tempdir().unwrap();
    series(&dir.path().join("ct"), &[("a", "0"), ("b", "2.5")]);
    let uids = |slice: &str, noise: &str, out: &str| {
        let flags = ["reconstruct", slice, "--method", "fbp", "--noise", noise, "-o", out, "--json"];
        json(&gradus(dir.path(), &flags));
        let bytes = fs::read(dir.path().join(out).join("image.dcm")).unwrap();
        // Explicit VR: the tag, UI, and a length of two bytes.
        let value = |tag: [u8; 4]| {
            let at = bytes.windows(6).position(|window| window[..4] == tag && &window[4..] == b"UI").unwrap();
            text(&bytes[at + 8..at + 8 + usize::from(bytes[at + 6])])
        };
        [[0x20, 0, 0x0E, 0], [0x08, 0, 0x18, 0]].map(value)
    };
    let (first, second, other) = (uids("ct:[0]", "0.1", "1"), uids("ct:[1]", "0.1", "2"), uids("ct:[0]", "0.2", "3"));
    assert!(first[0] == second[0] && first[1] != second[1], "{first:?} {second:?}");
    assert!(first[0] != other[0] && first[1] != other[1], "{first:?} {other:?}");
    assert!(first[0].starts_with("2.25."));
}

#[test]
fn tiff_of_every_kind() {
    let dir = tempfile::tempdir().unwrap();
    let network = EXTENT.map(|hu| (hu * 0.01998 + 20.0) / 81.35858);
    for (file, flags, expected) in [
        ("white-is-zero.tif", &[][..], network),
        ("zstd-tiles.tif", &[], network),
        ("zstd.tif", &["--unit", "hu"], EXTENT),
        ("big-zstd.tif", &["--unit", "hu"], EXTENT),
        ("i32.tif", &["--unit", "hu"], EXTENT),
        ("u32.tif", &["--unit", "hu+1024"], EXTENT),
        ("pages.tif:[0]", &["--unit", "hu"], EXTENT),
        ("pages.tif:[2]", &["--unit", "hu"], EXTENT.map(|hu| hu - 200.0)),
    ] {
        let found = extent(&inspected(dir.path(), &coded(file), flags));
        let worst = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(worst < 1e-4, "{file}: {found:?}, not {expected:?}");
    }
    let pages = gradus(dir.path(), &["inspect", coded("pages.tif").to_str().unwrap()]);
    assert!(message(&pages).contains("holds 3 pictures; choose one") && message(&pages).contains("[0] to [2]"));
}

#[test]
fn arrays_of_hdf5_are_stacks() {
    let dir = tempfile::tempdir().unwrap();
    let volume = coded("volume.h5").display().to_string();
    for (name, shift) in [(":[0]", 0.0), (":[2]", -200.0), (":entry/image[1]", -100.0)] {
        let found = inspected(dir.path(), Path::new(&format!("{volume}{name}")), &[]);
        assert_eq!(extent(&found), EXTENT.map(|value| value + shift), "{name}: {found}");
        assert_eq!((&found["pixel_mm"], found["unit"].as_str()), (&0.8.into(), Some("HU")));
        let origin = found["taken_from"].as_str().unwrap();
        assert!(origin.contains("array entry/image") && origin.contains("unit hu by field unit"), "{origin}");
    }
    // An image of it is a truth, too.
    let (scan, truth) = (input("03_right.npz").display().to_string(), format!("{volume}:[0]"));
    let flags = ["reconstruct", &scan, "--method", "fbp", "--window", "ramp", "--json", "--truth", &truth];
    assert!(json(&gradus(dir.path(), &flags))["nrmse"].as_f64().unwrap() < 0.15);
    let two = coded("two.h5").display().to_string();
    for (name, flags, words) in [
        (volume.as_str(), &[][..], "has an array of shape [3, 64, 64] where an image [row][col] is needed"),
        (&format!("{volume}:[3]"), &[], "has no slice 3: the stack holds 3"),
        (&format!("{volume}:entry/angles[0]"), &[], "has an array of shape [3] where"),
        (&format!("{volume}:image[0]"), &[], "there is no array \"image\"; it holds entry/image"),
        (&format!("{volume}:[0]"), &["--unit", "1/mm"], "an image in HU, and 1/mm is stated"),
        (&two, &[], "2 arrays could be meant; it holds first, second"),
        (&format!("{two}:first"), &[], "unit is \"counts\", which is none that is known; state it: --unit hu"),
        (&format!("{two}:second"), &[], "pixels of 0.8 x 1.6 mm"),
    ] {
        let output = gradus(dir.path(), &[&["inspect", name], flags].concat());
        assert!(output.status.code() == Some(2) && message(&output).contains(words), "{name}: {}", message(&output));
    }
    // The user's word counts where the file's is not understood.
    assert_eq!(inspected(dir.path(), Path::new(&format!("{two}:first")), &["--unit", "hu"])["unit"], "HU");
    let convert = gradus(dir.path(), &["convert", &volume, "-o", "scan.npz"]);
    assert!(message(&convert).contains("is neither a raw measurement nor a scan"), "{}", message(&convert));
}
