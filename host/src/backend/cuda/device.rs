//! The one place that talks to the driver: a device with its stream, its buffers, and launches.
#![allow(unsafe_code)]

use super::error::{DeviceError, while_doing};
use super::loader::driver_is_present;
use cust::context::Context;
use cust::device::DeviceAttribute;
use cust::event::{Event, EventFlags};
use cust::function::Function;
use cust::memory::{AsyncCopyDestination, DeviceBuffer, mem_get_info};
use cust::module::Module;
use cust::stream::{Stream, StreamFlags};
use cust::{CudaApiVersion, CudaFlags};
use gradus_cuda_kernels::{Address, BLOCK, Entry, SOURCES};
use serde::Serialize;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::marker::PhantomData;
use std::rc::Rc;

/// The first CUDA version whose drivers take PTX ISA 9.0, and the compute capability of the PTX.
const NEEDED_VERSION: i32 = 13_000;
const NEEDED_CAPABILITY: (i32, i32) = (8, 0);

/// What has crossed between host and device.
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

/// Kernels with how often they were launched and the seconds that they took in all.
pub type Profile = BTreeMap<&'static str, (u64, f64)>;

/// A device with one stream: everything happens in the order in which it was asked for.
pub struct Device {
    functions: HashMap<&'static str, Function<'static>>,
    stream: Stream,
    traffic: Cell<Traffic>,
    /// Launches and seconds per kernel, while they are measured.
    profile: RefCell<Option<Profile>>,
    name: String,
    ordinal: u32,
    /// Last, because everything above lives in it. Bound to the thread that made it.
    _context: Context,
    _not_send: PhantomData<*const ()>,
}

impl std::fmt::Debug for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Device").field("ordinal", &self.ordinal).field("name", &self.name).finish_non_exhaustive()
    }
}

/// What the driver says of a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Description {
    /// Number of the device.
    pub ordinal: u32,
    /// Its name.
    pub name: String,
    /// Compute capability.
    pub capability: (i32, i32),
    /// Bytes of its memory.
    pub memory: usize,
}

/// The devices of this machine.
///
/// # Errors
/// `NoDriver` and `OldDriver`; `Failed` when the driver does.
pub fn devices() -> Result<Vec<Description>, DeviceError> {
    initialise()?;
    let count = cust::device::Device::num_devices().map_err(while_doing("counting the devices"))?;
    (0..count).map(|ordinal| describe(ordinal).map(|(_, description)| description)).collect()
}

fn initialise() -> Result<(), DeviceError> {
    if !driver_is_present() {
        return Err(DeviceError::NoDriver);
    }
    cust::init(CudaFlags::empty()).map_err(while_doing("starting the driver"))?;
    let version = CudaApiVersion::get().map_err(while_doing("asking for the driver's version"))?;
    let found = version.major() * 1000 + version.minor() * 10;
    if found < NEEDED_VERSION { Err(DeviceError::OldDriver { found, needed: NEEDED_VERSION }) } else { Ok(()) }
}

fn describe(ordinal: u32) -> Result<(cust::device::Device, Description), DeviceError> {
    let asked = || while_doing("asking for a device");
    let found = cust::device::Device::num_devices().map_err(asked())?;
    if ordinal >= found {
        return Err(DeviceError::NoDevice { ordinal, found });
    }
    let device = cust::device::Device::get_device(ordinal).map_err(asked())?;
    let attribute = |attribute| device.get_attribute(attribute).map_err(asked());
    let capability =
        (attribute(DeviceAttribute::ComputeCapabilityMajor)?, attribute(DeviceAttribute::ComputeCapabilityMinor)?);
    let (name, memory) = (device.name().map_err(asked())?, device.total_memory().map_err(asked())?);
    Ok((device, Description { ordinal, name, capability, memory }))
}

impl Device {
    /// Starts the driver, takes device `ordinal` and loads the kernels, which the driver compiles for it.
    ///
    /// # Errors
    /// What keeps the device from being used.
    pub fn open(ordinal: u32) -> Result<Rc<Self>, DeviceError> {
        initialise()?;
        let (device, Description { name, capability, .. }) = describe(ordinal)?;
        if capability < NEEDED_CAPABILITY {
            return Err(DeviceError::OldDevice { ordinal, found: capability });
        }
        let context = Context::new(device).map_err(while_doing("making a context"))?;
        let stream = Stream::new(StreamFlags::DEFAULT, None).map_err(while_doing("making a stream"))?;
        let mut functions = HashMap::new();
        for source in SOURCES {
            let module = Module::from_ptx(source.ptx, &[]).map_err(while_doing("loading the kernels"))?;
            // As long as the process: functions borrow from their module.
            let module: &'static Module = Box::leak(Box::new(module));
            for entry in source.entries {
                let function = module.get_function(entry.name).map_err(while_doing("looking for a kernel"))?;
                functions.insert(entry.name, function);
            }
        }
        let traffic = Cell::new(Traffic::default());
        let profile = RefCell::new(None);
        Ok(Rc::new(Self {
            functions,
            stream,
            traffic,
            profile,
            name,
            ordinal,
            _context: context,
            _not_send: PhantomData,
        }))
    }

