//! What is saved of a partition, and up to where its input is consumed (low water).
