//! (Contract in README.)
