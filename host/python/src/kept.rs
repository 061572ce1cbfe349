//! Things that take long to make, kept from call to call.

use std::sync::{Mutex, PoisonError};

/// The thing that was made last, for the next call that needs the same.
pub struct Kept<K, T>(Mutex<Option<(K, T)>>);

impl<K: PartialEq, T> Kept<K, T> {
    /// Nothing yet.
    pub const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// Uses what is kept under `key`, or makes it first. Others wait meanwhile: not to be called with the interpreter's
    /// lock held.
    ///
    /// # Errors
    /// Those of `make`.
    pub fn with<R, E>(
        &self,
        key: K,
        make: impl FnOnce() -> Result<T, E>,
        work: impl FnOnce(&mut T) -> R,
    ) -> Result<R, E> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found = match kept.take() {
            Some((old, found)) if old == key => found,
            // The old one's memory is free again before the new one is made.
            other => {
                drop(other);
                make()?
            }
        };
        let result = work(&mut found);
        *kept = Some((key, found));
        Ok(result)
    }
}
