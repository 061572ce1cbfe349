//! The operations that a pass over an image is made of: what a backend must be able to do, and nothing about which
//! network.
//!
//! A tensor is an activation or a gradient, `[channel][row][col]` for each image. An operation writes one tensor, and
//! with it pairs of sums over the pixels of each of its channels, where the operation behind it needs them.
//!
//! To fuse more, say a norm's coefficients into the prologue of the convolution that reads it, is one operation fewer
//! in `stages.rs`, and one arm fewer and one kernel changed in each backend.

use super::perturbation::Direction;
use std::ops::Range;

/// Index of a tensor in [`super::program::Program::shapes`].
pub(crate) type TensorId = usize;

/// Index of a normalisation in [`super::program::Program::norms`].
pub(crate) type NormId = usize;

/// Shape of a tensor of one image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TensorShape {
    pub(crate) channels: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
    /// Resolution level, 0 the finest.
    pub(crate) level: usize,
}

impl TensorShape {
    pub(crate) fn len(&self) -> usize {
        self.channels * self.n_pixels()
    }

    pub(crate) fn n_pixels(&self) -> usize {
        self.height * self.width
    }
}

/// One tensor, or two side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Inputs {
    pub(crate) first: TensorId,
    pub(crate) second: Option<TensorId>,
}

impl Inputs {
    pub(crate) fn one(first: TensorId) -> Self {
        Self { first, second: None }
    }

    pub(crate) fn each(self) -> impl Iterator<Item = TensorId> {
        std::iter::once(self.first).chain(self.second)
    }
}

/// A tensor that is written, `+=` or `=`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target {
    pub(crate) tensor: TensorId,
    pub(crate) accumulate: bool,
}

/// One operation.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant, reason = "there are a hundred, and most are of the largest variant")]
pub(crate) enum Operation {
    /// The time shifts of all convolutions, from t.
    Embed,
    /// Make the network's input for an image, its pixels unshuffled into channels.
    Enter { direction: Direction, output: TensorId },
    /// The image that follows from what leaves the network.
    Leave { direction: Direction, input: TensorId },
    /// A norm's affine map z = scale x + shift, from the moments of x.
    Normalise { norm: NormId, x: Inputs },
    /// A convolution with what surrounds it.
    Convolve(Box<Convolution>),
    /// mixed = attention(qkv); qkv is `[head][q | k | v][channel]`.
    Attend(Attention),
    /// d_qkv = J^T d_mixed.
    AttendVjp { attention: Attention, d_mixed: TensorId, d_qkv: TensorId },
    /// A norm's vjp d_x = p d_z + q x + r as its coefficients, from the sums over d_z and d_z x^.
    NormVjp { norm: NormId, d_z: TensorId },
    /// d_x = base + p d_z + q x + r, where `base` has the norm's channels.
    NormInput { vjp: NormVjp, base: Option<TensorId>, d_x: Target },
}

/// A self-attention with its tensors.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attention {
    /// Its number among all: what the forward pass leaves for the vjp is kept under it.
    pub(crate) number: usize,
    pub(crate) heads: usize,
    pub(crate) qkv: TensorId,
    pub(crate) mixed: TensorId,
}

/// p d_z + q x + r for one of the tensors that a norm has read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NormVjp {
    pub(crate) norm: NormId,
    /// Of all channels of the norm.
    pub(crate) d_z: TensorId,
    pub(crate) x: TensorId,
    /// Number, in the norm, of the first channel of x.
    pub(crate) first: usize,
}

/// output = epilogue(kernel * prologue(input) + shortcut).
#[derive(Debug, Clone)]
pub(crate) struct Convolution {
    /// Its number among all: a backend keeps its packed weights under it.
    pub(crate) number: usize,
    pub(crate) main: Term,
    /// Another one, 1x1, whose sums are added.
    pub(crate) shortcut: Option<Term>,
    pub(crate) output: TensorId,
    pub(crate) epilogue: Epilogue,
}

impl Convolution {
    pub(crate) fn terms(&self) -> impl Iterator<Item = &Term> {
        std::iter::once(&self.main).chain(&self.shortcut)
    }

