//! Maximal marginal relevance: passages that say what better ones have said already go behind those that don't.
//!
//! Carbonell and Goldstein, SIGIR 1998.

/// A passage to be placed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item<'a> {
    /// From 0 to 1.
    pub(super) score: f32,
    /// Of length 1; empty if it isn't known, then the passage is like no other.
    pub(super) vector: &'a [f32],
}

/// The order of the items, as their indices: each is the one with the greatest `lambda * score - (1 - lambda) * (its
/// greatest similarity to those before it)`. With a lambda of 1 it is that of the scores; of equals, the earlier goes
/// first.
pub(super) fn order(items: &[Item<'_>], lambda: f32) -> Vec<usize> {
    let mut left: Vec<usize> = (0..items.len()).collect();
    // Of each item, to the nearest of those that are placed.
    let mut nearest = vec![0.0_f32; items.len()];
    let mut order = Vec::with_capacity(items.len());
    while !left.is_empty() {
        let value = |&item: &usize| lambda * items[item].score - (1.0 - lambda) * nearest[item];
        let mut best = 0;
        for place in 1..left.len() {
            if value(&left[place]) > value(&left[best]) {
                best = place;
            }
        }
        let placed = left.remove(best);
        for &item in &left {
            nearest[item] = nearest[item].max(dot(items[item].vector, items[placed].vector));
        }
        order.push(placed);
    }
    order
}

fn dot(left: &[f32], right: &[f32]) -> f32 {
    left.iter().zip(right).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items<'a>(items: &[(f32, &'a [f32])]) -> Vec<Item<'a>> {
        items
            .iter()
            .map(|&(score, vector)| Item { score, vector })
            .collect()
    }

    #[test]
    fn what_a_better_passage_has_said_already_goes_behind_something_else() {
        let items = items(&[(1.0, &[1.0, 0.0]), (0.9, &[1.0, 0.0]), (0.6, &[0.0, 1.0])]);
        assert_eq!(order(&items, 0.5), [0, 2, 1]);
        assert_eq!(order(&items, 0.9), [0, 1, 2]);
    }

    #[test]
    fn with_a_lambda_of_1_only_scores_count_and_equals_keep_their_order() {
        let items = items(&[(0.2, &[1.0]), (0.7, &[1.0]), (0.2, &[1.0]), (0.7, &[1.0])]);
        assert_eq!(order(&items, 1.0), [1, 3, 0, 2]);
    }

    #[test]
    fn a_passage_whose_vector_is_not_known_is_like_no_other() {
        let items = items(&[(1.0, &[1.0]), (0.9, &[]), (0.95, &[1.0])]);
        assert_eq!(order(&items, 0.7), [0, 1, 2]);
    }

    #[test]
    fn nothing_has_an_order_too() {
        assert!(order(&[], 0.5).is_empty());
    }
}
