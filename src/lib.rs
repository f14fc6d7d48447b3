//! Countermand.
