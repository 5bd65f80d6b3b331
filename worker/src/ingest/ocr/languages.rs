//! Languages of scans, as Tesseract's data files are called.

use std::{fmt, str::FromStr};

/// Each one more takes its time on every page.
const LANGUAGES_MAX: usize = 8;

/// What a data file's name may have: `chi_sim_vert`.
const NAME_BYTES_MAX: usize = 32;

/// One language or more, joined by `+`, each of letters, digits and `_`: never an option or a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Languages(String);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("languages are 1 to {LANGUAGES_MAX} of Tesseract's names joined by +, such as eng+deu")]
pub struct LanguagesInvalid;

impl FromStr for Languages {
    type Err = LanguagesInvalid;

    fn from_str(raw: &str) -> Result<Self, Self::Err> {
        let is_name = |name: &str| {
            (1..=NAME_BYTES_MAX).contains(&name.len())
                && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        };
        let fits = raw.split('+').count() <= LANGUAGES_MAX && raw.split('+').all(is_name);
        fits.then(|| Self(raw.to_owned())).ok_or(LanguagesInvalid)
    }
}

impl Languages {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.split('+')
    }

    /// For notes: "English and German", with Tesseract's name where we know no better.
    pub(super) fn in_english(&self) -> String {
        let names: Vec<&str> = self.names().map(in_english).collect();
        match names.as_slice() {
            [all @ .., last] if !all.is_empty() => format!("{} and {last}", all.join(", ")),
            names => names.concat(),
        }
    }
}

impl fmt::Display for Languages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn in_english(name: &str) -> &str {
    match name {
        "ara" => "Arabic",
        "ces" => "Czech",
        "chi_sim" => "Simplified Chinese",
        "chi_tra" => "Traditional Chinese",
        "dan" => "Danish",
        "deu" => "German",
        "eng" => "English",
        "fin" => "Finnish",
        "fra" => "French",
        "ita" => "Italian",
        "jpn" => "Japanese",
        "kor" => "Korean",
        "nld" => "Dutch",
        "nor" => "Norwegian",
        "pol" => "Polish",
        "por" => "Portuguese",
        "rus" => "Russian",
        "spa" => "Spanish",
        "swe" => "Swedish",
        "tur" => "Turkish",
        "ukr" => "Ukrainian",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_are_names_and_neither_options_nor_paths() {
        for good in ["eng", "eng+deu", "chi_sim_vert"] {
            assert_eq!(good.parse::<Languages>().unwrap().as_str(), good);
        }
        for bad in [
            "",
            "+",
            "eng+",
            "-psm",
            "../eng",
            "eng deu",
            "e\0",
            &"x".repeat(33),
        ] {
            assert_eq!(bad.parse::<Languages>(), Err(LanguagesInvalid), "{bad:?}");
        }
        assert!("a+b+c+d+e+f+g+h+i".parse::<Languages>().is_err());
    }

    #[test]
    fn people_read_names_of_languages() {
        let read = |languages: &str| languages.parse::<Languages>().unwrap().in_english();
        assert_eq!(read("eng"), "English");
        assert_eq!(read("eng+deu"), "English and German");
        assert_eq!(read("eng+deu+isl"), "English, German and isl");
    }
}
