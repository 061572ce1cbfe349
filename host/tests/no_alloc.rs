//! Passes of a network allocate nothing.

use gradus::backend::cpu::Network;
use gradus::unet::Weights;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Set in the threads of the pool; those of the test harness print, and so allocate, when they like.
    static COUNTED: Cell<bool> = const { Cell::new(false) };
}

#[allow(unsafe_code)]
// SAFETY: every call goes to the system allocator unchanged; counting touches no memory of the allocation.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if COUNTED.try_with(Cell::get).unwrap_or(false) {
            ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        }
        // SAFETY: the caller's contract is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn forward_and_vjp_allocate_nothing() {
    let bytes = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/weights/ellipses.safetensors")).unwrap();
    let weights = Weights::from_bytes(&bytes).unwrap();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).start_handler(|_| COUNTED.set(true)).build().unwrap();
    pool.install(|| {
        let (size, lanes) = (32, 2);
        let mut network = Network::new(&weights, size, size, lanes).unwrap();
        let x = vec![0.25; lanes * size * size];
        let mut out = x.clone();
        let mut passes = || {
            network.forward(0..lanes, &x, &[0.1, 0.5]);
            network.vjp(0..lanes, &x, &mut out);
            network.forward(1..2, &x[..size * size], &[0.2]);
            network.vjp(1..2, &x[..size * size], &mut out[..size * size]);
        };
        // The pool's own queues grow once.
        passes();
        assert!(ALLOCATIONS.load(Ordering::Relaxed) > 0, "the network's own memory is counted");
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        for _ in 0..5 {
            passes();
        }
        let after = ALLOCATIONS.load(Ordering::Relaxed);
        assert_eq!(after - before, 0, "allocations in 20 passes");
    });
}
