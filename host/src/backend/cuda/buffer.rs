//! Values in device memory, and copies of them.
#![allow(unsafe_code)]

use super::arena::Block;
use super::device::Device;
use super::error::{DeviceError, while_doing};
use super::outbox::Outbox;
use cust::memory::{AsyncCopyDestination, DeviceSlice};
use gradus_cuda_kernels::Address;
use std::marker::PhantomData;
use std::ops::Range;
use std::rc::Rc;

/// Values that are the same bytes on host and device.
///
/// # Safety
/// Without padding, and any bytes are a value.
pub unsafe trait Plain: Copy {}
// SAFETY: numbers, and records of them that fill their size, as `repr(C)` lays them out.
unsafe impl Plain for f32 {}
// SAFETY: as above.
unsafe impl Plain for f64 {}
// SAFETY: as above.
unsafe impl Plain for i32 {}
// SAFETY: as above.
unsafe impl Plain for u32 {}
// SAFETY: as above.
unsafe impl<const N: usize> Plain for [f32; N] {}
// SAFETY: as above.
unsafe impl<const N: usize> Plain for [f64; N] {}
/// Records that fill their size: each with the sum of the sizes of its fields, which the compiler compares.
macro_rules! plain {
    ($($record:path: $bytes:expr;)+) => { $(
        const _: () = assert!(size_of::<$record>() == $bytes);
        // SAFETY: the fields are numbers, and the sum of their sizes is that of the record: there is no padding.
        unsafe impl Plain for $record {}
    )+ };
}
plain! {
    gradus_cuda_kernels::pixel_shuffle::LaneScalars: 6 * 4;
    gradus_cuda_kernels::vector::DirectionScalars: 5 * 4;
    gradus_cuda_kernels::solve::MirrorScalars: 4 * 4;
    gradus_cuda_kernels::projector::View: 3 * 8 + 4 * 4;
    gradus_cuda_kernels::fan::FanRay: 2 * 8 + 2 * 4;
    gradus_cuda_kernels::fan::FanSegment: 5 * 4;
    gradus_cuda_kernels::fan::FanView: 8 * 4;
    gradus_cuda_kernels::conjugate_gradient::Recurrence: 8 + 10 * 4;
    gradus_cuda_kernels::conv_pack::PackRecord: 8 + 10 * 4 + 16;
    gradus_cuda_kernels::training_loss::LossScalars: 8 + 2 * 4;
}

/// Values in device memory.
pub struct Buffer<T> {
    /// Its memory, and where in it the first value is.
    block: Rc<Block>,
    begin: usize,
    len: usize,
    device: Rc<Device>,
    _values: PhantomData<T>,
}

impl<T> std::fmt::Debug for Buffer<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Buffer({} values on {:?})", self.len, self.device)
    }
}

