//! Whole series: slice by slice the bits of single runs, kept as they are done, gone on with after a kill.

use super::slices::series;
use super::{gradus, json, listing, message};
use gradus_tests::npz;
use npyz::WriterBuilder;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

/// An npy file of discs, `[slice][row][col]`, of values 0 to 1.
fn stack(path: &Path, n_slices: usize, side: usize) {
    let pixel = |slice: usize, row: usize, col: usize| {
        let (y, x) = (row as f32 / side as f32 - 0.45, col as f32 / side as f32 - 0.5);
        let within = |cy: f32, cx: f32, r: f32| (y - cy).hypot(x - cx) < r;
        0.3 * f32::from(within(0.0, 0.0, 0.4)) + 0.3 * f32::from(within(0.1, -0.1, 0.1 + 0.01 * slice as f32))
    };
    let mut values = Vec::new();
    for slice in 0..n_slices {
        values.extend((0..side * side).map(|at| pixel(slice, at / side, at % side)));
    }
    write_npy(path, &[n_slices, side, side], &values);
}

fn write_npy(path: &Path, shape: &[usize], values: &[f32]) {
    let shape: Vec<u64> = shape.iter().map(|&n| n as u64).collect();
    let options = npyz::WriteOptions::new().default_dtype().shape(&shape);
    let mut writer = options.writer(File::create(path).unwrap()).begin_nd().unwrap();
    writer.extend(values.iter().copied()).unwrap();
    writer.finish().unwrap();
}

/// The same in an HDF5 file, a few slices to a chunk, which no plane fills.
fn write_hdf5(path: &Path, shape: &[usize; 3], values: &[f32]) {
    let [n_slices, height, width] = shape.map(|n| n as u64);
    let mut file = hdf5_pure::FileBuilder::new();
    let set = file.create_dataset("stack").with_f32_data(values).with_shape(&[n_slices, height, width]);
    set.with_chunks(&[n_slices.min(8), height.div_ceil(2), width]).with_deflate(1).with_shuffle();
    fs::write(path, file.finish().unwrap()).unwrap();
}

/// The numbers of a float32 npy file.
fn numbers(path: &Path) -> Vec<f32> {
    npyz::NpyFile::new(&fs::read(path).unwrap()[..]).unwrap().into_vec().unwrap()
}

/// Runs `gradus reconstruct --slices` with exit code 0.
fn made(folder: &Path, input: &str, slices: &str, flags: &[&str]) -> serde_json::Value {
    json(&gradus(folder, &[&["reconstruct", input, "--slices", slices, "--json"], flags].concat()))
}

/// Every file of a folder and of those in it, with its bytes.
fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for name in listing(folder) {
        let path = folder.join(&name);
        if path.is_dir() {
            found.extend(contents(&path).into_iter().map(|(inner, bytes)| (Path::new(&name).join(inner), bytes)));
        } else {
            found.push((name.into(), fs::read(path).unwrap()));
        }
    }
    found
}

#[test]
fn each_slice_has_the_bits_of_its_own_run() {
    let dir = tempfile::tempdir().unwrap();
    stack(&dir.path().join("stack.npy"), 5, 16);
    let flags = ["--angles", "12", "--seed", "7", "--noise-seed", "3"];
    let said = made(dir.path(), "stack.npy", "all", &[&flags[..], &["-o", "all"]].concat());
    assert_eq!((&said["slices"], &said["done"]), (&5.into(), &5.into()));
    assert!(said["psnr"].as_f64().unwrap() > 20.0 && said["chi_squared"].as_f64().unwrap() < 2.0, "{said}");
    // The seeds of slice k are those of the series plus k.
    let own = ["reconstruct", "stack.npy:[3]", "--angles", "12", "--seed", "10", "--noise-seed", "6", "-o", "one"];
    json(&gradus(dir.path(), &[&own[..], &["--json"]].concat()));
    let (volume, one) = (numbers(&dir.path().join("all/volume.npy")), numbers(&dir.path().join("one/image.npy")));
    assert_eq!(volume.len(), 5 * 256);
    assert_eq!(volume[3 * 256..4 * 256], one);
    // Whatever it is made beside, and by however many threads.
    made(dir.path(), "stack.npy", "2:5", &[&flags[..], &["-o", "part", "--threads", "1"]].concat());
    assert_eq!(numbers(&dir.path().join("part/volume.npy")), volume[2 * 256..]);
    let files = ["report.html", "run.toml", "series.toml", "slices", "slices.csv", "volume.npy"];
    assert_eq!(listing(&dir.path().join("all")), files);
    // The run repeats itself.
    let again = ["reconstruct", "--config", "all/run.toml", "-q", "-o", "again"];
    assert_eq!(gradus(dir.path(), &again).status.code(), Some(0));
    assert_eq!(numbers(&dir.path().join("again/volume.npy")), volume);
}

