//! The folder of a run: claimed before the work, whole at its end, with other processes in the same place.

use super::{gradus, json, listing, text};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A run of a tenth of a second.
const QUICK: [&str; 6] = ["reconstruct", "--method", "fbp", "--angles", "8", "--json"];
pub const FILES: [&str; 7] =
    ["image.npy", "image.png", "pictures.png", "report.html", "run.toml", "scan.npz", "summary.json"];

/// The files of a run of a method with a prior of its own: what the data determine of the image, and what not.
pub fn files_with_parts(more: &[&'static str]) -> Vec<&'static str> {
    let mut files = [&FILES[..], &["determined.npy", "undetermined.npy"], more].concat();
    files.sort_unstable();
    files
}

/// Starts the command in `folder`.
fn start(folder: &Path, arguments: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gradus"));
    command.current_dir(folder).args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// Starts all commands at once and waits for them.
fn at_once(folder: &Path, commands: &[Vec<&str>]) -> Vec<Output> {
    let children: Vec<Child> = commands.iter().map(|arguments| start(folder, arguments)).collect();
    children.into_iter().map(|child| child.wait_with_output().unwrap()).collect()
}

/// The message, without the breaks of its lines.
fn message(output: &Output) -> String {
    text(&output.stderr).replace('│', " ").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Waits until there is something at `path`.
fn wait_for(path: &Path) {
    let begin = Instant::now();
    while !path.exists() {
        assert!(begin.elapsed() < Duration::from_secs(60), "{} does not come", path.display());
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// In a container every process has the same number, so a name made of it may be that of a killed run.
#[test]
fn what_a_killed_run_left_gets_into_no_result() {
    let dir = tempfile::tempdir().unwrap();
    let script = format!(
        "mkdir .r.$$ && echo another > .r.$$/image.dcm && cp .r.$$/image.dcm .r.$$/deviation.npy && exec {} {} -o r",
        env!("CARGO_BIN_EXE_gradus"),
        QUICK.join(" ")
    );
    let output = Command::new("sh").current_dir(dir.path()).args(["-c", &script]).output().unwrap();
    json(&output);
    assert_eq!(listing(&dir.path().join("r")), FILES);
}

#[test]
fn of_runs_into_one_folder_one_gets_it_whole() {
    let dir = tempfile::tempdir().unwrap();
    let seeds: Vec<String> = (1..=8).map(|seed| seed.to_string()).collect();
    for (round, is_there) in [false, true, false, true].into_iter().enumerate() {
        let name = format!("out-{round}");
        if is_there {
            fs::create_dir(dir.path().join(&name)).unwrap();
        }
        let command = |seed| [&QUICK[..], &["--noise-seed", seed, "-o", &name]].concat();
        let outputs = at_once(dir.path(), &seeds.iter().map(|seed| command(seed)).collect::<Vec<_>>());
        let winners: Vec<usize> = (0..8).filter(|k| outputs[*k].status.code() == Some(0)).collect();
        assert_eq!(winners.len(), 1, "{:?}", outputs.iter().map(message).collect::<Vec<_>>());
        for loser in outputs.iter().filter(|output| output.status.code() != Some(0)) {
            assert_eq!(loser.status.code(), Some(2));
            let said = message(loser);
            assert!(said.contains("another run is under way") || said.contains("exists already"), "{said}");
        }
        assert_eq!(listing(&dir.path().join(&name)), FILES);
        let alone = format!("alone-{round}");
        json(&gradus(dir.path(), &[&QUICK[..], &["--noise-seed", &seeds[winners[0]], "-o", &alone]].concat()));
        for file in ["image.npy", "image.png", "run.toml", "scan.npz"] {
            let read = |folder: &str| fs::read(dir.path().join(folder).join(file)).unwrap();
            assert!(read(&name) == read(&alone), "{file} is another run's");
        }
    }
    assert_eq!(listing(dir.path()).len(), 8, "{:?}", listing(dir.path()));
}

#[test]
fn runs_started_together_get_names_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    for round in 1..=3 {
        let outputs = at_once(dir.path(), &vec![QUICK.to_vec(); 8]);
        outputs.iter().for_each(|output| drop(json(output)));
        let runs = listing(&dir.path().join("runs"));
        assert_eq!(runs.len(), 8 * round, "{runs:?}");
        runs.iter().for_each(|run| assert_eq!(listing(&dir.path().join("runs").join(run)), FILES));
    }
}

#[test]
fn empty_folders_are_filled_wherever_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let here = dir.path();
    let long = "n".repeat(255);
    for folder in ["empty", "dot", "target", "volume/lost+found"] {
        fs::create_dir_all(here.join(folder)).unwrap();
    }
    std::os::unix::fs::symlink("target", here.join("link")).unwrap();
    let places = [("empty", "empty"), ("new/.", "new"), ("link", "target"), (&long, &long), ("a/b/c", "a/b/c")];
    for (named, place) in places {
        assert_eq!(json(&gradus(here, &[&QUICK[..], &["-o", named]].concat()))["output"], named);
        assert_eq!(listing(&here.join(place)), FILES, "{named}");
    }
    assert!(here.join("link").is_symlink());
    json(&gradus(here, &[&QUICK[..], &["-o", "volume"]].concat()));
    assert_eq!(listing(&here.join("volume")).len(), FILES.len() + 1);
    json(&gradus(&here.join("dot"), &[&QUICK[..], &["-o", "."]].concat()));
    assert_eq!(listing(&here.join("dot")), FILES);
    // A default name is made of the input's, which may fill all there is.
    let image = format!("{}.npy", "i".repeat(251));
    fs::copy(here.join("dot/image.npy"), here.join(&image)).unwrap();
    let run = json(&gradus(here, &["reconstruct", &image, "--method", "fbp", "--angles", "90", "--json"]));
    assert_eq!(listing(&here.join(run["output"].as_str().unwrap())), FILES);
}

/// A volume of a container is a file system of its own: nothing can be renamed onto it.
#[test]
fn a_mount_point_is_filled() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("volume")).unwrap();
    let script = format!(
        "mount -t tmpfs none volume || exit 77; {} {} -o volume && ls -A volume",
        env!("CARGO_BIN_EXE_gradus"),
        QUICK.join(" ")
    );
    let unshared = ["--map-root-user", "--mount", "sh", "-c", &script];
    let Ok(output) = Command::new("unshare").current_dir(dir.path()).args(unshared).output() else { return };
    let (printed, said) = (text(&output.stdout), message(&output));
    if output.status.code() == Some(77) || said.starts_with("unshare:") {
        return; // This system lets us mount nothing; the other places are tested all the same.
    }
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert_eq!(printed.lines().skip(1).collect::<Vec<_>>(), FILES, "{printed}");
}

/// Runs that would take days are refused at once.
#[test]
fn places_that_cannot_be_written_are_found_before_the_work() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    fs::create_dir(dir.path().join("full")).unwrap();
    fs::write(dir.path().join("full/mine"), "").unwrap();
    std::os::unix::fs::symlink("nowhere/at/all", dir.path().join("broken")).unwrap();
    let before = listing(dir.path());
    let long = "n".repeat(256);
    let too_long = ["reconstruct", "--method", "tv", "--tv-iterations", "1000000", "-o"];
    for place in ["file", "file/out", "full", "/proc/out", "broken", &long, ""] {
        let mut child = start(dir.path(), &[&too_long[..], &[place]].concat());
        let begin = Instant::now();
        while child.try_wait().unwrap().is_none() {
            if begin.elapsed() > Duration::from_secs(30) {
                child.kill().unwrap();
                panic!("{place:?} is not refused");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{place}: {}", message(&output));
        let said = message(&output);
        assert!(["--output", "name a folder"].iter().any(|words| said.contains(words)), "{place}: {said}");
    }
    assert_eq!(listing(dir.path()), before);
}

/// No file may grow beyond 20 kB: the picture's, of 17 kB, can be written, the page's cannot.
#[test]
fn the_image_is_kept_where_the_rest_cannot_be_written() {
    let dir = tempfile::tempdir().unwrap();
    let bytes: Vec<u8> = (0..64 * 64).flat_map(|k| (k as f32 / 4096.0).to_le_bytes()).collect();
    super::bad_input::npy(&dir.path().join("small.npy"), "<f4", "(64, 64)", &bytes);
    let script = format!(
        "trap '' XFSZ; ulimit -f 40; exec {} reconstruct small.npy --method fbp --angles 8 -o out",
        env!("CARGO_BIN_EXE_gradus")
    );
    let output = Command::new("sh").current_dir(dir.path()).args(["-c", &script]).output().unwrap();
    let said = message(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    let kept: String =
        said.split("the image is in").nth(1).unwrap().split("├─▶").next().unwrap().split_whitespace().collect();
    let files = listing(Path::new(kept.split('╰').next().unwrap()));
    assert!(files.contains(&"image.npy".to_owned()) && !files.contains(&"report.html".to_owned()), "{files:?}");
    assert!(!dir.path().join("out").exists());
}

/// Names of what runs hide in a folder.
fn hidden(folder: &Path) -> Vec<String> {
    let names = if folder.exists() { listing(folder) } else { Vec::new() };
    names.into_iter().filter(|name| name.starts_with('.')).collect()
}

/// Starts a run of a second or so, which hides its files in `home`, and puts a file into its folder while it works.
fn disturbed(here: &Path, (folder, home): (&str, &str), flags: &[&str]) -> Output {
    let run = ["reconstruct", "--method", "tv", "--tv-iterations", "400", "--angles", "30", "--json"];
    let child = start(here, &[&run[..], flags].concat());
    while hidden(&here.join(home)).is_empty() {
        std::thread::sleep(Duration::from_millis(1));
    }
    fs::write(here.join(folder).join("mine"), "").unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn a_folder_that_is_filled_meanwhile_costs_no_result() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("there")).unwrap();
    for (folder, home) in [("new", "."), ("there", "there")] {
        let output = disturbed(dir.path(), (folder, home), &["-o", folder]);
        let said = message(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        // The name is long, and lines wrap.
        let said: String = said.split("it is whole in").nth(1).unwrap().split_whitespace().collect();
        assert_eq!(listing(Path::new(said.trim_end_matches('.'))), files_with_parts(&[]), "{said}");
        assert!(listing(&dir.path().join(folder)).contains(&"mine".to_owned()));
    }
    let output = disturbed(dir.path(), ("runs/ellipses-1-tv", "runs"), &[]);
    let found = json(&output)["output"].as_str().unwrap().to_owned();
    assert_eq!(found, "runs/ellipses-1-tv-2");
    assert_eq!(listing(&dir.path().join(found)), files_with_parts(&[]));
    assert_eq!(listing(&dir.path().join("runs/ellipses-1-tv")), ["mine"]);
}

#[test]
fn what_killed_runs_leave_is_removed_by_the_next() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("there")).unwrap();
    for (folder, home) in [("new", "."), ("there", "there")] {
        let hidden = || hidden(&dir.path().join(home));
        let long = ["reconstruct", "--method", "tv", "--tv-iterations", "1000000", "-o", folder];
        let mut child = start(dir.path(), &long);
        while hidden().is_empty() {
            std::thread::sleep(Duration::from_millis(1));
        }
        // While it lives, nobody takes its folder or what it hides.
        let before = hidden();
        let refusal = gradus(dir.path(), &[&QUICK[..], &["-o", folder]].concat());
        assert_eq!(refusal.status.code(), Some(2), "{}", message(&refusal));
        assert!(message(&refusal).contains("another run is under way"), "{}", message(&refusal));
        json(&gradus(dir.path(), &[&QUICK[..], &["-o", &format!("beside-{folder}")]].concat()));
        assert_eq!(hidden(), before);
        child.kill().unwrap();
        child.wait().unwrap();
        json(&gradus(dir.path(), &[&QUICK[..], &["-o", folder]].concat()));
        assert!(hidden().is_empty(), "{:?}", hidden());
        assert_eq!(listing(&dir.path().join(folder)), FILES);
    }
}

#[test]
fn the_toy_claims_its_folder_before_it_computes() {
    let dir = tempfile::tempdir().unwrap();
    let toy = ["toy", "--method", "flow", "--t-max-index", "30", "-o", "out", "--json"];
    let outputs = at_once(dir.path(), &vec![toy.to_vec(); 3]);
    let codes: Vec<Option<i32>> = outputs.iter().map(|output| output.status.code()).collect();
    assert_eq!(codes.iter().filter(|code| **code == Some(0)).count(), 1, "{codes:?}");
    for said in outputs.iter().filter(|output| output.status.code() != Some(0)).map(message) {
        assert!(said.contains("another run is under way") || said.contains("exists already"), "{said}");
    }
    assert_eq!(listing(&dir.path().join("out")), ["rates-by-iteration.csv", "rates.csv"]);
    assert_eq!(listing(dir.path()), ["out"]);
}

/// Two evaluations in one folder, of different tables and of the same: all rows of both are kept.
#[test]
fn evaluations_in_one_folder_lose_no_rows() {
    let dir = tempfile::tempdir().unwrap();
    let evaluate = |table: &'static str, images: &'static str, output: &'static str| -> Vec<&str> {
        let short = ["evaluate", "--steps", "2", "--tv-iterations", "2", "--starts", "2", "--threads", "1", "--json"];
        [&short[..], &["--table", table, "--images", images, "-o", output]].concat()
    };
    let keys = |folder: &str| -> Vec<String> {
        let csv = fs::read_to_string(dir.path().join(folder).join("results.csv")).unwrap();
        csv.lines().map(|line| line.splitn(4, ',').take(3).collect::<Vec<_>>().join(",")).collect()
    };
    json(&gradus(dir.path(), &evaluate("1", "2", "whole")));
    json(&gradus(dir.path(), &evaluate("2", "2", "whole")));
    let jobs = [evaluate("1", "1", "out"), evaluate("2", "2", "out"), evaluate("1", "2", "out")];
    at_once(dir.path(), &jobs).iter().for_each(|output| drop(json(output)));
    assert_eq!(keys("out"), keys("whole"));
    // Who begins with other settings at the same moment is refused.
    let other = [evaluate("1", "1", "new"), [&evaluate("1", "1", "new")[..], &["--alpha-per-std", "3"]].concat()];
    let mut codes: Vec<Option<i32>> = at_once(dir.path(), &other).iter().map(|output| output.status.code()).collect();
    codes.sort_unstable();
    assert_eq!(codes, [Some(0), Some(2)]);
}

/// The checkpoints of two processes would replace each other.
#[test]
fn a_training_run_has_one_process_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("run.toml"), super::hostile::training("")).unwrap();
    let first = start(dir.path(), &["train", "run.toml", "-o", "out", "--json"]);
    wait_for(&dir.path().join("out/checkpoint.safetensors"));
    let second = gradus(dir.path(), &["train", "--resume", "out"]);
    assert!(second.status.code() == Some(2) && message(&second).contains("under way"), "{}", message(&second));
    let summary: Value = json(&first.wait_with_output().unwrap());
    assert_eq!(summary["done"], true);
    // What a killed process has left goes with the next; what is not sure to be nobody's stays.
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let (dead, unknown) = (format!(".gradus-{}-77.part", &boot[..8]), ".gradus-elsewhere-77.part");
    for name in [&dead, unknown, ".checkpoint.safetensors.1-0.part"] {
        fs::write(dir.path().join("out").join(name), "half").unwrap();
    }
    json(&gradus(dir.path(), &["train", "--resume", "out", "--json"]));
    let left = listing(&dir.path().join("out"));
    assert!(!left.contains(&dead) && left.contains(&unknown.to_owned()), "{left:?}");
}
