//! Inputs that ask for what nobody can give: absurd sizes and numbers, damaged headers, names that act.

use super::{gradus, json, listing, text};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A small training run, with `more` at the end of its first part.
pub fn training(more: &str) -> String {
    let network = "in_channels = 1\nout_channels = 1\npixel_unshuffle = 2\nmodel_channels = 8\nchannel_mult = [1, 2]\n\
                   num_res_blocks = 1\nattention_resolutions = [1, 2]\nmiddle_attention = true\nnum_heads = 2\n\
                   norm_groups = 4\nnorm_eps = 1e-5\nmax_period = 0.005\n";
    let phase = "[[phase]]\nloss = \"denoising\"\nsteps = 300\nbatch = 3\ncrop = 16\nlearning_rate = 1e-3\n\
                 [[phase]]\nloss = \"score-matching\"\nsteps = 5\nbatch = 2\ncrop = 16\nlearning_rate = 1e-3\n";
    format!(
        "seed = 5\ncheckpoint_every_s = 0.02\n{more}[data]\nkind = \"ellipses\"\nsize = 16\n[network]\n{network}\
         [validation]\nevery_steps = 100\nimages = 2\nreconstructions = 1\niterations = 5\n{phase}"
    )
}

/// A file of `tests/cli/inputs`.
pub fn input(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/cli/inputs").join(name)
}

/// Runs the command where no more than `mebibytes` of memory can be had, for at most a minute.
fn limited(folder: &Path, mebibytes: u64, arguments: &[&str]) -> Output {
    let script = format!("ulimit -v {}; exec timeout 60 \"$0\" \"$@\"", mebibytes << 10);
    let mut command = Command::new("sh");
    command.current_dir(folder).args(["-c", &script, env!("CARGO_BIN_EXE_gradus")]).args(arguments);
    command.stdin(Stdio::null()).output().unwrap()
}

/// The message, without the breaks of its lines.
fn message(output: &Output) -> String {
    text(&output.stderr).replace('│', " ").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Exit code 2, all of `words` in the message, and nothing left behind; with little memory.
fn refused(folder: &Path, arguments: &[&str], words: &[&str]) {
    let before = listing(folder);
    let output = limited(folder, 1024, arguments);
    let said = message(&output);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
    words.iter().for_each(|word| assert!(said.contains(word), "{word:?} is not in: {said}"));
    assert_eq!(listing(folder), before, "{arguments:?} left something behind");
}

#[test]
fn numbers_that_no_scanner_has_give_no_picture() {
    let dir = tempfile::tempdir().unwrap();
    let scan = |name: &str| input(name).to_str().unwrap().to_owned();
    refused(dir.path(), &["reconstruct", &scan("scan-pixel-1e-300.npz")], &["pixel_mm", "1e-300", "1e-6 to 1e4"]);
    refused(dir.path(), &["reconstruct", &scan("scan-attenuation-1e300.npz")], &["attenuation_per_unit_per_mm", "1e4"]);
    refused(dir.path(), &["reconstruct", &scan("scan-side-65536.npz")], &["65536 x 65536", "268435456"]);
    let values: Vec<f32> = (0..120).map(|k| if k == 17 { 3e38 } else { 1.0 }).collect();
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    fs::create_dir(dir.path().join("bright")).unwrap();
    super::bad_input::npy(&dir.path().join("bright/sinogram.npy"), "<f4", "(6, 20)", &bytes);
    let toml = "sinogram = \"sinogram.npy\"\nangles_rad = [0.0, 0.5, 1.0, 1.5, 2.0, 2.5]\nheight = 16\nwidth = 16\n\
                pixel_mm = 1.0\nbin_width_mm = 1.0\n";
    fs::write(dir.path().join("bright/scan.toml"), toml).unwrap();
    for method in ["fbp", "tv", "preconditioned"] {
        let flags = ["reconstruct", "bright", "--method", method];
        refused(dir.path(), &flags, &["3e38 at view 0, bin 17", "-ln(counts / photons)"]);
    }
    let toml = toml.replace("height = 16\nwidth = 16", "height = 65536\nwidth = 65536");
    fs::write(dir.path().join("bright/scan.toml"), toml).unwrap();
    refused(dir.path(), &["reconstruct", "bright", "--method", "fbp"], &["65536 x 65536", "268435456"]);
}

/// What `simulate` writes can be read.
#[test]
fn one_limit_holds_for_writing_and_reading() {
    let dir = tempfile::tempdir().unwrap();
    for (name, width) in [("longest", 65_536_u32), ("longer", 70_000)] {
        let bytes: Vec<u8> = (0..width).flat_map(|_| 0.5_f32.to_le_bytes()).collect();
        super::bad_input::npy(&dir.path().join(format!("{name}.npy")), "<f4", &format!("(1, {width})"), &bytes);
    }
    json(&gradus(dir.path(), &["simulate", "longest.npy", "--angles", "2", "-o", "scan.npz", "--json"]));
    assert!(json(&gradus(dir.path(), &["inspect", "scan.npz", "--json"]))["image"].to_string().contains("1 x 65536"));
    let longer = ["simulate", "longer.npy", "--angles", "2", "-o", "longer.npz"];
    refused(dir.path(), &longer, &["`width` is 70000", "at most 65536"]);
}

/// The picture that comes out can be read, whatever the attributes of the one that went in.
#[test]
fn dicom_that_goes_out_can_be_read() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["dicom-bad-sop-class-uid", "dicom-sequence-with-wrong-vr"] {
        let source = input(&format!("{name}.dcm"));
        json(&gradus(dir.path(), &["reconstruct", source.to_str().unwrap(), "--method", "fbp", "-o", name, "--json"]));
        let description = json(&gradus(dir.path(), &["inspect", &format!("{name}/image.dcm"), "--json"]));
        assert_eq!(description["unit"], "HU", "{description}");
    }
}

