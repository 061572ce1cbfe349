//! The way between host and device.

use serde::Serialize;

/// Copies and launches so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Traffic {
    /// Bytes copied to the device.
    pub bytes_to_device: u64,
    /// Bytes copied to the host.
    pub bytes_to_host: u64,
    /// Copies, either way.
    pub transfers: u64,
    /// Kernels launched.
    pub launches: u64,
}
