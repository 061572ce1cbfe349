//! A projector of your own under the default method: `cargo run --release --example own_projector`.
//!
//! The operator here throws each pixel into one bin of each view. Any pair of functions will do that are each other's
//! exact transposes; the prior is the embedded network.
#![allow(missing_docs)]

use gradus::backend::cpu::Network;
use gradus::ct::relative_gaussian;
use gradus::data::ellipses::ellipses;
use gradus::image::Image;
use gradus::metrics::psnr;
use gradus::prior::Prior;
use gradus::vector::dot;
use gradus_core::{
    Backtracking, Buffers, Effort, Homotopy, Level, LinearModel, PerturbationKernel, Preconditioned, Problem,
    RegularisationWeight, Schedule, Solver, Spacing, drive,
};
use std::convert::Infallible;
use std::ops::ControlFlow;

const SIDE: usize = 64;
const N: usize = SIDE * SIDE;
const VIEWS: usize = 40;
const BINS: usize = 96;
const KERNEL: PerturbationKernel = PerturbationKernel::VP;

/// For each pixel its bin in each view.
struct Projector(Vec<usize>);

impl Projector {
    fn new() -> Self {
        let place = |pixel: usize, view: usize| {
            let (sin, cos) = (std::f32::consts::PI * view as f32 / VIEWS as f32).sin_cos();
            let middle = (SIDE as f32 - 1.0) / 2.0;
            let (x, y) = ((pixel % SIDE) as f32 - middle, middle - (pixel / SIDE) as f32);
            view * BINS + (x * cos + y * sin + BINS as f32 / 2.0) as usize
        };
        Self((0..N * VIEWS).map(|k| place(k / VIEWS, k % VIEWS)).collect())
    }

    /// `A x`.
    fn project(&self, image: &[f32]) -> Vec<f32> {
        let mut sinogram = vec![0.0; VIEWS * BINS];
        self.0.iter().enumerate().for_each(|(k, bin)| sinogram[*bin] += image[k / VIEWS]);
        sinogram
    }

    /// `out = A^T y`.
    fn adjoint(&self, sinogram: &[f32], out: &mut [f32]) {
        let sums = self.0.chunks_exact(VIEWS).map(|bins| bins.iter().map(|bin| sinogram[*bin]).sum());
        out.iter_mut().zip(sums).for_each(|(out, sum): (_, f32)| *out = sum);
    }
}

/// `F(x, t) = 1/2 |A x - y|^2 + alpha R(x, t)`, with the network's energy seen without drift.
struct Tomography {
    projector: Projector,
    data: Vec<f32>,
    network: Network,
}

impl Tomography {
    fn residual(&self, x: &[f32]) -> Vec<f32> {
        self.projector.project(x).iter().zip(&self.data).map(|(ax, y)| ax - y).collect()
    }

    /// `h` at the image `gamma_t x`.
    fn features(&mut self, x: &[f32], t: f32) -> Vec<f32> {
        let diffused: Vec<f32> = x.iter().map(|x| KERNEL.mean_scale(t) * x).collect();
        self.network.forward(0..1, &diffused, &[t]);
        self.network.h(0).to_vec()
    }
}

impl Problem for Tomography {
    type Error = Infallible;

    fn dimension(&self) -> usize {
        N
    }

    fn gradient(&mut self, x: &[f32], level: Level, out: &mut [f32]) -> Result<(), Infallible> {
        let mut data = vec![0.0; N];
        self.data_gradient(x, &mut data)?;
        self.prior_gradient(x, level, 0, out)?;
        out.iter_mut().zip(data).for_each(|(out, data)| *out = data + level.prior_weight * *out);
        Ok(())
    }

    // Both as differences: two values of F would have no correct digits left.
    fn change(&mut self, x: &[f32], d: &[f32], step: f32, level: Level) -> Result<f32, Infallible> {
        let (residual, along) = (self.residual(x), self.projector.project(d));
        let data = f64::from(step) * (dot(&along, &residual) + 0.5 * f64::from(step) * dot(&along, &along));
        let moved: Vec<f32> = x.iter().zip(d).map(|(x, d)| x + step * d).collect();
        let (before, after) = (self.features(x, level.t), self.features(&moved, level.t));
        let difference: Vec<f32> = after.iter().zip(&before).map(|(a, b)| a - b).collect();
        let sum: Vec<f32> = after.iter().zip(&before).map(|(a, b)| a + b).collect();
        Ok((data + 0.5 * f64::from(level.prior_weight) * dot(&difference, &sum)) as f32)
    }

    fn linear_model(&mut self) -> Option<&mut dyn LinearModel<Error = Infallible>> {
        Some(self)
    }
}

impl LinearModel for Tomography {
    fn data_gradient(&mut self, x: &[f32], out: &mut [f32]) -> Result<(), Infallible> {
        self.projector.adjoint(&self.residual(x), out);
        Ok(())
    }

    fn prior_gradient(&mut self, x: &[f32], level: Level, _turn: u32, out: &mut [f32]) -> Result<(), Infallible> {
        let h = self.features(x, level.t);
        self.network.vjp(0..1, &h, out);
        out.iter_mut().for_each(|out| *out *= KERNEL.mean_scale(level.t));
        Ok(())
    }

    fn normal(&mut self, p: &[f32], out: &mut [f32]) -> Result<(), Infallible> {
        self.projector.adjoint(&self.projector.project(p), out);
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (truth, projector) = (ellipses(1, SIDE), Projector::new());
    let mut data = projector.project(&truth.pixels);
    let noise = relative_gaussian(&mut data, 0.05, 1)?;
    let network = Network::new(&Prior::named("ellipses")?, SIDE, SIDE, 1)?;
    let mut problem = Tomography { projector, data, network };

    let schedule = Schedule::new(Spacing::Logarithmic, 0.5, 1e-3, 8)?;
    let homotopy = Homotopy { schedule, weight: RegularisationWeight::Constant(noise * noise) };
    let solver = Preconditioned::new(homotopy, KERNEL, Effort::fixed(12), Backtracking::DEFAULT, 0.0)?;
    let mut solver = solver.with_approach(6);
    let mut memory = vec![0.0; Buffers::<Tomography>::floats(N)];
    let mut solves = vec![0.0; Buffers::<Tomography>::solve_floats(N)];
    let mut buffers = Buffers::new(&mut problem, &mut memory, solver.objective())?.with_solve(&mut solves)?;
    let status = drive(&mut solver, &mut buffers, |record, buffers| {
        let image = Image { height: SIDE, width: SIDE, pixels: buffers.iterate().to_vec() };
        let db = psnr(&truth, &image, 1.0).unwrap_or(f64::NAN);
        println!("t = {:.4}  {:?}  {db:.2} dB", record.t, record.outcome);
        ControlFlow::Continue(())
    })?;
    println!("{status}");
    Ok(())
}
