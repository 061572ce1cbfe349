//! A prior by its name: an embedded one, or a weights file.

use super::embedded::{EMBEDDED, embedded};
use super::suits::Suits;
use crate::read::read_file;
use crate::unet::{PerturbationKernelSpec, Weights, WeightsError};
use std::borrow::Cow;
use std::path::Path;

/// A learned prior: an energy 1/2 |h(x, t)|^2 at every smoothing level, and what is known about it.
///
/// A backend makes of it what computes h and J_h^T v for several images at once; everybody else reads here under which
/// noise it was trained and which images it suits.
#[derive(Debug, Clone, PartialEq)]
pub struct Prior {
    name: String,
    weights: Weights,
    suits: Option<Suits>,
}

/// Reasons for which there is no prior of a name.
#[derive(Debug, thiserror::Error)]
pub enum PriorError {
    /// Neither embedded nor a file that can be read.
    #[error("cannot read the prior {name}: {cause}; name a weights file or one of: {}", names())]
    Read {
        /// The name given.
        name: String,
        /// The system's words.
        cause: std::io::Error,
    },
    /// The file holds no weights.
    #[error("cannot use the prior {name}")]
    Weights {
        /// The name given.
        name: String,
        /// The fault.
        #[source]
        cause: WeightsError,
    },
}

impl Prior {
    /// The prior of this name, embedded or in a file.
    ///
    /// # Errors
    /// [`PriorError`] names the prior or the file, and the fault.
    pub fn named(name: &str) -> Result<Self, PriorError> {
        Self::of_file(name, &Self::bytes(name)?)
    }

    /// The prior of this name, of which the weights file is given.
    ///
    /// # Errors
    /// [`PriorError::Weights`].
    pub fn of_file(name: &str, bytes: &[u8]) -> Result<Self, PriorError> {
        let weights =
            Weights::from_bytes(bytes).map_err(|cause| PriorError::Weights { name: name.to_owned(), cause })?;
        Ok(Self { name: name.to_owned(), weights, suits: embedded(name).map(|prior| prior.suits.clone()) })
    }

    /// The weights file of the prior of this name.
    ///
    /// # Errors
    /// [`PriorError::Read`], when the name is no embedded prior's and no file's.
    pub fn bytes(name: &str) -> Result<Cow<'static, [u8]>, PriorError> {
        match embedded(name) {
            Some(prior) => Ok(prior.bytes.into()),
            None => read_file(Path::new(name))
                .map(Cow::from)
                .map_err(|cause| PriorError::Read { name: name.to_owned(), cause }),
        }
    }

    /// The name that it was called by.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The network that computes h, for backends and descriptions.
    #[must_use]
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// The noise that it was trained under.
    #[must_use]
    pub fn perturbation_kernel(&self) -> &PerturbationKernelSpec {
        self.weights.perturbation_kernel()
    }

    /// The number of levels that suits the default method, where that is known.
    #[must_use]
    pub fn levels(&self) -> Option<u32> {
        self.weights.levels()
    }

    /// The extrapolation of denoised images that suits it, where that is known.
    #[must_use]
    pub fn extrapolation(&self) -> Option<f64> {
        self.weights.extrapolation()
    }

    /// The images that it suits; `None` where its file does not say.
    #[must_use]
    pub fn suits(&self) -> Option<&Suits> {
        self.suits.as_ref()
    }
}

/// Weights that no file holds yet, and that nothing is known of.
impl From<Weights> for Prior {
    fn from(weights: Weights) -> Self {
        Self { name: "unnamed".to_owned(), weights, suits: None }
    }
}

fn names() -> String {
    EMBEDDED.each_ref().map(|prior| prior.name).join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn every_embedded_prior_is_one() {
        for prior in &EMBEDDED {
            let named = Prior::named(prior.name).unwrap();
            assert_eq!((named.name(), named.suits()), (prior.name, Some(&prior.suits)));
            assert_eq!(Weights::from_bytes(prior.bytes).unwrap(), *named.weights());
        }
    }

    #[test]
    fn a_file_says_nothing_of_what_it_suits() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mine.safetensors");
        fs::write(&path, EMBEDDED[0].bytes).unwrap();
        let prior = Prior::named(path.to_str().unwrap()).unwrap();
        assert_eq!((prior.suits(), prior.weights().levels()), (None, Some(8)));
        fs::write(&path, b"no weights").unwrap();
        assert!(matches!(Prior::named(path.to_str().unwrap()), Err(PriorError::Weights { .. })));
    }

    #[test]
    fn unknown_names_are_told_the_known_ones() {
        let error = Prior::named("elipses").unwrap_err().to_string();
        assert!(error.contains("prior elipses") && error.ends_with("one of: ellipses, ct, disc"), "{error}");
    }
}
