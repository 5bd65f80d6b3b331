//! Versions as searches and answers see them.

use reqwest::{Response, multipart};
use serde_json::{Value, json};

use crate::support::{Lectern, names, own_file};

impl Lectern {
    /// Uploads a file of our own under another name.
    async fn upload_as(&self, name: &str, file: &str, fields: &[(&'static str, &str)]) -> Response {
        let mut form = multipart::Form::new();
        for (field, value) in fields {
            form = form.text(*field, (*value).to_owned());
        }
        let part = multipart::Part::bytes(std::fs::read(own_file(file)).unwrap());
        self.request("POST", "/api/v1/documents")
            .multipart(form.part("file", part.file_name(name.to_owned())))
            .send()
            .await
            .unwrap()
    }

    async fn search(&self, body: &Value) -> Vec<Value> {
        let request = self.request("POST", "/api/v1/search").json(body);
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        let found: Value = response.json().await.unwrap();
        found["passages"].as_array().unwrap().clone()
    }

    async fn post(&self, path: &str) -> u16 {
        let response = self.request("POST", path).send().await.unwrap();
        response.status().as_u16()
    }
}

fn id(accepted: &Value) -> String {
    accepted["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn searches_see_the_old_version_whole_until_they_see_the_new_one_whole() {
    let lectern = Lectern::start().await;
    let _worker = lectern.worker();
    let first: Value = lectern
        .upload_as("manual.pdf", "handbook.pdf", &[])
        .await
        .json()
        .await
        .unwrap();
    let path = format!("/api/v1/documents/{}", id(&first));
    assert_eq!(lectern.settled(&id(&first)).await["state"], "ready");
    lectern
        .answer("How many euros is the daily allowance abroad?")
        .await;

    // As many passages as there are of either: each search shows a version as a whole.
    let body = json!({"question": "What does it say?", "passages": 20});
    // Which passages become one depends on their scores; their lines are what a version is.
    let whole = |found: &[Value]| {
        let texts = texts(found).join("\n");
        let mut lines: Vec<String> = texts.lines().map(ToOwned::to_owned).collect();
        lines.retain(|line| !line.is_empty());
        lines.sort();
        lines
    };
    let old = whole(&lectern.search(&body).await);
    let response = lectern.upload_as("manual.pdf", "coffee.pdf", &[]).await;
    assert_eq!(response.status(), 202);
    let second: Value = response.json().await.unwrap();
    assert_eq!(
        (&second["id"], &second["version"]),
        (&first["id"], &json!(2))
    );
    let mut seen = vec![old.clone()];
    loop {
        let document = lectern.get(&path).await;
        let found = whole(&lectern.search(&body).await);
        if seen.last() != Some(&found) {
            seen.push(found);
        }
        if document["version"] == 2 {
            break;
        }
    }
    seen.push(whole(&lectern.search(&body).await));
    seen.dedup();
    assert_eq!(seen.len(), 2, "old, then new, and nothing in between");
    assert!(seen.iter().all(|texts| !texts.is_empty()));
    assert!(seen[1].iter().all(|text| !old.contains(text)));

    let document = lectern.get(&path).await;
    assert_eq!(
        (&document["state"], &document["wanted"]),
        (&json!("ready"), &json!(2))
    );
    assert_eq!(lectern.count("chunks where version <> 2").await, 0);
    assert_eq!(lectern.count("pages where version <> 2").await, 0);
    assert_eq!(lectern.count("versions").await, 1);
    // What was made from the old one is not to be served again as if it were new.
    assert_eq!(lectern.count("answers where outdated").await, 1);
    lectern
        .poll(&path, |_| lectern.place.blob_count() == 1)
        .await;
    let until_purged = || async { lectern.count("removals").await == 0 };
    while !until_purged().await {}
    let file = lectern.request("GET", &format!("{path}/file")).send().await;
    assert_eq!(
        file.unwrap().bytes().await.unwrap(),
        std::fs::read(own_file("coffee.pdf")).unwrap()
    );
}

fn texts(passages: &[Value]) -> Vec<String> {
    let mut texts: Vec<_> = passages
        .iter()
        .map(|passage| passage["text"].as_str().unwrap().to_owned())
        .collect();
    texts.sort();
    texts
}

#[tokio::test]
async fn a_new_version_that_fails_leaves_the_old_one_searchable_and_both_are_told() {
    let lectern = Lectern::start().await;
    let _worker = lectern.worker();
    let first: Value = lectern
        .upload_as("manual.pdf", "handbook.pdf", &[])
        .await
        .json()
        .await
        .unwrap();
    let path = format!("/api/v1/documents/{}", id(&first));
    let ready = lectern.settled(&id(&first)).await;
    lectern.upload_as("manual.pdf", "locked.pdf", &[]).await;
    let document = lectern.settled(&id(&first)).await;
    assert_eq!(
        (&document["state"], &document["failure"]["code"]),
        (&json!("failed"), &json!("password_required"))
    );
    assert_eq!(
        (
            &document["version"],
            &document["wanted"],
            &document["pages"]
        ),
        (&json!(1), &json!(2), &ready["pages"])
    );
    let events = lectern.events(&format!("{path}/events"), None).await;
    assert_eq!(names(&events.rest().await).last(), Some(&"failed"));
    let body = json!({"question": "What is the daily allowance abroad?"});
    assert!(!lectern.search(&body).await.is_empty());
    let file = lectern.request("GET", &format!("{path}/file")).send().await;
    assert_eq!(
        file.unwrap().bytes().await.unwrap(),
        std::fs::read(own_file("handbook.pdf")).unwrap(),
        "answers point into the old one"
    );

    // The next one replaces both, and no file is left of them.
    let third = lectern.upload_as("manual.pdf", "coffee.pdf", &[]).await;
    let third: Value = third.json().await.unwrap();
    assert_eq!(third["version"], 3);
    assert_eq!(lectern.settled(&id(&first)).await["version"], 3);
    lectern
        .poll(&path, |_| lectern.place.blob_count() == 1)
        .await;
}

#[tokio::test]
async fn a_newer_version_wins_over_an_ingest_that_runs() {
    let lectern = Lectern::start().await;
    let _worker = lectern.worker();
    let long = crate::recovery::long_pdf(40);
    let first = lectern.add(&long).await;
    crate::recovery::until_embedding(&lectern, &first).await;
    let name = long.file_name().unwrap().to_str().unwrap().to_owned();
    let second = lectern.upload_as(&name, "coffee.pdf", &[]).await;
    assert_eq!(second.status(), 202);
    let document = lectern.settled(&first).await;
    assert_eq!(
        (&document["state"], &document["version"], &document["name"]),
        (&json!("ready"), &json!(2), &json!(name))
    );
    assert_eq!(
        lectern.count("chunks").await,
        document["chunks"].as_i64().unwrap()
    );
    assert_eq!(
        lectern
            .count("jobs where kind = 'ingest' and state = 'cancelled'")
            .await,
        1
    );
    let events = lectern
        .events(&format!("/api/v1/documents/{first}/events"), None)
        .await;
    let events = events.rest().await;
    assert_eq!(names(&events).last(), Some(&"done"));
    assert_eq!(events.last().unwrap().data["version"], 2);
}

#[tokio::test]
async fn a_document_is_read_anew_from_the_same_file_while_searches_go_on() {
    let lectern = Lectern::start().await;
    let _worker = lectern.worker();
    let fields = [("title", "Ours"), ("metadata", r#"{"team": "x"}"#)];
    let first = lectern.upload_as("manual.pdf", "coffee.pdf", &fields).await;
    let first: Value = first.json().await.unwrap();
    let path = format!("/api/v1/documents/{}", id(&first));
    assert_eq!(lectern.settled(&id(&first)).await["title"], "Ours");
    assert_eq!(lectern.post(&format!("{path}/reingest")).await, 202);
    let body = json!({"question": "What does ERR-4711 mean?"});
    assert!(!lectern.search(&body).await.is_empty());
    let document = lectern
        .poll(&path, |document| document["version"] == 2)
        .await;
    assert_eq!(
        (&document["title"], &document["metadata"]),
        (&json!("Ours"), &json!({"team": "x"}))
    );
    assert!(!lectern.search(&body).await.is_empty());
    assert_eq!(lectern.place.blob_count(), 1);
    assert_eq!(lectern.count("versions").await, 1);
    assert_eq!(lectern.count("removals").await, 0);
}

#[tokio::test]
async fn searches_and_questions_look_only_into_documents_whose_metadata_contain_the_filter() {
    let lectern = Lectern::start().await;
    let _worker = lectern.worker();
    for (file, metadata) in [
        ("coffee.pdf", r#"{"team": "kitchen", "tags": ["a", "b"]}"#),
        ("handbook.pdf", r#"{"team": "office"}"#),
    ] {
        let fields = [("metadata", metadata)];
        let made = lectern.upload_as(file, file, &fields).await;
        let made: Value = made.json().await.unwrap();
        assert_eq!(lectern.settled(&id(&made)).await["state"], "ready");
    }
    let names = async |filter: Value| {
        let body =
            json!({"question": "What does ERR-4711 mean?", "filter": filter, "passages": 20});
        let found = lectern.search(&body).await;
        let mut names: Vec<_> = found
            .iter()
            .map(|passage| passage["document_name"].as_str().unwrap().to_owned())
            .collect();
        names.sort();
        names.dedup();
        names
    };
    assert_eq!(names(json!({"team": "office"})).await, ["handbook.pdf"]);
    assert_eq!(names(json!({"tags": ["b"]})).await, ["coffee.pdf"]);
    assert_eq!(names(json!({"team": "nobody"})).await, [""; 0]);
    assert_eq!(names(json!({})).await, ["coffee.pdf", "handbook.pdf"]);

    let body = json!({"question": "What does ERR-4711 mean?", "filter": {"team": "office"}});
    let request = lectern.request("POST", "/api/v1/questions").json(&body);
    let asked: Value = request.send().await.unwrap().json().await.unwrap();
    let path = format!("/api/v1/questions/{}", id(&asked));
    let answer = lectern
        .poll(&path, |question| question["state"] == "answered")
        .await;
    assert_eq!(answer["filter"], json!({"team": "office"}));
    let sources = answer["sources"].as_array().unwrap();
    assert!(!sources.is_empty());
    for source in sources {
        assert_eq!(source["document_name"], "handbook.pdf");
    }

    // What is said of a document counts from the moment it is said.
    let handbook = answer["sources"][0]["document"].as_str().unwrap();
    let change = json!({"metadata": {"team": "kitchen"}});
    let request = lectern.request("PATCH", &format!("/api/v1/documents/{handbook}"));
    assert_eq!(request.json(&change).send().await.unwrap().status(), 200);
    assert_eq!(names(json!({"team": "office"})).await, [""; 0]);
}

#[tokio::test]
async fn an_answer_of_a_deleted_document_keeps_its_text_loses_its_sources_and_is_outdated() {
    let lectern = Lectern::start().await;
    let _worker = lectern.worker();
    let document = lectern.add_ready(&own_file("handbook.pdf")).await;
    let asked = lectern.ask("What is the daily allowance abroad?").await;
    let path = format!("/api/v1/questions/{asked}");
    let answer = lectern
        .poll(&path, |question| question["state"] == "answered")
        .await;
    assert_eq!(answer["outdated"], false);
    let deleted = lectern.request("DELETE", &format!("/api/v1/documents/{}", id(&document)));
    assert_eq!(deleted.send().await.unwrap().status(), 204);
    let after = lectern.get(&path).await;
    assert_eq!(after["answer"], answer["answer"]);
    assert_eq!(
        (&after["sources"], &after["outdated"]),
        (&json!([]), &json!(true))
    );
}

/// Two sections, each a passage of its own.
fn notes(second: &str) -> String {
    let fill =
        "The pump is driven by a three-phase motor and must never run dry for long. ".repeat(5);
    format!("# Pumps\n\n{fill}\n\n# Valves\n\n{second} {fill}\n")
}

#[tokio::test]
async fn of_a_new_version_only_passages_whose_text_has_changed_are_embedded() {
    let lectern = Lectern::start().await;
    let _worker = lectern.worker();
    let upload = async |text: String| -> Value {
        let part = multipart::Part::text(text).file_name("notes.md");
        let response = lectern
            .request("POST", "/api/v1/documents")
            .multipart(multipart::Form::new().part("file", part))
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 202);
        let accepted: Value = response.json().await.unwrap();
        lectern.settled(&id(&accepted)).await
    };
    let first = upload(notes("Valve 4 is opened by hand.")).await;
    assert_eq!(
        (&first["state"], &first["chunks"]),
        (&json!("ready"), &json!(2))
    );

    // Vectors that no model gives: where one turns up again, it was not computed.
    sqlx::query(
        "update chunks set embedding = (
             select array_agg(case place when 1 then 1 else 0 end order by place)::real[]::vector::halfvec
             from generate_series(1, 384) place
         )",
    )
    .execute(&lectern.place.pool)
    .await
    .unwrap();
    let second = upload(notes("Valve 4 is opened by a motor.")).await;
    assert_eq!(
        (&second["id"], &second["version"]),
        (&first["id"], &json!(2))
    );
    let kept: Vec<bool> = sqlx::query_scalar(
        "select (embedding::vector::real[])[1] = 1 from chunks where version = 2 order by ordinal",
    )
    .fetch_all(&lectern.place.pool)
    .await
    .unwrap();
    assert_eq!(kept, [true, false]);
}
