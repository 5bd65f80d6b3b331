//! Which files are meant, and what they are called: by their path below the folder that was named, so that two of one
//! name in different folders are two documents, and the same folder gives the same names again.

use std::path::{Path, PathBuf};

use globset::{Glob, GlobBuilder, GlobSet, GlobSetBuilder};
use walkdir::{DirEntry, WalkDir};

use crate::{
    config::Add,
    error::{Error, Result},
};

#[derive(Clone, Debug)]
pub(super) struct File {
    /// Its place among the others.
    pub(super) number: usize,
    pub(super) path: PathBuf,
    /// What the document is called.
    pub(super) name: String,
    pub(super) bytes: u64,
    /// It was named itself, and not found in a folder.
    pub(super) named: bool,
}

#[derive(Debug)]
pub(super) struct Found {
    pub(super) files: Vec<File>,
}

/// # Errors
/// When a path isn't there, a folder can't be read, or nothing is left.
pub(super) fn find(wanted: &Add) -> Result<Found> {
    let globs = Globs {
        exclude: set(&wanted.exclude)?,
        include: (!wanted.include.is_empty())
            .then(|| set(&wanted.include))
            .transpose()?,
        hidden: wanted.hidden,
    };
    let mut files = Vec::new();
    for path in &wanted.paths {
        let unreadable = |cause: &dyn std::fmt::Display| {
            Error::local(
                format!("{} can't be read: {cause}", path.display()),
                "Check the path and its permissions.",
            )
        };
        let about = std::fs::metadata(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                Error::Missing(format!("there is no file {}", path.display()))
            }
            _ => unreadable(&error),
        })?;
        if about.is_file() {
            let name = path.file_name().unwrap_or_default();
            files.push(File {
                number: files.len(),
                path: path.clone(),
                name: name.to_string_lossy().into_owned(),
                bytes: about.len(),
                named: true,
            });
            continue;
        }
        // In order of names, so that the same command takes the same way again.
        let entries = WalkDir::new(path).min_depth(1).sort_by_file_name();
        for entry in entries
            .into_iter()
            .filter_entry(|entry| globs.enters(path, entry))
        {
            let entry = entry.map_err(|error| unreadable(&error))?;
            if !entry.file_type().is_file() {
                continue;
            }
            let name = below(path, entry.path());
            if globs.includes(&name) {
                let about = entry.metadata().map_err(|error| unreadable(&error))?;
                files.push(File {
                    number: files.len(),
                    path: entry.path().to_owned(),
                    name,
                    bytes: about.len(),
                    named: false,
                });
            }
        }
    }
    if files.is_empty() {
        return Err(Error::Missing(
            "there are no files, or all of them are left out".to_owned(),
        ));
    }
    Ok(Found { files })
}

fn below(folder: &Path, path: &Path) -> String {
    let below = path.strip_prefix(folder).unwrap_or(path);
    let parts = below.components();
    let parts: Vec<_> = parts
        .map(|part| part.as_os_str().to_string_lossy())
        .collect();
    parts.join("/")
}

struct Globs {
    exclude: GlobSet,
    include: Option<GlobSet>,
    hidden: bool,
}

impl Globs {
    /// Whether a file or folder is looked at: a folder that is left out is never read.
    fn enters(&self, folder: &Path, entry: &DirEntry) -> bool {
        let name = entry.file_name().to_string_lossy();
        if is_litter(&name) || (!self.hidden && name.starts_with('.')) {
            return false;
        }
        !self.exclude.is_match(below(folder, entry.path()))
    }

    fn includes(&self, name: &str) -> bool {
        self.include.as_ref().is_none_or(|set| set.is_match(name))
    }
}

/// What operating systems leave in folders.
fn is_litter(name: &str) -> bool {
    matches!(name, "__MACOSX" | "Thumbs.db" | "desktop.ini" | ".DS_Store") || name.starts_with("._")
}

/// As in `.gitignore`: without a slash in any folder, with one from the folder that was named.
fn set(globs: &[String]) -> Result<GlobSet> {
    let mut set = GlobSetBuilder::new();
    for raw in globs {
        let glob = |pattern: &str| -> Result<Glob> {
            GlobBuilder::new(pattern)
                .literal_separator(true)
                .build()
                .map_err(|error| Error::Usage(format!("{raw:?} is no glob: {}", error.kind())))
        };
        let pattern = raw.trim_start_matches("./").trim_end_matches('/');
        set.add(glob(pattern)?);
        if !pattern.contains('/') {
            set.add(glob(&format!("**/{pattern}"))?);
        }
    }
    set.build()
        .map_err(|error| Error::Usage(format!("these globs are too much: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glob_without_a_slash_is_of_any_folder_and_one_with_a_slash_of_its_own() {
        let set = set(&["*.tmp".into(), "drafts/**".into(), "./old/".into()]).unwrap();
        for left_out in ["a.tmp", "b/c/a.tmp", "drafts/x/y.pdf", "old", "b/old"] {
            assert!(set.is_match(left_out), "{left_out}");
        }
        for taken in ["a.pdf", "b/drafts/y.pdf", "older"] {
            assert!(!set.is_match(taken), "{taken}");
        }
        assert!(super::set(&["[".into()]).is_err());
    }
}
