//! Where the arithmetic happens: one module per kind of device.

pub mod cpu;
