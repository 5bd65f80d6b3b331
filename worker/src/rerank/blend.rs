//! One score of two: the search's and the reranker's.

/// The scores of passages, from 0 to 1: the share `weight` is the reranker's, the rest the search's, each brought to 0
/// to 1 over these passages first, since neither has a scale of its own. A passage that the reranker hasn't scored has
/// the search's alone, so that such passages keep their order.
///
/// Bruch, Gai and Ingber, TOIS 2023, on why scores beat ranks here.
pub(super) fn blend(first: &[f64], reranked: &[Option<f32>], weight: f32) -> Vec<f32> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a score needs no more digits than an f32 has"
    )]
    let first = first.iter().map(|&score| Some(score as f32));
    let first = from_0_to_1(&first.collect::<Vec<_>>());
    let second = from_0_to_1(reranked);
    let scores = first.into_iter().zip(second).map(|(first, second)| {
        let first = first.unwrap_or_default();
        second.map_or(first, |second| (1.0 - weight) * first + weight * second)
    });
    scores.collect()
}

/// 1 for all if they are equal: none is worse than another.
fn from_0_to_1(scores: &[Option<f32>]) -> Vec<Option<f32>> {
    let known = || scores.iter().copied().flatten();
    let (least, greatest) = (
        known().fold(f32::INFINITY, f32::min),
        known().fold(f32::NEG_INFINITY, f32::max),
    );
    let range = greatest - least;
    let scaled = scores.iter().map(|score| {
        score.map(|score| {
            if range > 0.0 {
                (score - least) / range
            } else {
                1.0
            }
        })
    });
    scaled.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_weight_decides_between_the_search_and_the_reranker() {
        let (first, reranked) = ([3.0, 2.0, 1.0], [Some(-8.0), Some(-4.0), Some(0.0)]);
        assert_eq!(blend(&first, &reranked, 0.0), [1.0, 0.5, 0.0]);
        assert_eq!(blend(&first, &reranked, 1.0), [0.0, 0.5, 1.0]);
        assert_eq!(blend(&first, &reranked, 0.25), [0.75, 0.5, 0.25]);
    }

    #[test]
    fn passages_without_a_score_of_the_reranker_keep_the_order_of_the_search() {
        let scores = blend(&[4.0, 3.0, 2.0, 0.0], &[None; 4], 0.9);
        assert_eq!(scores, [1.0, 0.75, 0.5, 0.0]);
        let scores = blend(
            &[4.0, 3.0, 2.0, 0.0],
            &[Some(1.0), Some(2.0), None, None],
            0.5,
        );
        assert!(scores[2] > scores[3]);
    }

    #[test]
    fn equal_scores_leave_the_decision_to_the_others() {
        let scores = blend(&[1.0, 1.0], &[Some(0.1), Some(0.2)], 0.5);
        assert!(scores[1] > scores[0]);
        assert!(blend(&[], &[], 0.5).is_empty());
    }
}