    /// The biases of its kernels, added up.
    pub(crate) fn bias(&self, parameters: &[f32]) -> Vec<f32> {
        let mut bias = parameters[self.main.kernel.bias.clone()].to_vec();
        if let Some(term) = &self.shortcut {
            bias.iter_mut().zip(&parameters[term.kernel.bias.clone()]).for_each(|(bias, more)| *bias += more);
        }
        bias
    }
}

/// A kernel with what it acts on.
#[derive(Debug, Clone)]
pub(crate) struct Term {
    pub(crate) kernel: Kernel,
    /// The transpose, onto these input channels of the kernel; `None` for the kernel itself.
    pub(crate) transposed: Option<Range<usize>>,
    pub(crate) input: Inputs,
    pub(crate) prologue: Prologue,
}

/// Weights `[output][input][row][col]` and biases of a convolution, as places in the parameters.
#[derive(Debug, Clone)]
pub(crate) struct Kernel {
    pub(crate) sampling: Sampling,
    pub(crate) n_out: usize,
    pub(crate) n_in: usize,
    pub(crate) weight: Range<usize>,
    pub(crate) bias: Range<usize>,
}

/// The change in the number of pixels by a convolution, and the size of its kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sampling {
    /// 1x1.
    Point,
    /// 3x3.
    Same,
    /// 3x3 with stride 2.
    Down,
    /// Nearest-neighbour doubling, then 3x3.
    Up,
}

impl Sampling {
    /// Rows and columns of the kernel.
    pub(crate) fn side(self) -> usize {
        if self == Self::Point { 1 } else { 3 }
    }
}

/// Work on a tensor before it is convolved.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Prologue {
    Identity,
    /// A norm's affine map; with `silu` a SiLU behind it.
    Norm {
        norm: NormId,
        silu: bool,
    },
    /// The vjp p d_z + q x + r of a norm, where the tensor is d_z.
    NormVjp {
        norm: NormId,
        x: TensorId,
    },
}

/// Work on the sums of a convolution.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Epilogue {
    /// Adds the kernels' biases, the time shifts that begin at `shift`, and `residual`; with `moments`, the mean and
    /// squared deviations of each channel of the result.
    Forward { shift: Option<usize>, residual: Option<Inputs>, moments: bool },
    /// `=` or `+=`.
    Gradient { accumulate: bool },
    /// A gradient behind a norm, with `silu` through the SiLU between; with the sums over d_z and d_z x^.
    NormSums { norm: NormId, x: Inputs, silu: bool },
    /// Adds p d_z + q x + r; `=` or `+=`.
    NormInput { vjp: NormVjp, accumulate: bool },
}

/// Group normalisation; its gain and bias are places in the parameters.
#[derive(Debug, Clone)]
pub(crate) struct Norm {
    pub(crate) groups: usize,
    pub(crate) eps: f64,
    pub(crate) gain: Range<usize>,
    pub(crate) bias: Range<usize>,
}

/// A linear layer's place in the parameters: weights `[output][input]`, then the bias.
#[derive(Debug, Clone, Default)]
pub(crate) struct Linear {
    pub(crate) weight: Range<usize>,
    pub(crate) bias: Range<usize>,
}

/// Waves of t, linear, SiLU, linear, SiLU, and a linear layer to the shifts of each residual block.
#[derive(Debug, Clone, Default)]
pub(crate) struct TimeEmbedding {
    /// `max_period^(-k/half)` for k in 0..half.
    pub(crate) frequencies: Vec<f64>,
    pub(crate) first: Linear,
    pub(crate) second: Linear,
    pub(crate) shifts: Vec<Linear>,
}

impl TimeEmbedding {
    /// Fills `waves` with the cosines, then the sines, of `t` times the frequencies.
    pub(crate) fn waves(&self, t: f64, waves: &mut [f32]) {
        let (cosines, sines) = waves.split_at_mut(self.frequencies.len());
        for ((cosine, sine), frequency) in cosines.iter_mut().zip(sines).zip(&self.frequencies) {
            *cosine = (t * frequency).cos() as f32;
            *sine = (t * frequency).sin() as f32;
        }
    }
}
