//! Scenarios: given these messages, expect this verdict and these commands.
