//! How good the text of PDFs is: token F1 of the product's own `parse` against known texts.
//!
//! `make eval-pdf` reads `../shared/eval/pdf`; name another folder with `make eval-pdf FOLDER=…`. For `NAME.pdf` the
//! known texts are `groundtruth/NAME.txt` (or `.md`), of the whole document, and `ref/NAME.txt`, poppler's text with a
//! form feed after each page. With `TEXTS=…` the texts are written there, one file per page, to be read side by side.
//!
//! Tokens are words (letters and digits) after NFKC and in lower case, words cut at line ends joined, Chinese, Japanese
//! and Korean by character. F1 is of the bags of tokens; "pairs" is the same of neighbouring tokens, which sees the
//! reading order, too. Poppler's text is a truth to nobody: where there is a ground truth, it is the rival, elsewhere
//! its pages that differ from ours are listed for somebody to look at.
//!
//! A ground truth doesn't say where its pages end. A page's is the stretch of it that has most in common with poppler's
//! page, and as many tokens; that of a document of one page is all of it.
//! A disaster is a page with an F1 under 0.8 against the ground truth where poppler has over 0.95.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a report's output, and it ends at the first error"
)]

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use clap::Parser;
use lectern_shared::media::MediaType;
use lectern_worker::ingest::parse::{ParseLimits, parse};
use unicode_normalization::UnicodeNormalization;

const DISASTER: f64 = 0.8;
const WELL: f64 = 0.95;

#[derive(Parser)]
struct Arguments {
    folder: Option<PathBuf>,
    /// Write the texts into this folder
    #[arg(long)]
    texts: Option<PathBuf>,
    #[arg(long, env = "LECTERN_PDFIUM", hide_env_values = true)]
    pdfium: PathBuf,
    /// What `cargo bench` adds
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Default)]
struct Sums {
    ours: Vec<f64>,
    popplers: Vec<f64>,
    our_pages: Vec<f64>,
    popplers_pages: Vec<f64>,
    our_pairs: Vec<f64>,
    popplers_pairs: Vec<f64>,
    agreements: Vec<f64>,
    disasters: Vec<String>,
    differing: Vec<String>,
}

#[tokio::main]
async fn main() {
    let arguments = Arguments::parse();
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/eval/pdf");
    let folder = arguments.folder.clone().unwrap_or(beside);
    let mut files: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "pdf"))
        .collect();
    files.sort();
    println!(
        "{:30} {:>5}  {:^23}  {:^23}  {:^23}  {:^20}",
        "",
        "",
        "document to its truth",
        "mean of its pages",
        "pairs of the document",
        "pages to poppler's"
    );
    let columns = format!("{:>7} {:>7} {:7}", "ours", "poppler", "");
    println!(
        "{:30} {:>5}  {columns}  {columns}  {columns}  {:>6} {:>6} {:>6}",
        "file", "pages", "mean", "worst", "page"
    );
    let mut sums = Sums::default();
    for path in &files {
        report(path, &arguments, &mut sums).await;
    }
    println!(
        "{:30} {:>5}  {}  {}  {}  {:6.4}",
        "mean",
        sums.agreements.len(),
        versus(mean(&sums.ours), mean(&sums.popplers)),
        versus(mean(&sums.our_pages), mean(&sums.popplers_pages)),
        versus(mean(&sums.our_pairs), mean(&sums.popplers_pairs)),
        mean(&sums.agreements)
    );
    let list =
        |what: &str, pages: &[String]| println!("{what}: {} {}", pages.len(), pages.join(", "));
    list("disasters", &sums.disasters);
    list("to be looked at", &sums.differing);
}

async fn report(path: &Path, arguments: &Arguments, sums: &mut Sums) {
    let name = path.file_stem().unwrap().to_string_lossy().into_owned();
    let known = |folder: &str, extension: &str| {
        let file = path
            .with_file_name(folder)
            .join(format!("{name}.{extension}"));
        fs::read_to_string(file).ok()
    };
    let truth = known("groundtruth", "txt").or_else(|| known("groundtruth", "md"));
    let truth = truth.as_deref().map(tokens);
    let reference = known("ref", "txt");
    let limits = ParseLimits::default();
    let program = Path::new(env!("CARGO_BIN_EXE_lectern-worker"));
    let file = File::open(path).unwrap();
    let document = parse(
        file,
        MediaType::Pdf,
        program,
        &arguments.pdfium,
        &limits,
        None,
        &mut |_| {},
    )
    .await;
    let document = match document {
        Ok(document) => document,
        Err(failure) => return println!("{name:30} {failure}"),
    };
    if let Some(folder) = &arguments.texts {
        fs::create_dir_all(folder).unwrap();
        for page in &document.pages {
            fs::write(
                folder.join(format!("{name}.{}.txt", page.number)),
                &page.text,
            )
            .unwrap();
        }
    }

    let pages: Vec<_> = document
        .pages
        .iter()
        .map(|page| tokens(&page.text))
        .collect();
    let popplers: Vec<_> = reference
        .as_deref()
        .map_or_else(Vec::new, |text| text.split('\u{c}').map(tokens).collect());
    print!("{name:30} {:5}  ", pages.len());
    let mut agreements = Vec::new();
    let (mut our_pages, mut popplers_pages) = (Vec::new(), Vec::new());
    for (page, (ours, theirs)) in document.pages.iter().zip(pages.iter().zip(&popplers)) {
        let agreement = f1(ours, theirs);
        agreements.push((agreement, page.number));
        let label = |figure: f64| format!("{name} {} ({figure:.2})", page.number);
        let Some(truth) = &truth else {
            if agreement < DISASTER {
                sums.differing.push(label(agreement));
            }
            continue;
        };
        let of_page = if pages.len() == 1 {
            truth
        } else {
            stretch(truth, theirs)
        };
        let (our_f1, their_f1) = (f1(ours, of_page), f1(theirs, of_page));
        if our_f1 < DISASTER && their_f1 > WELL {
            sums.disasters.push(label(our_f1));
        }
        our_pages.push(our_f1);
        popplers_pages.push(their_f1);
    }
    match &truth {
        Some(truth) => {
            let (ours, theirs) = (pages.concat(), popplers.concat());
            sums.ours.push(f1(&ours, truth));
            sums.popplers.push(f1(&theirs, truth));
            sums.our_pairs.push(f1(&pairs(&ours), &pairs(truth)));
            sums.popplers_pairs.push(f1(&pairs(&theirs), &pairs(truth)));
            let last = |figures: &[f64]| figures.last().copied().unwrap_or_default();
            print!(
                "{}  {}  {}  ",
                versus(last(&sums.ours), last(&sums.popplers)),
                versus(mean(&our_pages), mean(&popplers_pages)),
                versus(last(&sums.our_pairs), last(&sums.popplers_pairs))
            );
        }
        None => print!("{:23}  {:23}  {:23}  ", "", "", ""),
    }
    sums.our_pages.extend(our_pages);
    sums.popplers_pages.extend(popplers_pages);
    match agreements
        .iter()
        .min_by(|one, other| one.0.total_cmp(&other.0))
    {
        Some((worst, page)) => {
            let figures: Vec<f64> = agreements.iter().map(|&(figure, _)| figure).collect();
            println!("{:6.4} {worst:6.4} {page:6}", mean(&figures));
            sums.agreements.extend(figures);
        }
        None => println!(),
    }
}

