//! The energy network on the CPU: h(x, t), the energy 1/2 |h|^2, and J_h^T v.

use super::engine::Engine;
use super::execute::Execution;
use super::lane::Lane;
use super::model::Model;
use crate::backend::frame::Frame;
use crate::prior::Prior;
use crate::unet::program::Program;
use crate::unet::{Description, EnergyScales, NetworkError, PerturbationKernelSpec};
use pulp::Arch;
use rayon::prelude::*;
use std::mem::take;
use std::ops::Range;
use std::sync::Arc;

/// A network for images of one size, of any sides, with buffers for a number of them ("lanes").
///
/// All memory is taken at construction: [`Network::forward`] and [`Network::vjp`] allocate nothing. Each lane keeps
/// the activations of its last forward pass until its next one, so a vjp may follow later and serve several lanes whose
/// forward passes happened in different calls. Results are the same bits for any number of threads and any grouping
/// of lanes. Work runs in the rayon pool of the calling thread, or in the global one.
///
/// Images are `[channel][row][col]` in network units, one after the other where there are several.
///
/// ```
/// use gradus::backend::cpu::Network;
/// use gradus::prior::Prior;
///
/// let mut network = Network::new(&Prior::named("ellipses")?, 32, 32, 1)?;
/// network.forward(0..1, &[0.2; 32 * 32], &[0.1]);
/// let h = network.h(0).to_vec();
/// let mut gradient = vec![0.0; 32 * 32];
/// network.vjp(0..1, &h, &mut gradient); // of the energy; the score is minus this
/// assert!(network.energy(0) > 0.0 && gradient.iter().all(|g| g.is_finite()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Network {
    model: Arc<Model>,
    /// Around images whose sides the network does not take.
    frame: Option<Frame>,
    lanes: Vec<Lane>,
    description: Description,
}

impl Network {
    /// Packs the network of `prior` for images of `height` x `width` pixels, with buffers for `lanes` images.
    ///
    /// Scratch memory is for the threads of the current rayon pool; a larger pool works, but waits.
    ///
    /// # Errors
    /// `Size`, when an image has no pixels; `Architecture`.
    pub fn new(prior: &Prior, height: usize, width: usize, lanes: usize) -> Result<Self, NetworkError> {
        Self::with_arch(prior, height, width, lanes, Arch::new())
    }

    /// [`Network::new`] without SIMD, for comparison and for hunting faults.
    ///
    /// # Errors
    /// As [`Network::new`].
    pub fn portable(prior: &Prior, height: usize, width: usize, lanes: usize) -> Result<Self, NetworkError> {
        Self::with_arch(prior, height, width, lanes, Arch::Scalar)
    }

    fn with_arch(prior: &Prior, height: usize, width: usize, n_lanes: usize, arch: Arch) -> Result<Self, NetworkError> {
        let weights = prior.weights();
        let frame = Frame::new(height, width, weights.architecture().size_multiple());
        let (rows, cols) = frame.as_ref().map_or((height, width), Frame::outer);
        let model = Model::new(Program::new(weights.architecture(), rows, cols)?, weights, arch);
        let lanes = (0..n_lanes).map(|_| framed(model.lane(), frame.as_ref())).collect();
        Ok(Self { model: Arc::new(model), frame, lanes, description: weights.description().clone() })
    }

    /// Number of images that the network has buffers for.
    #[must_use]
    pub fn n_lanes(&self) -> usize {
        self.lanes.len()
    }

    /// The noise that the network was trained under.
    #[must_use]
    pub fn perturbation_kernel(&self) -> PerturbationKernelSpec {
        self.description.perturbation_kernel
    }

    /// Values of one image, and of its h.
    #[must_use]
    pub fn image_len(&self) -> usize {
        let Self { model, frame, .. } = self;
        frame.as_ref().map_or(model.program.image_len, |frame| frame.inner_of(model.program.image_len))
    }

