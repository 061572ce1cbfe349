//! Units are said, never guessed: files whose values could be taken for something else, made from one phantom.

use super::{gradus, json, message, text};
use std::fs;
use std::path::{Path, PathBuf};

pub fn input(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/cli/inputs/units").join(name)
}

pub fn coded(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/cli/inputs/codecs").join(name)
}

/// What `inspect` says of a file, and of which slice of it.
pub fn inspected(dir: &Path, path: &Path, flags: &[&str]) -> serde_json::Value {
    json(&gradus(dir, &[&["inspect", path.to_str().unwrap(), "--json"], flags].concat()))
}

/// Mean, least and largest value.
pub fn extent(found: &serde_json::Value) -> [f64; 3] {
    ["mean", "least", "largest"].map(|name| found[name].as_f64().unwrap())
}

/// Those of the phantom in HU.
pub const EXTENT: [f64; 3] = [-395.117_187_5, -1000.0, 800.0];

/// The numbers of a little-endian f4 or f8 array.
fn numbers(bytes: &[u8]) -> Vec<f64> {
    let start = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let is_f8 = text(&bytes[10..start]).contains("f8");
    let data = &bytes[start..];
    if is_f8 {
        data.as_chunks().0.iter().map(|chunk| f64::from_le_bytes(*chunk)).collect()
    } else {
        data.as_chunks().0.iter().map(|chunk| f64::from(f32::from_le_bytes(*chunk))).collect()
    }
}

pub fn reference(name: &str) -> Vec<f64> {
    numbers(&fs::read(input(name)).unwrap())
}

/// Reconstructs by filtered backprojection; the image that was written, and what was said.
pub fn reconstructed(dir: &Path, file: &str, flags: &[&str]) -> (Vec<f64>, String) {
    let path = input(file);
    let output = dir.join("out");
    let is_scan = file.starts_with("03") || file.starts_with("06");
    let noise: &[&str] = if is_scan { &[] } else { &["--noise", "0"] };
    let flags =
        [&["reconstruct", path.to_str().unwrap(), "--method", "fbp", "--window", "ramp", "-o", "out"], noise, flags]
            .concat();
    let run = gradus(dir, &flags);
    assert_eq!(run.status.code(), Some(0), "{file}: {}", message(&run));
    let image = numbers(&fs::read(output.join("image.npy")).unwrap());
    fs::remove_dir_all(output).unwrap();
    (image, message(&run))
}

/// Euclidean distance over the norm of the reference.
pub fn distance(image: &[f64], reference: &[f64]) -> f64 {
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>().sqrt();
    let difference = norm(&mut image.iter().zip(reference).map(|(a, b)| a - b));
    difference / norm(&mut reference.iter().copied())
}

/// Exit code 2, with all of `words` in the message, and nothing written.
fn refused(dir: &Path, file: &str, flags: &[&str], words: &[&str]) {
    let path = input(file);
    let output =
        gradus(dir, &[&["reconstruct", path.to_str().unwrap(), "--method", "fbp", "-o", "out"], flags].concat());
    assert_eq!(output.status.code(), Some(2), "{file}: {}", message(&output));
    words
        .iter()
        .for_each(|word| assert!(message(&output).contains(word), "{file}: {word:?} is not in {}", message(&output)));
    assert!(!dir.join("out").exists());
}

