//! Passes of a network allocate nothing. One test in this binary, because the allocator counts for all of it.

use gradus::backend::cpu::Network;
use gradus::unet::Weights;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

#[allow(unsafe_code)]
// SAFETY: every call goes to the system allocator unchanged; counting touches no memory of the allocation.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
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
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    pool.install(|| {
        let (size, lanes) = (64, 2);
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
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        for _ in 0..20 {
            passes();
        }
        let after = ALLOCATIONS.load(Ordering::Relaxed);
        assert_eq!(after - before, 0, "allocations in 80 passes");
    });
}
