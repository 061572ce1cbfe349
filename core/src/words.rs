//! Values as little-endian 32-bit words.
//!
//! A number of a variant stands before its fields; floats are their bits, and finite. What a value is made of is said
//! beside its type, by the macro [`words`].

/// A value that no run writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Corrupt;

/// Bytes of a word.
pub(crate) const WORD: usize = 4;

/// Puts words one after the other into bytes.
pub(crate) struct Writer<'a> {
    words: core::slice::IterMut<'a, [u8; WORD]>,
}

impl<'a> Writer<'a> {
    /// `bytes` are to be long enough for all that follows.
    pub(crate) fn new(bytes: &'a mut [u8]) -> Self {
        Self { words: bytes.as_chunks_mut().0.iter_mut() }
    }
}

/// Takes words one after the other from bytes.
pub(crate) struct Reader<'a> {
    words: core::slice::Iter<'a, [u8; WORD]>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { words: bytes.as_chunks().0.iter() }
    }

    /// Checks that zeros are left only, so that a value has one representation.
    pub(crate) fn end(mut self) -> Result<(), Corrupt> {
        if self.words.all(|word| *word == [0; WORD]) { Ok(()) } else { Err(Corrupt) }
    }
}

/// A value made of words.
pub(crate) trait Words: Sized {
    fn write(&self, out: &mut Writer<'_>);
    fn read(input: &mut Reader<'_>) -> Result<Self, Corrupt>;
}

impl Words for u32 {
    fn write(&self, out: &mut Writer<'_>) {
        if let Some(word) = out.words.next() {
            *word = self.to_le_bytes();
        }
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, Corrupt> {
        input.words.next().map(|word| Self::from_le_bytes(*word)).ok_or(Corrupt)
    }
}

/// The low half, then the high one.
impl Words for u64 {
    fn write(&self, out: &mut Writer<'_>) {
        let [a, b, c, d, e, f, g, h] = self.to_le_bytes();
        u32::from_le_bytes([a, b, c, d]).write(out);
        u32::from_le_bytes([e, f, g, h]).write(out);
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, Corrupt> {
        let (low, high) = (u32::read(input)?, u32::read(input)?);
        Ok(Self::from(low) | Self::from(high) << 32)
    }
}

/// A finite number.
impl Words for f32 {
    fn write(&self, out: &mut Writer<'_>) {
        self.to_bits().write(out);
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, Corrupt> {
        let value = Self::from_bits(u32::read(input)?);
        if value.is_finite() { Ok(value) } else { Err(Corrupt) }
    }
}

impl Words for bool {
    fn write(&self, out: &mut Writer<'_>) {
        u32::from(*self).write(out);
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, Corrupt> {
        match u32::read(input)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Corrupt),
        }
    }
}

impl Words for Option<f32> {
    fn write(&self, out: &mut Writer<'_>) {
        self.is_some().write(out);
        self.unwrap_or_default().write(out);
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, Corrupt> {
        let (present, value) = (bool::read(input)?, f32::read(input)?);
        // A missing value is stored as +0: one representation.
        if present || value.to_bits() == 0 { Ok(present.then_some(value)) } else { Err(Corrupt) }
    }
}

/// [`Words`] for a struct, field by field, or for an enum: a number for the variant, then its fields.
macro_rules! words {
    (struct $type:ident { $($field:ident),+ }) => {
        impl $crate::words::Words for $type {
            fn write(&self, out: &mut $crate::words::Writer<'_>) {
                $($crate::words::Words::write(&self.$field, out);)+
            }

            fn read(input: &mut $crate::words::Reader<'_>) -> Result<Self, $crate::words::Corrupt> {
                Ok(Self { $($field: $crate::words::Words::read(input)?),+ })
            }
        }
    };
    (enum $type:ident { $($number:literal = $variant:ident { $($field:tt: $name:ident),* }),+ }) => {
        impl $crate::words::Words for $type {
            fn write(&self, out: &mut $crate::words::Writer<'_>) {
                match self {
                    $(Self::$variant { $($field: $name),* } => {
                        <u32 as $crate::words::Words>::write(&$number, out);
                        $($crate::words::Words::write($name, out);)*
                    })+
                }
            }

            fn read(input: &mut $crate::words::Reader<'_>) -> Result<Self, $crate::words::Corrupt> {
                match <u32 as $crate::words::Words>::read(input)? {
                    $($number => Ok(Self::$variant { $($field: $crate::words::Words::read(input)?),* }),)+
                    _ => Err($crate::words::Corrupt),
                }
            }
        }
    };
}
pub(crate) use words;
