//! Hounsfield units, network units and attenuation.
//!
//! One chain, with the constants of the LoDoPaB convention that the experiments follow:
//!
//! ```text
//! mu = 0.01998 HU + 20  [1/m],      network = mu / 81.35858,      mu [1/mm] = 0.08135858 network.
//! ```
//!
//! So 0 to 1 in network units are -1001 to 3071 HU, water is 0.2458, and the attenuation of water is 0.02 per mm.

/// Attenuation per Hounsfield unit, 1/m.
const PER_HU: f64 = 0.01998;
/// Attenuation of water (0 HU), 1/m.
const WATER: f64 = 20.0;
/// Attenuation of 3071 HU, which is 1 in network units, 1/m.
const LARGEST: f64 = 81.35858;

/// Attenuation in 1/mm of one network unit.
pub const ATTENUATION_PER_UNIT: f32 = (LARGEST / 1000.0) as f32;

/// Hounsfield units that one network unit spans: about 4072.
pub const HU_PER_UNIT: f32 = (LARGEST / PER_HU) as f32;

/// Hounsfield units to network units.
#[must_use]
pub fn hu_to_network(hu: f32) -> f32 {
    ((f64::from(hu) * PER_HU + WATER) / LARGEST) as f32
}

/// Network units to Hounsfield units: the inverse of [`hu_to_network`].
#[must_use]
pub fn network_to_hu(network: f32) -> f32 {
    ((f64::from(network) * LARGEST - WATER) / PER_HU) as f32
}

/// Network units to attenuation in 1/mm.
#[must_use]
pub fn network_to_attenuation(network: f32) -> f32 {
    network * ATTENUATION_PER_UNIT
}

/// Attenuation in 1/mm to network units.
#[must_use]
pub fn attenuation_to_network(attenuation: f32) -> f32 {
    attenuation / ATTENUATION_PER_UNIT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn water_air_and_the_ends() {
        assert!((hu_to_network(0.0) - 0.245_825).abs() < 1e-6);
        assert!(hu_to_network(-1000.0).abs() < 5e-4);
        assert!((hu_to_network(3071.0) - 1.0).abs() < 1e-7);
        assert!((network_to_attenuation(hu_to_network(0.0)) - 0.02).abs() < 1e-8);
        assert!((HU_PER_UNIT - 4072.0).abs() < 0.1);
        assert!((ATTENUATION_PER_UNIT - 0.081_358_58).abs() < 1e-9);
    }

    #[test]
    fn there_and_back() {
        for hu in (-1024..=3071).map(|h| h as f32) {
            assert!((network_to_hu(hu_to_network(hu)) - hu).abs() < 1e-3);
            let network = hu_to_network(hu);
            assert!(
                (attenuation_to_network(network_to_attenuation(network)) - network).abs() <= 1.2e-7 * network.abs()
            );
        }
    }
}
