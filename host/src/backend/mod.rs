//! (module backend)
