//! Tells the program its commit and its features, and the linker where the stand-in for the driver's library lies.
//!
//! The commit is read from the files of git, without git. A packaged crate says it in `.cargo_vcs_info.json`. Nothing
//! is run again before one of these files changes.
#![allow(missing_docs)]

use std::fs::read_to_string;
use std::path::{Path, PathBuf};

/// Digits of a commit that are shown.
const DIGITS: usize = 10;

fn main() {
    let here = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-env=GRADUS_COMMIT={}", commit(&here).unwrap_or_else(|| "unknown".to_owned()));
    println!("cargo:rustc-env=GRADUS_FEATURES={}", features());
    // `cust` asks for a library `cuda`. Without a configuration of cargo, as in `cargo install --git`, this finds it.
    println!("cargo:rustc-link-search=native={}", here.join("link/lib64").display());
}

fn features() -> String {
    let names = std::env::vars().filter_map(|(name, _)| Some(name.strip_prefix("CARGO_FEATURE_")?.to_lowercase()));
    let mut names: Vec<String> = names.filter(|name| name != "default").collect();
    names.sort();
    if names.is_empty() { "none".to_owned() } else { names.join("+").replace('_', "-") }
}

/// The first digits of the commit, where they can be found.
fn commit(here: &Path) -> Option<String> {
    let packaged = read(&here.join(".cargo_vcs_info.json"));
    let hash = packaged.and_then(|text| Some(text.split("\"sha1\": \"").nth(1)?.to_owned())).or_else(|| head(here))?;
    let digits: String = hash.chars().take_while(char::is_ascii_hexdigit).take(DIGITS).collect();
    (digits.len() == DIGITS).then_some(digits)
}

/// The commit that `HEAD` of the repository around `here` points at.
fn head(here: &Path) -> Option<String> {
    let git = here.ancestors().map(|folder| folder.join(".git")).find(|git| git.exists())?;
    // In a worktree it is a file that names the folder, and there one names the folder that all worktrees share.
    let git = match read(&git) {
        Some(text) => git.parent()?.join(text.strip_prefix("gitdir: ")?.trim_end()),
        None => git,
    };
    let shared = read(&git.join("commondir")).map_or_else(|| git.clone(), |text| git.join(text.trim_end()));
    // Every commit and every checkout adds a line here; a branch may have no file of its own before.
    let log = git.join("logs/HEAD");
    if log.exists() {
        println!("cargo:rerun-if-changed={}", log.display());
    }
    let head = read(&git.join("HEAD"))?;
    let Some(name) = head.strip_prefix("ref: ").map(str::trim_end) else { return Some(head) };
    let packed = || {
        let refs = read(&shared.join("packed-refs"))?;
        let line = refs.lines().find(|line| line.ends_with(name))?;
        Some(line.split(' ').next()?.to_owned())
    };
    read(&git.join(name)).or_else(|| read(&shared.join(name))).or_else(packed)
}

/// A file that is there; its changes are watched. Folders have no text.
fn read(path: &Path) -> Option<String> {
    let text = read_to_string(path).ok()?;
    println!("cargo:rerun-if-changed={}", path.display());
    Some(text)
}
