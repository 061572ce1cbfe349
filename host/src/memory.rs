//! Memory: how much can be had, and the least that a network takes.
//!
//! Requests that cannot fit are refused beforehand, with what they take, what can be had, and a remedy.
use crate::ct::Geometry;
use crate::limits::{self, PARAMETERS};
use crate::prior::Prior;
use crate::unet::{Architecture, layers};
use std::fs;

/// A work that does not fit into memory.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} takes at least {needed_mib} MiB of memory, and {available_mib} MiB can be had; {advice}")]
pub struct TooLittleMemory {
    /// The thing that takes it.
    pub what: &'static str,
    /// Mebibytes that it takes at least.
    pub needed_mib: u64,
    /// Mebibytes that can be had.
    pub available_mib: u64,
    /// The remedy.
    pub advice: &'static str,
}

/// Refuses what takes more bytes than can be had, as far as the system says how many these are.
///
/// # Errors
/// [`TooLittleMemory`] says what is needed, what can be had, and the remedy.
pub fn check(what: &'static str, bytes: u64, advice: &'static str) -> Result<(), TooLittleMemory> {
    match available() {
        Some(available) if bytes > available => {
            Err(TooLittleMemory { what, needed_mib: bytes >> 20, available_mib: available >> 20, advice })
        }
        _ => Ok(()),
    }
}

/// Bytes that this process can still get: the least of what the system has, what its control group may take, what its
/// address space may grow by, and what the user lets it take.
#[must_use]
pub fn available() -> Option<u64> {
    let number = |path: &str| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let field = |path: &str, name: &str, place: usize| {
        let text = fs::read_to_string(path).ok()?;
        text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().nth(place)?.parse::<u64>().ok()
    };
    let system = field("/proc/meminfo", "MemAvailable:", 0).map(|kib| kib << 10);
    let group = number("/sys/fs/cgroup/memory.max")
        .zip(number("/sys/fs/cgroup/memory.current"))
        .map(|(most, now)| most.saturating_sub(now));
    let space = field("/proc/self/limits", "Max address space", 0)
        .zip(field("/proc/self/status", "VmSize:", 0))
        .map(|(most, now_kib)| most.saturating_sub(now_kib << 10));
    let own = limits::memory().map(|most| {
        let now_kib = field("/proc/self/status", "VmRSS:", 0).unwrap_or(0);
        most.saturating_sub(now_kib << 10)
    });
    [system, group, space, own].into_iter().flatten().min()
}

/// Bytes that a scan takes at least while it is worked on: sinogram and image, as they are and in the units of the
/// work.
#[must_use]
pub fn of_scan(geometry: &Geometry) -> u64 {
    2 * size_of::<f32>() as u64 * (geometry.sinogram_len() + geometry.image_len()) as u64
}

/// Bytes that the outputs of all layers of a network take at least, for an image of so many pixels.
#[must_use]
pub fn of_layers(network: &Architecture, pixels: u64) -> u64 {
    let unshuffled = (network.pixel_unshuffle * network.pixel_unshuffle).max(1) as u64;
    let of_layer = |layer: &layers::Layer| (pixels / (unshuffled << (2 * layer.level)).max(1)) * layer.output as u64;
    size_of::<f32>() as u64 * layers::layers(network).iter().map(of_layer).sum::<u64>()
}

/// Bytes that a prior takes at least, for an image of so many pixels.
#[must_use]
pub fn of_prior(prior: &Prior, pixels: u64) -> u64 {
    of_layers(prior.weights().architecture(), pixels)
}

/// Parameters of a network whose description has been checked; no more than one beyond the limit.
#[must_use]
pub fn parameters(network: &Architecture) -> usize {
    let tensors = layers::tensors(network);
    let sizes = tensors.iter().map(|(_, shape)| shape.iter().product::<usize>());
    sizes.fold(0, |sum: usize, size| sum.saturating_add(size)).min(PARAMETERS + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unet::architecture::tests::small;

    #[test]
    fn what_cannot_fit_is_refused() {
        assert_eq!(check("nothing", 0, ""), Ok(()));
        if let Some(available) = available() {
            let error = check("everything", available.saturating_mul(2), "take less").unwrap_err().to_string();
            assert!(error.contains("everything takes at least") && error.ends_with("take less"), "{error}");
        }
    }

    #[test]
    fn layers_take_what_their_outputs_take() {
        // 16 x 16 pixels are 8 x 8 of 4 channels; the first layer alone has 8 channels.
        assert!(of_layers(&small(), 256) > 4 * 64 * 8);
        assert_eq!(of_layers(&small(), 1024), 4 * of_layers(&small(), 256));
        assert!(parameters(&small()) > 1000);
    }
}
