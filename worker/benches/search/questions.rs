//! Questions to ask: words that somebody might remember of a passage. They are always the same of the same corpus.

use sqlx::PgPool;

/// Words that stand behind each other, longer than articles and the like.
const WORDS: usize = 8;
const LETTERS_MIN: usize = 4;

/// Of `count` passages, none of which is another's neighbour.
pub(crate) async fn from_passages(pool: &PgPool, count: usize) -> Vec<String> {
    let texts: Vec<String> = sqlx::query_scalar(
        "select text from chunks where tokens >= 60 order by md5(id::text) limit $1",
    )
    .bind(i64::try_from(2 * count).unwrap())
    .fetch_all(pool)
    .await
    .unwrap();
    let mut questions: Vec<String> = texts.iter().filter_map(|text| remembered(text)).collect();
    questions.dedup();
    questions.truncate(count);
    questions
}

fn remembered(text: &str) -> Option<String> {
    let words: Vec<&str> = text
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| word.chars().count() >= LETTERS_MIN)
        .collect();
    let begin = words.len() / 3;
    let words = words.get(begin..begin + WORDS)?;
    Some(words.join(" "))
}
