//! `check-list`: what would become of each entry of a list of trusted programs, before it decides about a node.
//!
//! Trusted: nothing is changed. Untrusted: the list and the files that it names.

use std::path::Path;

use enforcer_abi::{Trust, Vector, trust};

use crate::guards::trusted::{Entry, List, Void};
use crate::procfs::ordinary_bytes;

/// What is said, and whether all entries would be known.
#[derive(Debug)]
pub struct Checked {
    /// A line for each entry, and what to think about under it.
    pub text: String,
    /// How many would not be known.
    pub void: usize,
}

/// Looks at a list.
pub fn check(path: &Path) -> Result<Checked, Void> {
    let read = ordinary_bytes(path);
    // For the enforcer a file that is not there is an empty list; who asks for it to be checked meant one that is.
    let list = match &read {
        Err(error) => Err(Void::List { path: path.display().to_string(), why: error.to_string() }),
        Ok(bytes) => List::of(path, Ok(bytes)),
    }?;
    let (mut lines, mut voids) = (Vec::new(), 0_usize);
    for entry in &list.trusted {
        match entry.resolve(Path::new("/")) {
            Ok((_, trust)) => lines.extend(known(entry, trust)),
            Err(void) => {
                voids = voids.saturating_add(1);
                lines.push(format!("void   {void}"));
            }
        }
    }
    lines.push(format!("{} entries, {voids} of them void\n", list.trusted.len()));
    Ok(Checked { text: lines.join("\n"), void: voids })
}

fn known(entry: &Entry, trust: Trust) -> Vec<String> {
    let mut lines = vec![format!("known  {}: may {}", entry.path.display(), named(trust.vectors))];
    let mut mind = |what: &str| lines.push(format!("       mind: {what}"));
    if entry.sha256.is_none() {
        mind("without sha256, whatever is in the file when the enforcer starts is trusted");
    }
    if entry.cgroup.is_none() {
        mind("without cgroup, whoever executes it is trusted, in any container");
    }
    if trust.flags & trust::MAY_LOAD != 0 {
        mind("with loads, whoever starts it chooses what is loaded into it: root is trusted");
    }
    if trust.flags & trust::CHILDREN != 0 {
        mind("with children, whatever it executes in its control group is trusted");
    }
    lines
}

fn named(vectors: u64) -> String {
    let bit = |vector: &Vector| 1_u64.checked_shl(u32::from(vector.number())).unwrap_or(0);
    let all = Vector::ALL.iter().filter(|vector| vectors & bit(vector) != 0);
    all.map(|vector| vector.row().name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn each_entry_is_said_to_be_known_or_void_and_why() {
        let folder = tempfile::tempdir().unwrap();
        let (list, program) = (folder.path().join("list"), folder.path().join("program"));
        fs::write(&program, crate::elf::tests::program(&[1])).unwrap();
        let loads = folder.path().join("loads");
        fs::write(&loads, crate::elf::tests::program(&[3])).unwrap();
        let [program, loads] = [program, loads].map(|path| path.display().to_string());
        let entries = [
            format!("path = \"{program}\"\nvectors = [\"mount\"]"),
            format!("path = \"{loads}\""),
            format!("path = \"{loads}\"\nvectors = [\"mount\"]\nloads = true"),
            format!("path = \"{program}\"\nchildren = true"),
        ];
        fs::write(&list, entries.map(|entry| format!("[[trusted]]\n{entry}\n")).concat()).unwrap();
        let checked = check(&list).unwrap();
        let digest =
            "       mind: without sha256, whatever is in the file when the enforcer starts is trusted\n";
        let place = "       mind: without cgroup, whoever executes it is trusted, in any container\n";
        let choice =
            "       mind: with loads, whoever starts it chooses what is loaded into it: root is trusted\n";
        let expected = format!(
            "known  {program}: may mount\n{digest}{place}\
             void   {loads}: expected a program that is all in one file, found one into which libraries are loaded: \
             whoever starts it chooses them; `loads = true` accepts that\n\
             known  {loads}: may mount\n{digest}{place}{choice}\
             void   {program}: expected a control group beside `children`: what it executes elsewhere is not its own\n\
             4 entries, 2 of them void\n"
        );
        assert_eq!((checked.text, checked.void), (expected, 2));
    }

    /// The enforcer may read what root may not, and a list that is wrong is quoted.
    #[test]
    fn what_the_kernel_says_is_no_list() {
        let error = check(Path::new("/proc/kallsyms")).unwrap_err();
        let expected = "/proc/kallsyms: expected an ordinary file, found one that the kernel makes";
        assert_eq!(error.to_string(), expected);
        let error = check(Path::new("/dev/zero")).unwrap_err();
        assert_eq!(error.to_string(), "/dev/zero: expected an ordinary file, found a folder or a device");
    }

    #[test]
    fn a_list_that_is_not_there_is_not_an_empty_one() {
        let error = check(Path::new("/nonexistent/list")).unwrap_err();
        assert_eq!(error.to_string(), "/nonexistent/list: No such file or directory (os error 2)");
    }
}
