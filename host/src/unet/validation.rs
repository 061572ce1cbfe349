//! Checks of a description: that it is a network at all.

use super::architecture::{Architecture, ArchitectureError, positive};
use super::layers::{self, LayerKind};

impl Architecture {
    /// Checks the numbers that later code divides by or splits by.
    ///
    /// # Errors
    /// `Zero`, `TooLarge`, `ChannelsDiffer`, `OddModelChannels`, `Groups`, `Heads` and `Number`, each naming its field
    /// or layer.
    pub fn validate(&self) -> Result<(), ArchitectureError> {
        self.check_counts()?;
        let (in_channels, out_channels) = (self.in_channels, self.out_channels);
        if in_channels != out_channels {
            return Err(ArchitectureError::ChannelsDiffer { in_channels, out_channels });
        }
        if !self.model_channels.is_multiple_of(2) {
            return Err(ArchitectureError::OddModelChannels(self.model_channels));
        }
        positive("norm_eps", self.norm_eps)?;
        positive("max_period", self.max_period)?;
        check_splits(self)
    }

    fn check_counts(&self) -> Result<(), ArchitectureError> {
        let counts = [
            ("in_channels", self.in_channels),
            ("out_channels", self.out_channels),
            ("pixel_unshuffle", self.pixel_unshuffle),
            ("model_channels", self.model_channels),
            ("channel_mult", self.channel_mult.len()),
            ("channel_mult", self.channel_mult.iter().copied().min().unwrap_or(0)),
            ("num_res_blocks", self.num_res_blocks),
            ("num_heads", self.num_heads),
            ("norm_groups", self.norm_groups),
        ];
        if let Some(&(field, _)) = counts.iter().find(|(_, count)| *count == 0) {
            return Err(ArchitectureError::Zero { field });
        }
        let limits = [
            ("in_channels", self.in_channels, 64),
            ("pixel_unshuffle", self.pixel_unshuffle, 16),
            ("model_channels", self.model_channels, 4096),
            ("channel_mult", self.levels(), 10),
            ("channel_mult", self.channel_mult.iter().copied().max().unwrap_or(0), 64),
            ("num_res_blocks", self.num_res_blocks, 64),
        ];
        if let Some(&(field, value, limit)) = limits.iter().find(|(_, value, limit)| value > limit) {
            return Err(ArchitectureError::TooLarge { field, value, limit });
        }
        Ok(())
    }
}

/// Checks that groups and heads divide the channels they split.
fn check_splits(architecture: &Architecture) -> Result<(), ArchitectureError> {
    let (groups, heads) = (architecture.norm_groups, architecture.num_heads);
    for layer in layers::layers(architecture) {
        let normalised = match layer.kind {
            LayerKind::Residual => vec![layer.total_input(), layer.output],
            LayerKind::Attention | LayerKind::ConvOut => vec![layer.input],
            LayerKind::ConvIn | LayerKind::Down | LayerKind::Up => vec![],
        };
        if let Some(&channels) = normalised.iter().find(|&&channels| !channels.is_multiple_of(groups)) {
            return Err(ArchitectureError::Groups { layer: layer.name, channels, groups });
        }
        if layer.kind == LayerKind::Attention && !layer.input.is_multiple_of(heads) {
            return Err(ArchitectureError::Heads { layer: layer.name, channels: layer.input, heads });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unet::architecture::tests::small;

    #[test]
    fn the_small_network_is_valid() {
        assert_eq!(small().validate(), Ok(()));
        assert_eq!(small().size_multiple(), 4);
    }

    #[test]
    fn faults_are_named() {
        let zero = Architecture { norm_groups: 0, ..small() };
        assert_eq!(zero.validate(), Err(ArchitectureError::Zero { field: "norm_groups" }));
        let no_levels = Architecture { channel_mult: vec![], ..small() };
        assert_eq!(no_levels.validate(), Err(ArchitectureError::Zero { field: "channel_mult" }));
        let levels = Architecture { channel_mult: vec![1; 70], ..small() };
        assert!(matches!(levels.validate(), Err(ArchitectureError::TooLarge { value: 70, .. })));
        let channels = Architecture { out_channels: 2, ..small() };
        assert!(matches!(channels.validate(), Err(ArchitectureError::ChannelsDiffer { .. })));
        let groups = Architecture { norm_groups: 3, ..small() };
        assert!(matches!(groups.validate(), Err(ArchitectureError::Groups { channels: 8, groups: 3, .. })));
        let heads = Architecture { num_heads: 3, ..small() };
        assert!(matches!(heads.validate(), Err(ArchitectureError::Heads { channels: 16, heads: 3, .. })));
        let eps = Architecture { norm_eps: f64::NAN, ..small() };
        assert!(matches!(eps.validate(), Err(ArchitectureError::Number { field: "norm_eps", .. })));
    }
}
