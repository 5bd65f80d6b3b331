//! Every metric that Lectern has, with its help text. Labels come from closed sets, never ids.

use std::time::Duration;

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

macro_rules! metrics {
    ($($kind:ident $unit:ident $name:ident = $text:literal: $help:literal;)*) => {
        $(#[doc = $help] pub const $name: &str = $text;)*

        /// The names of all metrics, as dashboards and alerts may use them.
        pub const ALL: &[&str] = &[$($name),*];

        fn describe() {
            $(describe!($kind, $name, $unit, $help);)*
        }
    };
}

macro_rules! describe {
    (counter, $name:expr, $unit:ident, $help:expr) => {
        describe_counter!($name, Unit::$unit, $help)
    };
    (gauge, $name:expr, $unit:ident, $help:expr) => {
        describe_gauge!($name, Unit::$unit, $help)
    };
    (histogram, $name:expr, $unit:ident, $help:expr) => {
        describe_histogram!($name, Unit::$unit, $help)
    };
}

metrics! {
    counter Count HTTP_REQUESTS = "lectern_http_requests_total": "Requests by method, route and status";
    histogram Seconds HTTP_DURATION = "lectern_http_request_duration_seconds": "From a request to the head of its response, by route";
    counter Count RATE_LIMITED = "lectern_rate_limited_total": "Requests refused for coming too often, by limit";
    counter Count LIMITS_UNAVAILABLE = "lectern_limits_unavailable_total": "Requests that a limit could not count since Redis was away, by limit and outcome: open (let through) or closed (refused)";
    counter Count QUOTA_EXCEEDED = "lectern_quota_exceeded_total": "Refusals, and answers without the generator, since a quota was used up, by quota and period";
    counter Count REQUESTS_SHED = "lectern_requests_shed_total": "Requests refused since the API had as many as it can hold, by what: connections, requests, waiting (for a worker), uploads or streams";
    gauge Count CONNECTIONS_OPEN = "lectern_connections_open": "Open connections to the API";
    counter Count IDEMPOTENT_REQUESTS = "lectern_idempotent_requests_total": "Requests with an Idempotency-Key, by outcome: first, replayed, busy or other";
    counter Count NOT_MODIFIED = "lectern_not_modified_total": "Responses that clients had already (304), by route";
    gauge Count STREAMS_OPEN = "lectern_streams_open": "Open event streams, by subject";
    counter Bytes UPLOAD_BYTES = "lectern_upload_bytes_total": "Bytes of accepted uploads";
    counter Count WAKE_UPS_FAILED = "lectern_wake_ups_failed_total": "Wake-ups that Redis did not take; the sweep sends them again, by queue";

    gauge Count QUEUE_JOBS = "lectern_queue_jobs": "Jobs by queue and state";
    gauge Seconds QUEUE_OLDEST = "lectern_queue_oldest_seconds": "Age of the oldest job, by queue and state";
    histogram Seconds JOB_WAIT = "lectern_job_wait_seconds": "From a job being due to a worker taking it, by kind";
    histogram Seconds JOB_DURATION = "lectern_job_duration_seconds": "From taking a job to its end, by kind and outcome";
    counter Count JOBS = "lectern_jobs_total": "Jobs ended, by kind and outcome";
    gauge Count JOBS_RUNNING = "lectern_jobs_running": "Jobs that this worker holds, by kind";
    counter Count LEASES_RECOVERED = "lectern_leases_recovered_total": "Jobs taken back from workers that died";
    counter Count WAKE_UPS_SENT_AGAIN = "lectern_wake_ups_sent_again_total": "Wake-ups that the sweep sent, by queue";
    counter Count TRANSPORT_RESTARTS = "lectern_transport_restarts_total": "Restarts of a queue's apalis worker, by queue";

    gauge Count WORKER_READY = "lectern_worker_ready": "1 from when this worker takes jobs until it is told to stop, else 0";
    histogram Seconds STAGE_DURATION = "lectern_stage_duration_seconds": "Stages of a job, by kind and stage";
    counter Count PAGES = "lectern_pages_total": "Pages read from documents";
    gauge Count PARSER_LOCKS = "lectern_parser_locks": "What keeps the parsers of this worker in besides limits, by lock: the version of Landlock, 1 for seccomp; 0 where the kernel lacks it";
    counter Count CHUNKS = "lectern_chunks_total": "Chunks stored";
    histogram Seconds RERANK_DURATION = "lectern_rerank_duration_seconds": "How long putting a search's passages into their final order takes, by reranker";
    counter Count RERANK_BUDGET_EXHAUSTED = "lectern_rerank_budget_exhausted_total": "Questions of whose candidates some were not reached in the time that reranking has, by reranker";
    counter Count ANSWER_TOKENS = "lectern_answer_tokens_total": "Tokens of answers, by generator and direction";
    counter Count CITATIONS = "lectern_answer_citations_total": "Citations in answers by generator and outcome: kept, or removed since no such passage was given";
    counter Count ANSWERS_UNCITED = "lectern_answers_uncited_total": "Answers from passages that cite none of them, by generator";
    counter Count GENERATOR_RETRIES = "lectern_generator_retries_total": "Requests to the generator's server that were made again";
    counter Count REWRITES = "lectern_question_rewrites_total": "Follow-up questions by how they were made to stand alone: rewritten, or joined with the question before";
    histogram Seconds FIRST_TOKEN = "lectern_answer_first_token_seconds": "From a question being asked to the first token of its answer, by generator";

    counter Count ANSWERS = "lectern_answers_total": "Answers, by origin: generated, cache, faq, or abstained when the documents don't answer";
    counter Count CACHE_LOOKUPS = "lectern_cache_lookups_total": "Questions looked up in the semantic cache, by outcome: hit, miss, guarded (similar, but of another number, name or negation) or stale (changed while it was copied)";
    histogram Seconds CACHE_SAVED = "lectern_cache_saved_seconds": "What a cached answer took longer when it was made";
    counter Count CACHE_SAVED_TOKENS = "lectern_cache_saved_tokens_total": "Tokens that cached answers took when they were made, by direction";
    counter Count FAQ_MATCHES = "lectern_faq_matches_total": "Questions answered with a FAQ, by match: equal or similar";
    counter Count FEEDBACK = "lectern_feedback_total": "Ratings of answers, by rating";

    counter Count EMBEDDING_REUSED = "lectern_embedding_reused_total": "Passages whose text had a vector already";
    counter Count EMBEDDING_TOKENS = "lectern_embedding_tokens_total": "Tokens that went through the embedding model";
    histogram Seconds EMBEDDING_DURATION = "lectern_embedding_duration_seconds": "How long the embedding model takes for a text";
    gauge Count EMBEDDING_INBOX = "lectern_embedding_inbox_sequences": "Sequences that wait for the embedding model";

    counter Count WEBHOOK_ANSWERS = "lectern_webhook_answers_total": "Attempts to tell a webhook, by answer: 2xx, 3xx, 4xx, 5xx or none";

    gauge Count DATABASE_CONNECTIONS = "lectern_database_connections": "Connections to PostgreSQL, by state";
}

/// Latencies from a fraction of a millisecond to minutes, in steps of about 2.5.
const SECONDS: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0,
    60.0, 150.0, 600.0,
];

