//! The report of what is going on: of the caller's own tenant.

use serde_json::{Value, json};

use super::{Api, pdf_number};

async fn report(api: &Api) -> Value {
    let response = api.request("GET", "/api/v1/operations").send();
    response.await.unwrap().json().await.unwrap()
}

fn queue<'a>(report: &'a Value, name: &str) -> &'a Value {
    let queues = report["queues"].as_array().unwrap();
    queues.iter().find(|queue| queue["queue"] == name).unwrap()
}

#[tokio::test]
async fn operations_tell_of_queues_jobs_and_answers_of_ones_own_tenant_alone() {
    let api = Api::start(&["--grafana-url=https://grafana.example.org"]).await;
    for number in 0..3 {
        let name = format!("{number}.pdf");
        assert_eq!(api.upload(&name, pdf_number(number)).await.status(), 202);
    }
    let asked = api
        .request("POST", "/api/v1/questions")
        .json(&json!({"question": "Who?"}));
    assert_eq!(asked.send().await.unwrap().status(), 202);
    // One runs, one has ended, two minutes ago; one of another tenant waits.
    sqlx::raw_sql(
        "update jobs set state = 'running', stage = 'parsing', lease_owner = 'worker-1', started_at = now(),
             progress_done = 2, progress_total = 7
         where id = (select id from jobs where queue = 'ingest' order by id limit 1);
         update jobs set state = 'done', finished_at = now() - interval '2 minutes 1 second'
         where id = (select id from jobs where queue = 'ingest' and state = 'queued' order by id limit 1);
         update jobs set run_at = now() - interval '1 minute' where state = 'queued';
         insert into jobs (id, tenant_id, kind, queue, subject, max_attempts)
         values (gen_random_uuid(), gen_random_uuid(), 'ingest', 'ingest', gen_random_uuid(), 1);",
    )
    .execute(api.pool())
    .await
    .unwrap();

    let report = report(&api).await;
    let ingest = queue(&report, "ingest");
    assert_eq!(ingest["waiting"], 1, "{ingest}");
    assert_eq!(ingest["running"], 1);
    assert!(ingest["oldest_seconds"].as_f64().unwrap() >= 60.0);
    let done = ingest["done"].as_array().unwrap();
    assert_eq!((done.len(), &done[57]), (60, &json!(1)));
    assert_eq!(queue(&report, "question")["waiting"], 1);

    let running = report["running"].as_array().unwrap();
    assert_eq!(running.len(), 1);
    assert_eq!(running[0]["worker"], "worker-1");
    assert_eq!(running[0]["document_name"], "0.pdf");
    assert_eq!(
        (&running[0]["done"], &running[0]["total"]),
        (&json!(2), &json!(7))
    );
    assert_eq!(report["documents"][0]["count"], 3);
    assert_eq!(report["grafana"], "https://grafana.example.org");
    assert_eq!(report["answers"].as_array().unwrap().len(), 24);
}

#[tokio::test]
async fn answers_of_the_last_day_are_told_apart_by_where_they_came_from() {
    let api = Api::start(&[]).await;
    let mut ids = Vec::new();
    for number in 0..4 {
        let asked = api
            .request("POST", "/api/v1/questions")
            .json(&json!({"question": format!("Who is {number}?")}));
        let accepted: Value = asked.send().await.unwrap().json().await.unwrap();
        ids.push(accepted["id"].as_str().unwrap().to_owned());
    }
    let write = |id: &str, columns: &str| {
        format!(
            "update questions set state = 'answered' where id = '{id}';
             insert into answers (question_id, tenant_id, text, generator, usage, timings, cached, abstained, faq)
             select id, tenant_id, '', 'x', '{{}}', '{{}}', {columns} from questions where id = '{id}';"
        )
    };
    let statements = [
        write(&ids[0], "false, false, null"),
        write(&ids[1], "true, false, null"),
        write(&ids[2], "false, true, null"),
        write(
            &ids[3],
            "false, false, '{\"id\": \"00000000-0000-7000-8000-000000000001\", \"question\": \"\", \"similarity\": 1}'",
        ),
    ];
    sqlx::raw_sql(sqlx::AssertSqlSafe(statements.concat()))
        .execute(api.pool())
        .await
        .unwrap();
    let report = report(&api).await;
    assert_eq!(
        report["answers"][23],
        json!({"generated": 1, "cached": 1, "abstained": 1, "faq": 1, "failed": 0})
    );
}
