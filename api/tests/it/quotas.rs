//! Quotas of tenants: what counts, what is refused, and that nothing is counted twice or lost.

use futures::future::join_all;
use lectern_shared::{
    config::{Allowed, Quotas},
    ids::DEFAULT_TENANT,
    testing::Place,
};
use serde_json::{Value, json};

use super::{Api, pdf, pdf_number, problem};

impl Api {
    async fn start_with(quotas: Quotas) -> Self {
        let mut place = Place::new().await.unwrap();
        place.settings.quotas = quotas;
        Self::start_in(place, &[]).await
    }

    /// What `GET /api/v1/usage` says of a quota: used, limit, remaining.
    async fn used(&self, quota: &str, period: &str) -> (i64, Value, Value) {
        let usage = self.get("/api/v1/usage").await;
        let mut quotas = usage["quotas"].as_array().unwrap().iter();
        let found = quotas
            .find(|found| found["quota"] == quota && found["period"] == period)
            .unwrap();
        assert!(
            found["resets_at"].as_str().unwrap().ends_with("T00:00:00Z"),
            "{found}"
        );
        let used = found["used"].as_i64().unwrap();
        (used, found["limit"].clone(), found["remaining"].clone())
    }

    async fn allow(&self, quota: &str, period: &str, allowed: Option<i64>) {
        sqlx::query(
            "insert into quota_overrides (tenant_id, quota, period, allowed) values ($1, $2, $3, $4)
             on conflict (tenant_id, quota, period) do update set allowed = excluded.allowed",
        )
        .bind(DEFAULT_TENANT.0)
        .bind(quota)
        .bind(period)
        .bind(allowed)
        .execute(self.pool())
        .await
        .unwrap();
    }
}

#[tokio::test]
async fn uploads_are_counted_once_and_refused_when_the_quota_is_used_up() {
    let api = Api::start_with(Quotas {
        quota_documents_per_day: Allowed(Some(2)),
        ..Quotas::default()
    })
    .await;
    assert_eq!(api.upload("a.pdf", pdf()).await.status(), 202);
    // The same again is nothing new.
    assert_eq!(api.upload("a.pdf", pdf()).await.status(), 200);
    assert_eq!(api.used("documents", "day").await, (1, json!(2), json!(1)));
    assert_eq!(
        api.used("documents", "month").await,
        (1, json!(null), json!(null))
    );
    let bytes = i64::try_from(pdf().len()).unwrap();
    assert_eq!(api.used("bytes", "day").await.0, bytes);
    // A new version is.
    assert_eq!(api.upload("a.pdf", pdf_number(1)).await.status(), 202);
    let refused = api.upload("b.pdf", pdf_number(2)).await;
    let wait = refused.headers()["retry-after"]
        .to_str()
        .unwrap()
        .parse::<u32>();
    assert!(wait.is_ok_and(|wait| (1..=86_401).contains(&wait)));
    let refused = problem(refused, 429, "quota_exceeded").await;
    let detail = refused["detail"].as_str().unwrap();
    assert!(detail.contains("2 documents per day"), "{detail}");
    assert_eq!(api.count("documents").await, 1);
    assert_eq!(
        api.place.blob_count(),
        2,
        "the first version's, until it is purged, and the second's"
    );
    // A tenant of whom more is expected.
    api.allow("documents", "day", Some(3)).await;
    assert_eq!(api.upload("b.pdf", pdf_number(2)).await.status(), 202);
    problem(
        api.upload("c.pdf", pdf_number(3)).await,
        429,
        "quota_exceeded",
    )
    .await;
    api.allow("documents", "day", None).await;
    assert_eq!(api.upload("c.pdf", pdf_number(3)).await.status(), 202);
    assert_eq!(
        api.used("documents", "day").await,
        (4, json!(null), json!(null))
    );
}

