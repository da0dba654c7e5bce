//! The token: from the environment, or from the file that `bao login` leaves.

use zeroize::Zeroizing;

use super::settings::Token;
use crate::answer::NotJudged;

/// The token, if there is one where the settings say.
pub(crate) fn token(token: &Token) -> Result<Option<Zeroizing<String>>, NotJudged> {
    match token {
        Token::Given(token) => Ok(Some(token.clone())),
        Token::File(path) if path.is_file() => {
            let bytes = Zeroizing::new(crate::input::read(path, MAX_TOKEN)?);
            let text = std::str::from_utf8(&bytes).unwrap_or_default().trim();
            if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(NotJudged::new(
                    "source.token",
                    format!("expected a token in {}", path.display()),
                ));
            }
            Ok(Some(Zeroizing::new(text.to_owned())))
        }
        Token::File(_) | Token::None => Ok(None),
    }
}

const MAX_TOKEN: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_from_its_file_and_never_repeated() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t");
        assert_eq!(token(&Token::File(path.clone())).unwrap(), None);
        std::fs::write(&path, "s.hunter2\n").unwrap();
        assert_eq!(token(&Token::File(path.clone())).unwrap().unwrap().as_str(), "s.hunter2");
        std::fs::write(&path, "hunter2 x").unwrap();
        let error = token(&Token::File(path)).unwrap_err();
        assert!(error.code == "source.token" && !error.message.contains("hunter2"), "{error}");
    }
}
