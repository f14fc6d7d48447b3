//! The protobuf contract, and its conversion from and to the model.
