//! Raw measurements: from what other programs wrote to an image, by one command.

use super::{gradus, json, message, text};
use std::fs;
use std::path::{Path, PathBuf};

/// A file that h5py or scipy wrote; `make.py` beside it says what it holds.
fn input(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/cli/inputs/raw");
    folder.join(name).to_str().unwrap().to_owned()
}

/// Converts and returns what `--json` says.
fn converted(folder: &Path, arguments: &[&str]) -> serde_json::Value {
    let name = format!("{}.npz", fs::read_dir(folder).unwrap().count());
    json(&gradus(folder, &[&["convert", "--json", "-o", &name], arguments].concat()))
}

#[test]
fn counts_become_an_image_with_nothing_given() {
    let dir = tempfile::tempdir().unwrap();
    let file = input("dxchange.h5");
    let said = converted(dir.path(), &[&file, "--row", "1"]);
    let (axis, photons) = (said["axis_bin"].as_f64().unwrap(), said["photons"].as_f64().unwrap());
    assert!((axis - 21.25).abs() < 0.1, "{axis}");
    assert!((photons / 1e4 - 1.0).abs() < 0.15, "{photons}");
    assert!(said["note"].as_str().unwrap().contains("rotation axis found at bin 21."));
    let reconstruct = ["reconstruct", &file, "--row", "1", "--method", "fbp", "-q", "-o"];
    assert_eq!(gradus(dir.path(), &[&reconstruct[..], &["run"]].concat()).status.code(), Some(0));
    // The run says what was found, and repeats it.
    let run = fs::read_to_string(dir.path().join("run/run.toml")).unwrap();
    assert!(run.contains("detector_offset_mm = 1.") && run.contains("row = 1"), "{run}");
    let again = ["reconstruct", "--config", "run/run.toml", "-q", "-o", "again"];
    assert_eq!(gradus(dir.path(), &again).status.code(), Some(0));
    let image = |run: &str| fs::read(dir.path().join(run).join("image.npy")).unwrap();
    assert_eq!(image("run"), image("again"));
    // A converted scan gives the image of its raw file.
    let scan = ["reconstruct", "0.npz", "--method", "fbp", "-q", "-o", "scan"];
    assert_eq!(gradus(dir.path(), &scan).status.code(), Some(0));
    assert_eq!(image("run"), image("scan"));
    let inspected = json(&gradus(dir.path(), &["inspect", "--json", "0.npz"]));
    assert!(inspected["note"].as_str().unwrap().contains("rotation axis"));
}

#[test]
fn both_of_matlabs_formats_give_the_same_scan() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["fips.mat", "fips73.mat"] {
        let said = converted(dir.path(), &[&input(name)]);
        assert_eq!(
            (&said["angles"], &said["bins"], &said["detector_offset_mm"]),
            (&24.into(), &40.into(), &0.0.into())
        );
        assert!(said["assumed"].to_string().contains("degrees"));
    }
    let scan = |name: &str| fs::read(dir.path().join(name)).unwrap();
    assert_eq!(scan("0.npz"), scan("1.npz"));
    let inspected = json(&gradus(dir.path(), &["inspect", "--json", &input("fips73.mat")]));
    assert!(inspected["what"].as_str().unwrap().contains("source 400 mm from the axis, 600 mm"));
}

/// Projections of two rows in a folder of their own, and flats and darks beside.
fn projections(folder: &Path) -> PathBuf {
    use tiff::encoder::{TiffEncoder, colortype::Gray16};
    let scan = folder.join("scan");
    fs::create_dir_all(scan.join("projections")).unwrap();
    let write = |name: String, row: &[u16]| {
        let mut file = fs::File::create(scan.join(name)).unwrap();
        let rows = [row, row].concat();
        TiffEncoder::new(&mut file).unwrap().write_image::<Gray16>(row.len() as u32, 2, &rows).unwrap();
    };
    for view in 0..16 {
        let away = |bin: usize| bin as f64 - 15.5 - 4.0 * (std::f64::consts::PI * f64::from(view) / 16.0).cos();
        let counts = |bin: usize| (100.0 + 2e4 * (-0.1 * (64.0 - away(bin).powi(2)).max(0.0).sqrt()).exp()) as u16;
        write(format!("projections/p{view:03}.tif"), &(0..32).map(counts).collect::<Vec<_>>());
    }
    for k in 0..3 {
        write(
            format!("flat_{k}.tif"),
            &(0..32).map(|bin| if bin % 3 == k { 20_200 } else { 20_050 }).collect::<Vec<_>>(),
        );
    }
    write("dark.tif".into(), &[100; 32]);
    scan
}

