//! Numbers as a MATLAB file stores them: bytes of a type, decoded when they are asked for.
use crate::data::file_error::Cause;

/// Types of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stored {
    I8,
    U8,
    I16,
    U16,
    I32,
    U32,
    F32,
    F64,
    I64,
    U64,
}

impl Stored {
    /// The type of an element of a MATLAB 5 file; texts are numbers, too.
    fn of(kind: u32) -> Option<Self> {
        Some(match kind {
            1 => Self::I8,
            2 | 16 => Self::U8,
            3 => Self::I16,
            4 | 17 => Self::U16,
            5 => Self::I32,
            6 | 18 => Self::U32,
            7 => Self::F32,
            9 => Self::F64,
            12 => Self::I64,
            13 => Self::U64,
            _ => return None,
        })
    }

    fn size(self) -> usize {
        match self {
            Self::I8 | Self::U8 => 1,
            Self::I16 | Self::U16 => 2,
            Self::I32 | Self::U32 | Self::F32 => 4,
            Self::F64 | Self::I64 | Self::U64 => 8,
        }
    }
}

/// Numbers of one type, little endian.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Bytes {
    pub(super) stored: Stored,
    pub(super) bytes: Vec<u8>,
}

impl Bytes {
    /// The numbers of an element.
    pub(super) fn of((kind, data): (u32, &[u8]), big_endian: bool) -> Result<Self, Cause> {
        let stored =
            Stored::of(kind).ok_or_else(|| format!("an element of type {kind} stands where numbers belong"))?;
        let mut bytes = data.to_vec();
        if big_endian {
            bytes.chunks_exact_mut(stored.size()).for_each(<[u8]>::reverse);
        }
        Ok(Self { stored, bytes })
    }

    pub(super) fn of_doubles(values: &[f64]) -> Self {
        Self { stored: Stored::F64, bytes: values.iter().flat_map(|value| value.to_le_bytes()).collect() }
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len() / self.stored.size()
    }

    /// Number `at`, or 0 beyond the end.
    pub(super) fn get(&self, at: usize) -> f64 {
        let size = self.stored.size();
        let mut raw = [0; 8];
        if let Some(bytes) = self.bytes.get(at * size..(at + 1) * size) {
            raw[..size].copy_from_slice(bytes);
        }
        let bits = u64::from_le_bytes(raw);
        match self.stored {
            Stored::U8 | Stored::U16 | Stored::U32 | Stored::U64 => bits as f64,
            Stored::I8 => f64::from(bits as i8),
            Stored::I16 => f64::from(bits as i16),
            Stored::I32 => f64::from(bits as i32),
            Stored::I64 => bits as i64 as f64,
            Stored::F32 => f32::from_bits(bits as u32).into(),
            Stored::F64 => f64::from_bits(bits),
        }
    }
}
