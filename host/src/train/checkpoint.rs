//! The state of a training run in one file: a safetensors file of the optimiser's vectors, with the run and its
//! history.

use super::adam::OptimiserState;
use super::config::TrainingConfig;
use super::history::History;
use crate::memory::parameters;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensorError, SafeTensors};
use std::collections::HashMap;

/// Everything from which a run continues with the same bits.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Checkpoint {
    pub(super) config: TrainingConfig,
    pub(super) state: OptimiserState,
    pub(super) history: History,
    /// Mean and spread that the network works with.
    pub(super) data: (f64, f64),
}

/// A fault of a checkpoint.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// Not a safetensors file, or cut short.
    #[error("not a complete checkpoint")]
    Container(#[from] SafeTensorError),
    /// Something is missing or unreadable in it.
    #[error("`{0}` is missing or unreadable: this is no checkpoint of this program, or of another version")]
    Part(&'static str),
    /// The vectors are those of another network than the one described.
    #[error(
        "the checkpoint holds a network of {found} parameters and describes one of {described} (`network` in its \
         `config`): it is damaged, or its description has been changed"
    )]
    AnotherNetwork {
        /// Parameters in the file.
        found: usize,
        /// Parameters of the network that it describes.
        described: usize,
    },
}

const VECTORS: [&str; 4] = ["parameters", "mean", "mean_square", "average"];
const CONFIG: &str = "config";
const HISTORY: &str = "history";
const STEPS: &str = "steps";
const DATA: &str = "data";

impl Checkpoint {
    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, CheckpointError> {
        let state = &self.state;
        let vectors = [&state.parameters, &state.mean, &state.mean_square, &state.average];
        let bytes = vectors.map(|vector| vector.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>());
        let mut views = Vec::new();
        for ((name, vector), bytes) in VECTORS.into_iter().zip(vectors).zip(&bytes) {
            views.push((name, TensorView::new(Dtype::F32, vec![vector.len()], bytes)?));
        }
        let json = |part, value: serde_json::Result<String>| value.map_err(|_| CheckpointError::Part(part));
        let metadata = HashMap::from([
            (CONFIG.to_owned(), toml::to_string(&self.config).map_err(|_| CheckpointError::Part(CONFIG))?),
            (HISTORY.to_owned(), json(HISTORY, serde_json::to_string(&self.history))?),
            (STEPS.to_owned(), state.steps.to_string()),
            // As bits: decimals would have to round-trip.
            (DATA.to_owned(), format!("{:x} {:x}", self.data.0.to_bits(), self.data.1.to_bits())),
        ]);
        Ok(safetensors::serialize(views, Some(metadata))?)
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, CheckpointError> {
        let (_, header) = SafeTensors::read_metadata(bytes)?;
        let metadata = header.metadata().clone().unwrap_or_default();
        let text = |key: &'static str| metadata.get(key).ok_or(CheckpointError::Part(key));
        let file = SafeTensors::deserialize(bytes)?;
        let vector = |name: &'static str| {
            let view = file.tensor(name).map_err(|_| CheckpointError::Part(name))?;
            if view.dtype() != Dtype::F32 {
                return Err(CheckpointError::Part(name));
            }
            let values = view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
            Ok::<Vec<f32>, CheckpointError>(values.collect())
        };
        let state = OptimiserState {
            steps: text(STEPS)?.parse().map_err(|_| CheckpointError::Part(STEPS))?,
            parameters: vector(VECTORS[0])?,
            mean: vector(VECTORS[1])?,
            mean_square: vector(VECTORS[2])?,
            average: vector(VECTORS[3])?,
        };
        let n = state.parameters.len();
        if [&state.mean, &state.mean_square, &state.average].iter().any(|vector| vector.len() != n) {
            return Err(CheckpointError::Part("mean"));
        }
        let config: TrainingConfig = toml::from_str(text(CONFIG)?).map_err(|_| CheckpointError::Part(CONFIG))?;
        let history = serde_json::from_str(text(HISTORY)?).map_err(|_| CheckpointError::Part(HISTORY))?;
        let bits: Option<Vec<f64>> =
            text(DATA)?.split(' ').map(|hex| u64::from_str_radix(hex, 16).ok().map(f64::from_bits)).collect();
        match bits.as_deref() {
            Some(&[mean, std]) if mean.is_finite() && std.is_finite() && std >= 0.0 => {
                Ok(Self { config, state, history, data: (mean, std) })
            }
            _ => Err(CheckpointError::Part(DATA)),
        }
    }

    /// Checks that the vectors are those of the network described, whose description has been checked.
    pub(super) fn check_network(&self) -> Result<(), CheckpointError> {
        let (found, described) = (self.state.parameters.len(), parameters(&self.config.network));
        if found == described { Ok(()) } else { Err(CheckpointError::AnotherNetwork { found, described }) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::config::preset;
    use super::*;

    #[test]
    fn a_checkpoint_comes_back_bit_for_bit() {
        let mut state = OptimiserState::new(vec![0.1, -3.5e-20, f32::MIN_POSITIVE / 2.0]);
        state.steps = 17;
        state.mean_square[1] = 0.3;
        let config = toml::from_str(preset("ct").unwrap()).unwrap();
        let mut history = History::default();
        (1..=60).for_each(|step| history.observe(step, 0.5, 1.0, 1e-3, 2.0));
        let checkpoint = Checkpoint { config, state, history, data: (0.1, 1.0 / 3.0) };
        let bytes = checkpoint.to_bytes().unwrap();
        assert_eq!(Checkpoint::from_bytes(&bytes).unwrap(), checkpoint);
        for length in [0, 5, bytes.len() / 2, bytes.len() - 1] {
            assert!(Checkpoint::from_bytes(&bytes[..length]).is_err());
        }
    }
}