impl<T: Plain> Buffer<T> {
    /// `len` values that nothing has been written to; at least one.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub fn new(device: &Rc<Device>, len: usize) -> Result<Self, DeviceError> {
        let needed = len.max(1).saturating_mul(size_of::<T>());
        let (block, begin) = device.arena().take(needed)?;
        Ok(Self { block, begin, len, device: Rc::clone(device), _values: PhantomData })
    }

    /// A copy of `values`.
    ///
    /// # Errors
    /// `OutOfMemory`, and `Failed`.
    pub fn of(device: &Rc<Device>, values: &[T]) -> Result<Self, DeviceError> {
        let mut buffer = Self::new(device, values.len())?;
        buffer.upload(0, values)?;
        Ok(buffer)
    }

    /// Number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// True if there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Address of its first element.
    #[must_use]
    pub fn address(&self) -> Address<T> {
        Address::new(self.block.memory().as_device_ptr().as_raw() + self.begin as u64)
    }

    /// Bytes of the values of a range.
    fn bytes(&self, values: Range<usize>) -> DeviceSlice<u8> {
        let place = |value: usize| self.begin + value * size_of::<T>();
        self.block.memory().index(place(values.start)..place(values.end))
    }

    /// Copies `values` to the place `first`. They may change when this returns: a copy of them is what the device
    /// reads.
    ///
    /// # Errors
    /// `Failed`, where the driver refuses the copy.
    ///
    /// # Panics
    /// When they do not fit.
    pub fn upload(&mut self, first: usize, values: &[T]) -> Result<(), DeviceError> {
        assert!(first + values.len() <= self.len, "values beyond the buffer");
        if values.is_empty() {
            return Ok(());
        }
        // SAFETY: values without padding are bytes.
        let bytes = unsafe { std::slice::from_raw_parts(values.as_ptr().cast::<u8>(), size_of_val(values)) };
        let doing = || while_doing("copying to the device");
        let to = &mut self.bytes(first..first + values.len());
        self.device.may_copy()?;
        if bytes.len() > Outbox::CAPACITY {
            // SAFETY: the borrow of `values` outlives the copy, which ends before this returns; the range is of this
            // buffer.
            unsafe { to.async_copy_from(bytes, self.device.stream()) }.map_err(doing())?;
            self.device.synchronise()?;
        } else {
            self.device.send(bytes, |held, stream| {
                // SAFETY: the device's outbox holds the bytes until they have been read; the range is of this buffer.
                unsafe { to.async_copy_from(held, stream) }.map_err(doing())
            })?;
        }
        self.device.count(|traffic| {
            traffic.bytes_to_device += bytes.len() as u64;
            traffic.transfers += 1;
        });
        Ok(())
    }

    /// Waits for the device and copies values from the place `first` on.
    ///
    /// # Errors
    /// `Failed`, also for kernels that failed before.
    ///
    /// # Panics
    /// When there are not that many.
    pub fn download(&self, first: usize, values: &mut [T]) -> Result<(), DeviceError> {
        // SAFETY: the exclusive borrow outlives the copy, which ends before this returns.
        let begun = unsafe { self.begin_download(first, values) };
        self.device.synchronise()?;
        begun
    }

    /// The first values of this and of another buffer, after one wait.
    ///
    /// # Errors
    /// As [`download`](Self::download).
    ///
    /// # Panics
    /// As [`download`](Self::download).
    pub(super) fn download_both<U: Plain>(
        &self,
        values: &mut [T],
        (other, of_other): (&Buffer<U>, &mut [U]),
    ) -> Result<(), DeviceError> {
        // SAFETY: both exclusive borrows outlive the copies, which end before this returns.
        let begun = unsafe { [self.begin_download(0, values), other.begin_download(0, of_other)] };
        self.device.synchronise()?;
        begun.into_iter().collect()
    }

    /// Begins to copy values from the place `first` on.
    ///
    /// # Safety
    /// They are not looked at, and stay where they are, until the device was waited for.
    unsafe fn begin_download(&self, first: usize, values: &mut [T]) -> Result<(), DeviceError> {
        assert!(first + values.len() <= self.len, "values beyond the buffer");
        if values.is_empty() {
            return Ok(());
        }
        self.device.may_copy()?;
        let n = values.len();
        // SAFETY: any bytes are values; and what the caller promises.
        let bytes = unsafe { std::slice::from_raw_parts_mut(values.as_mut_ptr().cast::<u8>(), size_of_val(values)) };
        // SAFETY: the range is of this buffer; and what the caller promises.
        unsafe { self.bytes(first..first + n).async_copy_to(bytes, self.device.stream()) }
            .map_err(while_doing("copying to the host"))?;
        self.device.count(|traffic| {
            traffic.bytes_to_host += bytes.len() as u64;
            traffic.transfers += 1;
        });
        Ok(())
    }

    /// All values, on the host.
    ///
    /// # Errors
    /// `Failed`, where the driver refuses the copy.
    pub fn to_vec(&self) -> Result<Vec<T>, DeviceError>
    where
        T: Default,
    {
        let mut values = vec![T::default(); self.len];
        self.download(0, &mut values)?;
        Ok(values)
    }
}
