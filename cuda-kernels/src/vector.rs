//! Entries of vector.cu: the solver's vectors.

use crate::entry::{Address, BLOCK, entries};

/// Scalars of a lane's direction; the record of the same name in vector.cu.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
#[allow(missing_docs)]
pub struct DirectionScalars {
    pub t: f32,
    pub objective_weight: f32,
    pub level_weight: f32,
    pub smoothed: u32,
    pub has_previous: u32,
}

/// The place of a launch's sums; the record of the same name in partial_sums.cuh.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
#[allow(missing_docs)]
pub struct Sums {
    pub partial: Address<f64>,
    pub total: Address<f64>,
    pub counters: Address<u32>,
}

/// Quantities that `vector_direction` sums, and `vector_products`.
pub const DIRECTION_SUMS: usize = 5;
/// See [`DIRECTION_SUMS`].
pub const PRODUCT_SUMS: usize = 3;

entries! { "vector";
    /// grad f, d, and the five products of the new direction.
    Direction = "vector_direction" [BLOCK] {
        lanes: Address<i32>,
        scalars: Address<DirectionScalars>,
        data_gradient: Address<f32>,
        at_objective: Address<f32>,
        at_level: Address<f32>,
        previous: Address<f32>,
        gradient: Address<f32>,
        direction: Address<f32>,
        sums: Sums,
        n: i32,
    }
    /// out = x + step d.
    Trial = "vector_trial" [BLOCK] {
        lanes: Address<i32>, steps: Address<f32>, x: Address<f32>, d: Address<f32>, out: Address<f32>, n: i32,
    }
    /// x <- x + step d, and d becomes the previous direction.
    Update = "vector_update" [BLOCK] {
        lanes: Address<i32>, steps: Address<f32>, d: Address<f32>, x: Address<f32>, previous: Address<f32>, n: i32,
    }
    /// y <- y + a x.
    AddScaled = "vector_add_scaled" [BLOCK] {
        lanes: Address<i32>, factors: Address<f32>, x: Address<f32>, y: Address<f32>, n: i32,
    }
    /// out = factor x.
    Copy = "vector_copy" [BLOCK] { lanes: Address<i32>, factor: f32, x: Address<f32>, out: Address<f32>, n: i32 }
    /// <a, b>, <b, b> and <a, a>.
    Products = "vector_products" [BLOCK] {
        lanes: Address<i32>, a: Address<f32>, b: Address<f32>, sums: Sums, n: i32,
    }
    /// 1/2 |b|^2 - 1/2 |a|^2.
    HalfSquareChange = "vector_half_square_change" [BLOCK] {
        lanes: Address<i32>, a: Address<f32>, b: Address<f32>, sums: Sums, n: i32,
    }
}
