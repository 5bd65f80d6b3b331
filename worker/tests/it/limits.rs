//! What becomes of limits when Redis goes away, and of answers when tokens run out.

use std::time::{Duration, Instant};

use lectern_shared::ids::DEFAULT_TENANT;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::{
    generator::Server,
    imports::zip,
    support::{Lectern, OwnRedis, own_file, text},
};

const DEADLINE: Duration = Duration::from_secs(30);

impl Lectern {
    async fn allow(&self, quota: &str, allowed: i64) {
        sqlx::query(
            "insert into quota_overrides (tenant_id, quota, period, allowed) values ($1, $2, 'day', $3)",
        )
        .bind(DEFAULT_TENANT.0)
        .bind(quota)
        .bind(allowed)
        .execute(&self.place.pool)
        .await
        .unwrap();
    }

    async fn used(&self, quota: &str) -> i64 {
        let usage = self.get("/api/v1/usage").await;
        let mut quotas = usage["quotas"].as_array().unwrap().iter();
        let day = quotas.find(|used| used["quota"] == quota && used["period"] == "day");
        day.unwrap()["used"].as_i64().unwrap()
    }
}

#[tokio::test]
async fn while_redis_is_away_limits_are_open_or_closed_as_the_settings_say_and_then_count_again() {
    let mut redis = OwnRedis::start();
    let lectern = Lectern::start_on_with(
        &redis,
        &[
            "--rate-limits=true",
            "--limit-key-requests=1000/h",
            "--limit-key-asks=1000/h",
            "--limits-closed=tenant_asks",
        ],
    )
    .await;
    let read = async || {
        let request = lectern.request("GET", "/api/v1/collections");
        request.send().await.unwrap()
    };
    let ask = async || {
        let request = lectern.request("POST", "/api/v1/questions");
        let request = request.json(&json!({"question": "Why?"}));
        request.send().await.unwrap()
    };
    assert!(read().await.headers().contains_key("ratelimit-limit"));
    assert_eq!(ask().await.status(), StatusCode::ACCEPTED);

    redis.kill();
    // Open: nobody is refused, and nobody waits for each request's time-out.
    let began = Instant::now();
    for _ in 0..20 {
        let answer = read().await;
        assert_eq!(answer.status(), StatusCode::OK);
        assert!(!answer.headers().contains_key("ratelimit-limit"));
    }
    assert!(began.elapsed() < DEADLINE / 2, "{:?}", began.elapsed());
    let refused = ask().await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.headers().contains_key("retry-after"));
    let refused: Value = refused.json().await.unwrap();
    assert_eq!(refused["code"], "limit_unavailable", "{refused}");
    assert!(
        refused["detail"]
            .as_str()
            .unwrap()
            .contains("`tenant_asks`"),
        "{refused}"
    );
    let metrics = lectern.request("GET", "/metrics").send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    for line in [
        "lectern_limits_unavailable_total{limit=\"key_requests\",outcome=\"open\"} 20",
        "lectern_limits_unavailable_total{limit=\"tenant_asks\",outcome=\"closed\"} 1",
    ] {
        assert!(metrics.contains(line), "no {line} in\n{metrics}");
    }

    redis.start_again().await;
    let began = Instant::now();
    while !read().await.headers().contains_key("ratelimit-limit") {
        assert!(began.elapsed() < DEADLINE, "requests aren't counted again");
    }
    assert_eq!(ask().await.status(), StatusCode::ACCEPTED);
}