#[test]
fn images_in_hu_are_taken_for_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let hu = reference("hu.ref.npy");
    for file in ["01a_hu_in_npy.npy", "01b_hu_int16.tif"] {
        refused(dir.path(), file, &[], &["from -1000 to 800", "--unit hu"]);
        let (image, said) = reconstructed(dir.path(), file, &["--unit", "hu"]);
        assert!(distance(&image, &hu) < 0.15, "{file}: {} {said}", distance(&image, &hu));
        assert!(said.contains("no size of a pixel: 1 mm is assumed"), "{said}");
        // What is said goes into the file of the run.
        refused(dir.path(), file, &["--unit", "1/mm"], &["1/mm"]);
    }
    for file in ["01d_upper_case_HU.npz", "07d_image_hu.npz"] {
        let (image, _) = reconstructed(dir.path(), file, &[]);
        assert!(distance(&image, &hu) < 0.15, "{file}: {}", distance(&image, &hu));
        refused(dir.path(), file, &["--unit", "1/mm"], &["an image in HU, and 1/mm is stated"]);
    }
    let (_, said) = reconstructed(dir.path(), "01c_hu_plus_1024_u16.tif", &[]);
    assert!(said.contains("uses 0.0004 to 0.0278 of the range 0 to 1 (stored numbers 24 to 1824 over 65535"), "{said}");
    let (_, said) = reconstructed(dir.path(), "01c_hu_plus_1024_u16.tif", &["--unit", "hu"]);
    assert!(said.contains("no value is below 0 HU") && said.contains("--unit hu+1024"), "{said}");
    let (image, _) = reconstructed(dir.path(), "01c_hu_plus_1024_u16.tif", &["--unit", "hu+1024"]);
    assert!(distance(&image, &hu) < 0.15, "{}", distance(&image, &hu));
    let output = gradus(dir.path(), &["reconstruct", "--unit", "m"]);
    assert!(output.status.code() == Some(2) && message(&output).contains("1/cm"), "{}", message(&output));
}

#[test]
fn ct_is_in_hu_where_it_says_so_or_its_air_does() {
    let dir = tempfile::tempdir().unwrap();
    let hu = reference("hu.ref.npy");
    for file in ["01e_ct_rescale_type_0.dcm", "01e_ct_rescale_type_2.dcm", "01f_ct_modality_missing.dcm"] {
        let (image, _) = reconstructed(dir.path(), file, &[]);
        assert!(distance(&image, &hu) < 0.15, "{file}: {}", distance(&image, &hu));
    }
    let (_, said) = reconstructed(dir.path(), "01e_ct_rescale_type_0.dcm", &[]);
    assert!(said.contains("taken as HU, because air lies near -1000"), "{said}");
    refused(dir.path(), "10a_slope_0comma5.dcm", &[], &["\"0,50\" as Rescale Slope, which is no number"]);
    refused(dir.path(), "10c_no_rescale_tags_0_to_4095.dcm", &[], &["without Rescale Slope", "from 24 to 1824"]);
    for (file, flags) in
        [("10c_no_rescale_tags_0_to_4095.dcm", &["--unit", "hu+1024"][..]), ("12_modality_lut.dcm", &[])]
    {
        assert_eq!(extent(&inspected(dir.path(), &input(file), flags)), EXTENT, "{file}");
    }
    let (image, said) = reconstructed(dir.path(), "17a_no_spacing.dcm", &[]);
    assert!(distance(&image, &hu) < 0.15 && said.contains("no size of a pixel: 1 mm is assumed"), "{said}");
    refused(dir.path(), "17b_not_square.npz", &[], &["0.8 x 1.6 mm", "square"]);
    refused(dir.path(), "17c_pixel_mm_0.npz", &[], &["holds a pixel_mm of 0; mend it"]);
    let (_, said) = reconstructed(dir.path(), "17d_spacing_comma.dcm", &[]);
    assert!(said.contains("Pixel Spacing is \"0,8\\\\0,8\", no two lengths in mm: it is not used"), "{said}");
    assert!(said.contains("1 mm is assumed"), "{said}");
}

#[test]
fn what_is_outside_the_field_of_view_is_air() {
    let dir = tempfile::tempdir().unwrap();
    let (image, said) = reconstructed(dir.path(), "04_outside_minus3024.dcm", &[]);
    assert!(said.contains("below -1200 HU, outside the field of view, are taken as air"), "{said}");
    let least = |image: &[f64]| image.iter().copied().fold(f64::MAX, f64::min);
    assert!(least(&image) > -1400.0, "{}", least(&image));
    let (image, _) = reconstructed(dir.path(), "11a_padding_range.dcm", &[]);
    assert!(least(&image) > -1400.0, "{}", least(&image));
    let pet = json(&gradus(dir.path(), &["inspect", input("11c_pet_padding_0.dcm").to_str().unwrap(), "--json"]));
    assert!(pet["least"].as_f64().unwrap() >= 0.0, "{pet}");
}