/// Slices by the batch, and a last one that is not full.
#[test]
fn an_hdf5_stack_is_a_series() {
    let dir = tempfile::tempdir().unwrap();
    stack(&dir.path().join("stack.npy"), 37, 16);
    write_hdf5(&dir.path().join("stack.h5"), &[37, 16, 16], &numbers(&dir.path().join("stack.npy")));
    let flags = ["--angles", "8", "--steps", "3", "--unit", "network"];
    for input in ["stack.npy", "stack.h5", "stack.h5:stack"] {
        let said = made(dir.path(), input, "all", &[&flags[..], &["-o", &format!("of {input}")]].concat());
        assert_eq!((&said["slices"], &said["done"]), (&37.into(), &37.into()));
        let volume = |input: &str| fs::read(dir.path().join(format!("of {input}/volume.npy"))).unwrap();
        assert!(volume(input) == volume("stack.npy"), "{input}");
    }
    let part = made(dir.path(), "stack.h5", "30:37", &[&flags[..], &["-o", "part"]].concat());
    assert_eq!(part["done"], 7);
    let whole = numbers(&dir.path().join("of stack.npy/volume.npy"));
    assert_eq!(numbers(&dir.path().join("part/volume.npy")), whole[30 * 256..]);
}

#[test]
fn a_killed_series_goes_on_to_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    stack(&dir.path().join("stack.npy"), 10, 32);
    let flags = ["reconstruct", "stack.npy", "--slices", "all", "--angles", "20", "--threads", "2", "-q", "-o"];
    let run = |out: &str| gradus(dir.path(), &[&flags[..], &[out]].concat()).status.code();
    assert_eq!(run("whole"), Some(0));
    let n_records = || {
        fs::read_dir(dir.path().join("killed/slices")).map_or(0, |entries| {
            entries.flatten().filter(|entry| !entry.file_name().to_string_lossy().starts_with('.')).count()
        })
    };
    for least in [0, 1, 4, 7] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gradus"));
        command.current_dir(dir.path()).args(flags).arg("killed").stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        while n_records() < least || !dir.path().join("killed").exists() {
            sleep(Duration::from_millis(1));
        }
        sleep(Duration::from_millis(3 * least as u64));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!dir.path().join("killed/volume.npy").exists(), "it was killed too late to show anything");
    }
    assert_eq!(run("killed"), Some(0));
    let (whole, killed) = (contents(&dir.path().join("whole")), contents(&dir.path().join("killed")));
    assert_eq!(whole.len(), killed.len());
    whole.iter().zip(&killed).for_each(|(a, b)| assert!(a == b, "{} differs", a.0.display()));
    // Again: there is nothing left to do, and nothing changes.
    assert_eq!(run("killed"), Some(0));
    assert!(contents(&dir.path().join("killed")) == whole);
    // Another setting is another series.
    let other = gradus(dir.path(), &[&flags[..], &["killed", "--noise", "0.2"]].concat());
    assert_eq!(other.status.code(), Some(2));
    assert!(message(&other).contains("run.simulation.noise is 0.2, and was 0.1"), "{}", message(&other));
}

