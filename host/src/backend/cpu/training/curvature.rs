//! Second derivatives of the energy in the image.
//!
//! With a vector v held fixed, `<grad E, v> = <h, J_h v> = G`, so that the product of the Hessian with v is the
//! gradient of G in the image. It goes back as that in the weights does ([`super::network`]).

use super::lane::{Context, Lane};
use super::layers::Operation;
use super::network::{Sample, Shared, TrainingNetwork};
use crate::backend::frame::Frame;
use crate::prior::Prior;
use crate::unet::tape::Quantity;
use crate::unet::{Direction, NetworkError};
use rayon::prelude::*;
use std::borrow::Cow;

/// Products of the energy's Hessian with vectors, for batches of images of one size, of any sides.
///
/// All larger memory is taken at construction, several times that of a [`Network`](super::super::Network). Results are
/// the same bits for any number of threads.
#[derive(Debug)]
pub struct Curvature {
    network: TrainingNetwork,
    parameters: Vec<f32>,
    /// Around images whose sides the network does not take.
    frame: Option<Frame>,
}

impl Curvature {
    /// The network of `prior` for up to `lanes` images of `height` x `width` pixels.
    ///
    /// # Errors
    /// `Size`, when an image has no pixels; `Architecture`.
    pub fn new(prior: &Prior, height: usize, width: usize, lanes: usize) -> Result<Self, NetworkError> {
        let weights = prior.weights();
        let frame = Frame::new(height, width, weights.architecture().size_multiple());
        let (rows, cols) = frame.as_ref().map_or((height, width), Frame::outer);
        let mut network = TrainingNetwork::new(weights.description(), rows, cols, lanes)?;
        let parameters = weights.parameters();
        network.operations.par_iter_mut().for_each(|operation| operation.repack(&parameters));
        Ok(Self { network, parameters, frame })
    }

    /// `out = H v` for each image, exact in f32: H is the Hessian of `1/2 |h(x, t)|^2` in x, minus the Jacobian of the
    /// score.
    ///
    /// Images x, vectors v and products lie one after the other, `[row][col]`; t is the level of each image.
    ///
    /// # Panics
    /// When there are more images than lanes, or a slice has another length than they ask for.
    pub fn product(&mut self, x: &[f32], t: &[f32], v: &[f32], out: &mut [f32]) {
        let Self { network: TrainingNetwork { operations, shared, lanes }, parameters, frame } = self;
        let (lanes, frame) = (&mut lanes[..t.len()], frame.as_ref());
        let n = frame.map_or(shared.image_len, |frame| frame.inner_of(shared.image_len));
        assert!([x.len(), v.len(), out.len()] == [lanes.len() * n; 3], "an image, a vector and a product per level");
        let context = Context { to_the_image: true, ..shared.context(parameters) };
        rayon::scope(|_| {
            let images = x.par_chunks(n).zip(v.par_chunks(n)).zip(out.par_chunks_mut(n)).zip(t);
            lanes.par_iter_mut().zip(images).for_each(|(lane, (((x, v), out), &t))| {
                let (x, v) = (extended(frame, x), extended(frame, v));
                product(shared, operations, &context, frame, lane, Sample { x: &x, t: t.into(), z: &v, weight: 1.0 });
                match frame {
                    Some(frame) => frame.fold(&lane.d_image, out),
                    None => out.copy_from_slice(&lane.d_image),
                }
            });
        });
    }
}

/// The gradient of G in the network's image, left in `lane.d_image`; `sample.z` is v.
///
/// The margin that a frame cuts away has no part in the energy: there h and J_h v are 0.
fn product(
    shared: &Shared,
    operations: &[Operation],
    context: &Context<'_>,
    frame: Option<&Frame>,
    lane: &mut Lane,
    sample: Sample<'_>,
) {
    shared.values(context, operations, lane, sample);
    cut_away(frame, &mut lane.h);
    shared.energy_gradient(context, operations, lane);
    lane.v.copy_from_slice(sample.z);
    shared.tangents(context, operations, lane);
    cut_away(frame, &mut lane.dot_h);
    let ends = shared.ends(lane, Direction::Vjp, Quantity::DValue);
    ends.enter(&mut lane.memory, &lane.dot_h);
    shared.backward_values(context, operations, lane, true);
    ends.leave(&lane.memory, &lane.dot_h, &mut lane.d_image);
}

fn extended<'a>(frame: Option<&Frame>, inner: &'a [f32]) -> Cow<'a, [f32]> {
    let Some(frame) = frame else { return inner.into() };
    let (rows, cols) = frame.outer();
    let mut outer = vec![0.0; rows * cols * (inner.len() / frame.inner_of(rows * cols))];
    frame.extend(inner, &mut outer);
    outer.into()
}

fn cut_away(frame: Option<&Frame>, outer: &mut [f32]) {
    if let Some(frame) = frame {
        let mut inner = vec![0.0; frame.inner_of(outer.len())];
        frame.cut(outer, &mut inner);
        frame.insert(&inner, outer);
    }
}
