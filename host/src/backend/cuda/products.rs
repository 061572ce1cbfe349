//! The products that convolutions are made of.

use crate::backend::Precision;

/// Products of f32 factors by fused multiply-adds, or of TF32 numbers on tensor cores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Products {
    /// f32.
    MultiplyAdds,
    /// Tensor cores, three products for one, of f32 factors in two parts: as exact.
    Compensated,
    /// Tensor cores, factors rounded to TF32.
    Tf32,
}

impl Products {
    /// The fastest of a precision on a device of a compute capability. Tensor cores make three products sooner than the
    /// other cores one where they are many: not on cards for games and workstations (8.6, 8.9, 12.0).
    #[must_use]
    pub fn of(precision: Precision, capability: (i32, i32)) -> Self {
        match (precision, capability) {
            (Precision::Tf32, _) => Self::Tf32,
            (Precision::Full, (8, 0) | (9, 0) | (10, 0)) => Self::Compensated,
            (Precision::Full, _) => Self::MultiplyAdds,
        }
    }

    /// Parts of a factor in weights that are packed for tensor cores; none for others.
    #[must_use]
    pub(super) fn parts(self) -> usize {
        match self {
            Self::MultiplyAdds => 0,
            Self::Compensated => 2,
            Self::Tf32 => 1,
        }
    }
}
