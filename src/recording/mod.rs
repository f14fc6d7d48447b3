//! Recordings: JSON Lines of what a bus gave.
