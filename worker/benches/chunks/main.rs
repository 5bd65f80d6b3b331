//! How well passages are found, by how documents are cut: what the defaults of the chunk settings rest on.
//!
//! `make eval-chunks` reads the PDFs of `../shared/eval/retrieval/squad-pdf` as a worker does, cuts them in each of the
//! ways that its arguments combine, and looks for the passages of 1,175 questions; README.md here has the results and
//! what the columns mean. Vectors are kept in target/tmp, so that text which was embedded once costs nothing again.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement's output, and it ends at the first error"
)]

mod scores;
mod set;
mod vectors;

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use clap::{Parser, ValueEnum};
use lectern_worker::{
    config::EmbeddingSettings,
    ingest::{
        chunk::{Chunk, ChunkSettings, Chunker},
        parse::{self, Page, ParseLimits},
    },
    models::TokenCounter,
};

use self::{
    scores::{DEPTH, Ranked, Scores},
    set::TestSet,
    vectors::Vectors,
};

/// Every combination of the lists is a row of the table.
#[derive(Parser)]
struct Arguments {
    #[arg(long, env = "LECTERN_PDFIUM")]
    pdfium: PathBuf,
    #[command(flatten)]
    embedding: EmbeddingSettings,
    #[arg(long, value_delimiter = ',', default_value = "100,150,200,250")]
    tokens: Vec<usize>,
    /// Percent of the tokens
    #[arg(long, value_delimiter = ',', default_value = "0,15")]
    overlap: Vec<usize>,
    #[arg(long, value_delimiter = ',', default_value = "off,on")]
    headings: Vec<Switch>,
    #[arg(long, value_delimiter = ',', default_value = "on")]
    join_pages: Vec<Switch>,
    /// Embed everything anew
    #[arg(long)]
    fresh: bool,
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Switch {
    Off,
    On,
}

/// A file's name and its pages.
type Document = (String, Vec<Page>);

#[tokio::main]
async fn main() {
    let arguments = Arguments::parse();
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/eval/retrieval/squad-pdf");
    let set = set::read(&folder);
    let documents = parsed(&set, &arguments.pdfium).await;
    let settings = arguments.embedding.model();
    let tokens = TokenCounter::open(&settings.dir).unwrap();
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let mut vectors = Vectors::open(&settings, kept, arguments.fresh);
    let pages: usize = documents.iter().map(|(_, pages)| pages.len()).sum();
    println!(
        "{} files, {pages} pages, {} questions, {}\n",
        documents.len(),
        set.questions.len(),
        vectors.identity()
    );
    let questions = set.questions.iter();
    let questions: Vec<&str> = questions.map(|question| question.text.as_str()).collect();
    let questions = vectors.of(&questions);

    let columns = "tokens | overlap | headings | pages joined | search | chunks | tokens embedded";
    println!("| {columns} | {} |", Scores::COLUMNS);
    let count = columns.matches('|').count() + Scores::COLUMNS.matches('|').count() + 2;
    println!("|{}", "---|".repeat(count));
    let mut cutting = Duration::ZERO;
    for settings in combinations(&arguments) {
        let began = Instant::now();
        let chunks = cut(&documents, &tokens, settings);
        cutting += began.elapsed();
        let texts: Vec<_> = chunks.iter().map(|(_, chunk)| chunk.embedded()).collect();
        let mut cost = 0;
        for text in &texts {
            cost += tokens.count(text).unwrap();
        }
        let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
        let embedded = vectors.of(&texts);
        let row = |search: &str, scores: &Scores| {
            println!(
                "| {} | {} | {} | {} | {search} | {} | {cost} | {} |",
                settings.tokens,
                settings.overlap_tokens,
                if settings.embed_headings { "on" } else { "off" },
                if settings.join_pages { "on" } else { "off" },
                chunks.len(),
                scores.row(),
            );
        };
        row("vectors", &by_vectors(&set, &questions, &chunks, &embedded));
    }
    println!(
        "\ncut in {:.2} s; {} texts embedded in {:.1} s, {:.1} CPU seconds",
        cutting.as_secs_f64(),
        vectors.texts,
        vectors.seconds,
        vectors.cpu_seconds
    );
}

async fn parsed(set: &TestSet, pdfium: &Path) -> Vec<Document> {
    let mut documents = Vec::new();
    for path in &set.files {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let parsed = parse::parse(
            std::fs::File::open(path).unwrap(),
            lectern_shared::media::MediaType::Pdf,
            Path::new(env!("CARGO_BIN_EXE_lectern-worker")),
            pdfium,
            &ParseLimits::default(),
            None,
            &mut |_| {},
        )
        .await
        .unwrap();
        documents.push((name, parsed.pages));
    }
    documents
}

fn combinations(arguments: &Arguments) -> Vec<ChunkSettings> {
    let mut found = Vec::new();
    for &tokens in &arguments.tokens {
        for &overlap in &arguments.overlap {
            for &headings in &arguments.headings {
                for &join_pages in &arguments.join_pages {
                    found.push(ChunkSettings {
                        tokens,
                        overlap_tokens: tokens * overlap / 100,
                        embed_headings: headings == Switch::On,
                        join_pages: join_pages == Switch::On,
                    });
                }
            }
        }
    }
    found
}

/// Chunks with their files.
fn cut<'a>(
    documents: &'a [Document],
    tokens: &TokenCounter,
    settings: ChunkSettings,
) -> Vec<(&'a str, Chunk)> {
    let chunker = Chunker::new(tokens.clone(), settings);
    let mut all = Vec::new();
    for (name, pages) in documents {
        let chunks = chunker.chunks(pages).unwrap();
        all.extend(chunks.into_iter().map(|chunk| (name.as_str(), chunk)));
    }
    all
}

/// The nearest vectors, by comparing all.
fn by_vectors(
    set: &TestSet,
    questions: &[Vec<f32>],
    chunks: &[(&str, Chunk)],
    embedded: &[Vec<f32>],
) -> Scores {
    let mut scores = Scores::default();
    for (question, vector) in set.questions.iter().zip(questions) {
        let similarity =
            |passage: &Vec<f32>| -> f32 { passage.iter().zip(vector).map(|(a, b)| a * b).sum() };
        let mut order: Vec<_> = embedded.iter().map(similarity).zip(chunks).collect();
        order.sort_by(|a, b| b.0.total_cmp(&a.0));
        let ranked: Vec<_> = order
            .iter()
            .take(DEPTH)
            .map(|(_, (file, chunk))| Ranked {
                file,
                page_first: chunk.page_first(),
                page_last: chunk.page_last(),
                text: &chunk.text,
                tokens: chunk.tokens,
            })
            .collect();
        scores.add(question, &ranked);
    }
    scores
}
