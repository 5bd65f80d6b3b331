//! What a terminal shows meanwhile: a bar for each file that is under way, and one for all of them.

use std::{cell::RefCell, collections::HashMap, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};

use super::files::File;
use crate::{error::Error, output::Out};

const ALL: &str = "{bar:30} {pos}/{len} files, {elapsed}";
const BYTES: &str = "  {bar:30} {msg}: {bytes}/{total_bytes}, {bytes_per_sec}";
const STEPS: &str = "  {bar:30} {msg} {pos}/{len}";
const WORDS: &str = "  {spinner} {msg}";

pub(super) struct Bars {
    out: Out,
    all: ProgressBar,
    under_way: RefCell<HashMap<usize, ProgressBar>>,
}

impl Bars {
    pub(super) fn new(out: &Out, files: &[File]) -> Self {
        let all = out.bars.add(ProgressBar::new(files.len() as u64));
        all.set_style(style(ALL));
        all.enable_steady_tick(Duration::from_secs(1));
        Self {
            out: out.clone(),
            all,
            under_way: RefCell::default(),
        }
    }

    fn of(&self, file: &File, look: &str) -> ProgressBar {
        let mut under_way = self.under_way.borrow_mut();
        let bar = under_way.entry(file.number).or_insert_with(|| {
            self.out
                .bars
                .insert_before(&self.all, ProgressBar::new(file.bytes))
        });
        bar.set_style(style(look));
        bar.clone()
    }

    pub(super) fn hashing(&self, file: &File) {
        let bar = self.of(file, WORDS);
        bar.set_message(format!("{}: looking whether it is there", file.name));
    }

    /// The bar that counts the bytes that are sent.
    pub(super) fn uploading(&self, file: &File) -> ProgressBar {
        let bar = self.of(file, BYTES);
        bar.set_length(file.bytes);
        bar.set_position(0);
        bar.set_message(format!("{}: uploading", file.name));
        bar
    }

    pub(super) fn waiting(&self, file: &File, error: &Error, wait: Duration) {
        let (what, _) = error.message().unwrap_or_default();
        let bar = self.of(file, WORDS);
        let seconds = wait.as_secs_f32();
        bar.set_message(format!("{}: {what}; again in {seconds:.0} s", file.name));
    }

    pub(super) fn stage(&self, file: &File, stage: &str) {
        let bar = self.of(file, WORDS);
        bar.set_message(format!("{}: {stage}", file.name));
    }

    pub(super) fn progress(&self, file: &File, stage: &str, done: u64, total: u64) {
        let bar = self.of(file, STEPS);
        bar.set_length(total);
        bar.set_position(done);
        bar.set_message(format!("{}: {stage}", file.name));
    }

    pub(super) fn ended(&self, file: &File) {
        if let Some(bar) = self.under_way.borrow_mut().remove(&file.number) {
            bar.finish_and_clear();
        }
        self.all.inc(1);
    }

    pub(super) fn clear(&self) {
        for (_, bar) in self.under_way.borrow_mut().drain() {
            bar.finish_and_clear();
        }
        self.all.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .expect("the templates are constants that a test has read")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_is_one() {
        for template in [ALL, BYTES, STEPS, WORDS] {
            let _ = style(template);
        }
    }
}
