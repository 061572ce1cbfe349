//! What the tests of the network share: numbers, architectures, random weights.
#![allow(dead_code, clippy::unwrap_used)] // every test uses its part of this

use gradus::unet::{Architecture, Parametrisation, PerturbationKernelSpec, Weights, layers};

pub const VP: PerturbationKernelSpec = PerturbationKernelSpec::Vp { beta_min: 0.1, beta_max: 20.0 };
pub const RESIDUAL: Parametrisation = Parametrisation::Residual { data_mean: 0.15, data_std: 0.25 };

/// Numbers in [-1, 1) from a fixed sequence.
pub fn signed(n: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut draw = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
    };
    (0..n).map(|_| draw()).collect()
}

pub fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}

/// The network of `golden/paper_unet.npz`.
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
pub fn small(pixel_unshuffle: usize, channel_mult: Vec<usize>) -> Architecture {
    Architecture {
        pixel_unshuffle,
        model_channels: 10,
        channel_mult,
        num_res_blocks: 2,
        num_heads: 2,
        norm_groups: 5,
        ..paper()
    }
}

/// Random weights.
pub fn random(architecture: &Architecture, parametrisation: Parametrisation) -> Weights {
    let tensors = layers::tensors(architecture).into_iter().enumerate();
    let parameters: Vec<f32> = tensors
        .flat_map(|(seed, (name, shape))| {
            let fan_in = shape[1..].iter().product::<usize>() as f32;
            let centre = f32::from(shape.len() == 1 && name.ends_with("weight"));
            let scale = fan_in.sqrt().max(2.0);
            signed(shape.iter().product(), seed as u64).into_iter().map(move |v| centre + v / scale)
        })
        .collect();
    Weights::from_parameters(architecture.clone(), VP, parametrisation, String::new(), &parameters).unwrap()
}

/// (weights, height, width) of networks with odd coarse levels, and with the widths 2, 1.
pub fn cases() -> [(Weights, usize, usize); 4] {
    let norm = Parametrisation::Norm;
    [
        (random(&small(2, vec![1, 2]), RESIDUAL), 12, 20),
        (random(&small(1, vec![1, 2, 2]), norm), 12, 20),
        (random(&small(1, vec![2, 1]), RESIDUAL), 10, 6),
        (random(&small(1, vec![1]), norm), 7, 3),
    ]
}
