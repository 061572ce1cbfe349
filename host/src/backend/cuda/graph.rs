//! Launches that are asked for once and made again and again: CUDA graphs.
//!
//! A launch costs the host some microseconds, a graph of a hundred launches hardly more. A graph repeats its launches
//! with the arguments that they had, so it is kept under all that these depend on: addresses, sizes and numbers of
//! lanes. What changes from call to call stands in device memory, at the same addresses.
#![allow(unsafe_code)]

use super::device::Device;
use super::error::{DeviceError, while_doing};
use cust::error::{CudaError, CudaResult};
use cust::sys;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ptr::null_mut;
use std::rc::Rc;

/// Graphs that are kept at most; with one more all are made again.
const MOST: usize = 64;

/// The graphs of something that makes the same launches again and again.
#[derive(Debug)]
pub(super) struct Graphs {
    /// Nothing after the first time: some launches are never asked for again, and a first launch may load its kernel,
    /// which no graph can hold.
    made: RefCell<HashMap<Vec<u64>, Option<Graph>>>,
    /// True if the driver makes none, or not of these launches.
    fail: Cell<bool>,
    device: Rc<Device>,
}

/// An executable graph, and the number of its launches.
#[derive(Debug)]
struct Graph {
    executable: sys::CUgraphExec,
    launches: u64,
}

impl Drop for Graph {
    fn drop(&mut self) {
        // SAFETY: it is made once and dropped once, before the device that `Graphs` holds. A driver destroys a graph
        // that still runs when it has ended.
        let _ = unsafe { sys::cuGraphExecDestroy(self.executable) };
    }
}

impl Graphs {
    pub(super) fn new(device: &Rc<Device>) -> Self {
        Self { made: RefCell::default(), fail: Cell::new(false), device: Rc::clone(device) }
    }

    /// Makes the launches of `work`, which does nothing else, and whose arguments are the same under the same key.
    /// Where launches are timed or listed, or the driver makes no graph of them, one by one.
    pub(super) fn run(&self, key: &[u64], work: impl Fn() -> Result<(), DeviceError>) -> Result<(), DeviceError> {
        if self.fail.get() || self.device.is_recording() {
            return work();
        }
        let mut made = self.made.borrow_mut();
        if made.len() >= MOST && !made.contains_key(key) {
            made.clear();
        }
        let Some(of_key) = made.get_mut(key) else {
            made.insert(key.to_vec(), None);
            return work();
        };
        if of_key.is_none() {
            *of_key = self.captured(&work)?;
        }
        let Some(graph) = of_key else {
            self.fail.set(true);
            return work();
        };
        self.device.count(|traffic| {
            traffic.launches += graph.launches;
            traffic.graphs += 1;
        });
        // SAFETY: the graph is alive, and its launches were checked when they were asked for.
        result(unsafe { sys::cuGraphLaunch(graph.executable, self.device.stream().as_inner()) })
            .map_err(while_doing("launching a graph"))
    }

    /// The launches of `work`, none of which is made; `None` where the driver does not take them.
    fn captured(&self, work: impl Fn() -> Result<(), DeviceError>) -> Result<Option<Graph>, DeviceError> {
        let (stream, before) = (self.device.stream().as_inner(), self.device.traffic());
        let mode = sys::CUstreamCaptureMode_enum::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        // SAFETY: the stream is alive and captures nothing yet.
        if result(unsafe { sys::cuStreamBeginCapture_v2(stream, mode) }).is_err() {
            return Ok(None);
        }
        self.device.set_capturing(true);
        let asked = work();
        self.device.set_capturing(false);
        let launches = self.device.traffic().launches - before.launches;
        self.device.count(|traffic| traffic.launches = before.launches);
        let mut graph = null_mut();
        // SAFETY: the stream captures; what comes of it is null or a graph that is destroyed below.
        let ended = result(unsafe { sys::cuStreamEndCapture(stream, &mut graph) });
        let mut executable = null_mut();
        let made = ended.and_then(|()| {
            // SAFETY: the graph is whole.
            result(unsafe { sys::cuGraphInstantiateWithFlags(&mut executable, graph, 0) })
        });
        if !graph.is_null() {
            // SAFETY: nothing else knows of it; the executable graph does not need it.
            let _ = unsafe { sys::cuGraphDestroy(graph) };
        }
        asked?;
        Ok(made.is_ok().then_some(Graph { executable, launches }))
    }
}

/// The driver's word as a result.
fn result(status: sys::CUresult) -> CudaResult<()> {
    match status {
        sys::CUresult::CUDA_SUCCESS => Ok(()),
        _ => Err(CudaError::UnknownError),
    }
}