    /// Forward passes: h(x, t) of one image per lane, kept with all activations until the lane's next forward pass.
    ///
    /// `x` holds the images of the lanes one after the other, `t` their smoothing levels in (0, 1].
    ///
    /// # Panics
    /// When `lanes` reaches beyond [`Network::n_lanes`], or `x` or `t` has another length than the lanes ask for.
    pub fn forward(&mut self, lanes: Range<usize>, x: &[f32], t: &[f32]) {
        let (n, model, frame) = (self.image_len(), &*self.model, self.frame.as_ref());
        let lanes = &mut self.lanes[lanes];
        let engine = model.engine.shared_by(lanes.len());
        assert_eq!(x.len(), lanes.len() * n, "one image per lane");
        assert_eq!(t.len(), lanes.len(), "one smoothing level per lane");
        for (lane, &t) in lanes.iter_mut().zip(t) {
            lane.t = t.into();
            let Description { parametrisation, perturbation_kernel, .. } = &self.description;
            lane.scales = EnergyScales::new(parametrisation, perturbation_kernel.at(lane.t));
        }
        // Entering the pool once saves a hand-over at every layer.
        rayon::scope(|_| {
            lanes.par_iter_mut().zip(x.par_chunks(n)).for_each(|(lane, x)| model.forward(&engine, lane, frame, x));
        });
    }

    /// h of the last forward pass of `lane`.
    ///
    /// # Panics
    /// When there is no such lane.
    #[must_use]
    pub fn h(&self, lane: usize) -> &[f32] {
        &self.lanes[lane].h
    }

    /// The energy 1/2 |h|^2 = -log p_t(x) + const(t) of the last forward pass of `lane`, summed in f64.
    ///
    /// # Panics
    /// When there is no such lane.
    #[must_use]
    pub fn energy(&self, lane: usize) -> f64 {
        0.5 * self.lanes[lane].h.iter().map(|&h| f64::from(h).powi(2)).sum::<f64>()
    }

    /// J_h^T v at the image of each lane's last forward pass; overwrites `out`. The score is -J_h^T h.
    ///
    /// # Panics
    /// When `lanes` reaches beyond [`Network::n_lanes`], or `v` or `out` has another length than the lanes ask for.
    pub fn vjp(&mut self, lanes: Range<usize>, v: &[f32], out: &mut [f32]) {
        let (n, model, frame) = (self.image_len(), &*self.model, self.frame.as_ref());
        let lanes = &mut self.lanes[lanes];
        let engine = model.engine.shared_by(lanes.len());
        assert_eq!(v.len(), lanes.len() * n, "one vector per lane");
        assert_eq!(out.len(), lanes.len() * n, "one gradient per lane");
        rayon::scope(|_| {
            let images = v.par_chunks(n).zip(out.par_chunks_mut(n));
            lanes.par_iter_mut().zip(images).for_each(|(lane, (v, out))| model.vjp(&engine, lane, frame, (v, out)));
        });
    }

    /// The shared part, and lane 0.
    pub(super) fn parts(&mut self) -> (&Model, &mut Lane) {
        (&self.model, &mut self.lanes[0])
    }
}

impl Model {
    fn forward(&self, engine: &Engine, lane: &mut Lane, frame: Option<&Frame>, x: &[f32]) {
        let (mut h, [mut image, mut features]) = (take(&mut lane.h), take(&mut lane.framed));
        let mut run = |image, out: &mut [f32]| {
            Execution { model: self, engine, lane, image, out }.run(&self.program.forward);
        };
        match frame {
            None => run(x, &mut h),
            Some(frame) => {
                frame.extend(x, &mut image);
                run(&image, &mut features);
                frame.cut(&features, &mut h);
            }
        }
        (lane.h, lane.framed) = (h, [image, features]);
    }

    fn vjp(&self, engine: &Engine, lane: &mut Lane, frame: Option<&Frame>, (v, out): (&[f32], &mut [f32])) {
        let [mut image, mut product] = take(&mut lane.framed);
        let mut run = |image, out: &mut [f32]| {
            Execution { model: self, engine, lane, image, out }.run(&self.program.vjp);
        };
        match frame {
            None => run(v, out),
            Some(frame) => {
                frame.insert(v, &mut image);
                run(&image, &mut product);
                frame.fold(&product, out);
            }
        }
        lane.framed = [image, product];
    }
}

