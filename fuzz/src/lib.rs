//! What the fuzz targets share: an engine under watch ([`World`]), random rules ([`policy`]), stories told to it
//! ([`story`]), and an account of the bytes that it really takes ([`account`]).

pub mod account;
pub mod picture;
pub mod policy;
pub mod story;
pub mod world;

pub use world::World;
