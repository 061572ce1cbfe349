//! Self-attention in training, with whole matrices; the formulas are in attention_training.cu.

use crate::backend::cuda::buffer::Buffer;
use crate::backend::cuda::device::Device;
use crate::backend::cuda::error::{DeviceError, int};
use crate::backend::cuda::vector::Lanes;
use gradus_cuda_kernels::attention_training::{Centre, Multiply, Pair, Product, ROWS, SIDE, Softmax};
use gradus_cuda_kernels::{Address, BLOCK};
use std::rc::Rc;

/// One self-attention and its matrices, `[lane][head][query][key]`, which its passes leave for each other.
///
/// `qkv` and its kin are `[lane][head][q | k | v][channel][pixel]`, `mixed` and its kin `[lane][head][channel][pixel]`;
/// all results overwrite. Passes come in the order [`forward`](Self::forward),
/// [`backward_tangent`](Self::backward_tangent) and [`tangent`](Self::tangent) in either order,
/// [`backward_value`](Self::backward_value).
#[derive(Debug)]
pub struct TrainingAttention {
    heads: usize,
    /// Of one head.
    channels: usize,
    n_pixels: usize,
    /// The same, as kernels take it.
    n: i32,
    scale: f32,
    /// P, T, D' and E' of attention_training.cu.
    p: Buffer<f32>,
    t: Buffer<f32>,
    d: Buffer<f32>,
    e: Buffer<f32>,
}

/// Values of all heads, `[channel][pixel]` of each, with the steps between lanes and heads.
#[derive(Clone, Copy)]
struct Values {
    address: Address<f32>,
    lane: usize,
    head: usize,
}

/// The pixels that a matrix is summed over.
#[derive(Clone, Copy)]
enum Over {
    Keys,
    Queries,
}

impl TrainingAttention {
    /// For `lanes` images of `n_pixels` pixels, with `channels` channels in all heads together.
    ///
    /// # Errors
    /// The driver refuses a launch or a copy, or has failed before.
    pub fn new(
        device: &Rc<Device>,
        heads: usize,
        channels: usize,
        n_pixels: usize,
        lanes: usize,
    ) -> Result<Self, DeviceError> {
        let matrices = || Buffer::new(device, lanes * heads * n_pixels * n_pixels);
        let channels = channels / heads;
        let scale = (1.0 / (channels as f64).sqrt()) as f32;
        let n = int(n_pixels)?;
        Ok(Self { heads, channels, n_pixels, n, scale, p: matrices()?, t: matrices()?, d: matrices()?, e: matrices()? })
    }

    /// q, k and v.
    fn parts(&self, qkv: Address<f32>) -> [Values; 3] {
        let part = self.channels * self.n_pixels;
        [0, 1, 2].map(|i| Values { address: qkv.offset(i * part), lane: 3 * part * self.heads, head: 3 * part })
    }

    fn mixed(&self, address: Address<f32>) -> Values {
        let head = self.channels * self.n_pixels;
        Values { address, lane: head * self.heads, head }
    }

    fn matrix(&self, buffer: &Buffer<f32>) -> Values {
        let head = self.n_pixels * self.n_pixels;
        Values { address: buffer.address(), lane: head * self.heads, head }
    }

    /// The pair of a matrix \[i\]\[j\] = sum over channels of a\[c\]\[i\] b\[c\]\[j\].
    fn outer(&self, a: Values, b: Values) -> Pair {
        let n = self.n;
        Pair { a_row: 1, a_inner: n, b_inner: n, b_col: 1, ..pair(a, b, Address::NULL) }
    }

    /// The pair of sums over keys or queries of x\[c\]\[.\] and a matrix times a weight, if there is one.
    fn inner(&self, x: Values, matrix: &Buffer<f32>, weight: Option<&Buffer<f32>>, over: Over) -> Pair {
        let n = self.n;
        let (b_inner, b_col) = match over {
            Over::Keys => (1, n),
            Over::Queries => (n, 1),
        };
        let weight = weight.map_or(Address::NULL, Buffer::address);
        Pair { a_row: n, a_inner: 1, b_inner, b_col, ..pair(x, self.matrix(matrix), weight) }
    }

