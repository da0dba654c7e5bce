//! Secrets released by OpenBao on attestation
