//! What tests of several crates start from: numbers, norms, small networks.

use gradus::prior::Prior;
use gradus::unet::{Architecture, Description, Parametrisation, PerturbationKernelSpec, Weights, WeightsError, layers};
pub use gradus::vector::{distance, dot};

/// The diffusion of all networks here.
pub const VP: PerturbationKernelSpec = PerturbationKernelSpec::Vp { beta_min: 0.1, beta_max: 20.0 };
/// A parametrisation with odd moments.
pub const RESIDUAL: Parametrisation = Parametrisation::Residual { data_mean: 0.15, data_std: 0.25 };

/// Numbers in [-1, 1) from a fixed sequence.
#[must_use]
pub fn signed(n: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut draw = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
    };
    (0..n).map(|_| draw()).collect()
}

/// The network of `golden/paper_unet.npz`.
#[must_use]
pub fn paper() -> Architecture {
    Architecture {
        in_channels: 1,
        out_channels: 1,
        pixel_unshuffle: 1,
        model_channels: 32,
        channel_mult: vec![1, 2],
        num_res_blocks: 1,
        attention_resolutions: vec![2],
        middle_attention: true,
        num_heads: 1,
        norm_groups: 32,
        norm_eps: 1e-5,
        max_period: 0.005,
    }
}

/// A small network with all kinds of layers, two heads, and channel counts that fit no vector.
#[must_use]
pub fn small(pixel_unshuffle: usize, channel_mult: Vec<usize>) -> Architecture {
    Architecture { pixel_unshuffle, model_channels: 10, channel_mult, num_heads: 2, norm_groups: 5, ..paper() }
}

/// A network of this shape.
#[must_use]
pub fn describe(architecture: &Architecture, parametrisation: Parametrisation) -> Description {
    Description { architecture: architecture.clone(), perturbation_kernel: VP, parametrisation }
}

/// A prior with random weights, scaled by their fan-in; norms near the identity.
///
/// # Errors
/// When the architecture is impossible.
pub fn random(architecture: &Architecture, parametrisation: Parametrisation) -> Result<Prior, WeightsError> {
    let tensors = layers::tensors(architecture).into_iter().enumerate();
    let parameters: Vec<f32> = tensors
        .flat_map(|(seed, (name, shape))| {
            let fan_in = shape[1..].iter().product::<usize>() as f32;
            let centre = f32::from(shape.len() == 1 && name.ends_with("weight"));
            let scale = fan_in.sqrt().max(2.0);
            signed(shape.iter().product(), seed as u64).into_iter().map(move |v| centre + v / scale)
        })
        .collect();
    let description = describe(architecture, parametrisation);
    Weights::from_parameters(description, String::new(), &parameters).map(Prior::from)
}
