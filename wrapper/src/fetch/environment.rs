//! The token that the environment brings.
//!
//! It is moved into secret memory before anything else happens, and overwritten where the kernel put it: neither
//! `/proc/PID/environ` nor the stack of any process of ours shows it from then on.
//!
//! Trusted: whoever started us.

use std::env;

use release_client::{OpenBaoError, Token};

use super::kernel;
use crate::config::TOKENS;

/// Takes it, whatever its name; `BAO_TOKEN` wins. To be called first of all.
pub fn take_token() -> Result<Option<Token>, OpenBaoError> {
    // The one setting that counts before the configuration is read: without secret memory there is no place for a token.
    if env::var_os("CLOUDTASER_MEMORY").is_some_and(|kind| kind == "locked") {
        secretmem::allow_ordinary();
    }
    let mut token = None;
    for name in TOKENS {
        kernel::wipe(name, |value| {
            if !value.is_empty() {
                token = Some(Token::keep(value));
            }
        });
    }
    token.transpose()
}
