//! A mount that more than one rule: what this program tells its server, and what a person is told first.
//!
//! [`server`] speaks with the mount, [`words`] says what a change would change, [`signing`] has a key sign it. A person
//! sees what they sign: every text is put together here, out of contents that were read and hashed here.
//!
//! Trusted: the command line, the environment, the key or the program that signs. Untrusted: the server.

mod issuer;
pub(crate) mod server;
pub(crate) mod signing;
pub(crate) mod words;
