//! Conversations: begun, asked in, listed, deleted.

use futures::future::join_all;
use serde_json::{Value, json};

use super::{Api, problem};

impl Api {
    async fn begin(&self) -> String {
        let response = self.request("POST", "/api/v1/conversations").send().await;
        let response = response.unwrap();
        assert_eq!(response.status(), 201);
        let location = response.headers()["location"].to_str().unwrap().to_owned();
        let made: Value = response.json().await.unwrap();
        let id = made["id"].as_str().unwrap().to_owned();
        assert_eq!(location, format!("/api/v1/conversations/{id}"));
        id
    }

    async fn ask_in(&self, conversation: &str, question: &str) -> reqwest::Response {
        let asked = json!({"question": question, "conversation_id": conversation});
        let request = self.request("POST", "/api/v1/questions").json(&asked);
        request.send().await.unwrap()
    }

    async fn read(&self, path: &str) -> Value {
        let response = self.request("GET", path).send().await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        response.json().await.unwrap()
    }
}

#[tokio::test]
async fn questions_asked_at_once_in_a_conversation_each_have_a_turn_of_their_own() {
    let api = Api::start(&[]).await;
    let conversation = api.begin().await;
    let asked = (0..12).map(|number| {
        let (api, conversation) = (&api, &conversation);
        async move {
            api.ask_in(conversation, &format!("Question {number}?"))
                .await
        }
    });
    for response in join_all(asked).await {
        assert_eq!(response.status(), 202);
        let accepted: Value = response.json().await.unwrap();
        assert_eq!(accepted["conversation_id"], conversation.as_str());
    }
    let whole = api
        .read(&format!("/api/v1/conversations/{conversation}"))
        .await;
    let turns: Vec<_> = whole["questions"].as_array().unwrap().iter().collect();
    let numbers: Vec<_> = turns
        .iter()
        .map(|turn| turn["turn"].as_i64().unwrap())
        .collect();
    assert_eq!(numbers, (1..=12).collect::<Vec<_>>());
    assert_eq!(whole["turns"], 12);
    assert_eq!(whole["question"], turns[0]["question"]);
    let id = turns[4]["id"].as_str().unwrap();
    let question = api.read(&format!("/api/v1/questions/{id}")).await;
    assert_eq!(
        (&question["conversation_id"], &question["turn"]),
        (&json!(conversation), &json!(5))
    );
}

#[tokio::test]
async fn a_conversation_takes_as_many_questions_as_allowed_and_says_what_to_do_then() {
    let api = Api::start(&["--conversation-turns-max=2"]).await;
    let conversation = api.begin().await;
    for _ in 0..2 {
        assert_eq!(api.ask_in(&conversation, "Why?").await.status(), 202);
    }
    problem(
        api.ask_in(&conversation, "Why?").await,
        409,
        "conversation_full",
    )
    .await;
    let questions: i64 = sqlx::query_scalar("select count(*) from questions")
        .fetch_one(api.pool())
        .await
        .unwrap();
    assert_eq!(questions, 2);
}

#[tokio::test]
async fn deleting_a_conversation_deletes_its_questions_and_cancels_what_waits() {
    let api = Api::start(&[]).await;
    let (conversation, other) = (api.begin().await, api.begin().await);
    api.ask_in(&conversation, "Why?").await;
    api.ask_in(&other, "How?").await;
    let path = format!("/api/v1/conversations/{conversation}");
    let deleted = api.request("DELETE", &path).send().await.unwrap();
    assert_eq!(deleted.status(), 204);
    problem(
        api.request("GET", &path).send().await.unwrap(),
        404,
        "not_found",
    )
    .await;
    problem(
        api.request("DELETE", &path).send().await.unwrap(),
        404,
        "not_found",
    )
    .await;
    problem(api.ask_in(&conversation, "Why?").await, 404, "not_found").await;
    let left: Vec<(String,)> = sqlx::query_as("select job.state from jobs job order by job.id")
        .fetch_all(api.pool())
        .await
        .unwrap();
    assert_eq!(left, [("cancelled".to_owned(),), ("queued".to_owned(),)]);
    let questions: i64 = sqlx::query_scalar("select count(*) from questions")
        .fetch_one(api.pool())
        .await
        .unwrap();
    assert_eq!(questions, 1);
}

#[tokio::test]
async fn the_list_of_conversations_goes_on_where_the_page_before_ended() {
    let api = Api::start(&[]).await;
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(api.begin().await);
    }
    made.reverse();
    let mut seen = Vec::new();
    let mut path = "/api/v1/conversations?limit=2".to_owned();
    loop {
        let page = api.read(&path).await;
        let ids = page["conversations"].as_array().unwrap().iter();
        seen.extend(ids.map(|conversation| conversation["id"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else {
            break;
        };
        path = format!("/api/v1/conversations?limit=2&cursor={next}");
        // What begins meanwhile is on no later page.
        api.begin().await;
    }
    assert_eq!(seen, made);
}

#[tokio::test]
async fn what_makes_no_sense_of_a_conversation_is_refused() {
    let api = Api::start(&[]).await;
    let conversation = api.begin().await;
    for path in [
        "/api/v1/conversations?limit=0",
        "/api/v1/conversations?limit=201",
        "/api/v1/conversations?cursor=nonsense",
        "/api/v1/conversations?other=1",
    ] {
        problem(
            api.request("GET", path).send().await.unwrap(),
            400,
            "invalid_request",
        )
        .await;
    }
    problem(api.ask_in("nonsense", "Why?").await, 400, "invalid_request").await;
    let none = json!({"collection": "none"});
    let request = api.request("POST", "/api/v1/conversations").json(&none);
    problem(request.send().await.unwrap(), 404, "not_found").await;
    let other = json!({"name": "other"});
    let made = api.request("POST", "/api/v1/collections").json(&other);
    assert_eq!(made.send().await.unwrap().status(), 201);
    let asked = json!({"question": "Why?", "conversation_id": conversation, "collection": "other"});
    let request = api.request("POST", "/api/v1/questions").json(&asked);
    problem(request.send().await.unwrap(), 409, "conflict").await;
    let path = "/api/v1/conversations/nonsense";
    problem(
        api.request("GET", path).send().await.unwrap(),
        404,
        "not_found",
    )
    .await;
}
