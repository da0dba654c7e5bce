//! Compiles `proto/*.proto` without protoc.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let plugin = ["proto/control.proto", "proto/health.proto", "proto/multiplexing.proto", "proto/version.proto"];
    tonic_prost_build::configure()
        .build_client(false)
        .compile_fds(protox::compile(plugin, ["proto"])?)?;
    // One package holds the service we offer and the two that we call.
    tonic_prost_build::configure().compile_fds(protox::compile(["proto/backend.proto"], ["proto"])?)?;
    Ok(())
}
