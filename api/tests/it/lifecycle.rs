//! What becomes of documents that are uploaded again, changed, listed and searched for by their metadata.

use lectern_shared::testing::Place;
use reqwest::{Response, multipart};
use serde_json::{Value, json};

use super::{Api, pdf, pdf_number, problem};

impl Api {
    /// A form with fields before the file.
    async fn send(
        &self,
        method: &str,
        path: &str,
        fields: &[(&'static str, &str)],
        name: &str,
        bytes: Vec<u8>,
    ) -> Response {
        let mut form = multipart::Form::new();
        for (field, value) in fields {
            form = form.text(*field, (*value).to_owned());
        }
        let part = multipart::Part::bytes(bytes).file_name(name.to_owned());
        self.request(method, path)
            .multipart(form.part("file", part))
            .send()
            .await
            .unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let response = self.request("GET", path).send().await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        response.json().await.unwrap()
    }

    pub(crate) async fn count(&self, rows: &str) -> i64 {
        sqlx::query_scalar(sqlx::AssertSqlSafe(format!("select count(*) from {rows}")))
            .fetch_one(self.pool())
            .await
            .unwrap()
    }

    async fn names(&self, query: &str) -> Vec<String> {
        let list = self.get(&format!("/api/v1/documents?{query}")).await;
        list["documents"]
            .as_array()
            .unwrap()
            .iter()
            .map(|document| document["name"].as_str().unwrap().to_owned())
            .collect()
    }
}

/// What was accepted, with the status.
async fn accepted(response: Response, status: u16) -> Value {
    assert_eq!(response.status(), status);
    let location = response.headers()["location"].to_str().unwrap().to_owned();
    let accepted: Value = response.json().await.unwrap();
    assert_eq!(
        location,
        format!("/api/v1/documents/{}", accepted["id"].as_str().unwrap())
    );
    accepted
}

#[tokio::test]
async fn the_same_content_again_is_the_same_document_and_leaves_no_file_and_no_job() {
    let api = Api::start(&[]).await;
    let first = accepted(api.upload("a.pdf", pdf()).await, 202).await;
    assert_eq!(
        (&first["version"], &first["duplicate"]),
        (&json!(1), &json!(false))
    );
    let again = accepted(api.upload("other name.pdf", pdf()).await, 200).await;
    assert_eq!(again["id"], first["id"]);
    assert_eq!(
        (&again["duplicate"], &again["state"]),
        (&json!(true), &json!("queued"))
    );
    assert_eq!(api.place.blob_count(), 1);
    assert_eq!(api.count("jobs").await, 1);

    let forced = api
        .send(
            "POST",
            "/api/v1/documents",
            &[("force", "true")],
            "a.pdf",
            pdf(),
        )
        .await;
    let forced = accepted(forced, 202).await;
    assert_ne!(forced["id"], first["id"]);
    let forced = api
        .send("POST", "/api/v1/documents?force=true", &[], "a.pdf", pdf())
        .await;
    assert_eq!(forced.status(), 202);
    assert_eq!(api.count("documents").await, 3);

    // Another collection is another matter.
    let collection = json!({"name": "manuals"});
    let made = api.request("POST", "/api/v1/collections").json(&collection);
    assert_eq!(made.send().await.unwrap().status(), 201);
    let elsewhere = api
        .send(
            "POST",
            "/api/v1/documents",
            &[("collection", "manuals")],
            "a.pdf",
            pdf(),
        )
        .await;
    assert_eq!(accepted(elsewhere, 202).await["version"], 1);
}

#[tokio::test]
async fn equal_uploads_at_one_moment_end_as_one_document() {
    let api = Api::start(&[]).await;
    let uploads = (0..8).map(|_| api.upload("a.pdf", pdf()));
    let mut statuses: Vec<u16> = futures::future::join_all(uploads)
        .await
        .iter()
        .map(|response| response.status().as_u16())
        .collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [[200; 7].as_slice(), &[202]].concat());
    assert_eq!(api.count("documents").await, 1);
    assert_eq!(api.count("jobs").await, 1);
    assert_eq!(api.place.blob_count(), 1);

    // Of one name with different contents, each is a version of the one document, and one ingest is left.
    let uploads = (0..8).map(|number| api.upload("a.pdf", pdf_number(number)));
    for response in futures::future::join_all(uploads).await {
        assert_eq!(response.status(), 202);
    }
    assert_eq!(api.count("documents where wanted = 9").await, 1);
    assert_eq!(api.count("versions").await, 1);
    assert_eq!(
        api.count("jobs where kind = 'ingest' and state = 'queued'")
            .await,
        1
    );
    assert_eq!(api.count("removals").await, 8);
}

#[tokio::test]
async fn the_same_name_with_other_content_is_a_new_version_that_cancels_the_ingest_of_the_old() {
    let api = Api::start(&[]).await;
    let first = accepted(api.upload("a.pdf", pdf()).await, 202).await;
    let second = accepted(api.upload("a.pdf", pdf_number(2)).await, 202).await;
    assert_eq!(
        (&second["id"], &second["version"]),
        (&first["id"], &json!(2))
    );
    assert_eq!(
        api.count("jobs where kind = 'ingest' and state = 'cancelled'")
            .await,
        1
    );
    assert_eq!(
        api.count("jobs where kind = 'ingest' and state = 'queued'")
            .await,
        1
    );
    // The first was never read, and its file is noted for deletion.
    assert_eq!(api.count("versions").await, 1);
    assert_eq!(api.count("removals").await, 1);
    assert_eq!(
        api.count("jobs where kind = 'purge' and state = 'queued'")
            .await,
        1
    );

    let path = format!("/api/v1/documents/{}", first["id"].as_str().unwrap());
    let document = api.get(&path).await;
    assert_eq!(
        (
            &document["version"],
            &document["wanted"],
            &document["bytes"]
        ),
        (&json!(0), &json!(2), &json!(pdf_number(2).len()))
    );
    // The old content is not the newest any more: it is a version again.
    assert_eq!(
        accepted(api.upload("a.pdf", pdf()).await, 202).await["version"],
        3
    );
}

#[tokio::test]
async fn a_file_is_replaced_explicitly_whatever_its_name() {
    let api = Api::start(&[]).await;
    let first = accepted(api.upload("a.pdf", pdf()).await, 202).await;
    let path = format!("/api/v1/documents/{}", first["id"].as_str().unwrap());
    let file = format!("{path}/file");
    let replaced = api
        .send("PUT", &file, &[("title", "New")], "b.pdf", pdf_number(2))
        .await;
    assert_eq!(accepted(replaced, 202).await["version"], 2);
    let same = api.send("PUT", &file, &[], "b.pdf", pdf_number(2)).await;
    assert_eq!(accepted(same, 200).await["duplicate"], true);
    let forced = api
        .send(
            "PUT",
            &format!("{file}?force=true"),
            &[],
            "b.pdf",
            pdf_number(2),
        )
        .await;
    assert_eq!(accepted(forced, 202).await["version"], 3);
    let document = api.get(&path).await;
    assert_eq!(
        (&document["name"], &document["title"]),
        (&json!("a.pdf"), &json!("New"))
    );
    let nowhere = "/api/v1/documents/00000000-0000-7000-8000-000000000001/file";
    let response = api.send("PUT", nowhere, &[], "b.pdf", pdf()).await;
    problem(response, 404, "not_found").await;
}

#[tokio::test]
async fn the_content_of_a_document_that_failed_is_read_again_when_it_is_uploaded_again() {
    let api = Api::start(&[]).await;
    let first = accepted(api.upload("a.pdf", pdf()).await, 202).await;
    let path = format!("/api/v1/documents/{}", first["id"].as_str().unwrap());
    let cancelled = api
        .request("POST", &format!("{path}/cancel"))
        .send()
        .await
        .unwrap();
    assert_eq!(cancelled.status(), 200);
    let again = accepted(api.upload("other.pdf", pdf()).await, 202).await;
    assert_eq!((&again["id"], &again["version"]), (&first["id"], &json!(2)));
    assert_eq!(api.get(&path).await["state"], "queued");
}

#[tokio::test]
async fn reading_anew_makes_a_version_of_the_same_file() {
    let api = Api::start(&[]).await;
    let first = accepted(api.upload("a.pdf", pdf()).await, 202).await;
    let path = format!("/api/v1/documents/{}", first["id"].as_str().unwrap());
    let response = api
        .request("POST", &format!("{path}/reingest"))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 202);
    let document: Value = response.json().await.unwrap();
    assert_eq!(
        (&document["wanted"], &document["state"]),
        (&json!(2), &json!("queued"))
    );
    assert_eq!(api.count("removals").await, 0, "the file is still needed");
    assert_eq!(
        api.count("jobs where kind = 'ingest' and state = 'queued'")
            .await,
        1
    );
    let file = api
        .request("GET", &format!("{path}/file"))
        .send()
        .await
        .unwrap();
    assert_eq!(file.bytes().await.unwrap(), pdf());
}

