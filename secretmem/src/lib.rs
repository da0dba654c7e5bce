//! Memory in memfd_secret regions: where a secret lives and when it dies
