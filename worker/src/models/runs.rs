//! Cuts the texts of one call into runs that the model takes at once.

use lectern_shared::metrics::EMBEDDING_TOKENS;
use metrics::counter;

use super::EmbedError;
use super::tokens::{TokenBatch, TokenCounter};

/// Sequences per run. Measured on two cores: 1 to 8 of like length take as long per text, 32 take
/// longer, because what passes between the layers no longer fits the caches. It also bounds the
/// memory of a run.
const RUN_SEQUENCES_MAX: usize = 8;

/// Embeds texts run by run, those of like length together: every row of a run is computed to the
/// length of its longest. The vectors come back in the order of the texts.
pub(super) fn embed_in_runs(
    tokens: &TokenCounter,
    texts: &[&str],
    mut run: impl FnMut(TokenBatch) -> Result<Vec<Vec<f32>>, EmbedError>,
) -> Result<Vec<Vec<f32>>, EmbedError> {
    let encoded = texts
        .iter()
        .map(|text| tokens.encode(text))
        .collect::<Result<Vec<_>, _>>()?;
    let mut by_length: Vec<usize> = (0..texts.len()).collect();
    by_length.sort_by_key(|&index| encoded[index].len());

    let mut vectors = vec![Vec::new(); texts.len()];
    for indexes in by_length.chunks(RUN_SEQUENCES_MAX) {
        let rows: Vec<&[u32]> = indexes
            .iter()
            .map(|&index| encoded[index].as_slice())
            .collect();
        let tokens_read: usize = rows.iter().map(|row| row.len()).sum();
        for (&index, vector) in indexes.iter().zip(run(TokenBatch::padded(&rows))?) {
            vectors[index] = vector;
        }
        counter!(EMBEDDING_TOKENS).increment(tokens_read as u64);
    }
    Ok(vectors)
}
