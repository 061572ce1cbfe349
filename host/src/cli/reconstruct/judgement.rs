//! The judgement of a result by its data: do they belong together?

use gradus::ct::estimate_noise;
use gradus::reconstruct::{Measurement, Method, Rival, is_explained};
use gradus::trust::{Misfit, Residual};

/// What a result is judged by.
pub struct Judgement<'a> {
    pub method: Method,
    pub measurement: &'a Measurement,
    pub residual: Option<&'a Residual>,
    /// A classical method that explains the data better.
    pub rival: Option<&'a Rival>,
}

impl Judgement<'_> {
    /// True if picture and data do not belong together. Filtered backprojection, which minimises no misfit, is not at
    /// fault where another method explains the data.
    pub fn is_hopeless(&self) -> bool {
        let misfit = self.unexplained().map(Residual::misfit);
        misfit == Some(Misfit::Hopeless) && !(self.method == Method::Fbp && self.is_sound())
    }

    /// The residual, where it is more than the noise and the method leave, or, of methods that know noise, much less.
    fn unexplained(&self) -> Option<&Residual> {
        let residual = self.residual?;
        let follows_noise = self.method != Method::Fbp && residual.misfit() == Misfit::Overfitted;
        (follows_noise || !is_explained(self.method, residual)).then_some(residual)
    }

    /// True if another method explains the data: then they are no contradiction.
    fn is_sound(&self) -> bool {
        self.rival.is_some_and(|rival| rival.residual.is_small())
    }

    /// What a reader must know before believing the picture.
    pub fn warnings(&self) -> Vec<String> {
        let shown = estimate_noise(&self.measurement.sinogram, self.measurement.geometry.n_bins);
        let stated = if shown > 0.0 { self.measurement.noise_std / shown } else { 1.0 };
        let own = self.unexplained().and_then(|residual| residual.warning(stated, self.is_sound()));
        own.into_iter().chain(self.rival.map(better)).collect()
    }
}

fn better(rival: &Rival) -> String {
    let (chi, method) = (rival.residual.chi_squared(), rival.method);
    format!("--method {method} explains the data better: chi squared {chi:.3} a ray")
}
