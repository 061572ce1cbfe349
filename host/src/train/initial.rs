//! The weights that training starts from.

use super::TrainError;
use crate::prior::Prior;
use crate::unet::{Architecture, layers};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use std::path::Path;

/// The weights of a file, or of an embedded prior.
pub(super) fn of_file(path: &Path, architecture: &Architecture) -> Result<Vec<f32>, TrainError> {
    let prior = Prior::named(&path.to_string_lossy())?;
    let found = prior.weights().architecture();
    if found != architecture {
        return Err(TrainError::AnotherNetwork(path.to_owned()));
    }
    Ok(prior.weights().parameters())
}

/// Uniform weights and biases within 1/sqrt(fan-in), as PyTorch draws them; norms are the identity. The last layer of
/// every residual branch and of the network is zero, so that h starts as that of a Gaussian \[DN21\].
pub(super) fn parameters(architecture: &Architecture, rng: &mut ChaCha8Rng) -> Vec<f32> {
    let mut parameters = Vec::new();
    let mut fan_in = 1;
    for (name, shape) in layers::tensors(architecture) {
        let n = shape.iter().product();
        let is_norm = ["in_layers.0.", "out_layers.0.", "norm.", "out.0."].iter().any(|part| name.contains(part));
        let is_zero = ["out_layers.3.", "proj_out.", "out.2."].iter().any(|part| name.contains(part));
        if is_norm || is_zero {
            let value = f32::from(is_norm && name.ends_with("weight"));
            parameters.extend(std::iter::repeat_n(value, n));
            continue;
        }
        // A bias follows its weight.
        if shape.len() > 1 {
            fan_in = shape[1..].iter().product();
        }
        let bound = 1.0 / (fan_in as f32).sqrt();
        parameters.extend((0..n).map(|_| bound * (2.0 * uniform(rng) - 1.0) as f32));
    }
    parameters
}

/// Uniform on [0, 1), on the grid of 2^-53.
pub(super) fn uniform(rng: &mut ChaCha8Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unet::architecture::tests::small;
    use rand_chacha::rand_core::SeedableRng;

    #[test]
    fn weights_of_a_file_are_those_of_the_same_network() {
        let (prior, path) = (Prior::named("ellipses").unwrap(), Path::new("ellipses"));
        let of_prior = prior.weights();
        assert_eq!(of_file(path, of_prior.architecture()).unwrap(), of_prior.parameters());
        assert!(matches!(of_file(path, &small()), Err(TrainError::AnotherNetwork(_))));
        assert!(matches!(of_file(Path::new("nowhere"), &small()), Err(TrainError::Initial(_))));
    }

    #[test]
    fn every_tensor_has_its_scale() {
        let values = parameters(&small(), &mut ChaCha8Rng::seed_from_u64(1));
        let mut rest = &values[..];
        for (name, shape) in layers::tensors(&small()) {
            let (tensor, after) = rest.split_at(shape.iter().product());
            rest = after;
            let largest = tensor.iter().fold(0.0, |a: f32, b| a.max(b.abs()));
            match name.as_str() {
                "out.2.weight" | "out.2.bias" | "input_blocks.1.0.out_layers.3.weight" | "out.0.bias" => {
                    assert_eq!(largest, 0.0, "{name}");
                }
                "out.0.weight" | "middle_block.1.norm.weight" => assert!(tensor.iter().all(|v| *v == 1.0), "{name}"),
                "input_blocks.1.0.in_layers.2.weight" => {
                    let bound = 1.0 / (8.0_f32 * 9.0).sqrt();
                    assert!(largest <= bound && largest > 0.9 * bound, "{name} {largest}");
                }
                _ => {}
            }
        }
        assert!(rest.is_empty());
    }
}
