//! A prior of your own under the default method: `cargo run --release --example own_prior`.
//!
//! A disc is of one material, with holes of air: each pixel is near 0 or near 1. That is a mixture of two Gaussians,
//! whose energy is not convex; diffused it is, and the solver follows the minimiser from there. Any energy will do that
//! knows its gradient and its differences at every `t`.
#![allow(missing_docs)]

use gradus::ct::{FilteredBackprojector, Projector, Window};
use gradus::data::disc::disc;
use gradus::image::Image;
use gradus::metrics::psnr;
use gradus::reconstruct::Measurement;
use gradus::simulate::{Simulation, simulate};
use gradus::vector::dot;
use gradus_core::prior::Component;
use gradus_core::{
    Backtracking, Buffers, Effort, GaussianMixture, Homotopy, Level, LinearModel, PerturbationKernel, Preconditioned,
    Problem, RegularisationWeight, Schedule, Solver, Spacing, drive,
};
use std::ops::ControlFlow;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

const SIDE: usize = 64;
/// Noise without drift, so that the energy is that of the clean image.
const KERNEL: PerturbationKernel = PerturbationKernel::VarianceExploding { sigma: 4.0 };

struct Materials {
    projector: Projector,
    data: Vec<f32>,
    pixel: GaussianMixture<2, 1>,
}

impl Materials {
    /// `A x`.
    fn project(&mut self, x: &[f32]) -> Result<Vec<f32>, gradus::ct::ProjectionError> {
        let mut sinogram = vec![0.0; self.data.len()];
        self.projector.forward_project(x, &mut sinogram)?;
        Ok(sinogram)
    }
}

impl Problem for Materials {
    type Error = gradus::ct::ProjectionError;

    fn dimension(&self) -> usize {
        SIDE * SIDE
    }

    fn gradient(&mut self, x: &[f32], level: Level, out: &mut [f32]) -> Result<(), Self::Error> {
        let mut prior = vec![0.0; x.len()];
        self.prior_gradient(x, level, 0, &mut prior)?;
        self.data_gradient(x, out)?;
        out.iter_mut().zip(prior).for_each(|(out, prior)| *out += level.prior_weight * prior);
        Ok(())
    }

    fn change(&mut self, x: &[f32], d: &[f32], step: f32, level: Level) -> Result<f32, Self::Error> {
        let (ax, along) = (self.project(x)?, self.project(d)?);
        let residual: Vec<f32> = ax.iter().zip(&self.data).map(|(ax, y)| ax - y).collect();
        let data = f64::from(step) * (dot(&along, &residual) + 0.5 * f64::from(step) * dot(&along, &along));
        let of_pixel = |(x, d): (&f32, &f32)| f64::from(self.pixel.energy_change(&[*x], &[*d], step, level.t));
        let prior: f64 = x.iter().zip(d).map(of_pixel).sum();
        Ok((data + f64::from(level.prior_weight) * prior) as f32)
    }

    fn linear_model(&mut self) -> Option<&mut dyn LinearModel<Error = Self::Error>> {
        Some(self)
    }
}

impl LinearModel for Materials {
    fn data_gradient(&mut self, x: &[f32], out: &mut [f32]) -> Result<(), Self::Error> {
        let mut residual = self.project(x)?;
        residual.iter_mut().zip(&self.data).for_each(|(ax, y)| *ax -= y);
        self.projector.adjoint(&residual, out)
    }

    fn prior_gradient(&mut self, x: &[f32], level: Level, _turn: u32, out: &mut [f32]) -> Result<(), Self::Error> {
        out.iter_mut().zip(x).for_each(|(out, x)| *out = -self.pixel.score(&[*x], level.t)[0]);
        Ok(())
    }

    fn normal(&mut self, p: &[f32], out: &mut [f32]) -> Result<(), Self::Error> {
        let projected = self.project(p)?;
        self.projector.adjoint(&projected, out)
    }
}

fn main() -> Outcome<()> {
    let truth = disc(3, SIDE);
    let simulation = Simulation { angles: 20, noise: 0.01, ..Simulation::default() };
    let measurement = Measurement::new(&simulate(&truth, 1.0, &simulation)?)?;
    let material = |mean: f32| Component { weight: 0.5, mean: [mean], variance: 1e-2 };
    let pixel = GaussianMixture::new([material(0.0), material(1.0)], KERNEL)?;
    let projector = Projector::new(measurement.geometry.clone())?;
    let data = measurement.sinogram.clone();
    let mut problem = Materials { projector, data, pixel };

    let schedule = Schedule::new(Spacing::Logarithmic, 0.2, 1e-3, 20)?;
    let alpha = measurement.noise_std.powi(2) as f32;
    let homotopy = Homotopy { schedule, weight: RegularisationWeight::Constant(alpha) };
    let solver = Preconditioned::new(homotopy, KERNEL, Effort::fixed(12), Backtracking::DEFAULT, 0.0)?;
    let mut solver = solver.with_approach(16);
    let mut memory = vec![0.0; Buffers::<Materials>::floats(SIDE * SIDE)];
    let mut solves = vec![0.0; Buffers::<Materials>::solve_floats(SIDE * SIDE)];
    let mut buffers = Buffers::new(&mut problem, &mut memory, solver.objective())?.with_solve(&mut solves)?;
    let mut start = Image::zeros(SIDE, SIDE);
    FilteredBackprojector::new(measurement.geometry.clone(), Window::Hann)?
        .filtered_backproject(&measurement.sinogram, &mut start.pixels)?;
    buffers.set_iterate(&start.pixels)?;
    let status = drive(&mut solver, &mut buffers, |_, _| ControlFlow::Continue(()))?;
    let result = Image { pixels: buffers.iterate().to_vec(), ..start.clone() };
    println!("filtered backprojection {:.2} dB", psnr(&truth, &start, 1.0)?);
    println!("two materials, {status}: {:.2} dB", psnr(&truth, &result, 1.0)?);
    Ok(())
}
