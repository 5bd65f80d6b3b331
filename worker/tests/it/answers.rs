//! What stands around retrieval: FAQs, answers that are given again, questions that documents don't answer, ratings.

use lectern_shared::store;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::{Event, Lectern, Worker, names, own_file, text};

const ALLOWANCE: &str = "What is the daily allowance abroad?";

impl Lectern {
    async fn send(&self, method: &str, path: &str, body: &Value) -> (StatusCode, Value) {
        let response = self.request(method, path).json(body).send().await.unwrap();
        let status = response.status();
        (status, response.json().await.unwrap_or_default())
    }

    /// Makes a FAQ, and waits until similar questions find it.
    async fn add_faq(&self, question: &str, answer: &str) -> String {
        let path = "/api/v1/collections/default/faqs";
        let faq =
            json!({"question": question, "answer": answer, "link": "https://example.org/more"});
        let (status, made) = self.send("POST", path, &faq).await;
        assert_eq!(status, 201, "{made}");
        let id = made["id"].as_str().unwrap().to_owned();
        self.poll(&format!("{path}/{id}"), |faq| faq["embedded"] == true)
            .await;
        id
    }

    async fn stream(&self, question: &str) -> Vec<Event> {
        self.ask_streaming(question).await.rest().await
    }
}

fn done(events: &[Event]) -> &Value {
    let last = events.last().unwrap();
    assert_eq!(last.name, "done", "{events:?}");
    &last.data
}

fn count(events: &[Event], name: &str) -> usize {
    names(events).iter().filter(|found| **found == name).count()
}

async fn with_handbook() -> (Lectern, Worker, Value) {
    let lectern = Lectern::start().await;
    let worker = lectern.worker();
    let document = lectern.add_ready(&own_file("handbook.pdf")).await;
    (lectern, worker, document)
}

#[tokio::test]
async fn a_faq_answers_equal_and_similar_questions_but_none_about_another_number_or_the_opposite() {
    let lectern = Lectern::start().await;
    let path = "/api/v1/collections/default/faqs";
    let faq =
        json!({"question": "What does ERR-4711 mean?", "answer": "The tank is empty. Fill it."});
    let (status, made) = lectern.send("POST", path, &faq).await;
    assert_eq!((status.as_u16(), &made["embedded"]), (201, &json!(false)));
    let (status, again) = lectern.send("POST", path, &faq).await;
    assert_eq!(status, 409, "{again}");

    let _worker = lectern.worker();
    let events = lectern.stream("what does  ERR-4711 mean").await;
    assert_eq!(text(&events), "The tank is empty. Fill it.");
    assert!(count(&events, "token") > 3, "{events:?}");
    let told = done(&events);
    assert_eq!(
        (
            &told["generator"],
            &told["faq"]["id"],
            &told["faq"]["similarity"]
        ),
        (&json!("faq"), &made["id"], &json!(1.0))
    );
    let question = events[0].data["question"].as_str().unwrap();
    let kept = lectern.get(&format!("/api/v1/questions/{question}")).await;
    assert_eq!(
        (&kept["faq"]["id"], &kept["sources"]),
        (&made["id"], &json!([]))
    );

    let one = format!("{path}/{}", made["id"].as_str().unwrap());
    lectern.poll(&one, |faq| faq["embedded"] == true).await;
    let similar = lectern.answer("What is the meaning of ERR-4711?").await;
    assert_eq!(similar["generator"], "faq", "{similar}");
    assert!(similar["faq"]["similarity"].as_f64().unwrap() < 1.0);
    for other in ["What does ERR-4712 mean?", "What does ERR-4711 not mean?"] {
        let answer = lectern.answer(other).await;
        assert_ne!(answer["generator"], "faq", "{other}: {answer}");
    }
    assert_eq!(lectern.get(&one).await["hits"], 2);

    // A collection may want more, and a changed question is another one.
    let strict = json!({"settings": {"faq_similarity_min": 1.0}});
    let (status, _) = lectern
        .send("PATCH", "/api/v1/collections/default", &strict)
        .await;
    assert_eq!(status, 200);
    let answer = lectern.answer("What is the meaning of ERR-4711?").await;
    assert_ne!(answer["generator"], "faq", "{answer}");
    let changed = json!({"question": "How is the tank filled?", "answer": "With water."});
    let (status, _) = lectern.send("PUT", &one, &changed).await;
    assert_eq!(status, 200);
    let answer = lectern.answer("What does ERR-4711 mean?").await;
    assert_ne!(answer["generator"], "faq", "{answer}");
    assert_eq!(
        lectern.answer("How is the tank filled?").await["answer"],
        "With water."
    );

    let deleted = lectern.request("DELETE", &one).send().await.unwrap();
    assert_eq!(deleted.status(), 204);
    assert_eq!(lectern.get(path).await["faqs"], json!([]));
}

