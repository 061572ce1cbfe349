//! The judgement of a result by its data: do they belong together?

use gradus::reconstruct::{Measurement, Method, Rival, is_explained};
use gradus::trust::{Misfit, Residual};

/// The evidence that a result is judged by.
pub struct Judgement<'a> {
    pub method: Method,
    pub measurement: &'a Measurement,
    pub residual: Option<&'a Residual>,
    /// A classical method that explains the data better.
    pub rival: Option<&'a Rival>,
    /// The residual of views that it was made without.
    pub held_out: Option<&'a Residual>,
    /// Faults of the scan in words, the likeliest first.
    pub causes: &'a [String],
}

impl Judgement<'_> {
    /// True if picture and data do not belong together. Filtered backprojection, which minimises no misfit, is not at
    /// fault where another method explains the data.
    pub fn is_hopeless(&self) -> bool {
        let unexplained = self.residual.filter(|residual| !is_explained(self.method, residual));
        unexplained.map(Residual::misfit) == Some(Misfit::Hopeless) && !(self.method == Method::Fbp && self.is_sound())
    }

    /// True if another method explains the data: then they are no contradiction.
    fn is_sound(&self) -> bool {
        self.rival.is_some_and(|rival| rival.residual.is_small())
    }

    /// Warnings for a reader, before the picture is believed.
    pub fn warnings(&self) -> Vec<String> {
        let is_known = self.is_sound() || !self.causes.is_empty();
        let warning = |residual| self.measurement.fit_warning(self.method, residual, is_known);
        let own = self.residual.and_then(warning);
        let causes = self.causes.iter().cloned();
        causes.chain(own).chain(self.rival.map(better)).chain(self.unforetold()).collect()
    }

    /// Said where views that the picture was made from are explained, and those that it was made without are not.
    fn unforetold(&self) -> Option<String> {
        let held_out = self.held_out.filter(|held_out| !is_explained(self.method, held_out))?;
        self.residual.filter(|own| is_explained(self.method, own)).map(|own| {
            let [of_own, of_held] = [own, held_out].map(|residual| residual.chi_squared().sqrt());
            format!(
                "views that the picture was made without are {of_held:.2} standard deviations of the noise away from \
                 it, those that it was made from {of_own:.2}: between its views the picture is a guess. Take more \
                 views, or another prior (--prior auto)"
            )
        })
    }
}

fn better(rival: &Rival) -> String {
    let (chi, method) = (rival.residual.chi_squared(), rival.method);
    format!("--method {method} explains the data better: chi squared {chi:.3} a ray")
}
