//! `SECRET_LEAK`: whether bytes on their way out hold a secret that was registered, or what looks like one.
//!
//! [`needles`]: fingerprints of one secret, raw, hexadecimal and base64, under a group's [`Key`]; made by who holds it.
//! [`Set`]: a group's filter: which twelve bytes may begin a needle. [`Walk`]: the search, a step at a time, because a
//! program inside the kernel may not loop for long; natively [`scan`] takes the steps. [`Shape`]: what tokens look like.
//! A safety net, not a wall: what is split, encrypted or encoded otherwise goes by unseen (docs/secret-leak.md).
//!
//! Trusted: the key and the set. Untrusted: the bytes that are searched.
#![expect(
    clippy::inline_always,
    reason = "inside the kernel it is one program: calls cost the verifier's patience"
)]

mod filter;
mod forms;
mod key;
mod shapes;
mod view;
mod walk;

pub use filter::{Set, Unread};
pub use forms::{Form, LEAST, Needle, Place, Unfit, needles};
pub use key::{Key, SPOTS};
pub use shapes::Shape;
pub use view::{BUFFER, Buffer, FRONT, WINDOW};
pub use walk::{CROWD, Lookup, Next, STEPS, Verdict, Walk, scan};