/// A folder goes on with its own input and its own volume only.
#[test]
fn another_input_or_a_lost_volume_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("stack.npy");
    stack(&path, 4, 16);
    let run = || gradus(dir.path(), &["reconstruct", "stack.npy", "--slices", "all", "--method", "fbp", "-o", "out"]);
    assert_eq!(run().status.code(), Some(0));
    let [volume, moved] = ["out/volume.npy", "moved.npy"].map(|name| dir.path().join(name));
    fs::rename(&volume, &moved).unwrap();
    let lost = run();
    assert_eq!(lost.status.code(), Some(2), "{}", message(&lost));
    assert!(message(&lost).contains("volume.npy is gone") && !volume.exists(), "{}", message(&lost));
    fs::rename(&moved, &volume).unwrap();
    assert_eq!(run().status.code(), Some(0));
    let whole = fs::read(&volume).unwrap();
    let reversed: Vec<f32> = numbers(&path).into_iter().rev().collect();
    write_npy(&path, &[4, 16, 16], &reversed);
    let other = run();
    assert_eq!(other.status.code(), Some(2), "{}", message(&other));
    assert!(message(&other).contains("middle_slice_checksum"), "{}", message(&other));
    assert!(fs::read(&volume).unwrap() == whole);
}

#[test]
fn a_slice_that_cannot_be_made_is_said_and_the_others_are_made() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("stack.npy");
    stack(&path, 4, 16);
    let mut values = numbers(&path);
    values[2 * 256 + 5] = f32::NAN;
    write_npy(&path, &[4, 16, 16], &values);
    let flags = ["reconstruct", "stack.npy", "--method", "fbp", "-o", "out", "--json", "--slices"];
    let whole = gradus(dir.path(), &[&flags[..], &["0:3"]].concat());
    assert_eq!(whole.status.code(), Some(1), "{}", message(&whole));
    let said: serde_json::Value = serde_json::from_slice(&whole.stdout).unwrap();
    assert_eq!((&said["done"], &said["failed"]), (&2.into(), &serde_json::json!([2])));
    let volume = numbers(&dir.path().join("out/volume.npy"));
    assert!(volume[..512].iter().all(|x| x.is_finite()) && volume[512..].iter().all(|x| x.is_nan()));
    assert!(fs::read_to_string(dir.path().join("out/report.html")).unwrap().contains("slice 2: cannot be made"));
    assert!(message(&whole).contains("slice 2: cannot be made: stack.npy: "), "{}", message(&whole));
    // The middle slice speaks for all, or the one beside it: without any nothing is begun.
    let beside = gradus(dir.path(), &[&flags[..4], &["--slices", "all", "-o", "beside", "--json"]].concat());
    assert_eq!(beside.status.code(), Some(1), "{}", message(&beside));
    let said: serde_json::Value = serde_json::from_slice(&beside.stdout).unwrap();
    assert_eq!((&said["done"], &said["failed"]), (&3.into(), &serde_json::json!([2])));
    values.fill(f32::NAN);
    write_npy(&path, &[4, 16, 16], &values);
    let bad = gradus(dir.path(), &["reconstruct", "stack.npy", "--slices", "all", "-o", "new"]);
    assert_eq!(bad.status.code(), Some(2));
    assert!(message(&bad).contains("slice 2 and those beside it"), "{}", message(&bad));
    assert!(!dir.path().join("new").exists());
}

#[test]
fn a_dicom_series_comes_out_as_one() {
    let dir = tempfile::tempdir().unwrap();
    series(&dir.path().join("ct"), &[("a", "10"), ("b", "-2.5"), ("c", "0"), ("d", "2.5"), ("e", "5"), ("f", "7.5")]);
    let flags = ["--method", "fbp", "--angles", "40", "-o", "out", "--format", "nifti"];
    let said = made(dir.path(), "ct", "all", &flags);
    assert_eq!(said["done"], 6);
    assert_eq!(listing(&dir.path().join("out/dicom")).len(), 6);
    // It is read as a series again, in the same order: one series, at the same places.
    let whole = gradus(dir.path(), &["inspect", "out/dicom"]);
    assert!(message(&whole).contains("a series of 6 DICOM slices, from -2.5 to 10 mm"), "{}", message(&whole));
    // In HU, to half of the finest step that is stored.
    let volume = numbers(&dir.path().join("out/volume.npy"));
    let found = json(&gradus(dir.path(), &["inspect", "out/dicom:[4]", "--json"]));
    let pixels = volume.len() / 6;
    let largest = volume[4 * pixels..5 * pixels].iter().fold(f32::MIN, |a, b| a.max(*b));
    assert!((found["largest"].as_f64().unwrap() - f64::from(largest)).abs() <= 0.051, "{found} {largest}");
    let report = fs::read_to_string(dir.path().join("out/report.html")).unwrap();
    for words in ["Sagittal cut", "slice 5 on top", "Distance of slices", "2.500 mm", "By slice"] {
        assert!(report.contains(words), "{words}");
    }
    let nifti = fs::read(dir.path().join("out/volume.nii")).unwrap();
    assert_eq!(nifti.len(), 352 + 4 * volume.len());
    let number = |at: usize| f32::from_le_bytes(nifti[at..at + 4].try_into().unwrap());
    assert_eq!((number(88), number(352)), (2.5, volume[0]), "the distance of slices, and the first value");
}

