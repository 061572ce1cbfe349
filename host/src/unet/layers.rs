//! The U-Net's layers in order, with the names and shapes of their tensors; independent of the image's size.

use super::architecture::Architecture;

/// One layer. `input` channels come from the layer before it; `skip` channels, if any, from the stack of earlier
/// outputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// Prefix of the tensors' names in the state dict, such as `input_blocks.1.0`.
    pub name: String,
    /// The kind of the layer.
    pub kind: LayerKind,
    /// Channels of the previous layer's output.
    pub input: usize,
    /// Channels popped from the skip stack and concatenated behind `input`; 0 for none.
    pub skip: usize,
    /// Channels of the layer's output.
    pub output: usize,
    /// Level of the output: its pixels are `2^level` unshuffled pixels wide.
    pub level: usize,
    /// True if the output is pushed on the skip stack.
    pub pushed: bool,
}

/// The kind of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayerKind {
    /// 3x3 convolution of the image.
    ConvIn,
    /// Group norm, SiLU, conv, + time shift, group norm, SiLU, conv, + skip (1x1 where the channels change).
    Residual,
    /// Group norm, 1x1 to (q, k, v), self-attention, 1x1, + input.
    Attention,
    /// 3x3 convolution with stride 2.
    Down,
    /// Nearest-neighbour doubling, then a 3x3 convolution.
    Up,
    /// Group norm, SiLU, 3x3 convolution to the output channels.
    ConvOut,
}

impl Layer {
    /// Channels that the layer reads.
    #[must_use]
    pub fn total_input(&self) -> usize {
        self.input + self.skip
    }

    /// True if a residual layer's shortcut is a 1x1 convolution.
    #[must_use]
    pub fn has_projection(&self) -> bool {
        self.kind == LayerKind::Residual && self.total_input() != self.output
    }
}

/// The layers of `architecture`, first to last.
#[must_use]
pub fn layers(architecture: &Architecture) -> Vec<Layer> {
    let mut walk = Walk { architecture, layers: Vec::new(), stack: Vec::new(), channels: 0, level: 0 };
    walk.down();
    walk.middle();
    walk.up();
    walk.layers
}

/// Names and shapes of all tensors of `architecture`, in the order of the layers.
#[must_use]
pub fn tensors(architecture: &Architecture) -> Vec<(String, Vec<usize>)> {
    let (model, embedding) = (architecture.model_channels, architecture.embedding_channels());
    let mut list = TensorList(Vec::new());
    list.add("time_embed.0", &[embedding, model]);
    list.add("time_embed.2", &[embedding, embedding]);
    for layer in layers(architecture) {
        list.add_layer(&layer, embedding);
    }
    list.0
}

/// Builds the list of layers while keeping track of channels, level and skip stack.
struct Walk<'a> {
    architecture: &'a Architecture,
    layers: Vec<Layer>,
    stack: Vec<usize>,
    channels: usize,
    level: usize,
}