#[test]
fn training_sizes_are_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let run = training("");
    let cases = [
        ("size = 16", "size = 1000000000", "`data.size` is 1000000000; it must be a multiple of 4, at most 4096"),
        ("images = 2", "images = 9223372036854775807", "`validation.images` is"),
        ("reconstructions = 1", "reconstructions = 9223372036854775807", "`validation.reconstructions` is"),
        ("steps = 300", "steps = 9223372036854775807", "the steps of all phases"),
        ("steps = 5", "steps = 9223372036854775807", "the steps of all phases"),
        ("batch = 3", "batch = 9223372036854775807", "`phase[0].batch` is"),
        ("iterations = 5", "iterations = 4000000000", "`validation.iterations` is"),
        ("model_channels = 8", "model_channels = 4096", "the parameters of `network`"),
        ("model_channels = 8", "model_channels = 1024", "MiB can be had; take a smaller network"),
    ];
    for (from, to, words) in cases {
        fs::write(dir.path().join("run.toml"), run.replace(from, to)).unwrap();
        refused(dir.path(), &["train", "run.toml", "-o", "out"], &[words]);
    }
    // Steps that wrap around to four.
    let phases = run.replace("steps = 300", "steps = 18446744073709551615");
    fs::write(dir.path().join("run.toml"), phases).unwrap();
    refused(dir.path(), &["train", "run.toml", "-o", "out"], &["steps"]);
    for name in ["training-PANIC-10994", "training-size.toml", "training-validation-images.toml"] {
        refused(dir.path(), &["train", input(name).to_str().unwrap(), "-o", "out"], &["must be"]);
    }
}

/// A network on an image that does not fit into memory says how much it takes.
#[test]
fn images_beyond_the_memory_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    super::bad_input::npy(&dir.path().join("large.npy"), "|u1", "(2048, 2048)", &vec![1; 2048 * 2048]);
    let flags = ["reconstruct", "large.npy", "--angles", "2", "--prior", "ct"];
    refused(dir.path(), &flags, &["takes at least", "MiB can be had", "--method tv or fbp"]);
}

/// The user may let it take less than there is.
#[test]
fn memory_is_bounded_by_the_user() {
    let dir = tempfile::tempdir().unwrap();
    super::bad_input::npy(&dir.path().join("large.npy"), "|u1", "(2048, 2048)", &vec![1; 2048 * 2048]);
    let flags = ["reconstruct", "large.npy", "--angles", "2", "--method", "fbp", "--max-memory"];
    refused(dir.path(), &[&flags[..], &["40"]].concat(), &["takes at least", "MiB can be had"]);
    refused(dir.path(), &[&flags[..], &["3"]].concat(), &["its 4194432 bytes are more than memory can take"]);
    json(&gradus(dir.path(), &["inspect", "large.npy", "--max-memory", "100", "--json"]));
}

