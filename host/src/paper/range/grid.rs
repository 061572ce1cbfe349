//! The scans and the methods of a grid.

use crate::reconstruct::Method;
use std::fmt;
use std::str::FromStr;

/// Parts of a pixel's side in the simulation: not the operator that reconstructs.
pub(super) const PARTS: usize = 3;

/// Photons that a bin counts without an object, or so many that there is no noise.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Photons(pub Option<f64>);

impl fmt::Display for Photons {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(photons) => write!(f, "{photons:e}"),
            None => f.write_str("none"),
        }
    }
}

impl FromStr for Photons {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self(None));
        }
        let photons = text.parse::<f64>().ok().filter(|photons| *photons >= 1.0 && photons.is_finite());
        photons.map(|photons| Self(Some(photons))).ok_or_else(|| format!("{text}: give a number such as 1e5, or none"))
    }
}

/// The scans and methods to be compared.
#[derive(Debug, Clone, PartialEq)]
pub struct Grid {
    /// Numbers of views over half a turn.
    pub views: Vec<usize>,
    /// Photons a bin; `None` where there is no noise.
    pub photons: Vec<Photons>,
    /// Methods, each with its defaults.
    pub methods: Vec<Method>,
    /// Images, from the first on.
    pub images: usize,
}

impl Default for Grid {
    fn default() -> Self {
        Self {
            views: vec![8, 20, 60, 180, 720],
            photons: [Some(1e3), Some(1e4), Some(1e5), Some(1e6), None].map(Photons).to_vec(),
            methods: Method::ALL.to_vec(),
            images: 1,
        }
    }
}

/// One reconstruction of a grid.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cell {
    /// Image, counted from 1, which is the seed of the noise, too.
    pub image: usize,
    /// Views.
    pub views: usize,
    /// Photons a bin.
    pub photons: Photons,
    /// The method.
    pub method: Method,
}

impl Grid {
    /// All reconstructions, those of few views first.
    #[must_use]
    pub fn cells(&self) -> Vec<Cell> {
        let mut cells = Vec::new();
        for image in 1..=self.images {
            for &views in &self.views {
                for &photons in &self.photons {
                    cells.extend(self.methods.iter().map(|&method| Cell { image, views, photons, method }));
                }
            }
        }
        cells
    }
}
