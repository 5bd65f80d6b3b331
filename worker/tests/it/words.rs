//! Search by words, as its users meet it: codes, languages, and documents that come and go.

use reqwest::multipart;
use serde_json::{Value, json};

use crate::support::Lectern;

const ENGLISH: &str = "The coffee machine on the second floor shows ERR-4711 when its tank is empty. \
    Fill the tank with fresh water, close the lid, and start the machine again.";
const OTHER_CODE: &str = "The coffee machine on the second floor shows ERR-4712 when its grinder is blocked. \
    Open the lid, take out the beans, and start the machine again.";
const GERMAN: &str = "Die Häuser der Siedlung wurden zwischen 1920 und 1930 gebaut. \
    Ihre Dächer sind mit roten Ziegeln gedeckt, und jedes hat einen kleinen Garten.";

impl Lectern {
    async fn add_text(&self, name: &str, text: &str) -> Value {
        let part = multipart::Part::text(text.to_owned()).file_name(name.to_owned());
        let form = multipart::Form::new().part("file", part);
        let request = self.request("POST", "/api/v1/documents").multipart(form);
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 202);
        let accepted: Value = response.json().await.unwrap();
        let document = self.settled(accepted["id"].as_str().unwrap()).await;
        assert_eq!(document["state"], "ready", "{document}");
        document
    }

    /// The names of the documents whose passages are found, best first.
    async fn found(&self, question: &str) -> Vec<String> {
        let body = json!({"question": question, "passages": 20});
        let request = self.request("POST", "/api/v1/search").json(&body);
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        let found: Value = response.json().await.unwrap();
        let name = |passage: &Value| passage["document_name"].as_str().unwrap().to_owned();
        found["passages"]
            .as_array()
            .unwrap()
            .iter()
            .map(name)
            .collect()
    }

    async fn until_count(&self, rows: &'static str, wanted: impl Fn(i64) -> bool) {
        let began = std::time::Instant::now();
        loop {
            let count = self.count(rows).await;
            if wanted(count) {
                return;
            }
            assert!(began.elapsed().as_secs() < 120, "still {count} {rows}");
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }
}

/// Words alone decide.
const BY_WORDS: [(&str, &str); 1] = [("LECTERN_SEARCH_VECTOR_WEIGHT", "0")];

#[tokio::test]
async fn a_code_is_found_as_a_whole_and_its_neighbour_comes_after_it() {
    let lectern = Lectern::start().await;
    let _worker = lectern.worker_with(&BY_WORDS);
    lectern.add_text("first.txt", ENGLISH).await;
    lectern.add_text("second.txt", OTHER_CODE).await;
    assert_eq!(
        lectern.found("What does ERR-4711 mean?").await[0],
        "first.txt"
    );
    assert_eq!(
        lectern.found("What does err-4712 mean?").await[0],
        "second.txt"
    );
}

#[tokio::test]
async fn a_document_is_searched_by_the_stems_of_its_own_language() {
    let lectern = Lectern::start().await;
    let _worker = lectern.worker_with(&BY_WORDS);
    let english = lectern.add_text("english.txt", ENGLISH).await;
    let german = lectern.add_text("german.txt", GERMAN).await;
    assert_eq!(english["language"], "en");
    assert_eq!(german["language"], "de");
    // "Haus" and "Dach" stand nowhere: their plurals do, with other vowels.
    assert_eq!(
        lectern.found("Welches Haus hat ein Dach?").await[0],
        "german.txt"
    );
    assert_eq!(
        lectern.found("machines with empty tanks").await[0],
        "english.txt"
    );
}

#[tokio::test]
async fn deleting_a_document_leaves_none_of_its_words() {
    let lectern = Lectern::start().await;
    let _worker = lectern.worker();
    let document = lectern.add_text("first.txt", ENGLISH).await;
    assert!(lectern.count("postings").await > 10);
    let path = format!("/api/v1/documents/{}", document["id"].as_str().unwrap());
    lectern.request("DELETE", &path).send().await.unwrap();
    assert_eq!(lectern.count("segments").await, 0);
    assert_eq!(lectern.count("postings").await, 0);
}

#[tokio::test]
async fn the_words_of_many_documents_are_merged_and_those_of_a_deleted_one_are_found_no_more() {
    let lectern = Lectern::start().await;
    let _worker = lectern.worker_with(&BY_WORDS);
    let mut first = None;
    for number in 0..8 {
        let text = format!("{ENGLISH} This is machine number {number}, called machine{number}x.");
        let document = lectern.add_text(&format!("{number}.txt"), &text).await;
        first.get_or_insert(document);
    }
    lectern.until_count("segments", |count| count == 1).await;
    assert_eq!(lectern.count("segment_documents where live").await, 8);
    assert_eq!(lectern.found("machine5x").await[0], "5.txt");
    assert_eq!(lectern.found("machine0x").await[0], "0.txt");

    let path = format!(
        "/api/v1/documents/{}",
        first.unwrap()["id"].as_str().unwrap()
    );
    lectern.request("DELETE", &path).send().await.unwrap();
    let found = lectern.found("machine0x tank").await;
    assert!(
        found.len() == 7 && !found.contains(&"0.txt".to_owned()),
        "{found:?}"
    );
}

#[tokio::test]
async fn documents_of_an_earlier_release_get_their_words_when_a_worker_starts() {
    let lectern = Lectern::start().await;
    let worker = lectern.worker();
    lectern.add_text("first.txt", ENGLISH).await;
    worker.kill();
    for statement in [
        "delete from segments",
        "update documents set language = null",
    ] {
        sqlx::query(statement)
            .execute(&lectern.place.pool)
            .await
            .unwrap();
    }
    let _worker = lectern.worker_with(&BY_WORDS);
    lectern
        .until_count("segment_documents where live", |count| count == 1)
        .await;
    assert_eq!(lectern.found("ERR-4711").await, ["first.txt"]);
    assert_eq!(lectern.count("documents where language = 'en'").await, 1);
}