/// An npz scan with the sinograms of several, as arrays one after the other.
fn stacked(scans: &[PathBuf], to: &Path, compressed: bool) {
    let mut writer = npz::Writer::create(to, compressed).unwrap();
    for name in ["sinogram", "truth"] {
        let arrays: Vec<(Vec<u64>, Vec<f64>)> = scans.iter().map(|path| npz::array(path, name).unwrap()).collect();
        let shape = [&[scans.len() as u64], &arrays[0].0[..]].concat();
        let values: Vec<f32> = arrays.into_iter().flat_map(|(_, values)| values).map(|value| value as f32).collect();
        writer.add(name, &shape, &values).unwrap();
    }
    for name in
        ["angles_rad", "pixel_mm", "bin_width_mm", "detector_offset_mm", "noise_std", "attenuation_per_unit_per_mm"]
    {
        let (shape, values) = npz::array(&scans[0], name).unwrap();
        writer.add(name, &shape, &values).unwrap();
    }
    for name in ["height", "width"] {
        writer.add(name, &[], &[24_i64]).unwrap();
    }
    writer.finish().unwrap();
}

#[test]
fn sinograms_of_one_archive_are_a_series() {
    let dir = tempfile::tempdir().unwrap();
    stack(&dir.path().join("stack.npy"), 3, 24);
    let scans: Vec<PathBuf> = (0..3).map(|k| dir.path().join(format!("{k}.npz"))).collect();
    for (k, path) in scans.iter().enumerate() {
        let (image, noise) = (format!("stack.npy:[{k}]"), ["--noise-seed", "1", "--angles", "16"]);
        let simulated = gradus(dir.path(), &[&["simulate", &image, "-o", path.to_str().unwrap()], &noise[..]].concat());
        assert_eq!(simulated.status.code(), Some(0), "{}", message(&simulated));
    }
    for (name, compressed) in [("stored", false), ("packed", true)] {
        let input = format!("{name}.npz");
        stacked(&scans, &dir.path().join(&input), compressed);
        let said = made(dir.path(), &input, "all", &["--method", "fbp", "-o", name]);
        assert!(said["psnr"].as_f64().unwrap() > 15.0, "{said}");
        let volume = numbers(&dir.path().join(name).join("volume.npy"));
        for k in 0..3 {
            let (scan, out) = (format!("{k}.npz"), format!("{name}-{k}"));
            json(&gradus(dir.path(), &["reconstruct", &scan, "--method", "fbp", "-o", &out, "--json"]));
            assert_eq!(volume[k * 576..(k + 1) * 576], numbers(&dir.path().join(out).join("image.npy")), "{name} {k}");
        }
    }
    let single = gradus(dir.path(), &["reconstruct", "stored.npz"]);
    assert!(message(&single).contains("--slices all"), "{}", message(&single));
}

