//! Archives as office files and books are: their entries, unpacked within limits, and how they refer to each other.

use std::collections::HashMap;
use std::io::{Cursor, Read};

use zip::ZipArchive;
use zip::result::ZipError;

use super::super::{ParseFailure, ParseLimits};
use super::xml::{self, Node, attribute};
use super::{damaged, title};

/// Unpacked, a small file may always have this much, whatever its ratio: blank slides and styles pack well.
const UNPACKED_BYTES_FREE: u64 = 16 << 20;

pub(super) struct Package<'a> {
    archive: ZipArchive<Cursor<&'a [u8]>>,
    bytes_left: u64,
    bytes_max: u64,
}

/// What one entry says of another.
pub(super) struct Relation {
    /// The last part of its type's address: "footnotes", "slide".
    pub(super) kind: String,
    /// The other entry's name.
    pub(super) target: String,
}

impl<'a> Package<'a> {
    pub(super) fn open(bytes: &'a [u8], limits: &ParseLimits) -> Result<Self, ParseFailure> {
        let archive = ZipArchive::new(Cursor::new(bytes)).map_err(broken)?;
        if archive.len() > limits.entries_max as usize {
            return Err(ParseFailure::TooManyEntries {
                entries: archive.len() as u64,
                max: limits.entries_max,
            });
        }
        let by_ratio = (bytes.len() as u64).saturating_mul(limits.unpacked_ratio_max.into());
        let bytes_max = limits
            .unpacked_bytes_max
            .min(by_ratio.max(UNPACKED_BYTES_FREE));
        Ok(Self {
            archive,
            bytes_left: bytes_max,
            bytes_max,
        })
    }

    /// An entry's bytes; `None` if there is no such entry.
    pub(super) fn read(&mut self, name: &str) -> Result<Option<Vec<u8>>, ParseFailure> {
        let mut bytes = Vec::new();
        let is_there = self.unpack(name, |part| bytes.extend_from_slice(part))?;
        Ok(is_there.then_some(bytes))
    }

    /// An entry that can't be missing.
    pub(super) fn require(&mut self, name: &str) -> Result<Vec<u8>, ParseFailure> {
        self.read(name)?
            .ok_or_else(|| damaged(format!("no {name} in it")))
    }

    /// Unpacks all entries of XML and forgets them, to know that a reader that does the same stays within the limits:
    /// what the archive says of their sizes may be a lie.
    pub(super) fn check_sizes(&mut self) -> Result<(), ParseFailure> {
        let names: Vec<String> = self
            .archive
            .file_names()
            .filter_map(|name| Some(name.ok()?.into_owned()))
            .filter(|name| {
                let name = name.to_ascii_lowercase();
                name.ends_with(".xml") || name.ends_with(".rels")
            })
            .collect();
        for name in names {
            self.unpack(&name, |_| {})?;
        }
        Ok(())
    }

    fn unpack(&mut self, name: &str, mut take: impl FnMut(&[u8])) -> Result<bool, ParseFailure> {
        let Some(index) = self.archive.index_for_name(name) else {
            return Ok(false);
        };
        let mut entry = self.archive.by_index(index).map_err(broken)?;
        let mut buffer = vec![0; 64 << 10];
        loop {
            let read = entry.read(&mut buffer).map_err(damaged)?;
            if read == 0 {
                return Ok(true);
            }
            self.bytes_left =
                self.bytes_left
                    .checked_sub(read as u64)
                    .ok_or(ParseFailure::UnpackedTooBig {
                        max: self.bytes_max,
                    })?;
            take(&buffer[..read]);
        }
    }

    /// What the entry `name` refers to, by id; `""` is the package itself.
    pub(super) fn relations(
        &mut self,
        name: &str,
    ) -> Result<HashMap<String, Relation>, ParseFailure> {
        let (folder, file) = name.rsplit_once('/').unwrap_or(("", name));
        let slash = if folder.is_empty() { "" } else { "/" };
        let mut relations = HashMap::new();
        let Some(bytes) = self.read(&format!("{folder}{slash}_rels/{file}.rels"))? else {
            return Ok(relations);
        };
        xml::walk(&bytes, |node| {
            let Node::Start("Relationship", start) = node else {
                return Ok(());
            };
            let is_outside = attribute(start, "TargetMode").is_some_and(|mode| mode == "External");
            let values = ["Id", "Type", "Target"].map(|name| attribute(start, name));
            if let ([Some(id), Some(kind), Some(target)], false) = (values, is_outside) {
                let relation = Relation {
                    kind: kind.rsplit('/').next().unwrap_or_default().to_owned(),
                    target: resolve(folder, &target),
                };
                relations.insert(id.into_owned(), relation);
            }
            Ok(())
        })?;
        Ok(relations)
    }

    /// The entry that an office file is about, or `usual` if it doesn't say.
    pub(super) fn main_part(&mut self, usual: &str) -> Result<String, ParseFailure> {
        let relations = self.relations("")?;
        let main = relations
            .into_values()
            .find(|relation| relation.kind == "officeDocument");
        Ok(main.map_or_else(|| usual.to_owned(), |relation| relation.target))
    }

    /// The title in an office file's properties. That they are broken is no reason not to read the file.
    pub(super) fn title(&mut self) -> Option<String> {
        let properties = self.read("docProps/core.xml").ok()??;
        title(&xml::text_of(&properties, "title").ok()??)
    }
}

fn broken(error: ZipError) -> ParseFailure {
    match error {
        ZipError::UnsupportedArchive(ZipError::PASSWORD_REQUIRED) => ParseFailure::PasswordRequired,
        error => damaged(error),
    }
}

/// The name of the entry that `target` is, seen from `folder`.
pub(super) fn resolve(folder: &str, target: &str) -> String {
    let from_root = target.starts_with('/');
    let mut names: Vec<&str> = if from_root {
        Vec::new()
    } else {
        folder.split('/').filter(|name| !name.is_empty()).collect()
    };
    for name in target.split('/') {
        match name {
            "" | "." => {}
            ".." => {
                names.pop();
            }
            name => names.push(name),
        }
    }
    names.join("/")
}

#[cfg(test)]
mod tests {
    use super::resolve;

    #[test]
    fn targets_are_seen_from_their_folder() {
        assert_eq!(resolve("ppt/slides", "../media/a.png"), "ppt/media/a.png");
        assert_eq!(resolve("word", "/word/footnotes.xml"), "word/footnotes.xml");
        assert_eq!(resolve("", "../../x"), "x");
    }
}
