//! Helpers of flags.

use serde::de::value::Error;
use serde::de::{DeserializeOwned, IntoDeserializer};

/// A value by the name that files give it.
pub fn by_name<T: DeserializeOwned>(name: &str) -> Result<T, Error> {
    T::deserialize(IntoDeserializer::<Error>::into_deserializer(name))
}

/// Overwrites a field where a flag was given.
pub fn replace<T: Clone>(field: &mut T, flag: &Option<T>) {
    if let Some(value) = flag {
        field.clone_from(value);
    }
}
