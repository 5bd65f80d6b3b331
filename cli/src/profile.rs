//! Which server, with which key, in which collection: from the command line, the environment, or the file that `lectern login` writes.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use etcetera::{BaseStrategy, choose_base_strategy};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::{
    config::Common,
    error::{Error, Result},
};

const LOCAL: &str = "http://localhost:8080";

/// The file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Stored {
    pub(crate) url: Option<String>,
    pub(crate) key: Option<String>,
    pub(crate) collection: Option<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct Profile {
    pub(crate) url: Url,
    pub(crate) key: Option<String>,
    /// Where a command names none.
    pub(crate) collection: Option<String>,
    pub(crate) file: PathBuf,
    pub(crate) stored: Stored,
}

impl Profile {
    pub(crate) fn find(common: &Common) -> Result<Self> {
        let file = match &common.config_file {
            Some(file) => file.clone(),
            None => choose_base_strategy()
                .map(|folders| folders.config_dir().join("lectern/config.toml"))
                .map_err(|_| {
                    Error::local(
                        "this user has no home folder",
                        "Name a file with --config-file.",
                    )
                })?,
        };
        let stored = read(&file)?;
        let given = |value: &Option<String>| value.clone().filter(|value| !value.trim().is_empty());
        let named = given(&common.url);
        // A key that was stored for one server is not shown to another, and a collection may not be there.
        let same = named.is_none() || stored.url.is_none() || same_server(&named, &stored.url);
        let key = given(&common.key).or_else(|| stored.key.clone().filter(|_| same));
        let collection = given(&common.default_collection)
            .or_else(|| stored.collection.clone().filter(|_| same));
        let raw = named
            .or_else(|| stored.url.clone())
            .unwrap_or_else(|| LOCAL.to_owned());
        Ok(Self {
            url: address(&raw)?,
            key,
            collection,
            file,
            stored,
        })
    }
}

fn same_server(one: &Option<String>, other: &Option<String>) -> bool {
    let parsed = |raw: &Option<String>| raw.as_deref().and_then(|raw| address(raw).ok());
    parsed(one).is_some_and(|one| Some(one) == parsed(other))
}

/// An address as people write it.
pub(crate) fn address(raw: &str) -> Result<Url> {
    let refused = || {
        Error::Usage(format!(
            "{raw:?} is no address: one is https://lectern.example.org or http://localhost:8080"
        ))
    };
    let mut url = Url::parse(raw.trim()).map_err(|_| refused())?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(refused());
    }
    url.set_query(None);
    url.set_fragment(None);
    let path = url.path().trim_end_matches('/');
    let path = path.strip_suffix("/api/v1").unwrap_or(path).to_owned();
    url.set_path(&path);
    Ok(url)
}

fn read(file: &Path) -> Result<Stored> {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Stored::default()),
        Err(error) => {
            return Err(Error::local(
                format!("{} can't be read: {error}", file.display()),
                "Mend its permissions, or name another file with --config-file.",
            ));
        }
    };
    toml::from_str(&text).map_err(|error| {
        Error::local(
            format!(
                "{} is not what `lectern login` writes: {}",
                file.display(),
                error.message()
            ),
            "Delete it and log in again.",
        )
    })
}

/// Writes the file for its owner's eyes alone; it changes as a whole or not at all.
pub(crate) fn write(file: &Path, stored: &Stored) -> Result<()> {
    let wrote = || -> std::io::Result<()> {
        let folder = file
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)?;
        // Its mode is 0600 from the beginning.
        let mut fresh = tempfile::NamedTempFile::new_in(folder)?;
        let text = toml::to_string(stored).map_err(std::io::Error::other)?;
        fresh.write_all(text.as_bytes())?;
        fresh.persist(file)?;
        Ok(())
    };
    wrote().map_err(|error| {
        Error::local(
            format!("{} can't be written: {error}", file.display()),
            "Name another file with --config-file, or set LECTERN_URL and LECTERN_KEY.",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_as_people_write_it() {
        let plain = address("http://localhost:8080").unwrap();
        for other in ["http://localhost:8080/", " http://localhost:8080/api/v1/ "] {
            assert_eq!(address(other).unwrap(), plain);
        }
        assert_eq!(
            address("https://a.example/lectern/").unwrap().as_str(),
            "https://a.example/lectern"
        );
        for refused in ["localhost:8080", "ftp://a.example", ""] {
            assert!(address(refused).is_err(), "{refused}");
        }
    }
}
