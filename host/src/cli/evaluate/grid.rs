//! The flags of the grid of `gradus evaluate --range`.

use crate::ending::Failure;
use crate::flags::by_name;
use gradus::limits::COUNT;
use gradus::paper::range::{Grid, Photons};
use gradus::reconstruct::Method;
use miette::miette;

/// The grid, where it is not the whole one.
#[derive(Debug, clap::Args)]
pub struct GridArguments {
    /// Views of the grid [default: 8,20,60,180,720]
    #[arg(long, value_name = "N,N", value_delimiter = ',', requires = "range")]
    views: Option<Vec<usize>>,
    /// Photons a bin of the grid [default: 1e3,1e4,1e5,1e6,none]
    #[arg(long, value_name = "I0,none", value_delimiter = ',', requires = "range")]
    photons: Option<Vec<Photons>>,
    /// Methods of the grid [default: all]
    #[arg(long, value_name = "METHOD,METHOD", value_delimiter = ',', requires = "range",
          value_parser = by_name::<Method>)]
    methods: Option<Vec<Method>>,
}

impl GridArguments {
    /// The grid that the flags ask for.
    pub fn grid(&self, images: Option<usize>) -> Result<Grid, Failure> {
        let usual = Grid::default();
        let grid = Grid {
            views: self.views.clone().unwrap_or(usual.views),
            photons: self.photons.clone().unwrap_or(usual.photons),
            methods: self.methods.clone().unwrap_or(usual.methods),
            images: images.unwrap_or(usual.images),
        };
        match grid.views.iter().find(|views| **views == 0 || **views > COUNT) {
            Some(views) => Err(miette!("--views has {views}; give numbers from 1 to {COUNT}")),
            None => Ok(grid),
        }
    }
}