#[tokio::test]
async fn a_file_that_is_more_than_what_is_left_is_refused_and_leaves_nothing() {
    let small = i64::try_from(pdf().len()).unwrap();
    let api = Api::start_with(Quotas {
        quota_bytes_per_month: Allowed(Some(small + 5)),
        ..Quotas::default()
    })
    .await;
    assert_eq!(api.upload("a.pdf", pdf()).await.status(), 202);
    let refused = problem(
        api.upload("b.pdf", pdf_number(7)).await,
        429,
        "quota_exceeded",
    )
    .await;
    assert!(
        refused["detail"]
            .as_str()
            .unwrap()
            .contains("bytes per month"),
        "{refused}"
    );
    assert_eq!((api.place.blob_count(), api.count("jobs").await), (1, 1));
    assert_eq!(
        api.used("bytes", "month").await,
        (small, json!(small + 5), json!(5))
    );
    assert_eq!(
        api.used("documents", "month").await.0,
        1,
        "what was refused is not counted at all"
    );
    // What fits still goes.
    let tiny = b"%PDF-".to_vec();
    assert_eq!(api.upload("c.pdf", tiny).await.status(), 202);
}

#[tokio::test]
async fn questions_asked_at_one_moment_are_all_counted_and_never_more_than_allowed() {
    let api = Api::start_with(Quotas {
        quota_questions_per_day: Allowed(Some(7)),
        quota_questions_per_month: Allowed(Some(1000)),
        ..Quotas::default()
    })
    .await;
    let ask = || {
        let request = api.request("POST", "/api/v1/questions");
        request.json(&json!({"question": "Why?"})).send()
    };
    let statuses: Vec<u16> = join_all((0..30).map(|_| ask()))
        .await
        .into_iter()
        .map(|answer| answer.unwrap().status().as_u16())
        .collect();
    let accepted = statuses.iter().filter(|status| **status == 202).count();
    let refused = statuses.iter().filter(|status| **status == 429).count();
    assert_eq!((accepted, refused), (7, 23), "{statuses:?}");
    assert_eq!(api.count("questions").await, 7);
    assert_eq!(api.used("questions", "day").await, (7, json!(7), json!(0)));
    assert_eq!(api.used("questions", "month").await.0, 7);
    // A new day.
    sqlx::query("update quota_usage set starts = starts - 1 where period = 'day'")
        .execute(api.pool())
        .await
        .unwrap();
    assert_eq!(ask().await.unwrap().status(), 202);
    assert_eq!(api.used("questions", "day").await.0, 1);
    assert_eq!(api.used("questions", "month").await.0, 8);
}

#[tokio::test]
async fn an_operator_says_what_a_tenant_may_use() {
    let api = Api::start_with(Quotas {
        quota_questions_per_day: Allowed(Some(5)),
        ..Quotas::default()
    })
    .await;
    let path = format!("/api/v1/tenants/{DEFAULT_TENANT}/quotas");
    let put = |quotas: Value| {
        let wanted = json!({"quotas": quotas});
        api.request("PUT", &path).json(&wanted).send()
    };
    let own = json!([
        {"quota": "bytes", "period": "month", "allowed": 1000},
        {"quota": "questions", "period": "day", "allowed": null},
    ]);
    let put_back: Value = put(own.clone()).await.unwrap().json().await.unwrap();
    assert_eq!(put_back["quotas"], own);
    assert_eq!(api.get(&path).await["quotas"], own);
    assert_eq!(api.used("questions", "day").await.1, Value::Null);
    assert_eq!(api.used("bytes", "month").await.1, 1000);

    // What is left out is as the settings say again.
    assert_eq!(put(json!([])).await.unwrap().status(), 200);
    assert_eq!(api.used("questions", "day").await.1, 5);
    assert_eq!(api.used("bytes", "month").await.1, Value::Null);

    let each = json!({"quota": "bytes", "period": "day", "allowed": -1});
    problem(put(json!([each])).await.unwrap(), 400, "invalid_request").await;
    let each = json!({"quota": "bytes", "period": "day", "allowed": 1});
    problem(
        put(vec![each; 9].into()).await.unwrap(),
        400,
        "invalid_request",
    )
    .await;
    let nobody = format!("/api/v1/tenants/{}/quotas", uuid::Uuid::now_v7());
    let to_nobody = api
        .request("PUT", &nobody)
        .json(&json!({"quotas": []}))
        .send();
    problem(to_nobody.await.unwrap(), 404, "not_found").await;
    let of_nobody = api.request("GET", &nobody).send().await.unwrap();
    problem(of_nobody, 404, "not_found").await;
}
