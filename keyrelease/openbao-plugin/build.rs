//! Compiles `proto/*.proto` without protoc.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let control = ["control.proto", "health.proto", "multiplexing.proto", "version.proto"];
    let work = ["backend.proto", "wrapper.proto", "metadata.proto"];
    let files = control.into_iter().chain(work);
    tonic_prost_build::configure().compile_fds(protox::compile(files, ["proto"])?)?;
    Ok(())
}