fn mean(figures: &[f64]) -> f64 {
    figures.iter().sum::<f64>() / figures.len().max(1) as f64
}

fn versus(ours: f64, popplers: f64) -> String {
    let verdict = if ours + 0.00005 < popplers {
        "worse"
    } else {
        ""
    };
    format!("{ours:7.4} {popplers:7.4} {verdict:7}")
}

/// The part of `truth` of as many tokens as `page` that shares most of them.
fn stretch<'a>(truth: &'a [String], page: &[String]) -> &'a [String] {
    let length = page.len().min(truth.len());
    let mut missing: HashMap<&str, i64> = HashMap::new();
    for token in page {
        *missing.entry(token).or_default() += 1;
    }
    let (mut shared, mut best) = (0_i64, (-1, 0));
    for (at, token) in truth.iter().enumerate() {
        if let Some(count) = missing.get_mut(token.as_str()) {
            shared += i64::from(*count > 0);
            *count -= 1;
        }
        if let Some(left) = at.checked_sub(length)
            && let Some(count) = missing.get_mut(truth[left].as_str())
        {
            *count += 1;
            shared -= i64::from(*count > 0);
        }
        if at + 1 >= length && shared > best.0 {
            best = (shared, at + 1 - length);
        }
    }
    &truth[best.1..best.1 + length]
}

/// 1 for two empty texts.
fn f1<T: std::hash::Hash + Eq>(ours: &[T], truth: &[T]) -> f64 {
    if ours.is_empty() && truth.is_empty() {
        return 1.0;
    }
    2.0 * common(ours, truth) as f64 / (ours.len() + truth.len()) as f64
}

fn common<'a, T: std::hash::Hash + Eq>(left: &'a [T], right: &'a [T]) -> usize {
    let mut left = bag(left);
    let is_left = |token: &&'a T| match left.get_mut(token) {
        Some(count) if *count > 0 => {
            *count -= 1;
            true
        }
        _ => false,
    };
    right.iter().filter(is_left).count()
}

fn bag<T: std::hash::Hash + Eq>(tokens: &[T]) -> HashMap<&T, usize> {
    let mut bag = HashMap::new();
    for token in tokens {
        *bag.entry(token).or_default() += 1;
    }
    bag
}

fn pairs(tokens: &[String]) -> Vec<(&String, &String)> {
    tokens.windows(2).map(|pair| (&pair[0], &pair[1])).collect()
}

fn tokens(text: &str) -> Vec<String> {
    let text: Vec<char> = text.nfkc().flat_map(char::to_lowercase).collect();
    let mut tokens = Vec::new();
    let mut word = String::new();
    let mut at = 0;
    while let Some(&c) = text.get(at) {
        at += 1;
        if is_ideographic(c) {
            tokens.extend((!word.is_empty()).then(|| std::mem::take(&mut word)));
            tokens.push(c.to_string());
        } else if c.is_alphanumeric() || c == '_' {
            word.push(c);
        } else if let Some(next) =
            after_line_end_hyphen(&text[at - 1..]).filter(|_| !word.is_empty())
        {
            at += next - 1;
        } else {
            tokens.extend((!word.is_empty()).then(|| std::mem::take(&mut word)));
        }
    }
    tokens.extend((!word.is_empty()).then_some(word));
    tokens
}

/// Where the word goes on, if `text` starts with a hyphen that ends a line.
fn after_line_end_hyphen(text: &[char]) -> Option<usize> {
    if !matches!(text[0], '-' | '\u{ad}' | '\u{2010}') {
        return None;
    }
    let blanks = text[1..].iter().take_while(|c| c.is_whitespace()).count();
    let goes_on = text.get(blanks + 1).is_some_and(|c| c.is_alphanumeric());
    (goes_on && text[1..=blanks].contains(&'\n')).then_some(blanks + 1)
}

fn is_ideographic(c: char) -> bool {
    matches!(c, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}'
        | '\u{ac00}'..='\u{d7af}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}