#[test]
fn folders_of_projections_are_scans() {
    let dir = tempfile::tempdir().unwrap();
    projections(dir.path());
    let said = converted(dir.path(), &["scan"]);
    assert_eq!((&said["angles"], &said["bins"]), (&16.into(), &32.into()));
    assert!((said["axis_bin"].as_f64().unwrap() - 15.5).abs() < 0.1, "{said}");
    let assumed = said["assumed"].to_string();
    for part in ["16 projections", "3 flats, 1 darks", "row 0 of 2", "180 degrees", "1 mm is assumed"] {
        assert!(assumed.contains(part), "{assumed}");
    }
    let refused = gradus(dir.path(), &["convert", "scan", "--row", "2", "-o", "r.npz"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(message(&refused).contains("field row is 2"), "{}", message(&refused));
}

#[test]
fn corrections_are_made_once_and_written_down() {
    let dir = tempfile::tempdir().unwrap();
    let file = input("dxchange.h5");
    let found = converted(dir.path(), &[&file, "--row", "1", "--rings=5", "--hardening", "1,0.05"]);
    let note = found["note"].as_str().unwrap();
    assert!(note.contains("window 5 bins") && note.contains("corrected by 1,0.05"), "{note}");
    let offset = found["detector_offset_mm"].to_string();
    converted(dir.path(), &[&file, "--row", "1", "--rings=5", "--detector-offset-mm", &offset]);
    converted(dir.path(), &["1.npz", "--hardening", "1,0.05"]);
    let sinogram = |name: &str| gradus::data::scan::Scan::read(dir.path().join(name)).unwrap().sinogram;
    assert_eq!(sinogram("0.npz"), sinogram("2.npz"));
    assert_ne!(sinogram("0.npz"), sinogram("1.npz"));
}

#[test]
fn what_does_nothing_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (h5, mat) = (input("dxchange.h5"), input("fips.mat"));
    for (arguments, part) in [
        (vec!["reconstruct", "ellipses:1", "--row", "1"], "are for raw files"),
        (vec!["convert", &h5, "--turn-deg", "180", "-o", "a.npz"], "the file says its angles"),
        (vec!["convert", &mat, "--bin-width-mm", "2", "-o", "a.npz"], "needs no bin_width_mm"),
        (vec!["convert", &h5, "--row", "7", "-o", "a.npz"], "row is 7"),
        (vec!["convert", &h5, "--row", "1", "--rings=1", "-o", "a.npz"], "from 3 bins to the detector's 40"),
        (vec!["convert", &h5, "--hardening", "-1", "-o", "a.npz"], "the first positive"),
        (vec!["convert", &h5, "--detector-offset-mm", "left", "-o", "a.npz"], "or `auto`"),
        (vec!["convert", "ellipses:1", "-o", "a.npz"], "neither a raw measurement nor a scan"),
    ] {
        let output = gradus(dir.path(), &arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", text(&output.stdout));
        assert!(message(&output).contains(part), "{arguments:?}: {}", message(&output));
        assert!(!dir.path().join("a.npz").exists());
    }
}

#[test]
fn a_chunk_larger_than_its_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let output = gradus(dir.path(), &["convert", &input("chunk_beyond_file.h5"), "-o", "scan.npz"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(message(&output).contains("in a file of 19152"), "{}", message(&output));
}
