//! Which of our files a path names, if any.
//!
//! Core. A file of ours is named in full from the root; doubled slashes and `.` on the way are read as the kernel
//! reads them. A path through `..`, from a directory, or through a link is not ours: nothing lies there, and the
//! kernel says so.
//!
//! Untrusted: the bytes; they are whatever the program's register pointed at.

/// Where files of ours seem to lie.
pub const FOLDER: &str = "/run/cloudtaser/secrets";

/// The most of a path that is looked at; none of ours is longer.
pub const LONGEST: usize = 512;

/// The path that a variable says.
#[must_use]
pub fn of(variable: &str) -> String {
    format!("{FOLDER}/{variable}")
}

/// The name at the end of a path that leads to our folder, from bytes that hold a C string.
///
/// None: the string does not end in these bytes, or leads elsewhere.
#[must_use]
pub fn name(bytes: &[u8]) -> Option<&str> {
    let end = bytes.iter().position(|byte| *byte == 0)?;
    let path = str::from_utf8(bytes.get(..end)?).ok()?;
    let mut steps = path.strip_prefix('/')?.split('/').filter(|step| !matches!(*step, "" | "."));
    for expected in FOLDER.split('/').skip(1) {
        if steps.next()? != expected {
            return None;
        }
    }
    let name = steps.next()?;
    // What ends in a slash is a directory.
    (steps.next().is_none() && name != ".." && path.ends_with(name)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_a_variable_names_it() {
        let mut path = of("DB_PASSWORD_FILE").into_bytes();
        path.extend(b"\0rest");
        assert_eq!(name(&path), Some("DB_PASSWORD_FILE"));
        assert_eq!(name(b"//run/./cloudtaser//secrets/./X\0"), Some("X"));
    }

    #[test]
    fn other_paths_are_not_ours() {
        for path in [
            "",
            "/",
            "X",
            "/run/cloudtaser/secrets",
            "/run/cloudtaser/secrets/",
            "/run/cloudtaser/secrets/..",
            "/run/cloudtaser/secrets/X/",
            "/run/cloudtaser/secrets/X/.",
            "/run/cloudtaser/secrets/X/Y",
            "/run/cloudtaser/secrets2/X",
            "/run/cloudtaser/x/../secrets/X",
            "run/cloudtaser/secrets/X",
        ] {
            assert_eq!(name(format!("{path}\0").as_bytes()), None, "{path}");
        }
    }

    #[test]
    fn a_path_without_its_end_is_not_ours() {
        assert_eq!(name(b"/run/cloudtaser/secrets/X"), None);
        assert_eq!(name(b"/run/cloudtaser/secrets/\xff\0"), None);
    }
}