    /// out = alpha times the sum of one or two products; a matrix where `inner` is of channels.
    fn multiply(
        &self,
        device: &Device,
        lanes: &Lanes,
        (alpha, pairs): (f32, &[Pair]),
        (rows, inner): (usize, usize),
        out: Values,
    ) -> Result<(), DeviceError> {
        let [first, .., last] = pairs else {
            return pairs.first().map_or(Ok(()), |&pair| {
                let product = self.product(lanes, alpha, ([pair, pair], 1), (rows, inner), out)?;
                self.launch(device, lanes, rows, product)
            });
        };
        let product = self.product(lanes, alpha, ([*first, *last], 2), (rows, inner), out)?;
        self.launch(device, lanes, rows, product)
    }

    fn product(
        &self,
        lanes: &Lanes,
        alpha: f32,
        (pairs, n_pairs): ([Pair; 2], i32),
        (rows, inner): (usize, usize),
        out: Values,
    ) -> Result<Product, DeviceError> {
        Ok(Product {
            lanes: lanes.address(),
            pairs,
            out: out.address,
            out_lane: out.lane as i64,
            out_head: out.head as i64,
            alpha,
            n_pairs,
            heads: int(self.heads)?,
            rows: int(rows)?,
            inner: int(inner)?,
            cols: self.n,
        })
    }

    fn launch(&self, device: &Device, lanes: &Lanes, rows: usize, at: Product) -> Result<(), DeviceError> {
        let grid = [self.n_pixels.div_ceil(SIDE), rows.div_ceil(SIDE), lanes.len() * self.heads];
        device.launch(grid, BLOCK, &Multiply { at })
    }

    /// A matrix from pairs of channels.
    fn multiply_to_matrix(
        &self,
        device: &Device,
        lanes: &Lanes,
        sum: (f32, &[Pair]),
        out: &Buffer<f32>,
    ) -> Result<(), DeviceError> {
        self.multiply(device, lanes, sum, (self.n_pixels, self.channels), self.matrix(out))
    }

    /// Channels from pairs with a matrix.
    fn multiply_to_channels(
        &self,
        device: &Device,
        lanes: &Lanes,
        sum: (f32, &[Pair]),
        out: Values,
    ) -> Result<(), DeviceError> {
        self.multiply(device, lanes, sum, (self.channels, self.n_pixels), out)
    }

    fn rows(&self, lanes: &Lanes) -> [usize; 3] {
        [self.n_pixels.div_ceil(ROWS), 1, lanes.len() * self.heads]
    }

    /// matrix - rows(P matrix), after T D' has been added with `with_tangents`.
    fn centre(
        &self,
        device: &Device,
        lanes: &Lanes,
        matrix: &Buffer<f32>,
        with_tangents: bool,
    ) -> Result<(), DeviceError> {
        let optional = |buffer: &Buffer<f32>| if with_tangents { buffer.address() } else { Address::NULL };
        let entry = Centre {
            lanes: lanes.address(),
            p: self.p.address(),
            t: optional(&self.t),
            d: optional(&self.d),
            matrix: matrix.address(),
            heads: int(self.heads)?,
            n: self.n,
        };
        device.launch(self.rows(lanes), BLOCK, &entry)
    }

    /// mixed from qkv.
    ///
    /// # Errors
    /// The driver refuses a launch or a copy, or has failed before.
    pub fn forward(
        &self,
        device: &Device,
        lanes: &Lanes,
        qkv: Address<f32>,
        mixed: Address<f32>,
    ) -> Result<(), DeviceError> {
        let [q, k, v] = self.parts(qkv);
        self.multiply_to_matrix(device, lanes, (self.scale, &[self.outer(q, k)]), &self.p)?;
        let (heads, n) = (int(self.heads)?, self.n);
        let softmax = Softmax { lanes: lanes.address(), matrix: self.p.address(), heads, n };
        device.launch(self.rows(lanes), BLOCK, &softmax)?;
        let sum = [self.inner(v, &self.p, None, Over::Keys)];
        self.multiply_to_channels(device, lanes, (1.0, &sum), self.mixed(mixed))
    }

    /// dot_mixed from qkv and dot_qkv.
    ///
    /// # Errors
    /// The driver refuses a launch or a copy, or has failed before.
    pub fn tangent(
        &self,
        device: &Device,
        lanes: &Lanes,
        (qkv, dot_qkv): (Address<f32>, Address<f32>),
        dot_mixed: Address<f32>,
    ) -> Result<(), DeviceError> {
        let ([q, k, v], [dot_q, dot_k, dot_v]) = (self.parts(qkv), self.parts(dot_qkv));
        let scores = [self.outer(dot_q, k), self.outer(q, dot_k)];
        self.multiply_to_matrix(device, lanes, (self.scale, &scores), &self.t)?;
        self.centre(device, lanes, &self.t, false)?;
        let sum = [self.inner(dot_v, &self.p, None, Over::Keys), self.inner(v, &self.t, Some(&self.p), Over::Keys)];
        self.multiply_to_channels(device, lanes, (1.0, &sum), self.mixed(dot_mixed))
    }

