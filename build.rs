//! Compiles the protobuf contract.

fn main() {}
