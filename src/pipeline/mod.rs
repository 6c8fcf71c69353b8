//! (Contract in README.)

pub mod calibrate;
pub mod duplicates;
pub mod reading_time;