#[tokio::test]
async fn when_the_tokens_are_used_up_the_generator_is_not_asked_and_readers_are_told() {
    let lectern = Lectern::start().await;
    let server = Server::start(30, Duration::ZERO).await;
    let _worker = lectern.worker_with(&server.environment());
    lectern.add_ready(&own_file("handbook.pdf")).await;
    lectern.allow("tokens", 41).await;
    let question = "What is the daily allowance abroad?";
    let events = lectern.ask_streaming(question).await.rest().await;
    assert_eq!(text(&events), server.text());
    // These words cite nothing.
    assert_eq!(events.last().unwrap().data["notice"], "uncited");
    // 11 of the prompt and 30 of the answer, as the server counts them.
    assert_eq!((lectern.used("tokens").await, server.asked()), (41, 1));

    let events = lectern.ask_streaming(question).await.rest().await;
    let done = &events.last().unwrap().data;
    assert_eq!(
        (&done["notice"], &done["generator"]),
        (&json!("budget_exhausted"), &json!("extractive"))
    );
    let said = text(&events);
    assert!(
        said.starts_with("The budget for generated answers is used up until "),
        "{said}"
    );
    assert!(said.contains("47 euros abroad"), "{said}");
    assert_eq!((lectern.used("tokens").await, server.asked()), (41, 1));
    let kept = lectern.answer(question).await;
    assert_eq!(
        (&kept["notice"], &kept["generator"], &kept["answer"]),
        (
            &json!("budget_exhausted"),
            &json!("extractive"),
            &json!(said)
        )
    );

    let faq = json!({"question": "Who pays for parking?", "answer": "You do."});
    let request = lectern.request("POST", "/api/v1/collections/default/faqs");
    assert!(
        request
            .json(&faq)
            .send()
            .await
            .unwrap()
            .status()
            .is_success()
    );
    let answered = lectern.answer("Who pays for parking?").await;
    assert_eq!(answered["answer"], "You do.");
    assert!(answered.get("notice").is_none(), "{answered}");
    assert_eq!(server.asked(), 1);
}

#[tokio::test]
async fn a_cached_answer_is_given_when_the_tokens_are_used_up() {
    let lectern = Lectern::start().await;
    let server = Server::start(30, Duration::ZERO).await;
    server.say("It is 47 euros abroad [1].");
    let mut environment = server.environment();
    environment.retain(|(name, _)| *name != "LECTERN_CACHE");
    let _worker = lectern.worker_with(&environment);
    lectern.add_ready(&own_file("handbook.pdf")).await;
    lectern.allow("tokens", 1).await;
    let question = "What is the daily allowance abroad?";
    let first = lectern.answer(question).await;
    let again = lectern.answer(question).await;
    assert_eq!(
        (&again["cached"], &again["answer"]),
        (&json!(true), &first["answer"])
    );
    assert!(again.get("notice").is_none(), "{again}");
    // What is quoted meanwhile isn't given again when there are tokens.
    let other = "How many days of leave do employees have?";
    for _ in 0..2 {
        let quoted = lectern.answer(other).await;
        if quoted["abstained"] != true {
            assert_eq!(
                (&quoted["notice"], &quoted["cached"]),
                (&json!("budget_exhausted"), &json!(false))
            );
        }
    }
    assert_eq!(server.asked(), 1);
}

#[tokio::test]
async fn tokens_of_a_rewritten_question_count_too() {
    let lectern = Lectern::start().await;
    let server = Server::start(5, Duration::ZERO).await;
    server.rewrite_to("What is the daily allowance in Germany?");
    let _worker = lectern.worker_with(&server.environment());
    lectern.add_ready(&own_file("handbook.pdf")).await;
    let conversation = lectern.begin_conversation().await;
    lectern
        .answer_in(&conversation, "What is the daily allowance abroad?")
        .await;
    assert_eq!(lectern.used("tokens").await, 11 + 5);
    lectern.answer_in(&conversation, "And in Germany?").await;
    // The rewriting: 11 of its prompt, 1 of what was said.
    assert_eq!(lectern.used("tokens").await, 2 * (11 + 5) + 11 + 1);
    assert_eq!(server.asked(), 3);
}

#[tokio::test]
async fn files_of_a_zip_that_are_beyond_the_quota_are_skipped_and_the_import_says_so() {
    let lectern = Lectern::start().await;
    let _worker = lectern.worker();
    lectern.allow("documents", 2).await;
    let files = [
        ("a.txt", &b"one"[..]),
        ("b.txt", b"two"),
        ("c.txt", b"three"),
    ];
    let taken = lectern.import(&[], zip(&files)).await;
    let import = lectern.imported(taken).await;
    assert_eq!(
        (&import["created"], &import["skipped"]),
        (&json!(2), &json!(1)),
        "{import}"
    );
    let reason = &import["entries"][2]["reason"];
    assert_eq!(reason["code"], "quota_exceeded", "{import}");
    assert_eq!(lectern.used("documents").await, 2);
}