fn builder() -> Result<PrometheusBuilder, BuildError> {
    PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)
}

/// Installs the recorder of a process that serves its own `/metrics`, and keeps it up with [`keep_up`].
///
/// # Errors
/// When a recorder is installed already.
pub fn install() -> Result<PrometheusHandle, BuildError> {
    let handle = builder()?.install_recorder()?;
    describe();
    metrics_process::Collector::default().describe();
    Ok(handle)
}

/// Installs the recorder of a process without an HTTP server, and serves `/metrics` on `listen`.
///
/// # Errors
/// When the address is taken, or a recorder is installed already.
pub fn install_with_listener(listen: std::net::SocketAddr) -> Result<(), BuildError> {
    builder()?.with_http_listener(listen).install()?;
    describe();
    metrics_process::Collector::default().describe();
    Ok(())
}

/// As often as the exporter itself does it, where it serves `/metrics`.
pub const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// Puts the samples of histograms into their buckets until `end`. Each takes memory until then, and nothing else does it
/// but a scrape, which may never come.
pub async fn keep_up(
    prometheus: &PrometheusHandle,
    every: Duration,
    end: impl Future<Output = ()>,
) {
    let mut end = std::pin::pin!(end);
    loop {
        tokio::select! {
            () = &mut end => return,
            () = tokio::time::sleep(every) => prometheus.run_upkeep(),
        }
    }
}

/// Takes the readings that nothing else triggers: the process's memory, file descriptors and CPU.
pub fn collect_process() {
    metrics_process::Collector::default().collect();
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Kibibytes of memory that the process has.
    fn memory() -> usize {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().next());
        number.unwrap().parse().unwrap()
    }

    #[tokio::test]
    async fn samples_take_no_memory_although_nobody_asks_for_them() {
        let recorder = builder().unwrap().build_recorder();
        let handle = recorder.handle();
        let every = Duration::from_millis(1);
        let kept = tokio::spawn(async move {
            keep_up(&handle, every, std::future::pending()).await;
        });
        let histogram =
            metrics::with_local_recorder(&recorder, || metrics::histogram!(HTTP_DURATION));
        let before = memory();
        // 80 MB of samples.
        for _ in 0..1000 {
            for _ in 0..10_000 {
                histogram.record(0.1);
            }
            tokio::time::sleep(every).await;
        }
        let grown = memory().saturating_sub(before);
        assert!(grown < 40_000, "{grown} KiB");
        kept.abort();
    }
}
