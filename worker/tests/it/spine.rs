//! The two paths, end to end, with the real model.

use serde_json::json;

use crate::support::{Lectern, evaluation_file, names, own_file, text};

#[tokio::test]
async fn a_pdf_is_uploaded_and_a_question_about_it_is_answered_from_the_right_page() {
    let lectern = Lectern::start().await;
    let _worker = lectern.worker();
    let id = lectern.add(&own_file("handbook.pdf")).await;

    let events = lectern
        .events(&format!("/api/v1/documents/{id}/events"), None)
        .await
        .rest()
        .await;
    let done = events.last().unwrap();
    assert_eq!(
        (done.name.as_str(), &done.data["pages"]),
        ("done", &json!(3))
    );
    let told = |stage: &str| {
        events
            .iter()
            .any(|event| event.name == "progress" && event.data["stage"] == stage)
    };
    assert!(told("parsing") && told("embedding"), "{events:?}");

    let events = lectern
        .ask_streaming("How much may a hotel night cost in Zurich?")
        .await
        .rest()
        .await;
    let answer = text(&events);
    assert!(answer.contains("175 euros"), "{answer}");
    assert!(answer.contains("[1]"), "{answer}");
    let order: Vec<_> = names(&events)
        .into_iter()
        .filter(|&name| name != "status")
        .collect();
    assert_eq!(order.first(), Some(&"sources"));
    assert_eq!(order.last(), Some(&"done"));
    assert!(
        order[1..order.len() - 1]
            .iter()
            .all(|&name| name == "token")
    );
    assert!(
        order.len() > 10,
        "one token after another, not one block: {order:?}"
    );
    let sources = &events
        .iter()
        .find(|event| event.name == "sources")
        .unwrap()
        .data["sources"];
    assert_eq!(
        (&sources[0]["page_first"], &sources[0]["document"]),
        (&json!(2), &json!(id))
    );

    let question = events[0].data["question"].as_str().unwrap();
    let kept = lectern.get(&format!("/api/v1/questions/{question}")).await;
    assert_eq!(
        (&kept["state"], &kept["answer"]),
        (&json!("answered"), &json!(answer))
    );
    assert_eq!(kept["sources"][0]["page_first"], 2);
}

#[tokio::test]
async fn a_cited_passage_stands_verbatim_where_its_spans_say() {
    let lectern = Lectern::start().await;
    let _worker = lectern.worker();
    lectern.add_ready(&own_file("coffee.pdf")).await;
    let answer = lectern.answer("What does ERR-4711 mean?").await;
    assert!(
        answer["answer"].as_str().unwrap().contains("water tank"),
        "{answer}"
    );
    for source in answer["sources"].as_array().unwrap() {
        let mut parts = Vec::new();
        for span in source["spans"].as_array().unwrap() {
            let page: String = sqlx::query_scalar("select text from pages where number = $1")
                .bind(i32::try_from(span["page"].as_i64().unwrap()).unwrap())
                .fetch_one(&lectern.place.pool)
                .await
                .unwrap();
            let (start, end) = (
                span["start"].as_u64().unwrap(),
                span["end"].as_u64().unwrap(),
            );
            let length = usize::try_from(end - start).unwrap();
            parts.push(
                page.chars()
                    .skip(usize::try_from(start).unwrap())
                    .take(length)
                    .collect::<String>(),
            );
        }
        assert_eq!(parts.join("\n"), source["text"].as_str().unwrap());
    }
}

#[tokio::test]
async fn search_gives_passages_with_pages_and_scores_and_no_answer() {
    let lectern = Lectern::start().await;
    let _worker = lectern.worker();
    lectern.add_ready(&own_file("handbook.pdf")).await;
    lectern.add_ready(&own_file("coffee.pdf")).await;
    let body = json!({"question": "Who is the head of finance?", "passages": 3});
    let response = lectern
        .request("POST", "/api/v1/search")
        .json(&body)
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    let found: serde_json::Value = response.json().await.unwrap();
    let passages = found["passages"].as_array().unwrap();
    assert_eq!(passages.len(), 3);
    let told = passages.iter().find(|passage| {
        passage["text"]
            .as_str()
            .unwrap()
            .contains("Tobias Ferreira")
    });
    assert_eq!(told.expect("the passage with his name")["page_first"], 3);
    assert!(passages[0]["score"].as_f64() >= passages[1]["score"].as_f64());
    assert_eq!(lectern.count("answers").await, 0);
}

#[tokio::test]
async fn a_collection_without_the_answer_says_so() {
    let lectern = Lectern::start().await;
    let _worker = lectern.worker();
    let answer = lectern.answer("How much may a hotel cost?").await;
    assert_eq!(answer["state"], "answered");
    assert!(
        answer["answer"].as_str().unwrap().contains("don't answer"),
        "{answer}"
    );
    assert_eq!(answer["sources"], json!([]));
}

