//! Buses: where inputs come from and commands go to.