#[tokio::test]
async fn faqs_without_a_vector_of_the_model_get_one_without_being_asked_for() {
    let lectern = Lectern::start().await;
    let _worker = lectern.worker();
    let id = lectern
        .add_faq("Who feeds the cat?", "Everybody does.")
        .await;
    sqlx::raw_sql("update faqs set embedding = null; delete from jobs")
        .execute(&lectern.place.pool)
        .await
        .unwrap();
    let path = format!("/api/v1/collections/default/faqs/{id}");
    lectern.poll(&path, |faq| faq["embedded"] == true).await;
}

#[tokio::test]
async fn the_job_of_a_faq_may_be_done_twice_and_does_nothing_when_the_faq_is_gone() {
    let lectern = Lectern::start().await;
    let path = "/api/v1/collections/default/faqs";
    let faq = json!({"question": "Who feeds the cat?", "answer": "Everybody does."});
    let (_, gone) = lectern.send("POST", path, &faq).await;
    let gone = format!("{path}/{}", gone["id"].as_str().unwrap());
    lectern.request("DELETE", &gone).send().await.unwrap();
    let worker = lectern.worker();
    let id = lectern
        .add_faq("Who feeds the dog?", "Everybody does.")
        .await;
    worker.kill();
    // As when the worker had died before it could note the end.
    sqlx::raw_sql(
        "update jobs set state = 'running', lease_until = now() - interval '1 s', finished_at = null where kind = 'faq'",
    )
    .execute(&lectern.place.pool)
    .await
    .unwrap();
    let _worker = lectern.worker();
    let path = format!("{path}/{id}");
    lectern.poll(&path, |faq| faq["embedded"] == true).await;
    let began = std::time::Instant::now();
    while lectern.count("jobs where state <> 'done'").await > 0 {
        assert!(began.elapsed().as_secs() < 120, "jobs of FAQs are not done");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(lectern.count("jobs where attempt = 2").await, 2);
    assert_eq!(lectern.count("faqs").await, 1);
}

/// Sources as they are before an answer is there, which may cite them.
fn without_cited(sources: &Value) -> Value {
    let mut sources = sources.clone();
    for source in sources.as_array_mut().unwrap() {
        source.as_object_mut().unwrap().remove("cited");
    }
    sources
}

#[tokio::test]
async fn an_answer_is_given_again_with_its_sources_to_a_question_that_means_the_same() {
    let (lectern, _worker, _) = with_handbook().await;
    let first = lectern.stream(ALLOWANCE).await;
    assert_eq!(done(&first)["cached"], false);
    let again = lectern.stream("what's the daily allowance abroad").await;
    let told = done(&again);
    assert_eq!(
        (&told["cached"], &told["generator"]),
        (&json!(true), &json!("extractive"))
    );
    assert_eq!(told["confidence"], done(&first)["confidence"]);
    assert_eq!(text(&again), text(&first));
    assert!(count(&again, "token") > 3, "{again:?}");
    let sources = |events: &[Event]| {
        let shown = events.iter().find(|event| event.name == "sources").unwrap();
        without_cited(&shown.data["sources"])
    };
    assert_eq!(sources(&again), sources(&first));
    let question = again[0].data["question"].as_str().unwrap();
    let kept = lectern.get(&format!("/api/v1/questions/{question}")).await;
    assert_eq!(
        (&kept["cached"], &kept["answer"]),
        (&json!(true), &json!(text(&first)))
    );
    assert_eq!(without_cited(&kept["sources"]), sources(&first));

    // A copy is no entry of its own, and other conditions are another answer.
    assert_eq!(lectern.count("answer_cache").await, 1);
    let fewer = json!({"question": ALLOWANCE, "passages": 2});
    let (_, asked) = lectern.send("POST", "/api/v1/questions", &fewer).await;
    let path = format!("/api/v1/questions/{}", asked["id"].as_str().unwrap());
    let answer = lectern
        .poll(&path, |question| question["state"] == "answered")
        .await;
    assert_eq!(answer["cached"], false);
}

#[tokio::test]
async fn a_question_that_differs_in_a_number_or_a_negation_or_a_name_gets_no_cached_answer() {
    let lectern = Lectern::start().await;
    let _worker = lectern.worker();
    lectern.add_ready(&own_file("coffee.pdf")).await;
    for (one, other) in [
        (
            "What does the error code ERR-4711 on the display of the machine mean?",
            "What does the error code ERR-4712 on the display of the machine mean?",
        ),
        (
            "Is it allowed to clean the machine with water?",
            "Is it not allowed to clean the machine with water?",
        ),
        (
            "How do I descale the coffee machine in the kitchen?",
            "How do I descale the coffee machine in the basement?",
        ),
    ] {
        assert_eq!(lectern.answer(one).await["cached"], false);
        assert_eq!(lectern.answer(other).await["cached"], false, "{other}");
    }
}

#[tokio::test]
async fn no_answer_is_given_again_once_a_document_of_its_collection_has_changed() {
    let (lectern, _worker, document) = with_handbook().await;
    let is_cached = async || lectern.answer(ALLOWANCE).await["cached"] == true;
    assert!(!is_cached().await);
    assert!(is_cached().await);

    // A new document may know better.
    let other = lectern.add_ready(&own_file("coffee.pdf")).await;
    assert!(!is_cached().await, "after a new document");
    assert!(is_cached().await);

    let path = format!("/api/v1/documents/{}", other["id"].as_str().unwrap());
    lectern
        .send("PATCH", &path, &json!({"metadata": {"team": "kitchen"}}))
        .await;
    assert!(!is_cached().await, "after a change of what filters see");
    assert!(is_cached().await);

    let reingest = format!(
        "/api/v1/documents/{}/reingest",
        document["id"].as_str().unwrap()
    );
    lectern.send("POST", &reingest, &json!({})).await;
    lectern.settled(document["id"].as_str().unwrap()).await;
    assert!(!is_cached().await, "after a new version");
    assert!(is_cached().await);

    lectern.request("DELETE", &path).send().await.unwrap();
    assert!(!is_cached().await, "after a deletion");
    // What counts no more goes.
    let began = std::time::Instant::now();
    while lectern.count("answer_cache").await > 1 {
        assert!(began.elapsed().as_secs() < 120, "stale entries stay");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn within_its_grace_an_answer_outlives_other_documents_but_not_those_that_it_cites() {
    let lectern = Lectern::start().await;
    let _worker = lectern.worker_with(&[("LECTERN_CACHE_GRACE_SECONDS", "3600")]);
    let document = lectern.add_ready(&own_file("handbook.pdf")).await;
    lectern.answer(ALLOWANCE).await;
    lectern.add_ready(&own_file("coffee.pdf")).await;
    assert_eq!(lectern.answer(ALLOWANCE).await["cached"], true);
    let reingest = format!(
        "/api/v1/documents/{}/reingest",
        document["id"].as_str().unwrap()
    );
    lectern.send("POST", &reingest, &json!({})).await;
    lectern.settled(document["id"].as_str().unwrap()).await;
    assert_eq!(lectern.answer(ALLOWANCE).await["cached"], false);
}

#[tokio::test]
async fn a_document_that_is_replaced_while_its_cached_answer_is_copied_is_not_cited() {
    let (lectern, _worker, document) = with_handbook().await;
    lectern.answer(ALLOWANCE).await;
    let id: uuid::Uuid = document["id"].as_str().unwrap().parse().unwrap();

    // As an ingest that is about to make the next version visible: it holds the document while the answer is looked
    // up and found.
    let mut replacing = store::transaction(&lectern.place.pool).await.unwrap();
    sqlx::query("update documents set version = version + 1, wanted = wanted + 1 where id = $1")
        .bind(id)
        .execute(&mut *replacing)
        .await
        .unwrap();
    let question = lectern.ask(ALLOWANCE).await;
    let waits = "pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    let began = std::time::Instant::now();
    while lectern.count(waits).await == 0 {
        assert!(
            began.elapsed().as_secs() < 120,
            "nobody waits for the document"
        );
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    replacing.commit().await.unwrap();
    let path = format!("/api/v1/questions/{question}");
    let answer = lectern
        .poll(&path, |question| question["state"] == "answered")
        .await;
    assert_eq!(answer["cached"], false, "{answer}");
    assert_eq!(answer["outdated"], false, "{answer}");
    assert_eq!(
        answer["sources"],
        json!([]),
        "no version of it has passages now"
    );
}

#[tokio::test]
async fn without_the_cache_nothing_is_kept_or_given_again() {
    let lectern = Lectern::start().await;
    let _worker = lectern.worker_with(&[("LECTERN_CACHE", "false")]);
    lectern.add_ready(&own_file("handbook.pdf")).await;
    lectern.answer(ALLOWANCE).await;
    assert_eq!(lectern.answer(ALLOWANCE).await["cached"], false);
    assert_eq!(lectern.count("answer_cache").await, 0);
}

#[tokio::test]
async fn a_question_that_the_documents_do_not_answer_is_filed_and_can_be_made_a_faq() {
    let (lectern, _worker, document) = with_handbook().await;
    let events = lectern
        .stream("Which enzyme breaks down lactose in the gut?")
        .await;
    let told = done(&events);
    assert_eq!(
        (&told["abstained"], &told["cached"]),
        (&json!(true), &json!(false))
    );
    assert!(told["confidence"].as_f64().unwrap() < 0.5, "{told}");
    assert!(text(&events).contains("don't answer"), "{events:?}");
    let shown = events.iter().find(|event| event.name == "sources").unwrap();
    assert!(
        !shown.data["sources"].as_array().unwrap().is_empty(),
        "the nearest passages are shown"
    );

    // Equal and similar questions count together, others don't; what is answered isn't there.
    lectern
        .answer("which enzyme breaks down lactose in the gut")
        .await;
    lectern
        .answer("Which enzyme is it that breaks down lactose in the gut?")
        .await;
    let spanish = lectern
        .answer("¿Qué enzima descompone la lactosa en el intestino?")
        .await;
    assert!(
        spanish["answer"]
            .as_str()
            .unwrap()
            .starts_with("Los documentos"),
        "{spanish}"
    );
    let answered = lectern.answer(ALLOWANCE).await;
    assert_eq!(answered["abstained"], false, "{answered}");
    assert!(answered["confidence"].as_f64().unwrap() > 0.5, "{answered}");
    let list = lectern.get("/api/v1/unanswered?collection=default").await;
    let list = list["unanswered"].as_array().unwrap();
    let counts: Vec<_> = list
        .iter()
        .map(|asked| asked["count"].as_i64().unwrap())
        .collect();
    assert_eq!(counts, [3, 1], "{list:?}");
    let asked = &list[0];
    assert_eq!(
        asked["question"],
        "Which enzyme breaks down lactose in the gut?"
    );
    assert_eq!(asked["nearest"][0]["document"], document["id"]);
    assert!(asked["nearest"][0]["page_first"].as_i64().unwrap() > 0);

    let first = lectern.get("/api/v1/unanswered?limit=1").await;
    let next = format!(
        "/api/v1/unanswered?limit=1&cursor={}",
        first["next"].as_str().unwrap()
    );
    assert_eq!(
        lectern.get(&next).await["unanswered"][0]["id"],
        list[1]["id"]
    );

    let path = format!("/api/v1/unanswered/{}/faq", asked["id"].as_str().unwrap());
    let (status, faq) = lectern
        .send("POST", &path, &json!({"answer": "Lactase."}))
        .await;
    assert_eq!(status, 201, "{faq}");
    let answer = lectern
        .answer("Which enzyme breaks down lactose in the gut?")
        .await;
    assert_eq!(
        (&answer["generator"], &answer["answer"]),
        (&json!("faq"), &json!("Lactase."))
    );
    let path = format!("/api/v1/unanswered/{}", list[1]["id"].as_str().unwrap());
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
        lectern.get("/api/v1/unanswered").await["unanswered"],
        json!([])
    );
}

#[tokio::test]
async fn an_answer_is_rated_with_what_produced_it_and_one_that_is_disliked_is_not_given_again() {
    let (lectern, _worker, document) = with_handbook().await;
    let question = lectern.answer(ALLOWANCE).await;
    let path = format!(
        "/api/v1/questions/{}/feedback",
        question["id"].as_str().unwrap()
    );
    let up = json!({"rating": "up", "reason": "correct", "comment": "  thanks  "});
    let (status, kept) = lectern.send("POST", &path, &up).await;
    assert_eq!((status.as_u16(), &kept["comment"]), (200, &json!("thanks")));
    assert_eq!(kept["settings"]["generator"], "extractive");
    let shown = lectern.get(path.trim_end_matches("/feedback")).await;
    assert_eq!(shown["rating"], "up");
    assert!(
        kept["settings"]["embedding_model"]
            .as_str()
            .unwrap()
            .contains("MiniLM")
    );
    let passages = kept["passages"].as_array().unwrap();
    assert_eq!(
        passages.len(),
        question["sources"].as_array().unwrap().len()
    );
    assert_eq!(
        (&passages[0]["document"], &passages[0]["version"]),
        (&document["id"], &json!(1))
    );
    assert_eq!(passages[0]["text_sha256"].as_str().unwrap().len(), 64);
    assert!(passages[0].get("text").is_none());

    let tenant = lectern_shared::ids::DEFAULT_TENANT;
    let golden = store::feedback::golden(&lectern.place.pool, tenant, None, None, 10);
    let golden = golden.await.unwrap();
    assert_eq!(golden.len(), 1);
    let line = serde_json::to_value(&golden[0]).unwrap();
    assert_eq!(line["question"], ALLOWANCE);
    assert_eq!(line["sources"][0]["document"], document["id"]);
    assert!(
        golden[0]
            .sources
            .iter()
            .any(|source| source.cited && source.current)
    );

    // A copy that is disliked takes the original off the cache, and the rating is changed, not doubled.
    let copy = lectern.answer(ALLOWANCE).await;
    assert_eq!(copy["cached"], true);
    let of_copy = format!(
        "/api/v1/questions/{}/feedback",
        copy["id"].as_str().unwrap()
    );
    let down = json!({"rating": "down", "reason": "outdated"});
    for _ in 0..2 {
        let (status, kept) = lectern.send("PUT", &of_copy, &down).await;
        assert_eq!(
            (status.as_u16(), &kept["settings"]["cached"]),
            (200, &json!(true))
        );
    }
    assert_eq!(lectern.count("answer_cache").await, 0);
    assert_eq!(lectern.answer(ALLOWANCE).await["cached"], false);
    let disliked = lectern
        .get("/api/v1/feedback?rating=down&reason=outdated")
        .await;
    assert_eq!(disliked["feedback"].as_array().unwrap().len(), 1);
    assert_eq!(
        lectern.get("/api/v1/feedback").await["feedback"]
            .as_array()
            .unwrap()
            .len(),
        2
    );

    // What was said of an answer outlives its documents, without a word of theirs.
    let document = format!("/api/v1/documents/{}", document["id"].as_str().unwrap());
    lectern.request("DELETE", &document).send().await.unwrap();
    let kept = lectern.get(&path).await;
    assert_eq!(kept["passages"], json!(passages));
}