impl Walk<'_> {
    fn push(&mut self, name: String, kind: LayerKind, skip: usize, output: usize) {
        let (input, level) = (self.channels, self.level);
        self.layers.push(Layer { name, kind, input, skip, output, level, pushed: false });
        self.channels = output;
    }

    /// Puts the newest output on the skip stack.
    fn keep(&mut self) {
        self.stack.push(self.channels);
        if let Some(layer) = self.layers.last_mut() {
            layer.pushed = true;
        }
    }

    fn has_attention(&self) -> bool {
        self.architecture.attention_resolutions.contains(&(1 << self.level))
    }

    fn down(&mut self) {
        let (a, model) = (self.architecture, self.architecture.model_channels);
        self.channels = a.in_channels * a.pixel_unshuffle.pow(2);
        let first = a.channel_mult.first().copied().unwrap_or(1) * model;
        self.push("input_blocks.0.0".into(), LayerKind::ConvIn, 0, first);
        self.keep();
        let mut block = 1;
        for (level, mult) in a.channel_mult.iter().enumerate() {
            for _ in 0..a.num_res_blocks {
                self.push(format!("input_blocks.{block}.0"), LayerKind::Residual, 0, mult * model);
                if self.has_attention() {
                    self.push(format!("input_blocks.{block}.1"), LayerKind::Attention, 0, self.channels);
                }
                self.keep();
                block += 1;
            }
            if level + 1 < a.levels() {
                self.level += 1;
                self.push(format!("input_blocks.{block}.0"), LayerKind::Down, 0, self.channels);
                self.keep();
                block += 1;
            }
        }
    }

    fn middle(&mut self) {
        let channels = self.channels;
        self.push("middle_block.0".into(), LayerKind::Residual, 0, channels);
        if self.architecture.middle_attention {
            self.push("middle_block.1".into(), LayerKind::Attention, 0, channels);
        }
        let last = 1 + usize::from(self.architecture.middle_attention);
        self.push(format!("middle_block.{last}"), LayerKind::Residual, 0, channels);
    }

    fn up(&mut self) {
        let a = self.architecture;
        let mut block = 0;
        for (level, mult) in a.channel_mult.iter().enumerate().rev() {
            for i in 0..=a.num_res_blocks {
                let skip = self.stack.pop().unwrap_or(0);
                self.push(format!("output_blocks.{block}.0"), LayerKind::Residual, skip, mult * a.model_channels);
                let mut part = 1;
                if self.has_attention() {
                    self.push(format!("output_blocks.{block}.1"), LayerKind::Attention, 0, self.channels);
                    part += 1;
                }
                if level > 0 && i == a.num_res_blocks {
                    self.level -= 1;
                    self.push(format!("output_blocks.{block}.{part}"), LayerKind::Up, 0, self.channels);
                }
                block += 1;
            }
        }
        self.push("out".into(), LayerKind::ConvOut, 0, a.out_channels * a.pixel_unshuffle.pow(2));
    }
}

struct TensorList(Vec<(String, Vec<usize>)>);

impl TensorList {
    /// A weight of the given shape and its bias.
    fn add(&mut self, name: &str, shape: &[usize]) {
        self.0.push((format!("{name}.weight"), shape.to_vec()));
        self.0.push((format!("{name}.bias"), shape[..1].to_vec()));
    }

    fn add_layer(&mut self, layer: &Layer, embedding: usize) {
        let (name, input, output) = (&layer.name, layer.total_input(), layer.output);
        match layer.kind {
            LayerKind::ConvIn => self.add(name, &[output, input, 3, 3]),
            LayerKind::Down => self.add(&format!("{name}.op"), &[output, input, 3, 3]),
            LayerKind::Up => self.add(&format!("{name}.conv"), &[output, input, 3, 3]),
            LayerKind::ConvOut => {
                self.add("out.0", &[input]);
                self.add("out.2", &[output, input, 3, 3]);
            }
            LayerKind::Residual => {
                self.add(&format!("{name}.in_layers.0"), &[input]);
                self.add(&format!("{name}.in_layers.2"), &[output, input, 3, 3]);
                self.add(&format!("{name}.emb_layers.1"), &[output, embedding]);
                self.add(&format!("{name}.out_layers.0"), &[output]);
                self.add(&format!("{name}.out_layers.3"), &[output, output, 3, 3]);
                if layer.has_projection() {
                    self.add(&format!("{name}.skip_connection"), &[output, input, 1, 1]);
                }
            }
            LayerKind::Attention => {
                self.add(&format!("{name}.norm"), &[input]);
                self.add(&format!("{name}.qkv"), &[3 * input, input, 1]);
                self.add(&format!("{name}.proj_out"), &[output, input, 1]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unet::architecture::tests::small;

    #[test]
    fn layer_names_follow_the_state_dict() {
        let names: Vec<String> = layers(&small()).into_iter().map(|l| l.name).collect();
        let expected = [
            "input_blocks.0.0",
            "input_blocks.1.0",
            "input_blocks.2.0",
            "input_blocks.3.0",
            "input_blocks.3.1",
            "middle_block.0",
            "middle_block.1",
            "middle_block.2",
            "output_blocks.0.0",
            "output_blocks.0.1",
            "output_blocks.1.0",
            "output_blocks.1.1",
            "output_blocks.1.2",
            "output_blocks.2.0",
            "output_blocks.3.0",
            "out",
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn every_push_is_popped_with_its_channels() {
        let mut stack = Vec::new();
        for layer in layers(&small()) {
            if layer.skip > 0 {
                assert_eq!(stack.pop(), Some(layer.skip), "{}", layer.name);
            }
            if layer.pushed {
                stack.push(layer.output);
            }
        }
        assert!(stack.is_empty());
    }
}
