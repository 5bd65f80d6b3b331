//! Vectors of texts, each embedded once for all configurations and all runs: they are kept in a file per model.

use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    io::{Read, Write},
    path::Path,
    time::Instant,
};

use lectern_worker::models::{Embedder, ModelIdentity, ModelSettings, load};
use sha2::{Digest, Sha256};

type Key = [u8; 32];

pub(crate) struct Vectors {
    model: Box<dyn Embedder>,
    known: HashMap<Key, Vec<f32>>,
    file: File,
    /// What embedding has cost this run.
    pub(crate) seconds: f64,
    pub(crate) cpu_seconds: f64,
    pub(crate) texts: usize,
}

impl Vectors {
    pub(crate) fn open(settings: &ModelSettings, folder: &Path, fresh: bool) -> Self {
        let model = load(settings).unwrap();
        let identity = hex::encode(Sha256::digest(model.identity().to_string()));
        let path = folder.join(format!("vectors-{}.bin", &identity[..16]));
        if fresh {
            let _ = std::fs::remove_file(&path);
        }
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .read(true)
            .open(path)
            .unwrap();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        let dimensions = usize::from(model.identity().dimensions);
        let known = bytes
            .chunks_exact(32 + 4 * dimensions)
            .map(|record| {
                let (key, vector) = record.split_at(32);
                let numbers = vector
                    .chunks_exact(4)
                    .map(|number| f32::from_le_bytes(number.try_into().unwrap()));
                (key.try_into().unwrap(), numbers.collect())
            })
            .collect();
        Self {
            model,
            known,
            file,
            seconds: 0.0,
            cpu_seconds: 0.0,
            texts: 0,
        }
    }

    pub(crate) fn identity(&self) -> &ModelIdentity {
        self.model.identity()
    }

    pub(crate) fn of(&mut self, texts: &[&str]) -> Vec<Vec<f32>> {
        let mut missing: Vec<&str> = texts
            .iter()
            .copied()
            .filter(|text| !self.known.contains_key(&key(text)))
            .collect();
        missing.sort_unstable();
        missing.dedup();
        let (began, cpu) = (Instant::now(), cpu_seconds());
        for &text in &missing {
            let vector = self.model.embed(text).unwrap();
            let mut record = key(text).to_vec();
            record.extend(vector.iter().flat_map(|number| number.to_le_bytes()));
            self.file.write_all(&record).unwrap();
            self.known.insert(key(text), vector);
        }
        self.seconds += began.elapsed().as_secs_f64();
        self.cpu_seconds += cpu_seconds() - cpu;
        self.texts += missing.len();
        texts
            .iter()
            .map(|text| self.known[&key(text)].clone())
            .collect()
    }
}

fn key(text: &str) -> Key {
    Sha256::digest(text).into()
}

/// Processor time of this process, all threads together.
pub(crate) fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    let ticks = |index: usize| fields[index].parse::<f64>().unwrap() / 100.0;
    ticks(11) + ticks(12)
}
