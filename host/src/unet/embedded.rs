//! Priors in the box.

/// Names of the embedded priors.
pub const EMBEDDED: [&str; 1] = ["ellipses"];

/// The weights file of an embedded prior.
#[must_use]
pub fn embedded(name: &str) -> Option<&'static [u8]> {
    match name {
        "ellipses" => Some(include_bytes!("../../weights/ellipses.safetensors")),
        _ => None,
    }
}
