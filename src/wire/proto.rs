//! The types that `build.rs` makes of `proto/countermand/v1/*.proto`, documented there, and the three of protobuf's own
//! that they use. The two modules stand as the generated code wants them: it names its neighbours by their packages.

mod google {
    pub mod protobuf {
        #![allow(missing_docs, reason = "protobuf's own; their documentation is not generated")]
        include!(concat!(env!("OUT_DIR"), "/google.protobuf.rs"));
    }
}

mod countermand {
    pub mod v1 {
        include!(concat!(env!("OUT_DIR"), "/countermand.v1.rs"));
    }
}

pub use countermand::v1::*;
pub use google::protobuf::{Any, Duration, Timestamp};