    /// d_dot_qkv from d_dot_mixed.
    ///
    /// # Errors
    /// The driver refuses a launch or a copy, or has failed before.
    pub fn backward_tangent(
        &self,
        device: &Device,
        lanes: &Lanes,
        qkv: Address<f32>,
        d_dot_mixed: Address<f32>,
        d_dot_qkv: Address<f32>,
    ) -> Result<(), DeviceError> {
        self.backward_first(device, lanes, qkv, (d_dot_mixed, d_dot_qkv), &self.d)
    }

    /// d_qkv from d_mixed and, with `tangents` = (dot_qkv, d_dot_mixed), all that went before.
    ///
    /// # Errors
    /// The driver refuses a launch or a copy, or has failed before.
    pub fn backward_value(
        &self,
        device: &Device,
        lanes: &Lanes,
        qkv: Address<f32>,
        tangents: Option<(Address<f32>, Address<f32>)>,
        (d_mixed, d_qkv): (Address<f32>, Address<f32>),
    ) -> Result<(), DeviceError> {
        let Some((dot_qkv, d_dot_mixed)) = tangents else {
            return self.backward_first(device, lanes, qkv, (d_mixed, d_qkv), &self.e);
        };
        let ([q, k, v], [dot_q, dot_k, dot_v]) = (self.parts(qkv), self.parts(dot_qkv));
        let (d_mixed, d_dot_mixed) = (self.mixed(d_mixed), self.mixed(d_dot_mixed));
        self.multiply_to_matrix(
            device,
            lanes,
            (1.0, &[self.outer(d_mixed, v), self.outer(d_dot_mixed, dot_v)]),
            &self.e,
        )?;
        self.centre(device, lanes, &self.e, true)?;
        let slope = |x: Values, dot_x: Values, over: Over| {
            [self.inner(x, &self.e, Some(&self.p), over), self.inner(dot_x, &self.d, Some(&self.p), over)]
        };
        let [d_q, d_k, d_v] = self.parts(d_qkv);
        self.multiply_to_channels(device, lanes, (self.scale, &slope(k, dot_k, Over::Keys)), d_q)?;
        self.multiply_to_channels(device, lanes, (self.scale, &slope(q, dot_q, Over::Queries)), d_k)?;
        let on_values = [
            self.inner(d_mixed, &self.p, None, Over::Queries),
            self.inner(d_dot_mixed, &self.t, Some(&self.p), Over::Queries),
        ];
        self.multiply_to_channels(device, lanes, (1.0, &on_values), d_v)
    }

    /// The transpose of the tangent, from either kind of gradient; `matrix` becomes D' of it.
    fn backward_first(
        &self,
        device: &Device,
        lanes: &Lanes,
        qkv: Address<f32>,
        (d_mixed, d_qkv): (Address<f32>, Address<f32>),
        matrix: &Buffer<f32>,
    ) -> Result<(), DeviceError> {
        let ([q, k, v], d_mixed) = (self.parts(qkv), self.mixed(d_mixed));
        self.multiply_to_matrix(device, lanes, (1.0, &[self.outer(d_mixed, v)]), matrix)?;
        self.centre(device, lanes, matrix, false)?;
        let slope = |x: Values, over: Over| [self.inner(x, matrix, Some(&self.p), over)];
        let [d_q, d_k, d_v] = self.parts(d_qkv);
        self.multiply_to_channels(device, lanes, (self.scale, &slope(k, Over::Keys)), d_q)?;
        self.multiply_to_channels(device, lanes, (self.scale, &slope(q, Over::Queries)), d_k)?;
        self.multiply_to_channels(device, lanes, (1.0, &[self.inner(d_mixed, &self.p, None, Over::Queries)]), d_v)
    }
}

/// A and B with their steps between lanes and heads.
fn pair(a: Values, b: Values, weight: Address<f32>) -> Pair {
    Pair {
        a: a.address,
        b: b.address,
        weight,
        a_lane: a.lane as i64,
        a_head: a.head as i64,
        b_lane: b.lane as i64,
        b_head: b.head as i64,
        a_row: 0,
        a_inner: 0,
        b_inner: 0,
        b_col: 0,
    }
}