#[test]
fn arrays_are_called_by_their_whole_names() {
    let dir = tempfile::tempdir().unwrap();
    let mu = reference("mu.ref.npy");
    let network: Vec<f64> = mu.iter().map(|value| value / 0.081_358_58).collect();
    let (image, _) = reconstructed(dir.path(), "07a_muscle_0_to_1.npz", &[]);
    assert!(distance(&image, &network) < 0.15, "{}", distance(&image, &network));
    refused(dir.path(), "07c_mu_per_cm.npz", &[], &["1/mm or in 1/cm", "--unit 1/cm"]);
    let (image, _) = reconstructed(dir.path(), "07c_mu_per_cm.npz", &["--unit", "1/cm"]);
    assert!(distance(&image, &mu) < 0.15, "{}", distance(&image, &mu));
    refused(dir.path(), "07e_upper_case_mu.npz", &[], &["1/mm or in 1/cm", "--unit 1/cm"]);
    let (_, said) = reconstructed(dir.path(), "07b_mu_cm.npz", &[]);
    assert!(said.contains("\"mu_cm\" may say a unit, and none that is known"), "{said}");
    let (_, said) = reconstructed(dir.path(), "07b_mu_cm.npz", &["--unit", "1/cm"]);
    assert!(!said.contains("may say a unit"), "{said}");
    refused(
        dir.path(),
        "07f_unit_unknown.npz",
        &[],
        &["\"Hounsfield!\", which is none that is known; state it: --unit hu"],
    );
    let (_, said) = reconstructed(dir.path(), "07f_unit_unknown.npz", &["--unit", "hu"]);
    assert!(!said.contains("Hounsfield!"), "{said}");
}

#[test]
fn angles_and_counts_are_told_from_what_they_should_be() {
    let dir = tempfile::tempdir().unwrap();
    let mu = reference("mu.ref.npy");
    let error = |file: &str| {
        let (image, said) = reconstructed(dir.path(), file, &[]);
        (distance(&image, &mu), said)
    };
    let (right, said) = error("03_right.npz");
    assert!(right < 0.15, "{right}");
    // Edges along the rays of two views are no views at other angles: another method explains them.
    assert!(said.contains("--method tv explains the data better") && !said.contains("angles_rad"), "{said}");
    refused(dir.path(), "03a_degrees.npz", &[], &["angles_rad is 13", "degrees"]);
    let (found, said) = error("03b_theta_degrees.npz");
    assert!(found < 0.15 && said.contains("theta is taken to be in degrees"), "{found} {said}");
    refused(dir.path(), "05a_counts.npz", &[], &["-ln(counts / photons)"]);
    let (found, said) = error("06_png_counts");
    assert!(found < 0.15, "{found} {said}");
    // Transmissions are counts over photons.
    let scan = fs::read(input("08_truth_in_hu/s.npy")).unwrap();
    let start = 10 + usize::from(u16::from_le_bytes([scan[8], scan[9]]));
    let transmissions = numbers(&scan).into_iter().flat_map(|p| ((-p).exp() as f32).to_le_bytes());
    let folder = dir.path().join("transmissions");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("s.npy"), scan[..start].iter().copied().chain(transmissions).collect::<Vec<u8>>()).unwrap();
    fs::copy(input("08_truth_in_hu/a.npy"), folder.join("a.npy")).unwrap();
    let toml = fs::read_to_string(input("08_truth_in_hu/scan.toml")).unwrap().replace("truth", "# truth");
    fs::write(folder.join("scan.toml"), toml).unwrap();
    let output = gradus(dir.path(), &["reconstruct", "transmissions", "--method", "fbp"]);
    assert!(message(&output).contains("look like counts or transmissions"), "{}", message(&output));
}

