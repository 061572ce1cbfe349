//! Weights as safetensors files.

use super::architecture::Description;
use super::weights::{Tensor, Weights, WeightsError};
use safetensors::{Dtype, SafeTensorError, SafeTensors, tensor::TensorView};
use std::collections::{BTreeMap, HashMap};

const ARCHITECTURE: &str = "architecture";
const PERTURBATION_KERNEL: &str = "perturbation_kernel";
const PARAMETRISATION: &str = "parametrisation";
const PROVENANCE: &str = "provenance";
const LEVELS: &str = "levels";
const EXTRAPOLATION: &str = "extrapolation";
/// The name of [`LEVELS`] in older files.
pub(crate) const OLD_LEVELS: &str = "preconditioned_steps";
/// Keys of the metadata that are no notes.
const OWN: [&str; 7] =
    [ARCHITECTURE, PERTURBATION_KERNEL, PARAMETRISATION, PROVENANCE, LEVELS, OLD_LEVELS, EXTRAPOLATION];

impl Weights {
    /// Reads a safetensors file from memory.
    ///
    /// # Errors
    /// `Container` for a damaged file, `MissingMetadata` and `Metadata` for its description, `Type` for a tensor that
    /// is not f32, and everything that [`Weights::new`] refuses.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, WeightsError> {
        let (_, header) = SafeTensors::read_metadata(bytes)?;
        let metadata = header.metadata().clone().unwrap_or_default();
        let file = SafeTensors::deserialize(bytes)?;
        let mut tensors = BTreeMap::new();
        for (name, view) in file.iter() {
            if view.dtype() != Dtype::F32 {
                return Err(WeightsError::Type { name: name.to_owned(), found: format!("{:?}", view.dtype()) });
            }
            let data = view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
            tensors.insert(name.to_owned(), Tensor { shape: view.shape().to_vec(), data });
        }
        let key = [LEVELS, OLD_LEVELS].into_iter().find(|key| metadata.contains_key(*key));
        let levels = key.map(|key| parse(&metadata, key)).transpose()?;
        let extrapolation =
            metadata.contains_key(EXTRAPOLATION).then(|| parse(&metadata, EXTRAPOLATION)).transpose()?;
        let description = Description {
            architecture: parse(&metadata, ARCHITECTURE)?,
            perturbation_kernel: parse(&metadata, PERTURBATION_KERNEL)?,
            parametrisation: parse(&metadata, PARAMETRISATION)?,
        };
        let provenance = metadata.get(PROVENANCE).cloned().unwrap_or_default();
        let weights = Self::new(description, provenance, tensors)?.with_levels(levels)?;
        let weights = weights.with_extrapolation(extrapolation)?;
        let notes = metadata.into_iter().filter(|(key, _)| !OWN.contains(&key.as_str()));
        Ok(notes.fold(weights, |weights, (key, text)| weights.with_note(&key, text)))
    }

    /// Writes a safetensors file to memory; [`Weights::from_bytes`] reads it back bit for bit.
    ///
    /// # Errors
    /// `Container`, when a tensor cannot be described by the format, and `Metadata`.
    pub fn to_bytes(&self) -> Result<Vec<u8>, WeightsError> {
        let mut metadata = HashMap::from([
            (ARCHITECTURE.to_owned(), json(ARCHITECTURE, self.architecture())?),
            (PERTURBATION_KERNEL.to_owned(), json(PERTURBATION_KERNEL, self.perturbation_kernel())?),
            (PARAMETRISATION.to_owned(), json(PARAMETRISATION, self.parametrisation())?),
            (PROVENANCE.to_owned(), self.provenance().to_owned()),
        ]);
        if let Some(levels) = self.levels() {
            metadata.insert(LEVELS.to_owned(), json(LEVELS, &levels)?);
        }
        if let Some(extrapolation) = self.extrapolation() {
            metadata.insert(EXTRAPOLATION.to_owned(), json(EXTRAPOLATION, &extrapolation)?);
        }
        metadata.extend(self.notes().clone());
        let bytes: Vec<(&String, &Tensor, Vec<u8>)> = self
            .tensors()
            .iter()
            .map(|(name, tensor)| (name, tensor, tensor.data.iter().flat_map(|v| v.to_le_bytes()).collect()))
            .collect();
        let views: Vec<(&String, TensorView<'_>)> = bytes
            .iter()
            .map(|(name, tensor, data)| Ok((*name, TensorView::new(Dtype::F32, tensor.shape.clone(), data)?)))
            .collect::<Result<_, SafeTensorError>>()?;
        Ok(with_sorted_metadata(safetensors::serialize(views, Some(metadata))?))
    }
}

