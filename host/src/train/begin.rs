//! Weights of an earlier training, to go on from.

use super::TrainError;
use crate::prior::Prior;
use crate::unet::Architecture;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unet::architecture::tests::small;

    #[test]
    fn weights_of_a_file_are_those_of_the_same_network() {
        let (prior, path) = (Prior::named("ellipses").unwrap(), Path::new("ellipses"));
        let of_prior = prior.weights();
        assert_eq!(of_file(path, of_prior.architecture()).unwrap(), of_prior.parameters());
        assert!(matches!(of_file(path, &small()), Err(TrainError::AnotherNetwork(_))));
        assert!(matches!(of_file(Path::new("nowhere"), &small()), Err(TrainError::Initial(_))));
    }
}
