//! (module ct)
