//! A device with its stream, launches and times; with `buffer.rs` the one place that talks to the driver.
#![allow(unsafe_code)]

use super::arena::{self, Arena, Reservation};
use super::error::{DeviceError, while_doing};
use super::loader::driver_is_present;
use super::outbox::Outbox;
use super::products::Products;
use super::profile::{Launched, Recorder};
use crate::backend::{Precision, Traffic};
use cust::context::Context;
use cust::device::DeviceAttribute;
use cust::error::CudaError;
use cust::event::{Event, EventFlags};
use cust::function::Function;
use cust::module::Module;
use cust::stream::{Stream, StreamFlags};
use cust::{CudaApiVersion, CudaFlags};
use gradus_cuda_kernels::{BLOCK, Entry, Launch, SOURCES, Source};
use serde::Serialize;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::marker::PhantomData;
use std::rc::Rc;

/// The first CUDA version whose drivers take PTX ISA 8.4, and the compute capability of the PTX.
const NEEDED_VERSION: i32 = 12_040;
const NEEDED_CAPABILITY: (i32, i32) = (8, 0);

/// Times that a launch is made to know how long one takes.
const PROFILED_TIMES: usize = 16;

/// A device with one stream: everything happens in the order in which it was asked for.
pub struct Device {
    /// Those that were launched; a file's are loaded with its first one.
    functions: RefCell<HashMap<&'static str, Function<'static>>>,
    stream: Stream,
    arena: Arena,
    outbox: RefCell<Outbox>,
    traffic: Cell<Traffic>,
    precision: Cell<Precision>,
    capability: Cell<(i32, i32)>,
    recorder: RefCell<Recorder>,
    /// True if launches go into a graph.
    is_capturing: Cell<bool>,
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

/// The driver's description of a device.
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
    /// Number of its multiprocessors.
    pub multiprocessors: i32,
    /// Highest clocks of processors and memory, in kHz.
    pub clocks_khz: (i32, i32),
    /// Bits that the memory moves at each edge of its clock.
    pub memory_bus_bits: i32,
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
    let found = driver_version()?;
    if found < NEEDED_VERSION { Err(DeviceError::OldDriver { found, needed: NEEDED_VERSION }) } else { Ok(()) }
}

/// The CUDA version that the driver supports, 1000 times its first number and 10 times its second.
fn driver_version() -> Result<i32, DeviceError> {
    let version = CudaApiVersion::get().map_err(while_doing("asking for the driver's version"))?;
    Ok(version.major() * 1000 + version.minor() * 10)
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
    let clocks_khz = (attribute(DeviceAttribute::ClockRate)?, attribute(DeviceAttribute::MemoryClockRate)?);
    let multiprocessors = attribute(DeviceAttribute::MultiprocessorCount)?;
    let memory_bus_bits = attribute(DeviceAttribute::GlobalMemoryBusWidth)?;
    Ok((device, Description { ordinal, name, capability, memory, multiprocessors, clocks_khz, memory_bus_bits }))
}

