//! Boxes: as the file has them, as the layout needs them (its text upright), and as shares of the page as shown.

use super::Bounds as Shares;

/// A box in points, the y axis up.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Bounds {
    pub(super) left: f32,
    pub(super) bottom: f32,
    pub(super) right: f32,
    pub(super) top: f32,
}

impl Bounds {
    pub(super) fn union(self, other: Self) -> Self {
        Self {
            left: self.left.min(other.left),
            bottom: self.bottom.min(other.bottom),
            right: self.right.max(other.right),
            top: self.top.max(other.top),
        }
    }

    pub(super) fn width(self) -> f32 {
        self.right - self.left
    }

    pub(super) fn height(self) -> f32 {
        self.top - self.bottom
    }

    /// Whether the two stand side by side, as a word and its superscript or the cells of a table do.
    pub(super) fn shares_row_with(self, other: Self) -> bool {
        let overlap = self.top.min(other.top) - self.bottom.max(other.bottom);
        overlap > 0.5 * self.height().min(other.height())
    }

    /// How far apart the two are from left to right, below 0 where they overlap.
    pub(super) fn gap_to(self, other: Self) -> f32 {
        (other.left - self.right).max(self.left - other.right)
    }

    /// The part of it that lies within `other`, in square points.
    pub(super) fn area_within(self, other: Self) -> f32 {
        let width = self.right.min(other.right) - self.left.max(other.left);
        let height = self.top.min(other.top) - self.bottom.max(other.bottom);
        width.max(0.0) * height.max(0.0)
    }

    /// Turned clockwise about the origin.
    pub(super) fn turned(self, quarters: u8) -> Self {
        (0..quarters % 4).fold(self, |bounds, _| Self {
            left: bounds.bottom,
            bottom: -bounds.right,
            right: bounds.top,
            top: -bounds.left,
        })
    }
}

/// How a page is shown and how its text runs.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Frame {
    /// What is shown of the page, in the file's coordinates.
    pub(super) page: Bounds,
    /// Clockwise quarter turns by which the page is shown turned (`/Rotate`).
    pub(super) shown: u8,
    /// Clockwise quarter turns that make its text run from left to right. Mostly the same, but a landscape table on a
    /// page that isn't shown turned runs upwards.
    pub(super) upright: u8,
}

impl Frame {
    /// The page as the lines' boxes are: its text upright.
    pub(super) fn upright_page(self) -> Bounds {
        self.page.turned(self.upright)
    }

    /// Of an upright box: shares of the page as shown, from its top left.
    pub(super) fn shares(self, bounds: Bounds) -> Shares {
        let page = self.page.turned(self.shown);
        let bounds = bounds.turned((4 + self.shown - self.upright) % 4);
        let share = |part: f32, whole: f32| {
            // A NaN, of a page without an extent, would be on no page.
            let share = (f64::from(part) / f64::from(whole) * 10_000.0).round() / 10_000.0;
            if share.is_nan() {
                0.0
            } else {
                share.clamp(0.0, 1.0) as f32
            }
        };
        // Files hold boxes and pages that are inside out, too.
        let across = ordered(
            share(bounds.left - page.left, page.width()),
            share(bounds.right - page.left, page.width()),
        );
        let down = ordered(
            share(page.top - bounds.top, page.height()),
            share(page.top - bounds.bottom, page.height()),
        );
        Shares([across.0, down.0, across.1, down.1])
    }
}

fn ordered(one: f32, other: f32) -> (f32, f32) {
    (one.min(other), one.max(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn bounds(left: f32, bottom: f32, right: f32, top: f32) -> Bounds {
        Bounds {
            left,
            bottom,
            right,
            top,
        }
    }

    #[test]
    fn the_lines_of_a_turned_page_are_one_above_the_other() {
        // Two lines of a page turned by 90 degrees: the first is left of the second in the file.
        let first = bounds(50.0, 100.0, 60.0, 500.0).turned(1);
        let second = bounds(70.0, 100.0, 80.0, 500.0).turned(1);
        assert!(first.bottom > second.top);
        assert_eq!((first.left, first.right), (100.0, 500.0));
        assert_eq!(first.turned(3), bounds(50.0, 100.0, 60.0, 500.0));
    }

    #[test]
    fn shares_are_of_the_page_as_shown() {
        // The left tenth and the lower half of what is shown of the page, which begins at 100, 200.
        let page = bounds(100.0, 200.0, 300.0, 600.0);
        let part = bounds(100.0, 200.0, 120.0, 400.0);
        let shares = |shown| {
            let frame = Frame {
                page,
                shown,
                upright: 0,
            };
            frame.shares(part).0
        };
        assert_eq!(shares(0), [0.0, 0.5, 0.1, 1.0]);
        assert_eq!(shares(1), [0.0, 0.0, 0.5, 0.1], "what was below is left");
        assert_eq!(shares(2), [0.9, 0.0, 1.0, 0.5]);
        assert_eq!(shares(3), [0.5, 0.9, 1.0, 1.0]);
    }

    #[test]
    fn what_lies_beside_the_page_is_put_on_its_edge() {
        let frame = Frame {
            page: bounds(0.0, 0.0, 100.0, 100.0),
            ..Frame::default()
        };
        assert_eq!(
            frame.shares(bounds(-5.0, 90.0, 105.0, 120.0)).0,
            [0.0, 0.0, 1.0, 0.1]
        );
        assert_eq!(
            Frame::default().shares(bounds(0.0, 0.0, 1.0, 1.0)).0,
            [0.0, 0.0, 1.0, 0.0]
        );
    }
}
