//! The driver's functions, found at run time, so that the program links and starts on machines without a driver.
//!
//! `cust` calls the functions of the driver's library by name, as if it were linked with it. They are defined here:
//! each looks for its namesake in `libcuda.so.1` when it is first called, and hands the call on. Without a driver, or
//! in one that lacks the function, it returns the error that the driver itself has for that.
#![allow(unsafe_code, non_snake_case, clippy::many_single_char_names)]

use libloading::Library;
use std::sync::OnceLock;

/// `CUDA_ERROR_SHARED_OBJECT_SYMBOL_NOT_FOUND` and `CUDA_ERROR_SHARED_OBJECT_INIT_FAILED`.
const SYMBOL_NOT_FOUND: u32 = 302;
const LIBRARY_NOT_FOUND: u32 = 303;

pub(super) const LIBRARY: &str = if cfg!(windows) { "nvcuda.dll" } else { "libcuda.so.1" };

/// The driver's library, kept open for good.
fn library() -> Option<&'static Library> {
    static OPENED: OnceLock<Option<Library>> = OnceLock::new();
    // SAFETY: the initialisers of the library with this name are those of NVIDIA's driver, or of the tests' stand-in.
    OPENED.get_or_init(|| unsafe { Library::new(LIBRARY) }.ok()).as_ref()
}

/// True if this machine has a driver; it is not started.
#[must_use]
pub fn driver_is_present() -> bool {
    library().is_some()
}

/// One slot per function: what was found under its name.
type Slot<F> = OnceLock<Result<F, u32>>;

fn find<F: Copy>(slot: &Slot<F>, name: &str) -> Result<F, u32> {
    *slot.get_or_init(|| {
        let library = library().ok_or(LIBRARY_NOT_FOUND)?;
        // SAFETY: `F` is the type of the function with that name, up to the widths of its arguments (see `forward`).
        unsafe { library.get::<F>(name) }.map(|function| *function).map_err(|_| SYMBOL_NOT_FOUND)
    })
}

/// Defines functions of one number of arguments that hand their calls on.
///
/// Every argument of these functions is an integer or a pointer of at most 64 bits. In the calling conventions of
/// x86-64 and AArch64 each takes one register, or eight bytes on the stack, whatever its width; so all may be `usize`.
macro_rules! forward {
    ($($arguments:tt $($name:ident)+;)+) => { $($(forward!(@one $name $arguments);)+)+ };
    (@one $name:ident [$($a:ident)*]) => {
        // SAFETY: no other library that is linked into the program `gradus` defines the driver's functions. One that
        // links this library and the driver's own gets an error of its linker, which finds each function twice.
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name($($a: usize),*) -> u32 {
            static SLOT: Slot<unsafe extern "C" fn($(forward!(@type $a)),*) -> u32> = OnceLock::new();
            match find(&SLOT, stringify!($name)) {
                // SAFETY: the arguments are those that the caller gave for the function of this name.
                Ok(function) => unsafe { function($($a),*) },
                Err(error) => error,
            }
        }
    };
    (@type $a:ident) => { usize };
}

// All that `cust` 0.3.2 and `graph.rs` may call, by number of arguments.
forward! {
    []
        cuCtxSynchronize;
    [a]
        cuArrayDestroy cuCtxDestroy_v2 cuCtxGetCacheConfig cuCtxGetCurrent cuCtxGetDevice cuCtxGetFlags
        cuCtxGetSharedMemConfig cuCtxPopCurrent_v2 cuCtxPushCurrent_v2 cuCtxSetCacheConfig cuCtxSetCurrent
        cuCtxSetSharedMemConfig cuDestroyExternalMemory cuDeviceGetCount cuDevicePrimaryCtxRelease_v2
        cuDevicePrimaryCtxReset_v2 cuDriverGetVersion cuEventDestroy_v2 cuEventQuery cuEventSynchronize
        cuGraphDestroy cuGraphExecDestroy cuInit cuLinkDestroy cuMemFreeHost cuMemFree_v2 cuMemcpy2D_v2
        cuModuleUnload cuStreamDestroy_v2 cuStreamSynchronize cuSurfObjectDestroy cuTexObjectDestroy;
    [a b]
        cuArray3DCreate_v2 cuArray3DGetDescriptor_v2 cuCtxGetApiVersion cuCtxGetLimit
        cuCtxGetStreamPriorityRange cuCtxSetLimit cuDeviceGet cuDevicePrimaryCtxRetain
        cuDevicePrimaryCtxSetFlags_v2 cuDeviceTotalMem_v2 cuEventCreate cuEventRecord cuGraphLaunch
        cuFuncSetCacheConfig cuFuncSetSharedMemConfig cuGetErrorString cuGraphCreate cuGraphKernelNodeGetParams
        cuGraphNodeGetType cuImportExternalMemory cuMemAllocHost_v2 cuMemAlloc_v2 cuMemFreeAsync cuMemGetInfo_v2
        cuModuleLoad cuModuleLoadData cuStreamBeginCapture_v2 cuStreamEndCapture cuStreamGetFlags
        cuStreamGetPriority cuSurfObjectCreate cuSurfObjectGetResourceDesc cuTexObjectGetResourceDesc
        cuTexObjectGetResourceViewDesc;
    [a b c]
        cuCtxCreate_v2 cuDeviceGetAttribute cuDeviceGetName cuEventElapsedTime cuExternalMemoryGetMappedBuffer
        cuFuncGetAttribute cuGraphDebugDotPrint cuGraphGetNodes cuGraphInstantiateWithFlags cuLaunchHostFunc
        cuLinkComplete cuMemAllocAsync cuMemAllocManaged cuMemcpyDtoD_v2 cuMemcpyDtoH_v2 cuMemcpyHtoD_v2
        cuMemsetD16_v2 cuMemsetD32_v2 cuMemsetD8_v2 cuModuleGetFunction cuStreamCreateWithPriority
        cuStreamWaitEvent;
    [a b c d]
        cuGraphGetEdges cuLinkCreate_v2 cuMemAdvise cuMemPrefetchAsync cuMemcpyAtoH_v2 cuMemcpyDtoDAsync_v2
        cuMemcpyDtoHAsync_v2 cuMemcpyHtoA_v2 cuMemcpyHtoDAsync_v2 cuMemsetD16Async cuMemsetD32Async
        cuMemsetD8Async cuModuleGetGlobal_v2 cuOccupancyAvailableDynamicSMemPerBlock
        cuOccupancyMaxActiveBlocksPerMultiprocessor cuTexObjectCreate;
    [a b c d e]
        cuGraphAddKernelNode cuModuleLoadDataEx;
    [a b c d e f]
        cuOccupancyMaxPotentialBlockSize;
    [a b c d e f g h]
        cuLinkAddData_v2;
    [a b c d e f g h i j k]
        cuLaunchKernel;
}
