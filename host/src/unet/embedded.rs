//! Priors in the box.

/// Names of the embedded priors.
pub const EMBEDDED: [&str; 2] = ["ellipses", "ct"];

/// The weights file of an embedded prior.
#[must_use]
pub fn embedded(name: &str) -> Option<&'static [u8]> {
    match name {
        "ellipses" => Some(include_bytes!("../../weights/ellipses.safetensors")),
        "ct" => Some(include_bytes!("../../weights/ct.safetensors")),
        _ => None,
    }
}
