//! Bytes on their way to the device, which stay as they are until the device has read them.
#![allow(unsafe_code)]

use super::error::{DeviceError, while_doing};
use cust::memory::LockedBuffer;

/// Page-locked memory that is filled from the front; what was read is given up all at once, when the device was waited
/// for. A copy from other memory may be read late, too: where device and host share their page tables.
pub(super) struct Outbox {
    bytes: LockedBuffer<u8>,
    used: usize,
}

impl Outbox {
    /// Bytes that it holds; what is larger is copied from where it is.
    pub(super) const CAPACITY: usize = 1 << 20;

    pub(super) fn new() -> Result<Self, DeviceError> {
        // SAFETY: bytes are read only where `hold` has written them.
        let bytes = unsafe { LockedBuffer::uninitialized(Self::CAPACITY) };
        Ok(Self { bytes: bytes.map_err(while_doing("taking page-locked memory"))?, used: 0 })
    }

    /// True if so many bytes more fit.
    pub(super) fn has_room(&self, n: usize) -> bool {
        self.used + n <= Self::CAPACITY
    }

    /// Everything in it has been read.
    pub(super) fn clear(&mut self) {
        self.used = 0;
    }

    /// A copy of `bytes`, for which there is room; it stays until everything has been read.
    pub(super) fn hold(&mut self, bytes: &[u8]) -> &[u8] {
        let begin = self.used;
        self.used += bytes.len();
        let held = &mut self.bytes[begin..self.used];
        held.copy_from_slice(bytes);
        held
    }
}
