//! The generated half of `proto/`: messages, gRPC clients and servers, and
//! proto-JSON for the socket protocol. No logic lives here.

/// The packages, nested as their names are, because generated code refers to its
/// neighbours by relative path.
mod sotto {
    pub mod identity {
        pub mod v1 {
            tonic::include_proto!("sotto.identity.v1");
        }
    }
    pub mod socket {
        pub mod v1 {
            tonic::include_proto!("sotto.socket.v1");
            include!(concat!(env!("OUT_DIR"), "/sotto.socket.v1.serde.rs"));
        }
    }
    pub mod messages {
        pub mod v1 {
            tonic::include_proto!("sotto.messages.v1");
        }
    }
    pub mod keys {
        pub mod v1 {
            tonic::include_proto!("sotto.keys.v1");
        }
    }
    pub mod groups {
        pub mod v1 {
            tonic::include_proto!("sotto.groups.v1");
        }
    }
    pub mod content {
        pub mod v1 {
            tonic::include_proto!("sotto.content.v1");
        }
    }
    pub mod link {
        pub mod v1 {
            tonic::include_proto!("sotto.link.v1");
        }
    }
}

pub use sotto::{
    content::v1 as content, groups::v1 as groups, identity::v1 as identity, keys::v1 as keys,
    link::v1 as link, messages::v1 as messages, socket::v1 as socket,
};
