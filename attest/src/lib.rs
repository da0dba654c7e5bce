//! Attestation evidence to verdict: SEV-SNP reports and TPM 2.0 quotes, offline, without I/O
