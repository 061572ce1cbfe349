//! GPUs that passed their checks, remembered, so that a run need not check again.
//!
//! A verdict holds for one driver, one card, one program and one prior. It is a line of a small file in the user's
//! cache folder; a file that is not there, cannot be read or holds something else means no more than that checks are
//! made.

use super::cuda::distrust;
use crate::backend::cuda::{Device, devices, kernel_sources};
use crate::data::{make_folder, write_atomically};
use crate::prior::Prior;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::SystemTime;

const FILE: &str = "trusted-gpus";
/// Lines that are kept: those of the latest verdicts.
const MOST: usize = 64;

/// The reason not to trust a device with a prior; checks are made once, where the user has a cache folder.
#[must_use]
pub fn distrust_once(device: &Rc<Device>, prior: &Prior) -> Option<String> {
    match cache_folder() {
        Some(folder) => distrust_once_by(&folder, device, prior),
        None => distrust(device, prior),
    }
}

/// The same, with verdicts in a folder.
#[must_use]
pub fn distrust_once_by(folder: &Path, device: &Rc<Device>, prior: &Prior) -> Option<String> {
    let Some(key) = key(device, prior) else { return distrust(device, prior) };
    let path = folder.join(FILE);
    let trusted = fs::read_to_string(&path).unwrap_or_default();
    if trusted.lines().any(|line| line == key) {
        return None;
    }
    let doubt = distrust(device, prior);
    if doubt.is_none() {
        let before: Vec<&str> = trusted.lines().filter(|line| is_key(line)).collect();
        let kept = before.len().saturating_sub(MOST - 1);
        let lines: String =
            before[kept..].iter().copied().chain([key.as_str()]).flat_map(|line| [line, "\n"]).collect();
        // Where it cannot be kept, the next run checks again.
        let _ = make_folder(folder);
        let _ = write_atomically(&path, lines.as_bytes());
    }
    doubt
}

fn is_key(line: &str) -> bool {
    line.len() == 16 && line.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The subject of a verdict; `None` where something of it cannot be told.
fn key(device: &Device, prior: &Prior) -> Option<String> {
    let card = devices().ok()?.into_iter().find(|found| found.ordinal == device.ordinal())?;
    let program = fs::metadata(std::env::current_exe().ok()?).ok()?;
    let changed = program.modified().ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    let mut hasher = DefaultHasher::new();
    // The driver's exact version, where the system tells it.
    (device.driver_version().ok()?, fs::read("/proc/driver/nvidia/version").ok()).hash(&mut hasher);
    (card.name, card.capability, card.memory, card.multiprocessors).hash(&mut hasher);
    (env!("CARGO_PKG_VERSION"), program.len(), changed, kernel_sources()).hash(&mut hasher);
    prior.weights().parameters().iter().for_each(|parameter| parameter.to_bits().hash(&mut hasher));
    Some(format!("{:016x}", hasher.finish()))
}

/// The user's folder for what can be made again.
fn cache_folder() -> Option<PathBuf> {
    let of = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = if cfg!(windows) {
        of("LOCALAPPDATA")
    } else {
        of("XDG_CACHE_HOME").or_else(|| of("HOME").map(|home| home.join(".cache")))
    };
    cache.map(|cache| cache.join("gradus"))
}
