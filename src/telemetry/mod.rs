//! What the agent counts and measures. Names stand in [`metrics`], and nowhere else.

pub mod gauges;
pub mod histogram;
pub mod metrics;
