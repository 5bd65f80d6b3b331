//! Languages: told from text, and what search by words knows of them.

use std::{collections::BTreeMap, collections::HashSet, fmt, sync::LazyLock};

use rust_stemmers::{Algorithm, Stemmer};
use unicode_segmentation::UnicodeSegmentation;
use whatlang::{Detector, Lang};

/// Texts are looked at up to here: more don't change the result.
const CHARACTERS: usize = 2_000;

/// Shorter ones are as their document.
const CHARACTERS_MIN: usize = 40;

/// A language that less of a document than this is told to be in is taken for an error.
const SHARE_MIN: f64 = 0.03;

/// A language that can be told from text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Language(usize);

struct Entry {
    /// ISO 639-1
    code: &'static str,
    lang: Lang,
    /// Snowball; those without one are searched for by their words as they stand.
    stemmer: Option<Algorithm>,
    /// There is a list of stop words (NLTK's).
    stop_words: bool,
}

const fn stemmed(code: &'static str, lang: Lang, stemmer: Algorithm) -> Entry {
    Entry {
        code,
        lang,
        stemmer: Some(stemmer),
        stop_words: true,
    }
}

const fn plain(code: &'static str, lang: Lang) -> Entry {
    Entry {
        code,
        lang,
        stemmer: None,
        stop_words: false,
    }
}

const ENTRIES: [Entry; 46] = [
    stemmed("ar", Lang::Ara, Algorithm::Arabic),
    stemmed("da", Lang::Dan, Algorithm::Danish),
    stemmed("de", Lang::Deu, Algorithm::German),
    stemmed("el", Lang::Ell, Algorithm::Greek),
    stemmed("en", Lang::Eng, Algorithm::English),
    stemmed("es", Lang::Spa, Algorithm::Spanish),
    stemmed("fi", Lang::Fin, Algorithm::Finnish),
    stemmed("fr", Lang::Fra, Algorithm::French),
    stemmed("hu", Lang::Hun, Algorithm::Hungarian),
    stemmed("it", Lang::Ita, Algorithm::Italian),
    stemmed("nl", Lang::Nld, Algorithm::Dutch),
    stemmed("no", Lang::Nob, Algorithm::Norwegian),
    stemmed("pt", Lang::Por, Algorithm::Portuguese),
    stemmed("ro", Lang::Ron, Algorithm::Romanian),
    stemmed("ru", Lang::Rus, Algorithm::Russian),
    stemmed("sv", Lang::Swe, Algorithm::Swedish),
    stemmed("tr", Lang::Tur, Algorithm::Turkish),
    plain("be", Lang::Bel),
    plain("bg", Lang::Bul),
    plain("bn", Lang::Ben),
    plain("ca", Lang::Cat),
    plain("cs", Lang::Ces),
    plain("et", Lang::Est),
    plain("fa", Lang::Pes),
    plain("he", Lang::Heb),
    plain("hi", Lang::Hin),
    plain("hr", Lang::Hrv),
    plain("hy", Lang::Hye),
    plain("id", Lang::Ind),
    plain("ja", Lang::Jpn),
    plain("ka", Lang::Kat),
    plain("ko", Lang::Kor),
    plain("lt", Lang::Lit),
    plain("lv", Lang::Lav),
    plain("mk", Lang::Mkd),
    plain("pl", Lang::Pol),
    plain("sk", Lang::Slk),
    plain("sl", Lang::Slv),
    plain("sr", Lang::Srp),
    plain("ta", Lang::Tam),
    plain("te", Lang::Tel),
    plain("th", Lang::Tha),
    plain("uk", Lang::Ukr),
    plain("ur", Lang::Urd),
    plain("vi", Lang::Vie),
    plain("zh", Lang::Cmn),
];

static STOP_WORDS: LazyLock<Vec<HashSet<&'static str>>> = LazyLock::new(|| {
    let words = |entry: &Entry| {
        if entry.stop_words {
            stop_words::get(entry.code).iter().copied().collect()
        } else {
            HashSet::new()
        }
    };
    ENTRIES.iter().map(words).collect()
});

static DETECTOR: LazyLock<Detector> =
    LazyLock::new(|| Detector::with_allowlist(ENTRIES.iter().map(|entry| entry.lang).collect()));

impl Language {
    /// By its ISO 639-1 code.
    pub(crate) fn from_code(code: &str) -> Option<Self> {
        ENTRIES
            .iter()
            .position(|entry| entry.code == code)
            .map(Self)
    }

