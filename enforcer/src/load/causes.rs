//! An error and all that caused it, in one line.

use std::error::Error;

/// The whole chain.
pub(crate) fn line(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        line = format!("{line}: {cause}");
        next = cause.source();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("loading it")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn causes_stand_behind_what_they_caused() {
        let error = Outer(std::io::Error::other("not permitted"));
        assert_eq!(line(&error), "loading it: not permitted");
    }
}
