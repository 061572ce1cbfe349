//! CT.
mod fbp;
mod geometry;
mod hounsfield;
mod noise;
mod projector;
mod resample;
#[cfg(test)]
mod test_support;
pub use fbp::{FilteredBackprojector, UnknownWindow, Window};
pub use geometry::{GeometryError, ParallelBeam};
pub use hounsfield::{
    ATTENUATION_PER_UNIT, HU_PER_UNIT, attenuation_to_network, hu_to_network, network_to_attenuation, network_to_hu,
};
pub use noise::{NoiseError, poisson, relative_gaussian};
pub use projector::{ProjectionError, Projector};