    /// ISO 639-1.
    pub(crate) fn code(self) -> &'static str {
        ENTRIES[self.0].code
    }

    pub(super) fn stemmer(self) -> Option<Stemmer> {
        ENTRIES[self.0].stemmer.map(Stemmer::create)
    }

    pub(super) fn is_stop_word(self, word: &str) -> bool {
        STOP_WORDS[self.0].contains(word)
    }

    /// What a text is written in; `None` when that can't be told with confidence.
    pub(crate) fn of(text: &str) -> Option<Self> {
        tell(text, &DETECTOR)
    }

    /// What a question is written in; `among` are the languages of what is searched. A few words are too short to tell
    /// it by their letters: their stop words do, or else what fits best among those.
    pub(crate) fn of_question(text: &str, among: &[Self]) -> Option<Self> {
        Self::of(text)
            .or_else(|| Self::by_stop_words(text))
            .or_else(|| match among {
                [] => None,
                [only] => Some(*only),
                _ => {
                    let langs = among.iter().map(|language| ENTRIES[language.0].lang);
                    let detector = Detector::with_allowlist(langs.collect());
                    detector.detect_lang(text).and_then(Self::from)
                }
            })
    }

    /// The language with the most of the text's words on its list of stop words, if no other has as many.
    fn by_stop_words(text: &str) -> Option<Self> {
        let words: Vec<String> = text.unicode_words().map(str::to_lowercase).collect();
        let count = |language: &Self| {
            let stop_words = words.iter().filter(|word| language.is_stop_word(word));
            stop_words.count()
        };
        let mut counts: Vec<(usize, Self)> = (0..ENTRIES.len())
            .map(Self)
            .map(|language| (count(&language), language))
            .collect();
        counts.sort_by(|a, b| b.cmp(a));
        match counts.as_slice() {
            [(most, language), (next, _), ..] if most > next => Some(*language),
            _ => None,
        }
    }

    fn from(lang: Lang) -> Option<Self> {
        ENTRIES
            .iter()
            .position(|entry| entry.lang == lang)
            .map(Self)
    }
}

impl fmt::Debug for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

fn tell(text: &str, detector: &Detector) -> Option<Language> {
    let end = text
        .char_indices()
        .nth(CHARACTERS)
        .map_or(text.len(), |(at, _)| at);
    let told = detector.detect(&text[..end])?;
    told.is_reliable().then(|| Language::from(told.lang()))?
}

/// The language of each text of a document, and the one that most of them are in. Short texts, and those in a language
/// that hardly any other is in, go with most.
///
/// A text too short to tell is in `usual`, or else in what it looks like most: a question goes through the same stemmer,
/// whether that is the right one or not.
pub(super) fn of_each(
    texts: &[String],
    usual: Option<Language>,
) -> (Vec<Option<Language>>, Option<Language>) {
    let told: Vec<Option<Language>> = texts
        .iter()
        .map(|text| {
            (text.len() >= CHARACTERS_MIN)
                .then(|| Language::of(text))
                .flatten()
        })
        .collect();
    let mut sizes: BTreeMap<Language, usize> = BTreeMap::new();
    for (language, text) in told.iter().zip(texts) {
        if let Some(language) = language {
            *sizes.entry(*language).or_default() += text.len();
        }
    }
    let Some((&most, _)) = sizes.iter().max_by_key(|(_, size)| **size) else {
        // Many short texts may be told together.
        let whole = texts.join(" ");
        let told = Language::of(&whole);
        let taken = told
            .or(usual)
            .or_else(|| DETECTOR.detect_lang(&whole).and_then(Language::from));
        return (vec![taken; texts.len()], told);
    };
    #[expect(clippy::cast_precision_loss, reason = "sizes of texts")]
    let enough = SHARE_MIN * sizes.values().sum::<usize>() as f64;
    let each = told
        .into_iter()
        .map(|language| {
            #[expect(clippy::cast_precision_loss, reason = "sizes of texts")]
            language
                .filter(|language| sizes[language] as f64 >= enough)
                .or(Some(most))
        })
        .collect();
    (each, Some(most))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENGLISH: &str = "The pump must be primed before its first use, and checked every month.";
    const GERMAN: &str =
        "Die Pumpe muss vor dem ersten Gebrauch gefüllt und jeden Monat geprüft werden.";

    #[test]
    fn every_language_has_the_stemmer_and_the_stop_words_that_the_table_says() {
        for (index, entry) in ENTRIES.iter().enumerate() {
            assert_eq!(Language::from_code(entry.code), Some(Language(index)));
            assert_eq!(STOP_WORDS[index].is_empty(), !entry.stop_words);
        }
    }

    #[test]
    fn a_text_is_told_to_be_in_its_language_and_a_number_in_none() {
        assert_eq!(Language::of(ENGLISH).map(Language::code), Some("en"));
        assert_eq!(Language::of(GERMAN).map(Language::code), Some("de"));
        assert_eq!(Language::of("12 345 – 67"), None);
    }

    #[test]
    fn each_text_has_its_language_and_short_ones_that_of_most() {
        let texts = [ENGLISH, ENGLISH, GERMAN, "Fig. 3"].map(str::to_owned);
        let (each, most) = of_each(&texts, None);
        let codes: Vec<_> = each
            .iter()
            .map(|language| language.unwrap().code())
            .collect();
        assert_eq!(codes, ["en", "en", "de", "en"]);
        assert_eq!(most.map(Language::code), Some("en"));
    }

    #[test]
    fn a_short_question_is_told_among_the_languages_that_it_can_be_in() {
        let among = ["de", "en", "es"].map(|code| Language::from_code(code).unwrap());
        let told = |text| Language::of_question(text, &among).map(Language::code);
        assert_eq!(told("¿Cuándo se abrió el museo?"), Some("es"));
        assert_eq!(told("Wann wurde das Museum eröffnet?"), Some("de"));
        assert_eq!(told("When was the museum opened?"), Some("en"));
        let english = [Language::from_code("en").unwrap()];
        let told = |text| Language::of_question(text, &english).map(Language::code);
        assert_eq!(
            told("¿Qué enzima descompone la lactosa en el intestino?"),
            Some("es"),
            "whatever the documents are in"
        );
        assert_eq!(told("ERR-4711"), Some("en"));
    }
}
