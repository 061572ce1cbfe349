//! Device memory in blocks that buffers share: a driver takes as long for a small piece of memory as for a large one.
#![allow(unsafe_code)]

use super::error::{DeviceError, while_doing};
use cust::memory::{DeviceBuffer, mem_get_info};
use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

/// Buffers begin at multiples of so many bytes, as they would by themselves.
const ALIGNMENT: usize = 256;
/// Bytes of a block that nobody reserved, and of a buffer at most that has its place in one.
const BLOCK: usize = 4 << 20;
const SMALL: usize = BLOCK / 4;

/// A piece of device memory, filled from the front; it is given back with the last buffer in it.
pub(super) struct Block {
    memory: DeviceBuffer<u8>,
    used: Cell<usize>,
}

/// Bytes that are free.
pub(super) fn free_memory() -> Result<usize, DeviceError> {
    Ok(mem_get_info().map_err(while_doing("asking for free memory"))?.0)
}

/// Check that `needed` more bytes are free.
pub(super) fn require(needed: usize, what: &'static str) -> Result<(), DeviceError> {
    let free = free_memory()?;
    if needed > free { Err(DeviceError::OutOfMemory { what, needed, free }) } else { Ok(()) }
}

impl Block {
    fn new(bytes: usize, what: &'static str) -> Result<Rc<Self>, DeviceError> {
        require(bytes, what)?;
        // SAFETY: kernels and copies write before anything reads; bytes of any kind are values of what buffers hold.
        let memory = unsafe { DeviceBuffer::uninitialized(bytes) }.map_err(while_doing("taking memory"))?;
        Ok(Rc::new(Self { memory, used: Cell::new(0) }))
    }

    pub(super) fn memory(&self) -> &DeviceBuffer<u8> {
        &self.memory
    }

    fn has_room(&self, bytes: usize) -> bool {
        bytes <= self.memory.len() - self.used.get()
    }

    /// Takes the next bytes, for which there is room.
    fn take(&self, bytes: usize) -> usize {
        let begin = self.used.get();
        self.used.set((begin + bytes).next_multiple_of(ALIGNMENT).min(self.memory.len()));
        begin
    }
}

/// The block that is being filled, where somebody keeps it.
#[derive(Default)]
pub(super) struct Arena {
    filling: RefCell<Weak<Block>>,
    allocations: Cell<u64>,
    keeps_apart: Cell<bool>,
}

/// Room for the buffers that are made while it is there.
#[must_use = "the room is given back with it, unless buffers have taken some"]
pub(super) struct Reservation {
    _block: Option<Rc<Block>>,
}

impl Arena {
    /// Pieces of memory that were taken from the driver.
    pub(super) fn allocations(&self) -> u64 {
        self.allocations.get()
    }

    /// From now on each buffer has memory of its own, so that what strays beyond it is seen.
    pub(super) fn keep_apart(&self) {
        self.keeps_apart.set(true);
    }

    /// Room for buffers of so many bytes together, about; `what` they are for.
    pub(super) fn reserve(&self, bytes: usize, what: &'static str) -> Result<Reservation, DeviceError> {
        if self.keeps_apart.get() {
            require(bytes, what)?;
            return Ok(Reservation { _block: None });
        }
        if let Some(block) = self.with_room(bytes) {
            return Ok(Reservation { _block: Some(block) });
        }
        let block = self.block(bytes, what)?;
        self.filling.replace(Rc::downgrade(&block));
        Ok(Reservation { _block: Some(block) })
    }

    /// A block, and where in it there are so many bytes.
    pub(super) fn take(&self, bytes: usize) -> Result<(Rc<Block>, usize), DeviceError> {
        const WHAT: &str = "a buffer";
        if self.keeps_apart.get() {
            return Ok((self.block(bytes, WHAT)?, 0));
        }
        if let Some(block) = self.with_room(bytes) {
            let begin = block.take(bytes);
            return Ok((block, begin));
        }
        if bytes > SMALL || free_memory()? < BLOCK {
            return Ok((self.block(bytes, WHAT)?, 0));
        }
        let block = self.block(BLOCK, WHAT)?;
        self.filling.replace(Rc::downgrade(&block));
        let begin = block.take(bytes);
        Ok((block, begin))
    }

    fn block(&self, bytes: usize, what: &'static str) -> Result<Rc<Block>, DeviceError> {
        self.allocations.set(self.allocations.get() + 1);
        Block::new(bytes, what)
    }

    fn with_room(&self, bytes: usize) -> Option<Rc<Block>> {
        self.filling.borrow().upgrade().filter(|block| block.has_room(bytes))
    }
}