/// The lane with room for a frame, and with `h` of the image inside.
fn framed(lane: Lane, frame: Option<&Frame>) -> Lane {
    let Some(frame) = frame else { return lane };
    let n = lane.h.len();
    Lane { h: vec![0.0; frame.inner_of(n)], framed: [vec![0.0; n], vec![0.0; n]], ..lane }
}

#[cfg(test)]
mod tests {
    use super::super::simd::tests::all_archs;
    use super::*;
    use crate::unet::Parametrisation;
    use crate::unet::architecture::tests::small;
    use crate::unet::weights::tests::random;

    /// Every instruction set with a fused multiply-add takes the same steps, whatever its vector width.
    #[test]
    fn vector_widths_agree_bit_for_bit() {
        let prior = Prior::from(random(&small(), Parametrisation::Residual { data_mean: 0.15, data_std: 0.25 }));
        let x: Vec<f32> = (0..16 * 24).map(|i| (i as f32 * 0.37).sin()).collect();
        let results = all_archs().into_iter().filter(|arch| !matches!(arch, Arch::Scalar)).map(|arch| {
            let mut network = Network::with_arch(&prior, 16, 24, 1, arch).unwrap();
            network.forward(0..1, &x, &[0.2]);
            let h = network.h(0).to_vec();
            let mut gradient = vec![0.0; x.len()];
            network.vjp(0..1, &h, &mut gradient);
            (h, gradient)
        });
        let results: Vec<_> = results.collect();
        assert!(results.windows(2).all(|pair| pair[0] == pair[1]));
    }

    /// `<grad 1/2 |h|^2, d>` against a central difference, for sides that are no multiples of 4 and one smaller than 4.
    #[test]
    fn images_of_any_size_have_the_gradient_of_their_energy() {
        let prior = Prior::from(random(&small(), Parametrisation::Residual { data_mean: 0.15, data_std: 0.25 }));
        for (height, width) in [(13, 29), (2, 17), (1, 1)] {
            let n = height * width;
            let mut network = Network::new(&prior, height, width, 1).unwrap();
            assert_eq!((network.image_len(), network.h(0).len()), (n, n));
            let x: Vec<f32> = (0..n).map(|i| (i as f32 * 0.37).sin()).collect();
            let d: Vec<f32> = (0..n).map(|i| (i as f32 * 0.91).cos()).collect();
            let mut energy = |step: f32| {
                let moved: Vec<f32> = x.iter().zip(&d).map(|(x, d)| x + step * d).collect();
                network.forward(0..1, &moved, &[0.2]);
                network.energy(0)
            };
            let wanted = (energy(1e-2) - energy(-1e-2)) / 2e-2;
            energy(0.0);
            let (h, mut gradient) = (network.h(0).to_vec(), vec![0.0; n]);
            network.vjp(0..1, &h, &mut gradient);
            let found: f64 = gradient.iter().zip(&d).map(|(g, d)| f64::from(g * d)).sum();
            assert!((found - wanted).abs() < 1e-3 * wanted.abs().max(1.0), "{height} {width}: {found} {wanted}");
        }
    }

    /// With 5 threads a block's output channels are shared by several tasks, with one they are not.
    #[test]
    fn threads_agree_bit_for_bit() {
        let prior = Prior::named("ellipses").unwrap();
        let x: Vec<f32> = (0..32 * 32).map(|i| (i as f32 * 0.37).sin()).collect();
        let results = [1, 2, 5].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let mut network = Network::new(&prior, 32, 32, 1).unwrap();
                network.forward(0..1, &x, &[0.2]);
                let h = network.h(0).to_vec();
                let mut gradient = vec![0.0; x.len()];
                network.vjp(0..1, &h, &mut gradient);
                (h, gradient)
            })
        });
        assert!(results.windows(2).all(|pair| pair[0] == pair[1]));
    }
}