#[test]
fn counts_that_nobody_waits_for_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let cases: [(&[&str], &[&str]); 12] = [
        (
            &["reconstruct", "--angles", "18446744073709551615"],
            &["`angles` is 18446744073709551615", "at most 1048576"],
        ),
        (&["simulate", "spine", "-o", "s.npz", "--angles", "10000000000"], &["`angles` is 10000000000"]),
        (&["reconstruct", "--angles", "1000000", "--method", "fbp"], &["so many views and bins", "MiB can be had"]),
        (&["reconstruct", "--config", "angles.toml"], &["reconstruction.steps is 1000000000", "1000000"]),
        (&["reconstruct", "--method", "gradient-descent", "--steps", "1000000000"], &["at most 1000000"]),
        (&["reconstruct", "--average", "4294967295"], &["reconstruction.average"]),
        (&["reconstruct", "--method", "dds", "--average", "99999"], &["reconstruction.average is 4999950"]),
        (&["reconstruct", "--method", "diffpir", "--steps", "4294967295"], &["reconstruction.steps"]),
        (&["reconstruct", "--method", "dds", "--solve-steps", "4294967295"], &["reconstruction.solve_steps"]),
        (&["reconstruct", "--method", "tv", "--tv-iterations", "4294967295"], &["tv_iterations"]),
        (&["evaluate", "--table", "1", "--starts", "18446744073709551615"], &["--starts", "1000000"]),
        (&["evaluate", "--table", "1", "--steps", "4294967295"], &["--steps", "1000000"]),
    ];
    fs::copy(input("run-steps.toml"), dir.path().join("steps.toml")).unwrap();
    fs::write(dir.path().join("angles.toml"), "[reconstruction]\nmethod = \"gradient-descent\"\nsteps = 1000000000\n")
        .unwrap();
    for (arguments, words) in cases {
        refused(dir.path(), arguments, words);
    }
    for name in ["run-angles-1e10.toml", "run-steps.toml"] {
        refused(dir.path(), &["reconstruct", "--config", input(name).to_str().unwrap()], &["at most 1"]);
    }
}

/// Files of a few bytes that claim gigabytes are refused with little memory.
#[test]
fn claims_are_bounded_by_what_is_there() {
    let dir = tempfile::tempdir().unwrap();
    for (name, word) in [
        ("png-huge.png", "PNG"),
        ("png-MEM-12688.png", "PNG"),
        ("dicom-MEM-35009.dcm", "DICOM"),
        ("dicom-number-of-six-bytes.dcm", "no whole number of values"),
        ("scan-side-65536.npz", "65536 x 65536"),
    ] {
        let file = dir.path().join(name);
        let source = name.trim_end_matches(".png").trim_end_matches(".dcm");
        let source = if input(name).exists() { name } else { source };
        fs::copy(input(source), &file).unwrap();
        let output = limited(dir.path(), 300, &["inspect", name]);
        assert_eq!(output.status.code(), Some(2), "{name}: {}", message(&output));
        assert!(message(&output).contains(word), "{name}: {}", message(&output));
        fs::remove_file(file).unwrap();
    }
    // A gibibyte of zeros in a mebibyte.
    let bomb = zeros_in_an_archive(1 << 30);
    fs::write(dir.path().join("bomb.npz"), bomb).unwrap();
    let output = limited(dir.path(), 500, &["inspect", "bomb.npz"]);
    assert_eq!(output.status.code(), Some(2), "{}", message(&output));
    assert!(message(&output).contains("save it without compression, by numpy.savez"), "{}", message(&output));
}

