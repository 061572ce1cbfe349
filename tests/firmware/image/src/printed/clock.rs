//! Instructions executed, by the system timer.
//!
//! With `-icount shift=0` QEMU's time advances by 1 ns an instruction, and the timer of this machine ticks at 25 MHz:
//! once in 40 instructions. A run repeats exactly.

use cortex_m::Peripherals;
use cortex_m::peripheral::SYST;
use cortex_m::peripheral::syst::SystClkSource;

const INSTRUCTIONS_PER_TICK: u32 = 40;
/// The timer counts down through 24 bits: 671 million instructions.
const RELOAD: u32 = 0x00ff_ffff;

/// A running timer.
#[derive(Clone, Copy)]
pub struct Clock(());

impl Clock {
    /// Starts the timer; nothing where it has been started.
    pub fn start() -> Option<Self> {
        let mut timer = Peripherals::take()?.SYST;
        timer.set_clock_source(SystClkSource::Core);
        timer.set_reload(RELOAD);
        timer.clear_current();
        timer.enable_counter();
        Some(Self(()))
    }

    /// The timer's count.
    pub fn now(self) -> u32 {
        SYST::get_current()
    }

    /// Instructions since `earlier`, at most 671 million.
    pub fn since(self, earlier: u32) -> u32 {
        (earlier.wrapping_sub(self.now()) & RELOAD).wrapping_mul(INSTRUCTIONS_PER_TICK)
    }
}
