//! `--device` and `doctor`, with the stand-in driver in the place of a GPU's, and without any.

use super::{json, message, text};
use gradus_tests::stand_in::{Watch, library};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};

/// Runs the command with the stand-in as its driver.
fn with_driver(folder: &Path, settings: &[(&str, &str)], arguments: &[&str]) -> Output {
    let driver = library(Watch::UndefinedBehaviour).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_gradus"));
    command.current_dir(folder).args(arguments).env("LD_LIBRARY_PATH", driver).envs(settings.iter().copied());
    command.env("XDG_CACHE_HOME", folder).output().unwrap()
}

/// Runs the command where the driver's library is found and is none.
fn without_driver(folder: &Path, arguments: &[&str]) -> Output {
    let empty = tempfile::tempdir().unwrap();
    std::fs::write(empty.path().join("libcuda.so.1"), "").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_gradus"));
    command.current_dir(folder).args(arguments).env("LD_LIBRARY_PATH", empty.path()).output().unwrap()
}

#[test]
fn a_run_says_what_it_was_computed_on_and_what_crossed() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("small.npy"), small_image()).unwrap();
    let job = "reconstruct small.npy --angles 6 --steps 2 --prior ellipses --device cuda:0 --json -o out";
    let job: Vec<&str> = job.split(' ').collect();
    let run = json(&with_driver(folder.path(), &[], &job));
    assert_eq!(run["device"], "cuda:0");
    assert!(run["traffic"]["launches"].as_u64().unwrap() > 100, "{run}");
    let file = std::fs::read_to_string(folder.path().join("out/run.toml")).unwrap();
    assert!(file.contains("device = \"cuda:0\""), "{file}");
}

#[test]
fn what_a_gpu_does_not_take_is_computed_on_the_cpu_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("small.npy"), small_image()).unwrap();
    let mut odd = small_image();
    odd.truncate(128 + 4 * 8 * 7);
    let at = odd.windows(6).position(|window| window == b"(8, 8)").unwrap();
    odd[at + 1] = b'7';
    std::fs::write(folder.path().join("odd.npy"), odd).unwrap();
    let job = "reconstruct odd.npy --angles 6 --steps 2 --prior ellipses --device auto --json";
    let output = with_driver(folder.path(), &[], &job.split(' ').collect::<Vec<_>>());
    assert_eq!(json(&output)["device"], "cpu");
    assert!(message(&output).contains("multiples of 8"), "{}", message(&output));
    let job = "reconstruct small.npy --angles 6 --steps 2 --prior ellipses --device auto --json";
    let output = with_driver(folder.path(), &[], &job.split(' ').collect::<Vec<_>>());
    assert_eq!(json(&output)["device"], "cpu");
    assert!(message(&output).contains("so little is done there before a GPU is ready"), "{}", message(&output));
}

/// 8 x 8 pixels, in the npy format.
fn small_image() -> Vec<u8> {
    let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (8, 8), }";
    let mut bytes = [b"\x93NUMPY\x01\x00", &[118, 0][..], format!("{header:<117}\n").as_bytes()].concat();
    bytes.extend((0..64).flat_map(|i| (i as f32 / 64.0).to_le_bytes()));
    bytes
}

/// Settings of the stand-in, and words that the message must have.
type Case<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str]);

#[test]
fn a_device_that_cannot_be_used_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let job = ["reconstruct", "ellipses:1", "--prior", "ellipses", "--device", "cuda:0", "-o", "out"];
    let cases: [Case<'_>; 3] = [
        (&[("GRADUS_STAND_IN_VERSION", "12030")], &["supports CUDA 12.3", "need 12.4", "update the driver"]),
        (&[("GRADUS_STAND_IN_MEMORY", "1000000")], &["has", "bytes free", "needs"]),
        (&[("GRADUS_STAND_IN_DEVICES", "0")], &["there is no device cuda:0", "the driver has 0"]),
    ];
    for (settings, words) in cases {
        let output = with_driver(folder.path(), settings, &job);
        assert_eq!(output.status.code(), Some(2), "{}", message(&output));
        words.iter().for_each(|word| assert!(message(&output).contains(word), "{word}: {}", message(&output)));
    }
    let output = with_driver(folder.path(), &[], &["reconstruct", "--device", "gpu"]);
    assert!(message(&output).contains("auto, cpu, or cuda:N"), "{}", message(&output));
}

/// The same image again from the run's own file, and another one than at full precision.
#[test]
fn tensor_cores_are_chosen_by_a_flag_and_recorded() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("small.npy"), small_image()).unwrap();
    let run = |more: &str| {
        let job = format!("reconstruct {more} --device cuda:0 --json");
        json(&with_driver(folder.path(), &[], &job.split(' ').collect::<Vec<_>>()))
    };
    let job = "small.npy --angles 6 --steps 2 --prior ellipses";
    let (full, tf32) = (run(&format!("{job} -o full")), run(&format!("{job} --precision tf32 -o tf32")));
    assert_eq!((&full["precision"], &tf32["precision"]), (&"full".into(), &"tf32".into()));
    let file = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    assert!(text(&file("tf32/run.toml")).contains("precision = \"tf32\""), "{}", text(&file("tf32/run.toml")));
    assert!(text(&file("tf32/report.html")).contains("cuda:0, tf32 precision"));
    assert_eq!(run("--config tf32/run.toml -o again")["precision"], "tf32");
    assert_eq!(file("tf32/image.npy"), file("again/image.npy"));
    assert_ne!(file("tf32/image.npy"), file("full/image.npy"));
    // Of so small and short a run the objectives agree, not the images.
    let objective = |run: &Value| run["objective"].as_f64().unwrap();
    assert!((objective(&full) / objective(&tf32) - 1.0).abs() < 2e-3, "{full} and {tf32}");
}

