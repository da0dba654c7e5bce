//! Gathers attestation evidence of this machine and serves it locally
