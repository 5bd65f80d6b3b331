//! FAQs, unanswered questions and ratings at the door: what is refused, and pages of lists.

use serde_json::{Value, json};

use crate::{Api, problem};

const FAQS: &str = "/api/v1/collections/default/faqs";

#[tokio::test]
async fn faqs_that_make_no_sense_are_refused_with_what_to_do() {
    let api = Api::start(&["--faqs-max=2", "--faq-answer-chars-max=20"]).await;
    for body in [
        json!({"question": " ", "answer": "Yes."}),
        json!({"question": "Why?", "answer": " "}),
        json!({"question": "Why?", "answer": "x".repeat(21)}),
        json!({"question": "w".repeat(2001), "answer": "Yes."}),
        json!({"question": "Why?", "answer": "Yes.", "link": "javascript:alert(1)"}),
        json!({"question": "Why?", "answer": "Yes.", "sources": []}),
        json!({"question": "Why?"}),
    ] {
        let request = api.request("POST", FAQS).json(&body);
        problem(request.send().await.unwrap(), 400, "invalid_request").await;
    }
    let mut ids = Vec::new();
    for question in ["Who?", "Where?"] {
        let faq = json!({"question": question, "answer": "Here.", "link": "https://example.org/"});
        let made = api.request("POST", FAQS).json(&faq).send().await.unwrap();
        assert_eq!(made.status(), 201);
        let made: Value = made.json().await.unwrap();
        ids.push(made["id"].as_str().unwrap().to_owned());
    }
    // One more than the collection may have; and the question of another one.
    let more = api
        .request("POST", FAQS)
        .json(&json!({"question": "When?", "answer": "Now."}));
    let refused = problem(more.send().await.unwrap(), 409, "conflict").await;
    assert!(
        refused["detail"]
            .as_str()
            .unwrap()
            .contains("LECTERN_FAQS_MAX"),
        "{refused}"
    );
    let path = format!("{FAQS}/{}", ids[1]);
    let taken = api
        .request("PUT", &path)
        .json(&json!({"question": "who", "answer": "Me."}));
    problem(taken.send().await.unwrap(), 409, "conflict").await;
    let same = api
        .request("PUT", &path)
        .json(&json!({"question": "Where?", "answer": "There."}));
    assert_eq!(same.send().await.unwrap().status(), 200);

    let page = api
        .request("GET", &format!("{FAQS}?limit=1"))
        .send()
        .await
        .unwrap();
    let page: Value = page.json().await.unwrap();
    assert_eq!(page["faqs"][0]["answer"], "There.");
    let next = format!("{FAQS}?limit=1&cursor={}", page["next"].as_str().unwrap());
    let page: Value = api
        .request("GET", &next)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(
        (&page["faqs"][0]["id"], page.get("next")),
        (&json!(ids[0]), None)
    );
    for path in [format!("{FAQS}?cursor=nonsense"), format!("{FAQS}?limit=0")] {
        problem(
            api.request("GET", &path).send().await.unwrap(),
            400,
            "invalid_request",
        )
        .await;
    }
    problem(
        api.request("GET", &format!("{FAQS}/nonsense"))
            .send()
            .await
            .unwrap(),
        404,
        "not_found",
    )
    .await;
}

#[tokio::test]
async fn ratings_that_make_no_sense_are_refused_and_so_are_those_of_no_answer() {
    let api = Api::start(&["--feedback-comment-chars-max=5"]).await;
    let asked = json!({"question": "Who are we?"});
    let asked = api.request("POST", "/api/v1/questions").json(&asked).send();
    let asked: Value = asked.await.unwrap().json().await.unwrap();
    let path = format!(
        "/api/v1/questions/{}/feedback",
        asked["id"].as_str().unwrap()
    );
    for body in [
        json!({"rating": "sideways"}),
        json!({"rating": "up", "reason": "wrong"}),
        json!({"rating": "down", "reason": "correct"}),
        json!({"rating": "down", "reason": "bad luck"}),
        json!({"rating": "down", "comment": "too long"}),
        json!({"reason": "wrong"}),
    ] {
        let request = api.request("POST", &path).json(&body);
        problem(request.send().await.unwrap(), 400, "invalid_request").await;
    }
    // Right, but there is no answer yet.
    let early = json!({"rating": "down", "reason": "wrong"});
    let request = api.request("POST", &path).json(&early);
    problem(request.send().await.unwrap(), 409, "conflict").await;
    problem(
        api.request("GET", &path).send().await.unwrap(),
        404,
        "not_found",
    )
    .await;
    for path in [
        "/api/v1/feedback?rating=sideways",
        "/api/v1/feedback?limit=0",
        "/api/v1/unanswered?cursor=nonsense",
        "/api/v1/unanswered?limit=0",
    ] {
        problem(
            api.request("GET", path).send().await.unwrap(),
            400,
            "invalid_request",
        )
        .await;
    }
    for path in [
        "/api/v1/feedback?collection=nowhere",
        "/api/v1/unanswered?collection=nowhere",
    ] {
        problem(
            api.request("GET", path).send().await.unwrap(),
            404,
            "not_found",
        )
        .await;
    }
}