#[test]
fn a_truth_is_converted_to_the_unit_of_the_image() {
    let dir = tempfile::tempdir().unwrap();
    let run = |flags: &[&str]| {
        let scan = input(if flags.is_empty() { "08_truth_in_hu" } else { "03_right.npz" });
        json(&gradus(
            dir.path(),
            &[&["reconstruct", scan.to_str().unwrap(), "--method", "fbp", "--window", "ramp", "--json"], flags]
                .concat(),
        ))
    };
    let folder = run(&[]);
    assert!(folder["nrmse"].as_f64().unwrap() < 0.15, "{folder}");
    // Of a file that says HU, and of one that says nothing, whose values must be those of the result.
    let dicom = run(&["--truth", input("08_truth_in_hu/slice.dcm").to_str().unwrap()]);
    assert!(dicom["nrmse"].as_f64().unwrap() < 0.15, "{dicom}");
    let same = run(&["--truth", input("mu.ref.npy").to_str().unwrap()]);
    assert!(same["nrmse"].as_f64().unwrap() < 0.15, "{same}");
    let (scan, truth) = (input("03_right.npz"), input("hu.ref.npy"));
    let flags =
        ["reconstruct", scan.to_str().unwrap(), "--method", "fbp", "--truth", truth.to_str().unwrap(), "-o", "out"];
    let output = gradus(dir.path(), &flags);
    assert!(output.status.code() == Some(2) && message(&output).contains("images in 1/mm"), "{}", message(&output));
    // What lies within the range of 1/mm may be in another unit all the same.
    let scan = input("03_right.npz");
    let said = |truth: &str, method: &str| {
        let flags = ["reconstruct", scan.to_str().unwrap(), "--method", method, "--truth"];
        message(&gradus(dir.path(), &[&flags[..], &[input(truth).to_str().unwrap()]].concat()))
    };
    let of_tenth = said("08b_truth_per_cm.npy", "tv");
    assert!(of_tenth.contains("times the picture: is it in another unit"), "{of_tenth}");
    assert!(!said("mu.ref.npy", "tv").contains("times the picture"));
    // Where the scan's own truth says no unit, its description may.
    let folder = dir.path().join("stated");
    fs::create_dir(&folder).unwrap();
    for file in ["a.npy", "s.npy"] {
        fs::copy(input("08_truth_in_hu").join(file), folder.join(file)).unwrap();
    }
    fs::copy(input("hu.ref.npy"), folder.join("truth.npy")).unwrap();
    let toml = fs::read_to_string(input("08_truth_in_hu/scan.toml")).unwrap().replace("slice.dcm", "truth.npy");
    fs::write(folder.join("scan.toml"), &toml).unwrap();
    let output = gradus(dir.path(), &["reconstruct", "stated", "--method", "fbp"]);
    assert!(
        output.status.code() == Some(2) && message(&output).contains("truth.npy: has values"),
        "{}",
        message(&output)
    );
    fs::write(folder.join("scan.toml"), format!("{toml}unit = \"hu\"\n")).unwrap();
    let summary =
        json(&gradus(dir.path(), &["reconstruct", "stated", "--method", "fbp", "--window", "ramp", "--json"]));
    assert!(summary["nrmse"].as_f64().unwrap() < 0.15, "{summary}");
}

