//! The depth of the stack.

use cortex_m_rt::STACK_PAINT_VALUE;

#[expect(unsafe_code, reason = "symbols of the linker script")]
// SAFETY: cortex-m-rt's linker script defines both; only their addresses are taken.
unsafe extern "C" {
    static _stack_end: u32;
    static _stack_start: u32;
}

/// Bytes of the stack that have been written since the start-up code painted it.
pub fn depth() -> u32 {
    let (end, start) = (&raw const _stack_end, &raw const _stack_start);
    let (mut word, mut unused) = (end, 0);
    while word < start {
        #[expect(unsafe_code, reason = "the stack below the current frame is no object of Rust")]
        // SAFETY: the linker script reserves `_stack_end.._stack_start`, aligned to words, for the stack, and the
        // start-up code has written all of it. It is read only, and by volatile reads.
        let painted = unsafe { word.read_volatile() } == STACK_PAINT_VALUE;
        if !painted {
            break;
        }
        word = word.wrapping_add(1);
        unused += 4;
    }
    (start as u32).wrapping_sub(end as u32).wrapping_sub(unused)
}