#[tokio::test]
async fn deleting_a_document_leaves_no_row_no_vector_and_no_file() {
    let lectern = Lectern::start().await;
    let _worker = lectern.worker();
    let kept = lectern.add_ready(&own_file("coffee.pdf")).await;
    let document = lectern.add_ready(&own_file("handbook.pdf")).await;
    lectern
        .answer("How many euros is the daily allowance abroad?")
        .await;
    assert_eq!(lectern.place.blob_count(), 2);

    let path = format!("/api/v1/documents/{}", document["id"].as_str().unwrap());
    assert_eq!(
        lectern
            .request("DELETE", &path)
            .send()
            .await
            .unwrap()
            .status(),
        204
    );
    assert_eq!(
        lectern.request("GET", &path).send().await.unwrap().status(),
        404
    );
    assert_eq!(
        lectern
            .request("DELETE", &path)
            .send()
            .await
            .unwrap()
            .status(),
        404
    );
    for table in [
        "documents",
        "(select distinct document_id from chunks) c",
        "(select distinct document_id from pages) p",
    ] {
        assert_eq!(lectern.count(table).await, 1, "{table}");
    }
    assert_eq!(
        lectern
            .count("sources join documents on document_id = documents.id")
            .await,
        lectern.count("sources").await
    );
    lectern
        .poll("/api/v1/documents", |_| lectern.place.blob_count() == 1)
        .await;
    let events = lectern
        .events(
            &format!("/api/v1/documents/{}/events", kept["id"].as_str().unwrap()),
            None,
        )
        .await;
    assert_eq!(names(&events.rest().await).last(), Some(&"done"));
}

#[tokio::test]
async fn a_document_that_can_not_be_read_says_why_and_what_to_do_and_is_not_tried_again() {
    let lectern = Lectern::start().await;
    let _worker = lectern.worker();
    for (file, code) in [
        ("locked.pdf", "password_required"),
        ("no-text.pdf", "no_text"),
    ] {
        let id = lectern.add(&own_file(file)).await;
        let document = lectern.settled(&id).await;
        assert_eq!(
            (&document["state"], &document["failure"]["code"]),
            (&json!("failed"), &json!(code)),
            "{file}"
        );
        let events = lectern
            .events(&format!("/api/v1/documents/{id}/events"), None)
            .await
            .rest()
            .await;
        assert_eq!(events.last().unwrap().name, "failed");
        assert_eq!(events.last().unwrap().data["retryable"], false);
    }
    assert_eq!(
        lectern
            .count("jobs where state = 'failed' and attempt = 1")
            .await,
        2
    );
}

#[tokio::test]
async fn the_uploaded_file_comes_back_byte_for_byte() {
    let lectern = Lectern::start().await;
    let id = lectern.add(&own_file("handbook.pdf")).await;
    let response = lectern
        .request("GET", &format!("/api/v1/documents/{id}/file"))
        .send()
        .await
        .unwrap();
    assert_eq!(response.headers()["content-type"], "application/pdf");
    assert_eq!(
        response.bytes().await.unwrap(),
        std::fs::read(own_file("handbook.pdf")).unwrap()
    );
}

#[tokio::test]
async fn a_real_manual_is_cited_at_the_page_that_answers() {
    let Some(manual) = evaluation_file("pdf/debian-fhs-3-0.pdf") else {
        tracing::warn!("skipped: no evaluation data beside this checkout");
        return;
    };
    let lectern = Lectern::start().await;
    let _worker = lectern.worker();
    lectern.add_ready(&manual).await;
    let answer = lectern.answer("What is /var/spool for?").await;
    assert!(
        answer["answer"].as_str().unwrap().contains("awaiting"),
        "{answer}"
    );
    let cited = answer["sources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|source| &source["page_first"]);
    assert!(cited.take(2).any(|first| *first == 44), "{answer}");
}

/// With a worker that goes on working, whatever it is given.
#[tokio::test]
async fn every_hostile_file_ends_cleanly_and_the_worker_stays_untouched() {
    let Some(folder) = evaluation_file("hostile") else {
        tracing::warn!("skipped: no evaluation data beside this checkout");
        return;
    };
    let lectern = Lectern::start().await;
    let worker = lectern.worker();
    let good = lectern.add_ready(&own_file("handbook.pdf")).await;
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "pdf"));
    files.sort();
    assert_eq!(files.len(), 35);
    let mut accepted = Vec::new();
    let mut refused = Vec::new();
    for path in &files {
        let response = lectern.upload(path).await;
        match response.status().as_u16() {
            202 => {
                let body: serde_json::Value = response.json().await.unwrap();
                accepted.push((path, body["id"].as_str().unwrap().to_owned()));
            }
            400 | 415 => refused.push(path.file_name().unwrap().to_string_lossy()),
            other => panic!("{path:?}: {other}"),
        }
    }
    // Two that are no PDFs are read as what they are: a web page and a text.
    assert_eq!(refused, ["synth-empty-file.pdf"]);
    let mut ready = 0;
    for (path, id) in accepted {
        let document = lectern.settled(&id).await;
        match document["state"].as_str().unwrap() {
            "ready" => ready += 1,
            "failed" => assert_ne!(
                document["failure"]["code"], "internal",
                "{path:?}: {document}"
            ),
            other => panic!("{path:?} is {other}"),
        }
    }
    assert!(ready >= 12, "{ready} of the readable ones were read");
    assert!(std::path::Path::new(&format!("/proc/{}", worker.pid())).exists());
    assert_eq!(
        lectern.count("jobs where attempt > 1").await,
        0,
        "no job was tried twice"
    );
    let answer = lectern
        .answer("How much may a hotel night cost in Zurich?")
        .await;
    assert_eq!(answer["sources"][0]["document"], good["id"]);
}
