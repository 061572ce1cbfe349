//! A disk that is full at any moment: every call that changes it fails once, and no result is half there.

use super::durable::preloaded;
use super::folders::FILES;
use super::{listing, message, text};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Runs the command where call number `fault` fails; the output, and whether there were so many calls.
fn faulty(folder: &Path, library: &Path, fault: u32, arguments: &[&str]) -> (Output, bool) {
    let made = folder.join("fault");
    let mut command = Command::new(env!("CARGO_BIN_EXE_gradus"));
    command.current_dir(folder).args(arguments).env("LD_PRELOAD", library);
    let output = command.env("GRADUS_FAULT", fault.to_string()).env("GRADUS_FAULT_MADE", &made).output().unwrap();
    (output, fs::remove_file(made).is_ok())
}

/// The command, with each of its calls failing in a place of its own that `prepare` makes. What it leaves is judged:
/// nothing, or whole. Returns how many calls there are.
fn with_every_fault(arguments: &[&str], prepare: impl Fn(&Path), judge: impl Fn(&Path, &Output, u32)) -> u32 {
    let home = tempfile::tempdir().unwrap();
    let library = preloaded(home.path(), "faults");
    for fault in 1.. {
        let place = home.path().join(fault.to_string());
        fs::create_dir(&place).unwrap();
        prepare(&place);
        let (output, is_made) = faulty(&place, &library, fault, arguments);
        let code = output.status.code();
        assert!(code == Some(2) || code == Some(0), "call {fault}: {code:?} {}", text(&output.stderr));
        judge(&place, &output, fault);
        if !is_made {
            assert_eq!(code, Some(0), "{}", text(&output.stderr));
            return fault - 1;
        }
    }
    0
}

fn small_image(place: &Path) {
    let bytes: Vec<u8> = (0..256).flat_map(|k| (k as f32 / 256.0).to_le_bytes()).collect();
    super::bad_input::npy(&place.join("small.npy"), "<f4", "(16, 16)", &bytes);
}

/// The folder that an error says the result is in, of which the lines are broken anywhere.
fn kept(output: &Output) -> Option<PathBuf> {
    let said: String = message(output).split_whitespace().collect();
    let (_, rest) = said.split_once("iswholein").or_else(|| said.split_once("theimageisin"))?;
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && !"/._-".contains(c)).unwrap_or(rest.len());
    Some(PathBuf::from(rest[..end].trim_end_matches('.')))
}

#[test]
fn a_scan_is_whole_or_not_there() {
    let calls = with_every_fault(
        &["simulate", "small.npy", "--angles", "4", "-o", "scan.npz"],
        small_image,
        |place, output, fault| {
            let is_done = output.status.code() == Some(0);
            let expected: &[&str] = if is_done { &["scan.npz", "small.npy"] } else { &["small.npy"] };
            let found = listing(place);
            // What is there although its last flush failed is whole, too.
            let is_whole = is_done || gradus::data::scan::Scan::read(place.join("scan.npz")).is_ok();
            assert!(found == expected || is_whole, "call {fault}: {found:?} {}", text(&output.stderr));
            assert!(found.iter().all(|name| !name.starts_with('.')), "call {fault}: {found:?}");
        },
    );
    assert!(calls >= 4, "only {calls} calls can fail: they are not seen");
}

#[test]
fn a_run_is_whole_or_says_where_its_image_is() {
    for is_there in [false, true] {
        let prepare = |place: &Path| {
            small_image(place);
            if is_there {
                fs::create_dir(place.join("out")).unwrap();
            }
        };
        let run = ["reconstruct", "small.npy", "--angles", "4", "--method", "fbp", "-o", "out"];
        let calls = with_every_fault(&run, prepare, |place, output, fault| {
            let of_out = if place.join("out").exists() { listing(&place.join("out")) } else { Vec::new() };
            let said = message(output);
            let shown: Vec<&String> = of_out.iter().filter(|name| !name.starts_with('.')).collect();
            if output.status.code() == Some(0) || said.contains("may not last") {
                assert_eq!(shown, FILES, "call {fault}: {said}");
            } else if let Some(kept) = kept(output) {
                assert!(shown.iter().all(|name| kept.ends_with(name.as_str())), "call {fault}: {of_out:?}: {said}");
                let files = listing(&place.join(&kept));
                let has_image = files.contains(&FILES[0].into()) && !said.contains("it is whole");
                assert!(has_image || files == FILES, "call {fault}: {} has {files:?}: {said}", kept.display());
            } else {
                assert!(shown.is_empty(), "call {fault}: {of_out:?}, and no word of it: {said}");
            }
            // Nothing hidden stays.
            let hidden = listing(place).into_iter().chain(of_out.clone()).find(|name| name.starts_with('.'));
            assert_eq!(hidden, None, "call {fault}: {said}");
        });
        assert!(calls >= 20, "only {calls} calls can fail: they are not seen");
    }
}
