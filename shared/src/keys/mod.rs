//! API keys as they are written, and what they allow. Where they are kept is in `store/keys.rs`.
//!
//! A key is `lectern_sk_<8 characters>_<43 characters><8 hex digits>`: what it is known by in lists, 256 random bits, and
//! the beginning of the SHA-256 of all before, by which scanners tell it from what merely looks like one. A widget's
//! begins with `lectern_wk_`. Keys of older releases (`lectern_` and 64 hex digits) and the development key have neither.

use std::{fmt, str::FromStr};

use rand::{Rng, distr::Alphanumeric};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::secret::Secret;

mod origins;

pub use origins::{BadOrigin, OriginRule, patterns};

/// The key that development mode accepts from the first minute on.
pub const DEVELOPMENT_KEY: &str = "lectern-dev";

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = KeyKind))]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Kept by a program or a person.
    Secret,
    /// Stands in web pages for everybody to read: it may only ask, in named collections, from named pages.
    Widget,
}

impl Kind {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::Widget => "widget",
        }
    }

    fn begins(self) -> &'static str {
        match self {
            Self::Secret => "lectern_sk_",
            Self::Widget => "lectern_wk_",
        }
    }
}

impl FromStr for Kind {
    type Err = ();

    fn from_str(raw: &str) -> Result<Self, Self::Err> {
        [Self::Secret, Self::Widget]
            .into_iter()
            .find(|kind| kind.as_str() == raw)
            .ok_or(())
    }
}

/// A thing that a key may do. None includes another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// See documents, FAQs, ratings, and all questions and conversations.
    Read,
    /// Ask and search, and see what was asked with the same key.
    Ask,
    /// Bring, change and delete documents and FAQs.
    Write,
    /// Keys, webhooks, collections and dead letters of the tenant.
    Admin,
    /// Tenants, and keys of any of them.
    Operator,
}

impl Scope {
    pub const ALL: [Self; 5] = [
        Self::Read,
        Self::Ask,
        Self::Write,
        Self::Admin,
        Self::Operator,
    ];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Ask => "ask",
            Self::Write => "write",
            Self::Admin => "admin",
            Self::Operator => "operator",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// No scope of that name.
#[derive(Debug, thiserror::Error)]
#[error("there is no scope of that name: they are read, ask, write, admin and operator")]
pub struct UnknownScope;

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(raw: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|scope| scope.as_str() == raw)
            .ok_or(UnknownScope)
    }
}

/// Characters of a key, at the most: what is longer is none.
const CHARS_MAX: usize = 128;
const ID_CHARS: usize = 8;
/// 43 characters of 62 kinds are 256.03 bits.
const RANDOM_CHARS: usize = 43;
const CHECKSUM_CHARS: usize = 8;

/// A key as its owner has it. Printed, it shows what it begins with, which is no secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(Secret);

impl Key {
    /// A new key, from the thread's cryptographic generator, which the operating system seeds.
    #[must_use]
    pub fn fresh(kind: Kind) -> Self {
        let (id, random) = (alphanumeric(ID_CHARS), alphanumeric(RANDOM_CHARS));
        let body = format!("{}{id}_{random}", kind.begins());
        let checksum = checksum(&body);
        Self(Secret::new(body + &checksum))
    }

    /// A key that somebody has sent. `None`: it can't be one, so nobody need look for it.
    #[must_use]
    pub fn parse(raw: &str) -> Option<Self> {
        let is_key = (1..=CHARS_MAX).contains(&raw.len())
            && raw.bytes().all(|byte| byte.is_ascii_graphic())
            && (!is_checked(raw) || has_its_checksum(raw));
        is_key.then(|| Self(Secret::new(raw.to_owned())))
    }

    /// What it begins with, for lists and logs.
    #[must_use]
    pub fn prefix(&self) -> &str {
        let raw = self.0.reveal();
        if is_checked(raw) {
            &raw[..Kind::Secret.begins().len() + ID_CHARS]
        } else if raw == DEVELOPMENT_KEY {
            raw
        } else {
            "lectern_"
        }
    }

    /// The key itself, for its owner alone.
    #[must_use]
    pub fn reveal(&self) -> &str {
        self.0.reveal()
    }

    /// What is stored of it.
    pub(crate) fn hash(&self) -> Vec<u8> {
        Sha256::digest(self.0.reveal().as_bytes()).to_vec()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({}…)", self.prefix())
    }
}

fn alphanumeric(chars: usize) -> String {
    let characters = rand::rng().sample_iter(Alphanumeric).take(chars);
    characters.map(char::from).collect()
}

/// Whether it is of the form that carries a checksum.
fn is_checked(raw: &str) -> bool {
    [Kind::Secret, Kind::Widget]
        .iter()
        .any(|kind| raw.starts_with(kind.begins()))
}

fn has_its_checksum(raw: &str) -> bool {
    let chars = Kind::Secret.begins().len() + ID_CHARS + 1 + RANDOM_CHARS + CHECKSUM_CHARS;
    raw.len() == chars
        && raw
            .split_at_checked(chars - CHECKSUM_CHARS)
            .is_some_and(|(body, end)| checksum(body) == end)
}

fn checksum(body: &str) -> String {
    let digest = Sha256::digest(body.as_bytes());
    digest[..CHECKSUM_CHARS / 2]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_key_reads_back_and_one_with_a_slip_is_none() {
        for kind in [Kind::Secret, Kind::Widget] {
            let key = Key::fresh(kind);
            assert!(key.reveal().starts_with(kind.begins()));
            assert_eq!(Key::parse(key.reveal()), Some(key.clone()));
            assert_ne!(Key::fresh(kind), key);
            let mut slip = key.reveal().to_owned();
            let last = if slip.pop() == Some('0') { '1' } else { '0' };
            slip.push(last);
            assert_eq!(Key::parse(&slip), None);
            assert_eq!(Key::parse(key.prefix()), None);
        }
    }

    #[test]
    fn older_keys_and_the_development_key_are_keys() {
        let old = format!("lectern_{}", "0a".repeat(32));
        for (raw, prefix) in [(old.as_str(), "lectern_"), (DEVELOPMENT_KEY, "lectern-dev")] {
            assert_eq!(Key::parse(raw).unwrap().prefix(), prefix);
        }
        for none in [
            "",
            "two words",
            "line\nbreak",
            "lectern_sk_ü",
            &"x".repeat(129),
        ] {
            assert_eq!(Key::parse(none), None, "{none}");
        }
    }

    #[test]
    fn a_key_that_is_printed_shows_no_more_than_its_prefix() {
        let key = Key::fresh(Kind::Secret);
        let printed = format!("{key:?} {:#?}", Some(&key));
        assert!(printed.contains(key.prefix()));
        let secret = &key.reveal()[key.prefix().len() + 1..];
        assert!(!printed.contains(&secret[..8]), "{printed}");
        let old = Key::parse(&format!("lectern_{}", "0a".repeat(32))).unwrap();
        assert_eq!(format!("{old:?}"), "Key(lectern_…)");
    }
}
