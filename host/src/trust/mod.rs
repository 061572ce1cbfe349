//! Trust: what a run says about how far its result is to be believed.

mod air;
mod bins;
mod field;
mod fit;
mod rays;
mod residual;

pub use bins::fill_bins;
pub use field::Field;
pub use fit::Misfit;
pub use rays::Rays;
pub use residual::Residual;