impl Device {
    /// Starts the driver and takes device `ordinal`. Kernels are loaded, and compiled by the driver, when the first one
    /// of their file is launched.
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
        let traffic = Cell::new(Traffic::default());
        Ok(Rc::new(Self {
            functions: RefCell::default(),
            stream,
            arena: Arena::default(),
            outbox: RefCell::new(Outbox::new()?),
            traffic,
            precision: Cell::default(),
            capability: Cell::new(capability),
            recorder: RefCell::default(),
            is_capturing: Cell::new(false),
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

    /// The CUDA version that its driver supports, 1000 times the first number and 10 times the second.
    ///
    /// # Errors
    /// `Failed`, where the driver does not tell it.
    pub fn driver_version(&self) -> Result<i32, DeviceError> {
        driver_version()
    }

    /// The traffic so far.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        self.traffic.get()
    }

    /// Pieces of memory that were taken from the driver so far.
    #[must_use]
    pub fn allocations(&self) -> u64 {
        self.arena.allocations()
    }

    /// Gives each buffer that is made from now on memory of its own, for tests: what strays beyond it is seen then.
    pub fn keep_buffers_apart(&self) {
        self.arena.keep_apart();
    }

    pub(super) fn arena(&self) -> &Arena {
        &self.arena
    }

    /// Room for buffers of so many bytes together, about, which are `what` and made before the reservation goes.
    pub(super) fn reserve(&self, bytes: usize, what: &'static str) -> Result<Reservation, DeviceError> {
        self.arena.reserve(bytes, what)
    }

    /// The factors of convolutions: `Full`, unless set otherwise.
    #[must_use]
    pub fn precision(&self) -> Precision {
        self.precision.get()
    }

    /// Sets the precision of weights that are packed, and gradients that are made, from now on.
    pub fn set_precision(&self, precision: Precision) {
        self.precision.set(precision);
    }

    /// The products of convolutions whose weights are packed from now on.
    #[must_use]
    pub fn products(&self) -> Products {
        Products::of(self.precision.get(), self.capability.get())
    }

    /// Takes the device for one of another compute capability where kernels are chosen, for tests and estimates.
    pub fn pretend(&self, capability: (i32, i32)) {
        self.capability.set(capability);
    }

    pub(super) fn stream(&self) -> &Stream {
        &self.stream
    }

    /// Hands `copy` a copy of `bytes` that stays as it is until the stream has read it.
    pub(super) fn send(
        &self,
        bytes: &[u8],
        copy: impl FnOnce(&[u8], &Stream) -> Result<(), DeviceError>,
    ) -> Result<(), DeviceError> {
        self.may_copy()?;
        if !self.outbox.borrow().has_room(bytes.len()) {
            self.synchronise()?;
        }
        copy(self.outbox.borrow_mut().hold(bytes), &self.stream)
    }

    /// Refuses what a graph cannot repeat: copies and waits.
    pub(super) fn may_copy(&self) -> Result<(), DeviceError> {
        let doing = while_doing("capturing launches, between which it was asked for a copy or a wait");
        if self.is_capturing.get() { Err(doing(CudaError::NotPermitted)) } else { Ok(()) }
    }

    pub(super) fn set_capturing(&self, is_capturing: bool) {
        self.is_capturing.set(is_capturing);
    }

    /// True if launches are timed or listed.
    pub(super) fn is_recording(&self) -> bool {
        self.recorder.borrow().mode() != (true, false)
    }

    pub(super) fn count(&self, change: impl FnOnce(&mut Traffic)) {
        let mut traffic = self.traffic.get();
        change(&mut traffic);
        self.traffic.set(traffic);
    }

    /// Asks for a kernel with `threads` threads in each of the blocks `grid`. Returns at once.
    ///
    /// # Errors
    /// `Failed`, when the launch is impossible or something failed before.
    pub fn launch<E: Entry>(&self, grid: [usize; 3], threads: u32, entry: &E) -> Result<(), DeviceError> {
        self.load(E::SIGNATURE.name)?;
        let functions = self.functions.borrow();
        let doing = while_doing("looking for a kernel");
        let function = functions.get(E::SIGNATURE.name).ok_or(CudaError::NotFound).map_err(doing)?;
        let sizes = grid.map(|n| u32::try_from(n).unwrap_or(u32::MAX));
        self.count(|traffic| traffic.launches += 1);
        let launch = || self.launch_function(function, sizes, threads, entry);
        let (is_made, is_timed) = self.recorder.borrow().mode();
        if is_made && !is_timed {
            return launch();
        }
        let repeated = || (0..PROFILED_TIMES).try_for_each(|_| launch());
        let seconds = is_made.then(|| self.seconds(repeated)).transpose()?.map(|all| all / PROFILED_TIMES as f64);
        let launch = Launch { grid, threads };
        let (kernel, work) = (E::SIGNATURE.name, entry.work(launch));
        self.recorder.borrow_mut().add(Launched { kernel, launch, work, seconds });
        Ok(())
    }

    /// Loads the file of a kernel, where that is not done yet.
    fn load(&self, kernel: &str) -> Result<(), DeviceError> {
        let mut functions = self.functions.borrow_mut();
        let holds = |source: &&Source| source.entries.iter().any(|entry| entry.name == kernel);
        if functions.contains_key(kernel) {
            return Ok(());
        }
        let Some(source) = SOURCES.iter().find(holds) else { return Ok(()) };
        let module = Module::from_ptx(source.ptx, &[]).map_err(while_doing("loading the kernels"))?;
        // As long as the process: functions borrow from their module.
        let module: &'static Module = Box::leak(Box::new(module));
        for entry in source.entries {
            let function = module.get_function(entry.name).map_err(while_doing("looking for a kernel"))?;
            functions.insert(entry.name, function);
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
            // holds, and a kernel reads and writes only within the buffers that they name: its guards see to it, which
            // the tests run for every entry. Nothing else does where a device reaches the memory of this process;
            // elsewhere a kernel that strays faults on the device, which later calls report.
            unsafe { self.stream.launch(function, grid_size(grid), (threads, 1, 1), 0, arguments) }
                .map_err(while_doing("launching a kernel"))
        })
    }

    /// The launches of `work`, timed: each is made several times in a row, so that its time is its own and not that of
    /// asking for it. Buffers hold nonsense afterwards.
    ///
    /// # Errors
    /// The first error that `work` hands back.
    pub fn profiled(&self, work: impl FnOnce() -> Result<(), DeviceError>) -> Result<Vec<Launched>, DeviceError> {
        self.recorded(Recorder::Timing(Vec::new()), work)
    }

    /// The launches of `work`, none of which is made: buffers keep what they held.
    ///
    /// # Errors
    /// The first error that `work` hands back.
    pub fn listed(&self, work: impl FnOnce() -> Result<(), DeviceError>) -> Result<Vec<Launched>, DeviceError> {
        self.recorded(Recorder::Listing(Vec::new()), work)
    }

    fn recorded(
        &self,
        recorder: Recorder,
        work: impl FnOnce() -> Result<(), DeviceError>,
    ) -> Result<Vec<Launched>, DeviceError> {
        self.recorder.replace(recorder);
        let done = work();
        let launched = self.recorder.take().launched();
        done.map(|()| launched)
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
        self.may_copy()?;
        self.count(|traffic| traffic.waits += 1);
        self.stream.synchronize().map_err(while_doing("waiting for the device"))?;
        self.outbox.borrow_mut().clear();
        Ok(())
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

    /// Bytes that are free.
    ///
    /// # Errors
    /// `Failed`, when the device did before.
    pub fn free_memory(&self) -> Result<usize, DeviceError> {
        arena::free_memory()
    }

    /// Check that `needed` more bytes are free.
    ///
    /// # Errors
    /// `OutOfMemory`, which names `what` they are for, when they are not.
    pub fn require(&self, needed: usize, what: &'static str) -> Result<(), DeviceError> {
        arena::require(needed, what)
    }
}

fn grid_size([x, y, z]: [u32; 3]) -> (u32, u32, u32) {
    (x, y, z)
}
