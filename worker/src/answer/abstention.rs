//! What is said when the documents don't answer.

use crate::lexical::Language;

const ENGLISH: &str = "The documents in this collection don't answer this question.";

/// By ISO 639-1: the languages that passages are stemmed in, and those that many people read.
const OTHERS: [(&str, &str); 21] = [
    ("ar", "لا تجيب مستندات هذه المجموعة عن هذا السؤال."),
    (
        "da",
        "Dokumenterne i denne samling besvarer ikke dette spørgsmål.",
    ),
    (
        "de",
        "Die Dokumente dieser Sammlung beantworten diese Frage nicht.",
    ),
    (
        "el",
        "Τα έγγραφα αυτής της συλλογής δεν απαντούν σε αυτή την ερώτηση.",
    ),
    (
        "es",
        "Los documentos de esta colección no responden a esta pregunta.",
    ),
    (
        "fi",
        "Tämän kokoelman asiakirjat eivät vastaa tähän kysymykseen.",
    ),
    (
        "fr",
        "Les documents de cette collection ne répondent pas à cette question.",
    ),
    (
        "hu",
        "A gyűjtemény dokumentumai nem válaszolnak erre a kérdésre.",
    ),
    (
        "it",
        "I documenti di questa raccolta non rispondono a questa domanda.",
    ),
    (
        "ja",
        "このコレクションの文書には、この質問への答えがありません。",
    ),
    ("ko", "이 컬렉션의 문서에는 이 질문에 대한 답이 없습니다."),
    (
        "nl",
        "De documenten in deze verzameling beantwoorden deze vraag niet.",
    ),
    (
        "no",
        "Dokumentene i denne samlingen besvarer ikke dette spørsmålet.",
    ),
    (
        "pl",
        "Dokumenty z tego zbioru nie odpowiadają na to pytanie.",
    ),
    (
        "pt",
        "Os documentos desta coleção não respondem a esta pergunta.",
    ),
    (
        "ro",
        "Documentele din această colecție nu răspund la această întrebare.",
    ),
    ("ru", "Документы этой коллекции не отвечают на этот вопрос."),
    ("sv", "Dokumenten i den här samlingen besvarar inte frågan."),
    ("tr", "Bu koleksiyondaki belgeler bu soruyu yanıtlamıyor."),
    (
        "uk",
        "Документи цієї колекції не відповідають на це запитання.",
    ),
    ("zh", "此文档集中没有这个问题的答案。"),
];

/// In the question's language, as far as that is known; else in English.
#[must_use]
pub(crate) fn abstention(language: Option<Language>) -> &'static str {
    let known = language.and_then(|language| {
        let code = language.code();
        OTHERS.iter().find(|(other, _)| *other == code)
    });
    known.map_or(ENGLISH, |(_, said)| said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_in_the_language_of_the_question() {
        let said = |code: &str| abstention(Language::from_code(code));
        assert!(said("es").starts_with("Los documentos"));
        assert_eq!(said("en"), ENGLISH);
        assert_eq!(abstention(None), ENGLISH);
    }

    #[test]
    fn every_language_that_is_listed_is_one_that_can_be_told() {
        for (code, _) in OTHERS {
            assert!(Language::from_code(code).is_some(), "{code}");
        }
    }
}