#[tokio::test]
async fn what_people_say_of_a_document_is_kept_changed_and_checked() {
    let api = Api::start(&["--metadata-bytes-max=100"]).await;
    let fields = [
        ("title", " The Handbook "),
        ("source_url", "https://wiki.example/handbook"),
        ("metadata", r#"{"team": "finance", "years": [2025]}"#),
    ];
    let made = api
        .send("POST", "/api/v1/documents", &fields, "a.pdf", pdf())
        .await;
    let made = accepted(made, 202).await;
    let path = format!("/api/v1/documents/{}", made["id"].as_str().unwrap());
    let document = api.get(&path).await;
    assert_eq!(document["title"], "The Handbook");
    assert_eq!(document["source_url"], "https://wiki.example/handbook");
    assert_eq!(
        document["metadata"],
        json!({"team": "finance", "years": [2025]})
    );

    let change = async |body: Value| {
        let request = api.request("PATCH", &path).json(&body);
        request.send().await.unwrap()
    };
    let body = json!({"title": null, "name": "x/../b.pdf", "metadata": {"team": "legal"}});
    let changed: Value = change(body).await.json().await.unwrap();
    assert_eq!(
        (&changed["title"], &changed["name"], &changed["metadata"]),
        (&Value::Null, &json!("x/b.pdf"), &json!({"team": "legal"}))
    );
    assert_eq!(changed["source_url"], "https://wiki.example/handbook");

    for refused in [
        json!({"source_url": "javascript:alert(1)"}),
        json!({"metadata": ["finance"]}),
        json!({"metadata": {"long": "x".repeat(100)}}),
        json!({"metadata": {"nul": "\0"}}),
        json!({"title": " "}),
        json!({"name": "/"}),
        json!({"state": "ready"}),
    ] {
        problem(change(refused).await, 400, "invalid_request").await;
    }
    let long = format!(r#"{{"long": "{}"}}"#, "x".repeat(100));
    for field in [
        ("metadata", long.as_str()),
        ("metadata", "finance"),
        ("source_url", "ftp://wiki.example"),
        ("force", "yes"),
        ("autor", "x"),
    ] {
        let response = api
            .send(
                "POST",
                "/api/v1/documents",
                &[field],
                "c.pdf",
                pdf_number(3),
            )
            .await;
        problem(response, 400, "invalid_request").await;
    }
    assert_eq!(api.place.blob_count(), 1);
}

#[tokio::test]
async fn a_document_is_found_by_its_content_and_named_as_the_form_says() {
    let api = Api::start(&[]).await;
    let fields = [("name", "travel/../rules/Hotel.pdf")];
    let made = api
        .send("POST", "/api/v1/documents", &fields, "a.pdf", pdf_number(1))
        .await;
    accepted(made, 202).await;
    let other = api
        .send("POST", "/api/v1/documents", &[], "b.pdf", pdf_number(2))
        .await;
    accepted(other, 202).await;
    let list = api.get("/api/v1/documents?name=Hotel").await;
    let sha256 = list["documents"][0]["sha256"].as_str().unwrap();
    let found = api.names(&format!("sha256={sha256}")).await;
    assert_eq!(found, ["travel/rules/Hotel.pdf"]);
    assert!(
        api.names(&format!("sha256={}", "0".repeat(64)))
            .await
            .is_empty()
    );
    for wrong in ["sha256=abc", &format!("sha256={}", "é".repeat(32))] {
        let path = format!("/api/v1/documents?{wrong}");
        let refused = api.request("GET", &path).send().await.unwrap();
        assert_eq!(refused.status(), 400, "{wrong}");
    }
}

#[tokio::test]
async fn the_list_is_filtered() {
    let api = Api::start(&[]).await;
    for (number, (name, metadata)) in [
        ("Alpha.pdf", r#"{"team": "x", "year": 2025}"#),
        ("beta.pdf", r#"{"team": "x", "year": 2026}"#),
        ("alphabet.pdf", r#"{"team": "y"}"#),
    ]
    .iter()
    .enumerate()
    {
        let fields = [("metadata", *metadata)];
        let bytes = pdf_number(number);
        let made = api
            .send("POST", "/api/v1/documents", &fields, name, bytes)
            .await;
        assert_eq!(made.status(), 202);
    }
    let cancelled = api.get("/api/v1/documents?name=beta").await["documents"][0]["id"].clone();
    let path = format!("/api/v1/documents/{}/cancel", cancelled.as_str().unwrap());
    assert_eq!(
        api.request("POST", &path).send().await.unwrap().status(),
        200
    );

    assert_eq!(api.names("name=ALPHA").await, ["alphabet.pdf", "Alpha.pdf"]);
    assert_eq!(
        api.names("name=%25").await,
        [""; 0],
        "a percent sign is itself"
    );
    assert_eq!(api.names("state=cancelled").await, ["beta.pdf"]);
    assert_eq!(
        api.names(r#"metadata={"team":"x"}"#).await,
        ["beta.pdf", "Alpha.pdf"]
    );
    assert_eq!(
        api.names(r#"metadata={"team":"x","year":2025}"#).await,
        ["Alpha.pdf"]
    );
    assert_eq!(
        api.names("media_type=application/pdf&sort=name")
            .await
            .len(),
        3
    );
    assert_eq!(api.names("media_type=text/html").await, [""; 0]);
    for refused in [
        "state=gone",
        "metadata=x",
        "sort=size",
        "cursor=x",
        "name=%00",
        "before=x",
    ] {
        let path = format!("/api/v1/documents?{refused}");
        let response = api.request("GET", &path).send().await.unwrap();
        problem(response, 400, "invalid_request").await;
    }
}

#[tokio::test]
async fn the_list_goes_on_where_it_was_in_any_order_while_documents_come_in() {
    let api = Api::start(&[]).await;
    for number in 0..7 {
        // Sizes repeat, so that the order among equals is tried, too.
        let bytes = [
            pdf(),
            vec![b' '; number / 2],
            vec![b'0' + u8::try_from(number).unwrap()],
        ];
        let name = format!("{}.pdf", (number * 3) % 7);
        assert_eq!(api.upload(&name, bytes.concat()).await.status(), 202);
    }
    for (number, sort) in [
        "created_at",
        "-created_at",
        "updated_at",
        "-updated_at",
        "name",
        "-name",
        "bytes",
        "-bytes",
        "pages",
        "-pages",
    ]
    .into_iter()
    .enumerate()
    {
        let whole = api.names(&format!("sort={sort}&limit=200")).await;
        let mut seen = Vec::new();
        let mut path = format!("sort={sort}&limit=2");
        loop {
            let page = api.get(&format!("/api/v1/documents?{path}")).await;
            for document in page["documents"].as_array().unwrap() {
                seen.push(document["name"].as_str().unwrap().to_owned());
            }
            if seen.len() == 2 {
                // It comes in between two pages.
                let name = format!("new{number}.pdf");
                assert_eq!(
                    api.upload(&name, pdf_number(100 + number)).await.status(),
                    202
                );
            }
            let Some(next) = page["next"].as_str() else {
                break;
            };
            path = format!("sort={sort}&limit=2&cursor={next}");
        }
        seen.retain(|name| *name != format!("new{number}.pdf"));
        assert_eq!(seen, whole, "{sort}");
        // A cursor of one order is none of another.
        if let Some(cursor) = path.split("cursor=").nth(1) {
            let other = if sort == "name" { "bytes" } else { "name" };
            let path = format!("/api/v1/documents?sort={other}&cursor={cursor}");
            problem(
                api.request("GET", &path).send().await.unwrap(),
                400,
                "invalid_request",
            )
            .await;
        }
    }
    assert_eq!(api.names("sort=name&limit=2").await, ["0.pdf", "1.pdf"]);
    let sizes = api.get("/api/v1/documents?sort=-bytes&limit=200").await;
    let sizes: Vec<_> = sizes["documents"]
        .as_array()
        .unwrap()
        .iter()
        .map(|d| d["bytes"].as_i64().unwrap())
        .collect();
    assert!(sizes.is_sorted_by(|a, b| a >= b), "{sizes:?}");
}

#[tokio::test]
async fn a_full_queue_takes_a_new_version_of_what_waits_and_no_new_document() {
    let mut place = Place::new().await.unwrap();
    place.settings.queue_tenant_max = 1;
    let api = Api::start_in(place, &[]).await;
    let first = accepted(api.upload("a.pdf", pdf()).await, 202).await;
    let path = format!("/api/v1/documents/{}", first["id"].as_str().unwrap());
    // Its own ingest makes room for the next version's; a second document finds none.
    assert_eq!(api.upload("a.pdf", pdf_number(2)).await.status(), 202);
    problem(api.upload("b.pdf", pdf_number(3)).await, 429, "queue_full").await;
    assert_eq!(api.get(&path).await["wanted"], 2);
    assert_eq!(api.count("documents").await, 1);
}
