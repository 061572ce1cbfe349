//! Entries of fan.cu: the projector of a fan and its transpose.

use crate::entry::{Address, BLOCK, entries};

/// One ray; the record of the same name in fan.cuh.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C)]
#[allow(missing_docs)]
pub struct FanRay {
    pub first: i64,
    pub per_line: i64,
    pub length: f32,
    pub segment: i32,
}

/// Neighbouring rays that cross the same kind of lines; the record of the same name in fan.cuh.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C)]
#[allow(missing_docs)]
pub struct FanSegment {
    pub first_bin: i32,
    pub end_bin: i32,
    pub first_line: i32,
    pub end_line: i32,
    pub along_rows: i32,
}

/// A view from its source; the record of the same name in fan.cuh.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C)]
#[allow(missing_docs)]
pub struct FanView {
    pub across: [f32; 3],
    pub along: [f32; 3],
    pub first_segment: i32,
    pub end_segment: i32,
}

/// A fan; the record of the same name in fan.cuh, which says what is what.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
#[allow(missing_docs)]
pub struct Fan {
    pub rays: Address<FanRay>,
    pub segments: Address<FanSegment>,
    pub views: Address<FanView>,
    pub height: i32,
    pub width: i32,
    pub n_views: i32,
    pub n_bins: i32,
    pub middle_bin: f32,
    pub bins: f32,
    pub is_curved: i32,
    pub unused: i32,
}

entries! { "fan";
    /// sinogram = A image.
    Forward = "fan_forward" [BLOCK] {
        lanes: Address<i32>,
        beam: Fan,
        image: Address<f32>,
        transposed: Address<f32>,
        sinogram: Address<f32>,
    }
    /// image = A^T sinogram.
    Adjoint = "fan_adjoint" [BLOCK] { lanes: Address<i32>, beam: Fan, sinogram: Address<f32>, image: Address<f32> }
}