#[test]
fn dicom_as_archives_have_it() {
    let dir = tempfile::tempdir().unwrap();
    let hu = reference("hu.ref.npy");
    for file in ["13a_rle.dcm", "13c_deflated.dcm", "14a_ae_title_18.dcm", "09b_enhanced_ct_one_frame.dcm"] {
        let (image, _) = reconstructed(dir.path(), file, &[]);
        assert!(distance(&image, &hu) < 0.15, "{file}: {}", distance(&image, &hu));
    }
    // The frame's own pixel size counts, and what goes out says the same values in plain attributes.
    let enhanced = input("09b_enhanced_ct_one_frame.dcm");
    json(&gradus(dir.path(), &["reconstruct", enhanced.to_str().unwrap(), "--method", "fbp", "-o", "out", "--json"]));
    let out = fs::read(dir.path().join("out/image.dcm")).unwrap();
    assert!(!out.windows(4).any(|tag| tag == [0x00, 0x52, 0x29, 0x92]), "functional groups are still there");
    let read = json(&gradus(dir.path(), &["inspect", "out/image.dcm", "--json"]));
    assert_eq!((&read["pixel_mm"], &read["unit"]), (&0.8.into(), &"HU".into()), "{read}");
    let claims = gradus(dir.path(), &["inspect", input("15_claims_4_gb.dcm").to_str().unwrap()]);
    assert!(claims.status.code() == Some(2) && message(&claims).contains("promises"), "{}", message(&claims));
    // Metal beyond 16 bits of the finest slopes is stored with a coarser one, and no run is thrown away for it.
    let metal = input("16_metal_64511_hu.dcm");
    let run = gradus(dir.path(), &["reconstruct", metal.to_str().unwrap(), "--method", "fbp", "-o", "metal"]);
    assert_eq!(run.status.code(), Some(0), "{}", message(&run));
    let largest = json(&gradus(dir.path(), &["inspect", "metal/image.dcm", "--json"]))["largest"].as_f64().unwrap();
    assert!(largest > 40_000.0, "{largest}");
    // Without preamble and file meta information.
    let spine = fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/samples/spine.dcm")).unwrap();
    fs::write(dir.path().join("whole.dcm"), &spine).unwrap();
    let expected = json(&gradus(dir.path(), &["inspect", "whole.dcm", "--json"]))["mean"].clone();
    let begin = spine.windows(4).position(|tag| tag == [8, 0, 5, 0] || tag == [8, 0, 8, 0]).unwrap();
    for (name, bytes) in [("no-preamble.dcm", &spine[128..]), ("no-meta.dcm", &spine[begin..])] {
        fs::write(dir.path().join(name), bytes).unwrap();
        assert_eq!(json(&gradus(dir.path(), &["inspect", name, "--json"]))["mean"], expected, "{name}");
    }
    // Compressed by what is not read here: named, with the way out.
    let syntax = b"1.2.840.10008.1.2.1\0";
    let at = spine.windows(syntax.len()).position(|window| window == syntax).unwrap();
    let other = |number: &str| {
        let mut changed = spine.clone();
        changed.splice(at..at + syntax.len(), number.bytes());
        changed[at - 2] = number.len() as u8;
        fs::write(dir.path().join("other.dcm"), changed).unwrap();
        message(&gradus(dir.path(), &["inspect", "other.dcm"]))
    };
    for (number, words) in [
        ("1.2.840.10008.1.2.4.201\0", "compressed with high-throughput JPEG 2000; unpack it first: gdcmconv --raw"),
        ("1.2.840.10008.1.2.4.110\0", "compressed with JPEG XL; unpack it first: gdcmconv --raw"),
        ("1.2.840.113619.5.2", "private transfer syntax 1.2.840.113619.5.2"),
    ] {
        assert!(other(number).contains(words), "{number}: {}", other(number));
    }
    let twelve = gradus(dir.path(), &["inspect", coded("jpeg-12-bits.dcm").to_str().unwrap()]);
    assert!(message(&twelve).contains("JPEG of 12 bits; unpack it first: gdcmconv --raw"), "{}", message(&twelve));
}

#[test]
fn other_files_are_read_or_refused_for_their_true_reason() {
    let dir = tempfile::tempdir().unwrap();
    let network: Vec<f64> = reference("mu.ref.npy").iter().map(|value| value / 0.081_358_58).collect();
    let (image, _) = reconstructed(dir.path(), "18a_float16.npy", &[]);
    assert!(distance(&image, &network) < 0.15, "{}", distance(&image, &network));
    assert_eq!(extent(&inspected(dir.path(), &input("18b_one_bit.tif"), &[]))[1..], [0.0, 1.0]);
    refused(dir.path(), "18c_stack.npy", &[], &["FILE.npy:[INDEX]"]);
    let (image, _) = reconstructed(dir.path(), "18c_stack.npy:[1]", &[]);
    assert_eq!(image.len(), 64 * 64);
    refused(dir.path(), "18e_complex.npy", &[], &["holds an array with elements of type '<c8'; save it as float32"]);
    refused(dir.path(), "18d_folder_of_slices", &[], &["a series of 1 DICOM slices", "choose one"]);
    let (image, _) = reconstructed(dir.path(), "18d_folder_of_slices:[0]", &[]);
    assert!(distance(&image, &reference("hu.ref.npy")) < 0.15);
    // Foreign files are named, with the way out.
    for (start, words) in [
        (&b"\x89HDF\r\n\x1a\n"[..], "is not a whole HDF5 file"),
        (b"MATLAB 5.0 MAT-file", "MAT"),
        (b"NRRD0004", "NRRD (pynrrd reads it); save its array by numpy.savez"),
    ] {
        fs::write(dir.path().join("foreign.dat"), start).unwrap();
        let output = gradus(dir.path(), &["inspect", "foreign.dat"]);
        assert!(output.status.code() == Some(2) && message(&output).contains(words), "{}", message(&output));
    }
}
