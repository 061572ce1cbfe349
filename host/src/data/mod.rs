//! (module data)