/// An npz with an array `image` of `n` bytes, all zero, deflated.
fn zeros_in_an_archive(n: usize) -> Vec<u8> {
    let side = (n as f64).sqrt() as usize;
    let mut header = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': ({side}, {side}), }}");
    while (10 + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.start_file("image.npy", zip::write::SimpleFileOptions::default()).unwrap();
    let mut write = |bytes: &[u8]| std::io::Write::write_all(&mut zip, bytes).unwrap();
    write(b"\x93NUMPY\x01\x00");
    write(&(header.len() as u16).to_le_bytes());
    write(header.as_bytes());
    (0..side).for_each(|_| write(&vec![0; side]));
    zip.finish().unwrap().into_inner()
}

/// Of a stack of 64 MiB, the slice is taken and no more.
#[test]
fn a_slice_takes_the_memory_of_a_slice() {
    let dir = tempfile::tempdir().unwrap();
    let npy = dir.path().join("stack.npy");
    super::bad_input::npy(&npy, "|u1", "(64, 1024, 1024)", &vec![1; 64 << 20]);
    let mut zip = zip::ZipWriter::new(fs::File::create(dir.path().join("stack.npz")).unwrap());
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    zip.start_file("image.npy", stored).unwrap();
    std::io::copy(&mut fs::File::open(npy).unwrap(), &mut zip).unwrap();
    zip.finish().unwrap();
    for name in ["stack.npy:[63]", "stack.npz:[63]", "stack.npz:image[63]"] {
        let output = limited(dir.path(), 280, &["inspect", name, "--json", "--threads", "1"]);
        assert_eq!(json(&output)["height"], 1024, "{name}");
    }
}

/// In a training folder they are named and passed over.
#[test]
fn hostile_slices_are_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    for folder in ["slices", "others"] {
        fs::create_dir(dir.path().join(folder)).unwrap();
        let bytes: Vec<u8> = (0..256).flat_map(|k| (k as f32 / 256.0).to_le_bytes()).collect();
        super::bad_input::npy(&dir.path().join(folder).join("good.npy"), "<f4", "(16, 16)", &bytes);
    }
    let hostile = ["png-huge.png", "png-MEM-12688", "dicom-MEM-35009"];
    for (name, ending) in hostile.into_iter().zip(["", ".png", ".dcm"]) {
        fs::copy(input(name), dir.path().join("slices").join(format!("{name}{ending}"))).unwrap();
    }
    assert!(Command::new("mkfifo").arg(dir.path().join("slices/pipe.npy")).status().unwrap().success());
    let run = training("").replace("kind = \"ellipses\"", "kind = \"folder\"").replace("steps = 300", "steps = 3");
    fs::write(dir.path().join("run.toml"), run).unwrap();
    let flags = ["train", "run.toml", "--data", "slices", "--validation-data", "others", "-o", "out", "--json"];
    let output = limited(dir.path(), 2048, &flags);
    assert_eq!(json(&output)["skipped"], 4, "{}", message(&output));
    for name in ["png-huge", "png-MEM", "dicom-MEM", "pipe.npy: cannot be read"] {
        assert!(message(&output).contains(name), "{name} is not in {}", message(&output));
    }
}

#[test]
fn devices_and_pipes_are_no_files() {
    let dir = tempfile::tempdir().unwrap();
    assert!(Command::new("mkfifo").arg(dir.path().join("pipe")).status().unwrap().success());
    let toml = "sinogram = \"sinogram.npy\"\nangles_rad = [0.0, 1.0]\nheight = 4\nwidth = 4\n\
                pixel_mm = 1.0\nbin_width_mm = 1.0\n";
    for (folder, from, to) in [
        ("sinogram", "sinogram.npy", "/dev/zero"),
        ("piped", "sinogram.npy", "../pipe"),
        ("angles", "[0.0, 1.0]", "'/dev/zero'"),
    ] {
        let path = dir.path().join(folder);
        fs::create_dir(&path).unwrap();
        super::bad_input::npy(&path.join("sinogram.npy"), "<f4", "(2, 4)", &[0; 32]);
        fs::write(path.join("scan.toml"), toml.replace(from, to)).unwrap();
        refused(dir.path(), &["reconstruct", folder], &["device or a pipe"]);
    }
    fs::create_dir(dir.path().join("prior")).unwrap();
    super::bad_input::npy(&dir.path().join("prior/sinogram.npy"), "<f4", "(2, 4)", &[0x3f; 32]);
    fs::write(dir.path().join("prior/scan.toml"), format!("{toml}prior = \"/dev/zero\"\n")).unwrap();
    refused(dir.path(), &["reconstruct", "prior"], &["/dev/zero", "device or a pipe"]);
    for arguments in [
        &["reconstruct", "pipe"][..],
        &["inspect", "/dev/zero"],
        &["reconstruct", "--config", "/dev/zero"],
        &["reconstruct", "--prior", "pipe"],
        &["train", "/dev/zero"],
    ] {
        refused(dir.path(), arguments, &["device or a pipe"]);
    }
}

/// The exit code is all there is to say where nobody can read.
#[test]
fn exit_codes_survive_a_standard_error_that_is_closed_or_full() {
    let dir = tempfile::tempdir().unwrap();
    let code = |command: &str, redirection: &str| {
        let script = format!("exec {} {command} {redirection}", env!("CARGO_BIN_EXE_gradus"));
        Command::new("sh").current_dir(dir.path()).args(["-c", &script]).output().unwrap().status.code()
    };
    for (k, redirection) in ["2>&-", "2>/dev/full", "2>&1 >/dev/null | true; exit 0"].into_iter().enumerate() {
        let expected = if k == 2 { [0, 0] } else { [2, 0] };
        assert_eq!(code("reconstruct none.npz", redirection), Some(expected[0]), "{redirection}");
        // With a warning: the size of a pixel is assumed.
        let warned = format!("reconstruct {} --method fbp -o out-{k}", input("units/17a_no_spacing.dcm").display());
        assert_eq!(code(&warned, redirection), Some(expected[1]), "{redirection}");
        assert!(dir.path().join(format!("out-{k}/report.html")).exists());
    }
}

