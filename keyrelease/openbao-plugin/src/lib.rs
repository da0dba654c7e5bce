//! OpenBao's plugin protocol for Rust
