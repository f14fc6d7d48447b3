//! The load generator and the measurements (profile `standard`).