#[test]
fn rows_of_a_detector_share_their_axis() {
    let dir = tempfile::tempdir().unwrap();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/cli/inputs/raw/dxchange.h5");
    let file = file.to_str().unwrap();
    // Row 0 has no beam; row 1 is in the middle.
    let whole =
        gradus(dir.path(), &["reconstruct", file, "--slices", "all", "--method", "fbp", "-o", "rows", "--json"]);
    assert_eq!(whole.status.code(), Some(1), "{}", message(&whole));
    assert!(message(&whole).contains("slice 0: cannot be made") && message(&whole).contains("no beam"));
    let run = fs::read_to_string(dir.path().join("rows/run.toml")).unwrap();
    let offset = run.lines().find_map(|line| line.strip_prefix("detector_offset_mm = ")).unwrap();
    let flags = ["reconstruct", file, "--row", "1", "--detector-offset-mm", offset, "--method", "fbp", "-o", "row"];
    json(&gradus(dir.path(), &[&flags[..], &["--json"]].concat()));
    let (volume, row) = (numbers(&dir.path().join("rows/volume.npy")), numbers(&dir.path().join("row/image.npy")));
    let largest = row.iter().fold(0.0, |a: f32, b| a.max(b.abs()));
    // They are in 1/mm by way of another scale.
    let close = row.iter().zip(&volume[row.len()..]).all(|(a, b)| (a - b).abs() <= 1e-5 * largest);
    assert!(close && volume.len() == 2 * row.len());
    let both = gradus(dir.path(), &["reconstruct", file, "--slices", "all", "--row", "1"]);
    assert!(both.status.code() == Some(2) && message(&both).contains("--slices says which rows"), "{}", message(&both));
}

#[test]
fn what_is_no_series_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    stack(&dir.path().join("stack.npy"), 3, 16);
    for (flags, words) in [
        (&["ellipses:1", "--slices", "all"][..], "is a single image; leave out --slices"),
        (&["stack.npy", "--slices", "2:9"], "slices 2:9 are asked for, and the series has 3, from 0 to 2"),
        (&["stack.npy", "--slices", "3"], "give all, or A:B"),
        (&["stack.npy:[1]", "--slices", "all"], "leave out [INDEX]"),
        (&["stack.npy", "--slices", "all", "--truth", "stack.npy"], "--truth is for one slice"),
        (&["nothing.npy", "--slices", "all"], "cannot be read"),
        (&["stack.npy"], "or reconstruct all by --slices all"),
        (&["stack.npy", "--format", "nifti"], "--slices"),
    ] {
        let output = gradus(dir.path(), &[&["reconstruct"], flags].concat());
        assert_eq!(output.status.code(), Some(2), "{flags:?}: {}", message(&output));
        assert!(message(&output).contains(words), "{flags:?}: {}", message(&output));
    }
    assert_eq!(listing(dir.path()), ["stack.npy"]);
}

/// Kibibytes that a run has in memory at most.
#[cfg(target_os = "linux")]
fn peak_kib(folder: &Path, input: &str, out: &str) -> u64 {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gradus"));
    command.current_dir(folder).args(["reconstruct", input, "--slices", "all", "--method", "fbp"]);
    // With more noise each picture would be doubted, and compared with total variation's.
    let mut child = command.args(["--noise", "0.5", "-q", "-o", out]).spawn().unwrap();
    let (mut peak, status) = (0, format!("/proc/{}/status", child.id()));
    while child.try_wait().unwrap().is_none() {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        peak = line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(peak).max(peak);
        sleep(Duration::from_millis(1));
    }
    peak
}

#[cfg(target_os = "linux")]
#[test]
fn memory_does_not_grow_with_the_slices() {
    let dir = tempfile::tempdir().unwrap();
    // More than the 24 that the report shows.
    stack(&dir.path().join("few.npy"), 32, 128);
    stack(&dir.path().join("many.npy"), 152, 128);
    let (few, many) = (peak_kib(dir.path(), "few.npy", "few"), peak_kib(dir.path(), "many.npy", "many"));
    // 120 slices more are 7.5 MiB of input and as much of output.
    assert!(few > 0 && many < few + 3 * 1024, "{few} KiB for 32 slices, {many} KiB for 152");
    for (name, n_slices) in [("few", 32), ("many", 152)] {
        let values = numbers(&dir.path().join(format!("{name}.npy")));
        write_hdf5(&dir.path().join(format!("{name}.h5")), &[n_slices, 128, 128], &values);
    }
    let (few, many) = (peak_kib(dir.path(), "few.h5", "few5"), peak_kib(dir.path(), "many.h5", "many5"));
    assert!(few > 0 && many < few + 3 * 1024, "{few} KiB for 32 slices of HDF5, {many} KiB for 152");
}
