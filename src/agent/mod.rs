//! The agent's life: configure, build, run the workers, drain.
