//! Files of every format, from the upload to the passage that is found.

use lectern_shared::media::MediaType;
use serde_json::json;

use crate::support::{Lectern, own_file};

#[tokio::test]
async fn every_format_is_uploaded_read_and_found() {
    let lectern = Lectern::start().await;
    let _worker = lectern.worker();
    for (name, media_type, place, question, answer, heading) in [
        (
            "minutes.txt",
            MediaType::Text,
            "line",
            "Which parking spaces are closed in April?",
            "behind hall 7",
            None,
        ),
        (
            "guide.md",
            MediaType::Markdown,
            "line",
            "What does the red lamp of the pump mean?",
            "hotter than 95 degrees",
            Some("When it stalls"),
        ),
        (
            "garden.html",
            MediaType::Html,
            "paragraph",
            "Which class grows purple carrots?",
            "7a | Purple carrots",
            Some("What grows where"),
        ),
        (
            "report.docx",
            MediaType::Docx,
            "paragraph",
            "How wide are the cracks in the pillar of the bridge?",
            "0.4 millimetres",
            Some("Findings"),
        ),
        (
            "budget.xlsx",
            MediaType::Xlsx,
            "People, row",
            "Who keeps the keys to the generator?",
            "Ines Okafor",
            Some("Name | Task"),
        ),
        (
            "talk.pptx",
            MediaType::Pptx,
            "Slide 2",
            "What share of the travellers takes a couchette?",
            "61 percent",
            Some("Who travels"),
        ),
        (
            "tale.epub",
            MediaType::Epub,
            "The storm",
            "When did the lamps go out in the storm?",
            "ninth night",
            Some("The storm"),
        ),
        (
            "cities.csv",
            MediaType::Csv,
            "row",
            "What is the hotel limit in London?",
            "London | 180",
            None,
        ),
        (
            "records.jsonl",
            MediaType::JsonLines,
            "record",
            "What are lichens?",
            "fungus and an alga",
            None,
        ),
    ] {
        let document = lectern.add_ready(&own_file(name)).await;
        assert_eq!(document["media_type"], media_type.mime());
        let found = lectern
            .request("POST", "/api/v1/search")
            .json(&json!({ "question": question }))
            .send()
            .await
            .unwrap();
        let found: serde_json::Value = found.json().await.unwrap();
        let passage = &found["passages"][0];
        assert_eq!(passage["document_name"], name, "{found}");
        let at = passage["place"].as_str().unwrap_or_default();
        assert!(at.starts_with(place), "{name}: {passage}");
        let text = passage["text"].as_str().unwrap();
        assert!(text.contains(answer), "{name}: {text}");
        if let Some(heading) = heading {
            let above = format!("{} {text}", passage["heading"].as_str().unwrap_or_default());
            assert!(above.contains(heading), "{name}: {passage}");
        }
    }
    let labelled = lectern.count("pages where label in ('Slide 2', 'People', 'The storm')");
    assert_eq!(labelled.await, 3);

    // Beside all these, a row of a table answers as a sentence does.
    for (question, said) in [
        ("What is the hotel limit in London?", "London"),
        ("What is the hotel limit in London?", "180"),
        ("Who keeps the keys to the generator?", "Name: Ines Okafor"),
        ("Which class grows purple carrots?", "7a"),
        (
            "What does the red lamp of the pump mean?",
            "hotter than 95 degrees",
        ),
    ] {
        let answer = lectern.answer(question).await;
        assert_eq!(answer["abstained"], false, "{question} {answer}");
        let text = answer["answer"].as_str().unwrap();
        assert!(text.contains(said), "{question} {text}");
        assert!(text.contains("[1]"), "{question} {text}");
    }
}

#[tokio::test]
async fn a_file_without_words_says_that_it_has_no_text() {
    let lectern = Lectern::start().await;
    let _worker = lectern.worker();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("empty.md");
    std::fs::write(&path, "\n\n").unwrap();
    let id = lectern.add(&path).await;
    let document = lectern.settled(&id).await;
    assert_eq!(document["failure"]["code"], "no_text", "{document}");
}

#[tokio::test]
async fn an_archive_that_is_a_bomb_fails_with_a_reason() {
    let lectern = Lectern::start().await;
    let _worker = lectern.worker();
    let id = lectern.add(&own_file("bomb.docx")).await;
    let document = lectern.settled(&id).await;
    assert_eq!(
        document["failure"]["code"], "unpacked_too_big",
        "{document}"
    );
}
