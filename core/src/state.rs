//! The state of a solver as bytes: saved at any request, resumed with the same bits, on this machine or another.
//!
//! A state is a fixed number of little-endian 32-bit words: a tag that names algorithm and format, the settings, the
//! progress, and zeros. Floats are their bits. Reading checks everything that building a solver checks, and that no
//! number is a NaN or infinite. It cannot tell a flipped bit from another number: keep a checksum beside states that
//! cross an unreliable store.

use crate::solver::SettingsError;
use core::fmt;

/// Why bytes are not the state of a solver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum StateError {
    /// There are too few or too many bytes.
    WrongLength,
    /// They hold the state of another algorithm, of another format, or something else.
    WrongTag,
    /// They hold settings with which no solver can be built.
    Settings(SettingsError),
    /// They hold a value that no run produces.
    Corrupt,
}

impl From<SettingsError> for StateError {
    fn from(error: SettingsError) -> Self {
        Self::Settings(error)
    }
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WrongLength => "the saved state of a solver has another length",
            Self::WrongTag => "these bytes are not the state of this algorithm in this format",
            Self::Settings(error) => return error.fmt(f),
            Self::Corrupt => "the saved state of a solver holds a value that no run produces",
        })
    }
}

impl core::error::Error for StateError {}

/// Bytes of a word.
pub(crate) const WORD: usize = 4;

/// Puts words one after the other into bytes.
pub(crate) struct Writer<'a> {
    words: core::slice::IterMut<'a, [u8; WORD]>,
}

impl<'a> Writer<'a> {
    /// Starts with the tag; `bytes` are zeros, long enough for every state of the type.
    pub(crate) fn new(bytes: &'a mut [u8], tag: [u8; WORD]) -> Self {
        let mut writer = Self { words: bytes.as_chunks_mut().0.iter_mut() };
        u32::from_le_bytes(tag).write(&mut writer);
        writer
    }
}

/// Takes words one after the other from bytes.
pub(crate) struct Reader<'a> {
    words: core::slice::Iter<'a, [u8; WORD]>,
}

impl<'a> Reader<'a> {
    /// Checks length and tag.
    pub(crate) fn new(bytes: &'a [u8], length: usize, tag: [u8; WORD]) -> Result<Self, StateError> {
        if bytes.len() != length {
            return Err(StateError::WrongLength);
        }
        let mut words = bytes.as_chunks().0.iter();
        if words.next() == Some(&tag) { Ok(Self { words }) } else { Err(StateError::WrongTag) }
    }

    /// Checks that zeros are left only, so that a state has one representation.
    pub(crate) fn end(mut self) -> Result<(), StateError> {
        if self.words.all(|word| *word == [0; WORD]) { Ok(()) } else { Err(StateError::Corrupt) }
    }
}

/// A value made of words.
pub(crate) trait Words: Sized {
    fn write(&self, out: &mut Writer<'_>);
    fn read(input: &mut Reader<'_>) -> Result<Self, StateError>;
}

impl Words for u32 {
    fn write(&self, out: &mut Writer<'_>) {
        if let Some(word) = out.words.next() {
            *word = self.to_le_bytes();
        }
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, StateError> {
        input.words.next().map(|word| Self::from_le_bytes(*word)).ok_or(StateError::Corrupt)
    }
}

/// A finite number.
impl Words for f32 {
    fn write(&self, out: &mut Writer<'_>) {
        self.to_bits().write(out);
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, StateError> {
        let value = Self::from_bits(u32::read(input)?);
        if value.is_finite() { Ok(value) } else { Err(StateError::Corrupt) }
    }
}

impl Words for bool {
    fn write(&self, out: &mut Writer<'_>) {
        u32::from(*self).write(out);
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, StateError> {
        match u32::read(input)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(StateError::Corrupt),
        }
    }
}

impl Words for Option<f32> {
    fn write(&self, out: &mut Writer<'_>) {
        self.is_some().write(out);
        self.unwrap_or_default().write(out);
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, StateError> {
        let (present, value) = (bool::read(input)?, f32::read(input)?);
        // A missing value is stored as +0: one representation.
        if present || value.to_bits() == 0 { Ok(present.then_some(value)) } else { Err(StateError::Corrupt) }
    }
}

/// [`Words`] for a struct, field by field, or for an enum: a number for the variant, then its fields.
macro_rules! words {
    (struct $type:ident { $($field:ident),+ }) => {
        impl $crate::state::Words for $type {
            fn write(&self, out: &mut $crate::state::Writer<'_>) {
                $($crate::state::Words::write(&self.$field, out);)+
            }

            fn read(input: &mut $crate::state::Reader<'_>) -> Result<Self, $crate::state::StateError> {
                Ok(Self { $($field: $crate::state::Words::read(input)?),+ })
            }
        }
    };
    (enum $type:ident { $($number:literal = $variant:ident { $($field:tt: $name:ident),* }),+ }) => {
        impl $crate::state::Words for $type {
            fn write(&self, out: &mut $crate::state::Writer<'_>) {
                match self {
                    $(Self::$variant { $($field: $name),* } => {
                        <u32 as $crate::state::Words>::write(&$number, out);
                        $($crate::state::Words::write($name, out);)*
                    })+
                }
            }

            fn read(input: &mut $crate::state::Reader<'_>) -> Result<Self, $crate::state::StateError> {
                match <u32 as $crate::state::Words>::read(input)? {
                    $($number => Ok(Self::$variant { $($field: $crate::state::Words::read(input)?),* }),)+
                    _ => Err($crate::state::StateError::Corrupt),
                }
            }
        }
    };
}
pub(crate) use words;
