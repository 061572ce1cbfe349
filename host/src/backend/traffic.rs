//! The way between host and device.

use serde::Serialize;

/// Copies, waits and launches so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Traffic {
    /// Bytes copied to the device.
    pub bytes_to_device: u64,
    /// Bytes copied to the host.
    pub bytes_to_host: u64,
    /// Copies, either way.
    pub transfers: u64,
    /// Waits of the host for the device.
    pub waits: u64,
    /// Kernels launched, alone or in graphs.
    pub launches: u64,
    /// Graphs of kernels launched.
    pub graphs: u64,
}