/// The same safetensors file with its metadata in the order of their keys, so that equal contents are equal bytes.
///
/// The file begins with the length of its JSON header, to which spaces are added; another order does not change it.
fn with_sorted_metadata(mut file: Vec<u8>) -> Vec<u8> {
    const LENGTH: usize = size_of::<u64>();
    let length = file.first_chunk().map_or(0, |bytes: &[u8; LENGTH]| u64::from_le_bytes(*bytes) as usize);
    let Some(header) = file.get_mut(LENGTH..LENGTH + length) else { return file };
    let Ok(mut json) = serde_json::from_slice::<serde_json::Value>(header) else { return file };
    if let Some(metadata) = json.get_mut("__metadata__").and_then(serde_json::Value::as_object_mut) {
        metadata.sort_keys();
    }
    let sorted = json.to_string();
    if sorted.len() <= header.len() {
        header.fill(b' ');
        header[..sorted.len()].copy_from_slice(sorted.as_bytes());
    }
    file
}

fn parse<T: serde::de::DeserializeOwned>(
    metadata: &HashMap<String, String>,
    key: &'static str,
) -> Result<T, WeightsError> {
    let text = metadata.get(key).ok_or(WeightsError::MissingMetadata(key))?;
    serde_json::from_str(text).map_err(|source| WeightsError::Metadata { key, source })
}

fn json<T: serde::Serialize>(key: &'static str, value: &T) -> Result<String, WeightsError> {
    serde_json::to_string(value).map_err(|source| WeightsError::Metadata { key, source })
}

#[cfg(test)]
mod tests {
    use super::super::architecture::tests::small;
    use super::super::weights::tests::random;
    use super::*;
    use crate::unet::Parametrisation;

    #[test]
    fn a_file_comes_back_bit_for_bit() {
        let weights = random(&small(), Parametrisation::Residual { data_mean: 0.1, data_std: 0.5 });
        let bytes = weights.to_bytes().unwrap();
        assert_eq!(Weights::from_bytes(&bytes).unwrap(), weights);
        let rebuilt =
            |parameters: &[f32]| Weights::from_parameters(weights.description().clone(), String::new(), parameters);
        let parameters = weights.parameters();
        assert_eq!(rebuilt(&parameters).unwrap(), weights);
        let levelled = weights.clone().with_levels(Some(9)).unwrap().with_extrapolation(Some(0.3)).unwrap();
        assert_eq!(Weights::from_bytes(&levelled.to_bytes().unwrap()).unwrap(), levelled);
        let noted = weights.clone().with_note("of_mine", "{\"a\": 1}".to_owned());
        let back = Weights::from_bytes(&noted.to_bytes().unwrap()).unwrap();
        assert_eq!((back.note("of_mine"), back.note("levels"), &back), (Some("{\"a\": 1}"), None, &noted));
        let error = weights.clone().with_levels(Some(1)).unwrap_err();
        assert!(error.to_string().contains("`levels` = 1 must be at least 2"), "{error}");
        let error = weights.clone().with_extrapolation(Some(1.0)).unwrap_err();
        assert!(error.to_string().contains("`extrapolation` = 1 must be at least 0"), "{error}");
        assert!(matches!(rebuilt(&parameters[1..]), Err(WeightsError::Shape { .. })));
        assert!((0..10).all(|_| weights.to_bytes().unwrap() == bytes), "the order of the metadata differs");
    }

    #[test]
    fn damaged_files_are_errors() {
        let bytes = random(&small(), Parametrisation::Norm).to_bytes().unwrap();
        for length in [0, 4, 8, 100, bytes.len() / 2, bytes.len() - 1] {
            assert!(matches!(Weights::from_bytes(&bytes[..length]), Err(WeightsError::Container(_))), "{length}");
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        assert!(text.contains("\"parametrisation\""));
        let mut renamed = bytes.clone();
        let at = bytes.windows(15).position(|w| w == b"parametrisation").unwrap();
        renamed[at] = b'q';
        assert!(matches!(Weights::from_bytes(&renamed), Err(WeightsError::MissingMetadata("parametrisation"))));
    }
}