    /// Its name, as the driver gives it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its number.
    #[must_use]
    pub fn ordinal(&self) -> u32 {
        self.ordinal
    }

    /// What has crossed so far.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        self.traffic.get()
    }

    fn count(&self, change: impl FnOnce(&mut Traffic)) {
        let mut traffic = self.traffic.get();
        change(&mut traffic);
        self.traffic.set(traffic);
    }

    /// Asks for a kernel with `threads` threads in each of the blocks `grid`. Returns at once.
    ///
    /// # Errors
    /// `Failed`, when the launch is impossible or something failed before.
    pub fn launch<E: Entry>(&self, grid: [usize; 3], threads: u32, entry: &E) -> Result<(), DeviceError> {
        let doing = || while_doing("launching a kernel");
        let function = self.functions.get(E::SIGNATURE.name).ok_or(cust::error::CudaError::NotFound).map_err(doing())?;
        let grid = grid.map(|n| u32::try_from(n).unwrap_or(u32::MAX));
        self.count(|traffic| traffic.launches += 1);
        let name = E::SIGNATURE.name;
        let launch = || self.launch_function(function, grid, threads, entry);
        if self.profile.borrow().is_none() {
            return launch();
        }
        let seconds = self.seconds(launch)?;
        if let Some(profile) = &mut *self.profile.borrow_mut() {
            let (launches, total) = profile.entry(name).or_default();
            *launches += 1;
            *total += seconds;
        }
        Ok(())
    }

    fn launch_function<E: Entry>(
        &self,
        function: &Function<'static>,
        grid: [u32; 3],
        threads: u32,
        entry: &E,
    ) -> Result<(), DeviceError> {
        entry.with_arguments(|arguments| {
            // SAFETY: the arguments have the number and sizes that the PTX declares, which a test of the kernels' crate
            // holds. A kernel that reads or writes where it must not faults on the device, which later calls report;
            // memory of this process is not mapped there.
            unsafe { self.stream.launch(function, grid_size(grid), (threads, 1, 1), 0, arguments) }
                .map_err(while_doing("launching a kernel"))
        })
    }

    /// The time of each kernel that `work` launches. Every launch is waited for, so that the sum is more than `work` takes
    /// otherwise.
    ///
    /// # Errors
    /// Those of `work`.
    pub fn profiled(&self, work: impl FnOnce() -> Result<(), DeviceError>) -> Result<Profile, DeviceError> {
        self.profile.replace(Some(Profile::new()));
        let done = work();
        let profile = self.profile.take().unwrap_or_default();
        done.map(|()| profile)
    }

    /// A kernel over `n` elements of each of `lanes` lanes, [`BLOCK`] threads to a block.
    ///
    /// # Errors
    /// As [`Device::launch`].
    pub fn launch_over<E: Entry>(&self, n: usize, lanes: usize, entry: &E) -> Result<(), DeviceError> {
        self.launch([n.div_ceil(BLOCK as usize), 1, lanes], BLOCK, entry)
    }

    /// Waits until all is done that was asked for.
    ///
    /// # Errors
    /// `Failed`, when any of it failed.
    pub fn synchronise(&self) -> Result<(), DeviceError> {
        self.stream.synchronize().map_err(while_doing("waiting for the device"))
    }

    /// Seconds that the device takes for what `work` asks of it.
    ///
    /// # Errors
    /// Those of `work`, and `Failed`.
    pub fn seconds(&self, work: impl FnOnce() -> Result<(), DeviceError>) -> Result<f64, DeviceError> {
        let doing = || while_doing("timing");
        let event = || Event::new(EventFlags::DEFAULT).map_err(doing());
        let (begin, end) = (event()?, event()?);
        begin.record(&self.stream).map_err(doing())?;
        work()?;
        end.record(&self.stream).map_err(doing())?;
        end.synchronize().map_err(doing())?;
        Ok(f64::from(end.elapsed_time_f32(&begin).map_err(doing())?) / 1e3)
    }

    /// Whether `bytes` more are free; `what` they are for, in words, is for the error.
    ///
    /// # Errors
    /// `OutOfMemory`, when they are not.
    pub fn require(&self, needed: usize, what: &'static str) -> Result<(), DeviceError> {
        let (free, _) = mem_get_info().map_err(while_doing("asking for free memory"))?;
        if needed > free { Err(DeviceError::OutOfMemory { what, needed, free }) } else { Ok(()) }
    }
}

