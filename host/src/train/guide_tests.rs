//! GUIDE.md held to the code: every field of a training run stands there, and no other.

use super::config::{DataConfig, OptimiserConfig, Phase, Smoothing, TrainingConfig, ValidationConfig};
use crate::test_support::{fields, guide_names};
use crate::unet::Architecture;

#[test]
fn fields_of_a_training_run_are_those_of_the_guide() {
    assert_eq!(guide_names("Fields of a training run"), fields::<TrainingConfig>(""));
    assert_eq!(guide_names("Fields of `[data]`"), fields::<DataConfig>("kind = \"folder\"\n"));
    assert_eq!(guide_names("Fields of `[network]`"), fields::<Architecture>(""));
    assert_eq!(guide_names("Fields of `[optimiser]`"), fields::<OptimiserConfig>(""));
    assert_eq!(guide_names("Fields of `[validation]`"), fields::<ValidationConfig>(""));
    assert_eq!(guide_names("Fields of `[[phase]]`"), fields::<Phase>(""));
    assert_eq!(guide_names("Fields of `[phase.smoothing]`"), fields::<Smoothing>(""));
}
