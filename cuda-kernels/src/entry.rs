//! The declaration of entry points: one struct per kernel, with its arguments as fields.

use crate::work::Costed;
use std::ffi::c_void;
use std::marker::PhantomData;

/// Threads of a block, unless an entry says otherwise; `BLOCK` in common.cuh.
pub const BLOCK: u32 = 256;

/// An address in device memory, or null.
#[derive(Debug)]
#[repr(transparent)]
pub struct Address<T>(u64, PhantomData<fn() -> T>);

impl<T> Address<T> {
    /// No buffer, where a kernel allows that.
    pub const NULL: Self = Self(0, PhantomData);

    /// The address as the driver gave it.
    #[must_use]
    pub fn new(raw: u64) -> Self {
        Self(raw, PhantomData)
    }

    /// The number that it is.
    #[must_use]
    pub fn raw(self) -> u64 {
        self.0
    }

    /// True if it is null.
    #[must_use]
    pub fn is_null(self) -> bool {
        self.0 == 0
    }

    /// `n` values further on.
    #[must_use]
    pub fn offset(self, n: usize) -> Self {
        Self(self.0 + (n * size_of::<T>()) as u64, PhantomData)
    }
}

impl<T> Clone for Address<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Address<T> {}

impl<T> PartialEq for Address<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

/// A kernel's name and the size of each of its parameters, in bytes.
#[derive(Debug, Clone, Copy)]
pub struct Signature {
    /// Name of the entry in the PTX.
    pub name: &'static str,
    /// Largest number of threads in a block.
    pub max_threads: u32,
    /// Bytes of the parameters, in order.
    pub parameters: &'static [usize],
}

/// One `.cu` file: its PTX and its entries.
#[derive(Debug, Clone, Copy)]
pub struct Source {
    /// Name of the file, without its suffix.
    pub name: &'static str,
    /// The PTX that nvcc made of it.
    pub ptx: &'static str,
    /// Its `__global__` functions.
    pub entries: &'static [Signature],
}

/// A kernel with its arguments.
pub trait Entry: Costed {
    /// As the PTX has it.
    const SIGNATURE: Signature;

    /// Hands `launch` one pointer per argument, in order.
    fn with_arguments<R>(&self, launch: impl FnOnce(&[*mut c_void]) -> R) -> R;
}

/// Declares the entries of one `.cu` file: structs named like them, and `SOURCE`, the table.
macro_rules! entries {
    ($source:literal; $(
        $(#[$doc:meta])* $type:ident = $name:literal [$threads:expr] { $($field:ident: $of:ty),+ $(,)? }
    )+) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, Copy)]
            #[allow(missing_docs)] // the .cu file describes its parameters
            pub struct $type {
                $(pub $field: $of),+
            }

            impl $crate::entry::Entry for $type {
                const SIGNATURE: $crate::entry::Signature = $crate::entry::Signature {
                    name: $name,
                    max_threads: $threads,
                    parameters: &[$(size_of::<$of>()),+],
                };

                fn with_arguments<R>(&self, launch: impl FnOnce(&[*mut std::ffi::c_void]) -> R) -> R {
                    launch(&[$(std::ptr::from_ref(&self.$field).cast_mut().cast()),+])
                }
            }
        )+

        /// The file with its PTX and entries.
        pub const SOURCE: $crate::entry::Source = $crate::entry::Source {
            name: $source,
            ptx: include_str!(concat!("../ptx/", $source, ".ptx")),
            entries: &[$(<$type as $crate::entry::Entry>::SIGNATURE),+],
        };
    };
}
pub(crate) use entries;
