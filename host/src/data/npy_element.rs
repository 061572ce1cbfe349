//! Elements of NumPy's arrays: from bytes to numbers.
use npyz::{DType, Endianness, TypeChar};

/// The meaning of an element's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Float,
    Int,
    Uint,
    Bool,
    Other,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Element {
    pub(super) kind: Kind,
    /// Bytes; 0 for what is not read.
    pub(super) size: usize,
    big_endian: bool,
}

impl Element {
    pub(super) fn of(dtype: &DType) -> Self {
        let other = Self { kind: Kind::Other, size: 0, big_endian: false };
        let DType::Plain(plain) = dtype else { return other };
        let size = plain.size_field();
        let kind = match (plain.type_char(), size) {
            (TypeChar::Float, 2 | 4 | 8) => Kind::Float,
            (TypeChar::Int, 1 | 2 | 4 | 8) => Kind::Int,
            (TypeChar::Uint, 1 | 2 | 4 | 8) => Kind::Uint,
            (TypeChar::Bool, 1) => Kind::Bool,
            _ => return other,
        };
        Self { kind, size: size as usize, big_endian: plain.endianness() == Endianness::Big }
    }

    pub(super) fn number(self, raw: &[u8]) -> f64 {
        let mut bytes = [0; 8];
        bytes[..self.size].copy_from_slice(raw);
        if self.big_endian {
            bytes[..self.size].reverse();
        }
        let bits = u64::from_le_bytes(bytes);
        match (self.kind, self.size) {
            (Kind::Float, 2) => half(bits as u16),
            (Kind::Float, 4) => f32::from_bits(bits as u32).into(),
            (Kind::Float, _) => f64::from_bits(bits),
            (Kind::Int, _) => {
                let unused = 64 - 8 * self.size;
                (((bits << unused) as i64) >> unused) as f64
            }
            (Kind::Bool, _) => f64::from(u8::from(bits != 0)),
            (Kind::Uint | Kind::Other, _) => bits as f64,
        }
    }
}

/// IEEE 754 binary16: sign, 5 bits of exponent with bias 15, 10 of mantissa.
fn half(bits: u16) -> f64 {
    let (exponent, mantissa) = (i32::from(bits >> 10 & 0x1F), f64::from(bits & 0x3FF));
    let size = match exponent {
        0 => mantissa * 2f64.powi(-24),
        0x1F if mantissa == 0.0 => f64::INFINITY,
        0x1F => f64::NAN,
        _ => (1024.0 + mantissa) * 2f64.powi(exponent - 25),
    };
    if bits >> 15 == 1 { -size } else { size }
}