#[test]
fn tensor_cores_train() {
    let folder = tempfile::tempdir().unwrap();
    let run = "seed = 5\n[data]\nkind = \"ellipses\"\nsize = 16\n[network]\nin_channels = 1\nout_channels = 1\n\
               pixel_unshuffle = 2\nmodel_channels = 8\nchannel_mult = [1]\nnum_res_blocks = 1\n\
               attention_resolutions = []\nmiddle_attention = false\nnum_heads = 1\nnorm_groups = 4\nnorm_eps = 1e-5\n\
               max_period = 0.005\n[[phase]]\nloss = \"score-matching\"\nsteps = 1\nbatch = 1\ncrop = 16\n\
               learning_rate = 1e-3\n";
    std::fs::write(folder.path().join("run.toml"), run).unwrap();
    let train = |precision: &str, output: &str| {
        let job = ["train", "run.toml", "--device", "cuda:0", "--precision", precision, "--json", "-o", output];
        let done = json(&with_driver(folder.path(), &[], &job));
        assert_eq!((&done["device"], &done["precision"]), (&"cuda:0".into(), &precision.into()));
        std::fs::read(folder.path().join(output).join("checkpoint.safetensors")).unwrap()
    };
    assert_ne!(train("full", "full"), train("tf32", "tf32"));
}

/// The CPU has no tensor cores: asked for by name it says so, and `auto` says what it did instead.
#[test]
fn tensor_cores_that_are_not_there_are_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("small.npy"), small_image()).unwrap();
    let commands =
        ["reconstruct small.npy --angles 6 --prior ellipses", "evaluate --table 2", "train --preset ellipses"];
    for command in commands {
        let job = format!("{command} --device cpu --precision tf32 -o out");
        let output = without_driver(folder.path(), &job.split(' ').collect::<Vec<_>>());
        assert_eq!(output.status.code(), Some(2), "{}", message(&output));
        assert!(
            message(&output).contains("tf32 needs a GPU's tensor cores, and the device is cpu"),
            "{}",
            message(&output)
        );
        assert!(!folder.path().join("out").exists());
    }
    let job = "reconstruct small.npy --angles 6 --steps 2 --prior ellipses --precision tf32 --json";
    let run = |more: [&str; 2]| {
        let output = without_driver(folder.path(), &job.split(' ').chain(more).collect::<Vec<_>>());
        (json(&output)["precision"].clone(), message(&output))
    };
    let (precision, said) = run(["-o", "auto"]);
    assert_eq!(precision, "full");
    assert!(said.contains("on the CPU, at full precision in place of tf32: no NVIDIA driver"), "{said}");
    let file = std::fs::read_to_string(folder.path().join("auto/run.toml")).unwrap();
    assert!(file.contains("device = \"cpu\"\nprecision = \"full\""), "{file}");
    let refused = without_driver(folder.path(), &["reconstruct", "small.npy", "--method=fbp", "--precision=tf32"]);
    let said = message(&refused);
    assert!(refused.status.code() == Some(2) && said.contains("method fbp has no prior"), "{said}");
    assert!(said.contains("`precision`") && said.contains("gradient-like"), "{said}");
}

#[test]
fn doctor_names_the_devices() {
    let folder = tempfile::tempdir().unwrap();
    let found = json(&with_driver(folder.path(), &[], &["doctor", "--json"]));
    let names: Vec<&Value> = found["devices"].as_array().unwrap().iter().map(|device| &device["name"]).collect();
    assert_eq!(names, ["cpu", "cuda:0"]);
    assert_eq!(found["devices"][1]["usable"], true, "{found}");
    // Without the stand-in: whatever this machine has, the command starts and says so.
    let here = json(&super::gradus(folder.path(), &["doctor", "--json"]));
    assert!(here["devices"][1]["usable"].is_boolean(), "{here}");
}

/// In its object and on its lines; a GPU that is not there or is full is no failure of this machine's.
#[test]
fn doctor_says_why_a_device_is_unusable() {
    let folder = tempfile::tempdir().unwrap();
    let reason = |doctor: &dyn Fn(&[&str]) -> Output| {
        let (found, lines) = (json(&doctor(&["doctor", "--json"])), doctor(&["doctor"]));
        assert_eq!((lines.status.code(), &found["devices"][1]["usable"]), (Some(0), &false.into()));
        let reason = found["devices"][1]["reason"].as_str().unwrap().to_owned();
        assert!(text(&lines.stdout).contains(&format!("not usable: {reason}")), "{}", text(&lines.stdout));
        reason
    };
    let none = reason(&|arguments| without_driver(folder.path(), arguments));
    assert!(none.contains("no NVIDIA driver: libcuda.so.1 is not on this machine; install the driver"), "{none}");
    let on_stand_in =
        |name: &str, value: &str| reason(&|arguments| with_driver(folder.path(), &[(name, value)], arguments));
    let old = on_stand_in("GRADUS_STAND_IN_VERSION", "12030");
    assert!(old.contains("supports CUDA 12.3, and the kernels need 12.4; update the driver"), "{old}");
    assert!(on_stand_in("GRADUS_STAND_IN_DEVICES", "0").contains("no device cuda:0; the driver has 0"));
    // Enough for the projector, too little for the network: what is free, and what is needed.
    let full = on_stand_in("GRADUS_STAND_IN_MEMORY", "1000000");
    let numbers: Vec<usize> = full.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse().ok()).collect();
    let [free, needed] = numbers[..] else { panic!("{full}") };
    assert!(full.contains("bytes free") && free < 1_000_000 && 1_000_000 < needed && needed < 100_000_000, "{full}");
}
