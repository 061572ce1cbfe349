//! (module unet)
