//! (Contract in README.)

pub mod decode;
