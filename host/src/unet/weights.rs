//! Weights of an energy network, checked tensor by tensor.

use super::architecture::{Architecture, ArchitectureError, Description, Parametrisation, PerturbationKernelSpec};
use super::layers;
use safetensors::SafeTensorError;
use std::collections::BTreeMap;
use thiserror::Error;

/// A dense f32 tensor, row-major, last axis fastest.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Length of each axis.
    pub shape: Vec<usize>,
    /// `shape.iter().product()` values.
    pub data: Vec<f32>,
}

/// A network's description with all of its tensors: the right ones, of the right shapes, all finite.
#[derive(Debug, Clone, PartialEq)]
pub struct Weights {
    description: Description,
    provenance: String,
    levels: Option<u32>,
    extrapolation: Option<f64>,
    notes: BTreeMap<String, String>,
    tensors: BTreeMap<String, Tensor>,
}

/// A fault of a weights file.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// Not a safetensors file, or cut short.
    #[error("not a complete safetensors file ({0}); fetch or copy it again")]
    Container(#[from] SafeTensorError),
    /// A metadata key is absent.
    #[error(
        "metadata key `{0}` is missing: these are not weights of an energy network, or they were written by another \
         program"
    )]
    MissingMetadata(&'static str),
    /// A metadata key does not hold what it should.
    #[error("metadata key `{key}` cannot be read: {source}")]
    Metadata {
        /// The key.
        key: &'static str,
        /// The parser's words.
        source: serde_json::Error,
    },
    /// The description is not a network.
    #[error("metadata describe an impossible network: {0}")]
    Architecture(#[from] ArchitectureError),
    /// A tensor that the architecture needs is absent.
    #[error("tensor `{name}` of shape {expected:?} is missing")]
    Missing {
        /// State-dict name.
        name: String,
        /// Shape that the architecture asks for.
        expected: Vec<usize>,
    },
    /// A tensor that the architecture has no place for.
    #[error("tensor `{name}` of shape {found:?} does not belong to the architecture in the metadata")]
    Surplus {
        /// State-dict name.
        name: String,
        /// Its shape.
        found: Vec<usize>,
    },
    /// A tensor has another shape than the architecture asks for.
    #[error("tensor `{name}` has shape {found:?}, but the architecture in the metadata needs {expected:?}")]
    Shape {
        /// State-dict name.
        name: String,
        /// Shape that the architecture asks for.
        expected: Vec<usize>,
        /// Shape in the file.
        found: Vec<usize>,
    },
    /// A tensor is not stored as 32-bit floats.
    #[error("tensor `{name}` is stored as {found}, expected F32")]
    Type {
        /// State-dict name.
        name: String,
        /// Type in the file.
        found: String,
    },
    /// A tensor holds NaN or infinity.
    #[error("tensor `{name}` holds {value} at index {index}: the training diverged or the file is damaged")]
    NotFinite {
        /// State-dict name.
        name: String,
        /// Flat index of the first such value.
        index: usize,
        /// The value.
        value: f32,
    },
}

impl Weights {
    /// Puts a description and its tensors together.
    ///
    /// # Errors
    /// `Architecture` for an impossible description; `Missing`, `Surplus`, `Shape` and `NotFinite` name the tensor.
    pub fn new(
        description: Description,
        provenance: String,
        tensors: BTreeMap<String, Tensor>,
    ) -> Result<Self, WeightsError> {
        description.validate()?;
        let needed = layers::tensors(&description.architecture);
        check_names(&needed, &tensors)?;
        for (name, tensor) in &tensors {
            if let Some((index, &value)) = tensor.data.iter().enumerate().find(|(_, v)| !v.is_finite()) {
                return Err(WeightsError::NotFinite { name: name.clone(), index, value });
            }
        }
        Ok(Self { description, provenance, levels: None, extrapolation: None, notes: BTreeMap::new(), tensors })
    }

    /// The same weights with the number of levels that suits the default method under them.
    ///
    /// # Errors
    /// `Architecture` for fewer than 2: a schedule has two ends.
    pub fn with_levels(self, levels: Option<u32>) -> Result<Self, WeightsError> {
        if let Some(few @ 0..2) = levels {
            let (field, value, wanted) = ("levels", few.into(), "at least 2");
            return Err(ArchitectureError::Number { field, value, wanted }.into());
        }
        Ok(Self { levels, ..self })
    }

    /// The same weights with the extrapolation of denoised images that suits the default method under them.
    ///
    /// # Errors
    /// `Architecture` unless it is at least 0 and below 1.
    pub fn with_extrapolation(self, extrapolation: Option<f64>) -> Result<Self, WeightsError> {
        match extrapolation {
            Some(value) if !(0.0..1.0).contains(&value) => {
                let (field, wanted) = ("extrapolation", "at least 0 and below 1");
                Err(ArchitectureError::Number { field, value, wanted }.into())
            }
            _ => Ok(Self { extrapolation, ..self }),
        }
    }

    /// The same weights with something more that was found out about them; the file has it in its metadata.
    #[must_use]
    pub fn with_note(mut self, key: &str, text: String) -> Self {
        self.notes.insert(key.to_owned(), text);
        self
    }

    /// A description and its tensors as one vector, in the order of [`layers::tensors`]: the inverse of
    /// [`Weights::parameters`].
    ///
    /// # Errors
    /// As [`Weights::new`]; `Shape`, when the vector is too short.
    pub fn from_parameters(
        description: Description,
        provenance: String,
        parameters: &[f32],
    ) -> Result<Self, WeightsError> {
        description.validate()?;
        let mut rest = parameters;
        let tensors = layers::tensors(&description.architecture).into_iter().map(|(name, shape)| {
            let (data, after) = rest.split_at(shape.iter().product::<usize>().min(rest.len()));
            rest = after;
            (name, Tensor { shape, data: data.to_vec() })
        });
        let tensors = tensors.collect();
        Self::new(description, provenance, tensors)
    }

    /// All tensors as one vector, in the order of [`layers::tensors`]: what training works on.
    #[must_use]
    pub fn parameters(&self) -> Vec<f32> {
        layers::tensors(self.architecture()).iter().flat_map(|(name, _)| self.values(name)).copied().collect()
    }

    /// The network but for its tensors.
    #[must_use]
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// The network's shape.
    #[must_use]
    pub fn architecture(&self) -> &Architecture {
        &self.description.architecture
    }

    /// The perturbation kernel of the training.
    #[must_use]
    pub fn perturbation_kernel(&self) -> &PerturbationKernelSpec {
        &self.description.perturbation_kernel
    }

    /// The way from the network's output to h.
    #[must_use]
    pub fn parametrisation(&self) -> &Parametrisation {
        &self.description.parametrisation
    }

    /// The history of the weights: data, date, training.
    #[must_use]
    pub fn provenance(&self) -> &str {
        &self.provenance
    }

    /// The number of levels that suits the default method under these weights, where that has been found out.
    #[must_use]
    pub fn levels(&self) -> Option<u32> {
        self.levels
    }

    /// The extrapolation of denoised images that suits the default method under these weights, where that has been
    /// found out.
    #[must_use]
    pub fn extrapolation(&self) -> Option<f64> {
        self.extrapolation
    }

    /// A further finding about the weights, by its key.
    #[must_use]
    pub fn note(&self, key: &str) -> Option<&str> {
        self.notes.get(key).map(String::as_str)
    }

    /// All of that.
    pub(super) fn notes(&self) -> &BTreeMap<String, String> {
        &self.notes
    }

    /// All tensors by state-dict name.
    #[must_use]
    pub fn tensors(&self) -> &BTreeMap<String, Tensor> {
        &self.tensors
    }

    /// Values of one tensor; empty for a name that the architecture does not have.
    #[must_use]
    pub fn values(&self, name: &str) -> &[f32] {
        self.tensors.get(name).map_or(&[], |tensor| &tensor.data)
    }
}

/// Compares names and shapes, needed ones first, so that weights of another architecture say what they lack.
fn check_names(needed: &[(String, Vec<usize>)], tensors: &BTreeMap<String, Tensor>) -> Result<(), WeightsError> {
    for (name, expected) in needed {
        let (name, expected) = (name.clone(), expected.clone());
        let Some(tensor) = tensors.get(&name) else { return Err(WeightsError::Missing { name, expected }) };
        if tensor.shape != expected || tensor.data.len() != expected.iter().product::<usize>() {
            return Err(WeightsError::Shape { name, expected, found: tensor.shape.clone() });
        }
    }
    let surplus = tensors.iter().find(|(name, _)| !needed.iter().any(|(n, _)| n == *name));
    match surplus {
        Some((name, tensor)) => Err(WeightsError::Surplus { name: name.clone(), found: tensor.shape.clone() }),
        None => Ok(()),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::unet::architecture::tests::small;

    /// Weights drawn from a fixed sequence, scaled by fan-in; norms near the identity.
    pub(crate) fn random(architecture: &Architecture, parametrisation: Parametrisation) -> Weights {
        let mut state = 1_u64;
        let mut draw = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
        };
        let tensors = layers::tensors(architecture).into_iter().map(|(name, shape)| {
            let fan_in = shape[1..].iter().product::<usize>() as f32;
            let is_scale = shape.len() == 1 && name.ends_with("weight");
            let data = (0..shape.iter().product()).map(|_| f32::from(is_scale) + draw() / fan_in.sqrt().max(2.0));
            let data = data.collect();
            (name, Tensor { shape, data })
        });
        let perturbation_kernel = PerturbationKernelSpec::Vp { beta_min: 0.1, beta_max: 20.0 };
        let description = Description { architecture: architecture.clone(), perturbation_kernel, parametrisation };
        Weights::new(description, String::new(), tensors.collect()).unwrap()
    }

    fn rebuilt(change: impl FnOnce(&mut BTreeMap<String, Tensor>)) -> WeightsError {
        let weights = random(&small(), Parametrisation::Norm);
        let mut tensors = weights.tensors.clone();
        change(&mut tensors);
        Weights::new(weights.description, String::new(), tensors).unwrap_err()
    }

    #[test]
    fn faults_name_the_tensor_and_both_shapes() {
        let name = "out.2.weight";
        let missing = rebuilt(|t| drop(t.remove(name)));
        assert!(
            matches!(&missing, WeightsError::Missing { name: n, expected } if n == name && expected == &[4, 8, 3, 3])
        );
        let surplus = rebuilt(|t| drop(t.insert("other".into(), Tensor { shape: vec![1], data: vec![0.0] })));
        assert!(matches!(&surplus, WeightsError::Surplus { name: n, .. } if n == "other"));
        let shape = rebuilt(|t| t.get_mut(name).unwrap().shape = vec![4, 8, 9]);
        assert_eq!(
            shape.to_string(),
            "tensor `out.2.weight` has shape [4, 8, 9], but the architecture in the metadata needs [4, 8, 3, 3]"
        );
        let nan = rebuilt(|t| t.get_mut(name).unwrap().data[7] = f32::NAN);
        assert!(matches!(nan, WeightsError::NotFinite { index: 7, .. }));
    }

    #[test]
    fn weights_of_another_architecture_are_refused() {
        let weights = random(&small(), Parametrisation::Norm);
        let architecture = Architecture { model_channels: 16, ..small() };
        let other = Description { architecture, ..weights.description };
        let error = Weights::new(other, String::new(), weights.tensors);
        assert!(matches!(error, Err(WeightsError::Shape { .. })));
    }
}
