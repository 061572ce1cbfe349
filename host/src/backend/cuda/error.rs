//! Errors of a device.

use super::loader;
use cust::error::CudaError;

/// Reasons why a device cannot be used, or stopped working.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// There is no driver.
    #[error("no NVIDIA driver: {} is not on this machine; install the driver, or use device cpu", loader::LIBRARY)]
    NoDriver,
    /// The driver does not know the kernels' PTX.
    #[error("the NVIDIA driver supports CUDA {}.{}, and the kernels need {}.{}; update the driver",
            found / 1000, found % 1000 / 10, needed / 1000, needed % 1000 / 10)]
    OldDriver {
        /// The version that the driver names, 1000 major + 10 minor.
        found: i32,
        /// The version that PTX ISA 8.4 needs.
        needed: i32,
    },
    /// There are fewer devices.
    #[error("there is no device cuda:{ordinal}; the driver has {found}")]
    NoDevice {
        /// The device asked for.
        ordinal: u32,
        /// Number of devices.
        found: u32,
    },
    /// The device's instruction set is too old.
    #[error("cuda:{ordinal} has compute capability {}.{}, and the kernels need 8.0", found.0, found.1)]
    OldDevice {
        /// The device.
        ordinal: u32,
        /// Its compute capability.
        found: (i32, i32),
    },
    /// Tensor cores are wanted of the CPU.
    #[error(
        "precision tf32 needs a GPU's tensor cores, and the device is cpu; use precision full, or device auto or cuda:N"
    )]
    NoTensorCores,
    /// The device has too little free memory.
    #[error("the device has {free} bytes free, and {what} needs {needed}; use fewer images at once, or another device")]
    OutOfMemory {
        /// The purpose of the memory.
        what: &'static str,
        /// Bytes that it needs in all.
        needed: usize,
        /// Bytes that were free before.
        free: usize,
    },
    /// A size does not fit into the kernels' 32 bits.
    #[error(
        "{0} values in one image or tensor are more than the kernels can count; use smaller images, or --device cpu"
    )]
    TooLarge(usize),
    /// A call failed, perhaps because of a kernel before it.
    #[error("the device failed while {doing}: {cause}")]
    Failed {
        /// The host's wish.
        doing: &'static str,
        /// The driver's word.
        cause: String,
    },
}

/// A size as the kernels take it.
pub(super) fn int(n: usize) -> Result<i32, DeviceError> {
    i32::try_from(n).map_err(|_| DeviceError::TooLarge(n))
}

/// Names what was being done when `cust` reported an error.
pub(super) fn while_doing(doing: &'static str) -> impl FnOnce(CudaError) -> DeviceError {
    move |error| DeviceError::Failed { doing, cause: format!("{error} ({error:?})") }
}