#[test]
fn a_small_stack_is_enough() {
    let dir = tempfile::tempdir().unwrap();
    let script = format!("ulimit -s 64; exec {} reconstruct --steps 2 -o out --json", env!("CARGO_BIN_EXE_gradus"));
    json(&Command::new("sh").current_dir(dir.path()).args(["-c", &script]).output().unwrap());
}

/// Names that are no UTF-8 are shown with marks in the place of what cannot be shown.
#[test]
fn names_of_any_bytes_are_reported() {
    use std::os::unix::ffi::OsStrExt;
    let dir = tempfile::tempdir().unwrap();
    let name = std::ffi::OsStr::from_bytes(b"out-\xff\xfe");
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gradus"));
        command.current_dir(dir.path()).args(arguments).arg("--json").arg("-o").arg(name).output().unwrap()
    };
    assert_eq!(json(&run(&["reconstruct", "--method", "fbp"]))["output"], "out-\u{fffd}\u{fffd}");
    fs::remove_dir_all(dir.path().join(name)).unwrap();
    fs::write(dir.path().join("run.toml"), training("").replace("steps = 300", "steps = 2")).unwrap();
    assert_eq!(json(&run(&["train", "run.toml"]))["output"], "out-\u{fffd}\u{fffd}");
    fs::remove_dir_all(dir.path().join(name)).unwrap();
    assert_eq!(json(&run(&["toy", "--method", "flow", "--t-max-index", "30"]))["output"], "out-\u{fffd}\u{fffd}");
    fs::remove_dir_all(dir.path().join(name)).unwrap();
    assert_eq!(json(&run(&["simulate", "ellipses:1"]))["output"], "out-\u{fffd}\u{fffd}");
}

#[test]
fn escape_codes_reach_no_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let acts = |bytes: &[u8]| bytes.contains(&0x1b) || bytes.contains(&7) || text(bytes).contains('\u{202e}');
    let scan = input("scan-escape-code-in-field-name.npz");
    for command in [&["inspect"][..], &["inspect", "--json"], &["reconstruct", "--method", "fbp"]] {
        let output = gradus(dir.path(), &[command, &[scan.to_str().unwrap()]].concat());
        assert_eq!(output.status.code(), Some(0), "{}", message(&output));
        assert!(!acts(&output.stdout) && !acts(&output.stderr), "{command:?}");
        if command.contains(&"--json") {
            assert!(json(&output)["warnings"].as_str().unwrap().contains("\u{1b}]0;owned"));
        }
    }
    // In the notes of weights, and in a name.
    let weights = fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/weights/ellipses.safetensors")).unwrap();
    let at = weights.windows(10).position(|window| window == b"gradus 0.1").unwrap();
    let mut hostile = weights.clone();
    hostile[at..at + 10].copy_from_slice("\\u001b\u{202e} ".as_bytes());
    fs::write(dir.path().join("w.safetensors"), hostile).unwrap();
    let output = gradus(dir.path(), &["inspect", "w.safetensors"]);
    assert_eq!(output.status.code(), Some(0), "{}", message(&output));
    assert!(!acts(&output.stdout) && text(&output.stdout).contains("\\u{1b}"), "{}", text(&output.stdout));
    let output = gradus(dir.path(), &["inspect", "none\u{1b}[31m\u{202e}.npz"]);
    assert!(!acts(&output.stderr) && message(&output).contains("\\u{202e}"), "{}", message(&output));
}

/// A checkpoint whose vectors are those of another network than the one it describes.
#[test]
fn checkpoints_that_contradict_themselves_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("run.toml"), training("").replace("steps = 300", "steps = 2")).unwrap();
    json(&gradus(dir.path(), &["train", "run.toml", "-o", "out", "--json"]));
    let checkpoint = fs::read(dir.path().join("out/checkpoint.safetensors")).unwrap();
    let changes = [
        ("attention_resolutions = [1, 2]", "attention_resolutions = [1, 7]", "describes one of"),
        ("middle_attention = true", "middle_attention =false", "describes one of"),
        ("size = 16", "size = 99", "data.size"),
        ("batch = 3", "batch = 0", "phase[0].batch"),
        ("crop = 16", "crop = 99", "phase[0].crop"),
    ];
    fs::create_dir(dir.path().join("bad")).unwrap();
    for (from, to, words) in changes {
        let at = checkpoint.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
        let mut changed = checkpoint.clone();
        changed[at..at + to.len()].copy_from_slice(to.as_bytes());
        fs::write(dir.path().join("bad/checkpoint.safetensors"), changed).unwrap();
        refused(dir.path(), &["train", "--resume", "bad"], &[words]);
    }
}
