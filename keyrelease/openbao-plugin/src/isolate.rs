//! One panicking handler is one failed request.
//!
//! The future is polled where it is, so that it is dropped together with the call when the caller
//! goes away. What the panic said stays here: only the place in the source goes to the log.

use std::future::{Future, poll_fn};
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

use crate::{Error, log};

/// Runs `work`; a panic in it becomes an internal error.
pub(crate) async fn isolated<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let mut work = pin!(work);
    poll_fn(|context| {
        // After a panic the future is never polled again, so no broken state of it is seen.
        catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context)))
            .unwrap_or_else(|_panic| Poll::Ready(Err(Error::Internal("internal error".to_owned()))))
    })
    .await
}

/// Logs where panics happen, without their text, which may hold what a caller sent.
pub(crate) fn log_panics() {
    panic::set_hook(Box::new(|panic| match panic.location() {
        Some(place) => log::error("panic", &[("file", &place.file()), ("line", &place.line())]),
        None => log::error("panic", &[]),
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panicking_future_is_an_internal_error() {
        let result: Result<(), Error> = isolated(async { panic!("with a secret in it") }).await;
        assert_eq!(result, Err(Error::Internal("internal error".to_owned())));
    }
}
