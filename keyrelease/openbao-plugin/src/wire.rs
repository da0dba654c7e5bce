//! The generated messages and services, one module for each protobuf package.

#![expect(
    unnameable_types,
    unreachable_pub,
    unused_qualifications,
    clippy::pedantic,
    clippy::as_conversions,
    clippy::excessive_nesting,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    reason = "generated from proto/, where the words are"
)]

pub mod plugin {
    tonic::include_proto!("plugin");
}
pub mod health {
    tonic::include_proto!("grpc.health.v1");
}
pub mod multiplexing {
    tonic::include_proto!("pluginutil.multiplexing");
}
pub mod logical {
    tonic::include_proto!("logical");
}
pub mod metadata {
    tonic::include_proto!("metadata");
}
pub mod pb {
    tonic::include_proto!("pb");
}
