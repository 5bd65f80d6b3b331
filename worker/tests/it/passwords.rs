//! PDFs that need a password: which comes with the upload, or later, and never goes out again.

use reqwest::multipart;
use serde_json::{Value, json};

use crate::{
    ocr::scans::require_tesseract,
    support::{Lectern, own_file},
};

const PASSWORD: &str = "open sesame";

/// Uploads a file with a password and waits for its end.
async fn add(lectern: &Lectern, file: &std::path::Path, password: &str) -> Value {
    let part = multipart::Part::bytes(std::fs::read(file).unwrap()).file_name("locked.pdf");
    let form = multipart::Form::new()
        .text("password", password.to_owned())
        .text("force", "true")
        .part("file", part);
    let request = lectern.request("POST", "/api/v1/documents").multipart(form);
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 202);
    let accepted: Value = response.json().await.unwrap();
    lectern.settled(accepted["id"].as_str().unwrap()).await
}

async fn retry(lectern: &Lectern, document: &Value, body: Option<Value>) -> Value {
    let id = document["id"].as_str().unwrap();
    let mut request = lectern.request("POST", &format!("/api/v1/documents/{id}/retry"));
    if let Some(body) = body {
        request = request.json(&body);
    }
    assert_eq!(request.send().await.unwrap().status(), 202);
    lectern.settled(id).await
}

#[tokio::test]
async fn a_locked_pdf_is_read_with_the_password_that_came_with_it() {
    let lectern = Lectern::start().await;
    let _worker = lectern.worker();
    for file in ["locked.pdf", "locked-rc4.pdf", "locked-aes256.pdf"] {
        let document = add(&lectern, &own_file(file), PASSWORD).await;
        assert_eq!(
            (&document["state"], &document["notes"]),
            (&json!("ready"), &json!([])),
            "{file}: {document}"
        );
        assert!(!document.to_string().contains(PASSWORD), "{document}");
    }
    let answer = lectern.answer("What does ERR-4711 mean?").await;
    assert!(
        answer["answer"].as_str().unwrap().contains("water tank"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_pdf_that_only_its_owner_has_locked_needs_no_password_and_minds_none() {
    let lectern = Lectern::start().await;
    let _worker = lectern.worker();
    lectern.add_ready(&own_file("locked-owner.pdf")).await;
    for password in ["owner", "anything", ""] {
        let document = add(&lectern, &own_file("locked-owner.pdf"), password).await;
        assert_eq!(document["state"], "ready", "{password:?}: {document}");
    }
    let document = add(&lectern, &own_file("coffee.pdf"), PASSWORD).await;
    assert_eq!(
        document["state"], "ready",
        "not encrypted at all: {document}"
    );
}

#[tokio::test]
async fn a_missing_or_wrong_password_is_told_and_can_be_given_without_another_upload() {
    let lectern = Lectern::start().await;
    let _worker = lectern.worker();
    for file in ["locked.pdf", "locked-rc4.pdf", "locked-aes256.pdf"] {
        let message = |document: &Value| {
            assert_eq!(
                document["failure"]["code"], "password_required",
                "{file}: {document}"
            );
            document["failure"]["message"].as_str().unwrap().to_owned()
        };
        let id = lectern.add(&own_file(file)).await;
        let missing = lectern.settled(&id).await;
        assert!(!message(&missing).contains("wrong"), "{missing}");

        let wrong = retry(&lectern, &missing, Some(json!({"password": "open barley"}))).await;
        assert!(message(&wrong).contains("is wrong"), "{wrong}");
        let events = lectern
            .events(&format!("/api/v1/documents/{id}/events"), None)
            .await;
        let last = events.rest().await.pop().unwrap();
        assert_eq!(
            (last.name.as_str(), &last.data["code"]),
            ("failed", &json!("password_required"))
        );

        // The one from before is still there.
        let again = retry(&lectern, &wrong, None).await;
        assert!(message(&again).contains("is wrong"), "{again}");
        let right = retry(&lectern, &again, Some(json!({"password": PASSWORD}))).await;
        assert_eq!(right["state"], "ready", "{right}");
    }
}

#[tokio::test]
async fn a_retry_takes_a_password_and_nothing_that_it_does_not_know() {
    let lectern = Lectern::start().await;
    let id = lectern.add(&own_file("locked.pdf")).await;
    let path = format!("/api/v1/documents/{id}");
    lectern
        .request("POST", &format!("{path}/cancel"))
        .send()
        .await
        .unwrap();
    for body in [
        json!({"pasword": "x"}),
        json!({"password": 1}),
        json!({"password": "a\0b"}),
    ] {
        let request = lectern
            .request("POST", &format!("{path}/retry"))
            .json(&body);
        assert_eq!(request.send().await.unwrap().status(), 400, "{body}");
    }
    assert_eq!(lectern.get(&path).await["state"], "cancelled");
}

#[tokio::test]
async fn a_locked_scan_is_drawn_with_its_password() {
    require_tesseract();
    let lectern = Lectern::start().await;
    let _worker = lectern.worker();
    let document = add(&lectern, &own_file("locked-scan.pdf"), PASSWORD).await;
    assert_eq!(document["state"], "ready", "{document}");
    assert!(
        document["notes"][0]
            .as_str()
            .unwrap()
            .starts_with("page 1: read by OCR"),
        "{document}"
    );
}