fn grid_size([x, y, z]: [u32; 3]) -> (u32, u32, u32) {
    (x, y, z)
}

/// Values that are the same bytes on host and device.
///
/// # Safety
/// Without padding, and any bytes are a value.
#[allow(unsafe_code)]
pub unsafe trait Plain: Copy {}
// SAFETY: numbers, and records of them that fill their size, as `repr(C)` lays them out.
unsafe impl Plain for f32 {}
// SAFETY: as above.
unsafe impl Plain for f64 {}
// SAFETY: as above.
unsafe impl Plain for i32 {}
// SAFETY: as above.
unsafe impl<const N: usize> Plain for [f32; N] {}
// SAFETY: 6 x 4 bytes.
unsafe impl Plain for gradus_cuda_kernels::pixel_shuffle::LaneScalars {}
// SAFETY: 5 x 4 bytes.
unsafe impl Plain for gradus_cuda_kernels::vector::DirectionScalars {}
// SAFETY: 3 x 8 + 4 x 4 bytes.
unsafe impl Plain for gradus_cuda_kernels::projector::View {}

/// Values in device memory.
pub struct Buffer<T> {
    bytes: DeviceBuffer<u8>,
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
        let needed = len.max(1) * size_of::<T>();
        device.require(needed, "a buffer")?;
        // SAFETY: kernels and copies write before anything reads; bytes of any kind are values of `T`.
        let bytes = unsafe { DeviceBuffer::uninitialized(needed) }.map_err(while_doing("taking memory"))?;
        Ok(Self { bytes, len, device: Rc::clone(device), _values: PhantomData })
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

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Where it begins.
    #[must_use]
    pub fn address(&self) -> Address<T> {
        Address::new(self.bytes.as_device_ptr().as_raw())
    }

    /// Copies `values` to the place `first`. Waits only until they are read.
    ///
    /// # Errors
    /// `Failed`.
    ///
    /// # Panics
    /// When they do not fit.
    pub fn upload(&mut self, first: usize, values: &[T]) -> Result<(), DeviceError> {
        assert!(first + values.len() <= self.len, "values beyond the buffer");
        if values.is_empty() {
            return Ok(());
        }
        let range = first * size_of::<T>()..(first + values.len()) * size_of::<T>();
        // SAFETY: values without padding are bytes.
        let bytes = unsafe { std::slice::from_raw_parts(values.as_ptr().cast::<u8>(), size_of_val(values)) };
        let doing = || while_doing("copying to the device");
        // SAFETY: memory that is not page-locked has been read when the call returns, and the range is of this buffer.
        unsafe { self.bytes.index(range).async_copy_from(bytes, &self.device.stream) }.map_err(doing())?;
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
        assert!(first + values.len() <= self.len, "values beyond the buffer");
        if values.is_empty() {
            return Ok(());
        }
        let range = first * size_of::<T>()..(first + values.len()) * size_of::<T>();
        // SAFETY: any bytes are values, and the exclusive borrow outlives the copy, which ends before this returns.
        let bytes = unsafe { std::slice::from_raw_parts_mut(values.as_mut_ptr().cast::<u8>(), size_of_val(values)) };
        let doing = || while_doing("copying to the host");
        // SAFETY: as above.
        unsafe { self.bytes.index(range).async_copy_to(bytes, &self.device.stream) }.map_err(doing())?;
        self.device.synchronise()?;
        self.device.count(|traffic| {
            traffic.bytes_to_host += bytes.len() as u64;
            traffic.transfers += 1;
        });
        Ok(())
    }

    /// All values, on the host.
    ///
    /// # Errors
    /// `Failed`.
    pub fn to_vec(&self) -> Result<Vec<T>, DeviceError>
    where
        T: Default,
    {
        let mut values = vec![T::default(); self.len];
        self.download(0, &mut values)?;
        Ok(values)
    }
}
