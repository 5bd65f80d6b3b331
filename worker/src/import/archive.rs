//! A zip, read entry by entry on a thread of its own: within limits, in memory that doesn't grow with what it claims,
//! and without ever making a path of a name in it.

use std::{
    fs::File,
    io::{self, Read},
};

use bytes::Bytes;
use lectern_shared::{failure::Failure, names, store::imports::Skip};
use tokio::sync::mpsc;
use zip::{
    CompressionMethod, ZipReadOptions,
    read::{Config, ZipFileEntry},
    result::ZipError,
    unstable::read::ZipIterable,
};

/// What a zip may cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) entries_max: u32,
    /// Of all entries together, unpacked.
    pub(crate) bytes_max: u64,
    /// Of one entry, unpacked.
    pub(crate) entry_bytes_max: u64,
}

/// What comes out of it, in order. A file is `Begin`, any number of `Bytes`, and `End` or `Skip`; what is skipped
/// unopened is `Begin` and `Skip`.
#[derive(Debug)]
pub(crate) enum Piece {
    /// How many entries there are; the first piece.
    Entries(u32),
    Begin {
        ordinal: u32,
        name: String,
    },
    Bytes(Bytes),
    End,
    Skip(Skip),
    /// All of it was read. Nothing comes after it, nor after the next.
    Finished,
    Failed {
        failure: Failure,
        cause: String,
    },
}

/// Bytes of a piece.
const PIECE_BYTES: usize = 256 << 10;

/// Pieces that wait for their reader: memory, this many times the bytes of one.
const PIECES_MAX: usize = 8;

/// Reads a zip from the entry `first` on. Ends when the receiver is dropped.
pub(crate) fn read(zip: File, limits: Limits, first: u32) -> mpsc::Receiver<Piece> {
    let (pieces, receiver) = mpsc::channel(PIECES_MAX);
    tokio::task::spawn_blocking(move || {
        let last = match read_all(zip, limits, first, &pieces) {
            Ok(()) => Piece::Finished,
            Err(Stopped::Failed { failure, cause }) => Piece::Failed { failure, cause },
            Err(Stopped::Left) => return,
        };
        let _ = pieces.blocking_send(last);
    });
    receiver
}

/// Why a zip is not read to its end.
enum Stopped {
    /// Nobody listens any more.
    Left,
    Failed {
        failure: Failure,
        cause: String,
    },
}

impl From<ZipError> for Stopped {
    fn from(error: ZipError) -> Self {
        Self::Failed {
            failure: Failure::DamagedZip,
            cause: error.to_string(),
        }
    }
}

fn read_all(
    zip: File,
    limits: Limits,
    first: u32,
    pieces: &mpsc::Sender<Piece>,
) -> Result<(), Stopped> {
    // It walks the directory of the zip, rather than to keep all of it: a gigabyte of directory is millions of entries.
    let mut zip = ZipIterable::try_new(zip, Config::default())?;
    let entries = u32::try_from(zip.len()).unwrap_or(u32::MAX);
    if entries > limits.entries_max {
        return Err(Stopped::Failed {
            failure: Failure::TooManyEntries,
            cause: format!("{entries} entries, more than {}", limits.entries_max),
        });
    }
    // No entry gives more than it declares, so that this sum is known before anything is unpacked, and entries that
    // overlap in the file count each.
    let mut total = 0_u64;
    for entry in zip.files()? {
        total = total.saturating_add(entry?.size());
    }
    if total > limits.bytes_max {
        return Err(Stopped::Failed {
            failure: Failure::ZipTooBig,
            cause: format!("{total} bytes, more than {}", limits.bytes_max),
        });
    }
    send(pieces, Piece::Entries(entries))?;
    let files = zip.files()?;
    for ordinal in 0..entries {
        let Some(entry) = files.next() else { break };
        let entry = entry?;
        let Some(name) = wanted(&entry).filter(|_| ordinal >= first) else {
            continue;
        };
        send(pieces, Piece::Begin { ordinal, name })?;
        let end = match refused(&entry, limits.entry_bytes_max) {
            Some(reason) => Piece::Skip(reason),
            None => unpack(entry, files.reader_mut(), limits.entry_bytes_max, pieces)?,
        };
        send(pieces, end)?;
    }
    Ok(())
}

/// The name of an entry that is somebody's file; `None` for folders and what operating systems leave behind.
fn wanted(entry: &ZipFileEntry<'_>) -> Option<String> {
    if entry.is_dir() {
        return None;
    }
    let name = entry
        .name()
        .unwrap_or_else(|_| String::from_utf8_lossy(entry.name_raw()));
    let name = names::path_name(&name).unwrap_or_else(|| "untitled".to_owned());
    (!is_litter(&name)).then_some(name)
}

/// What operating systems leave in folders.
pub(crate) fn is_litter(name: &str) -> bool {
    name.split('/').any(|part| {
        matches!(part, "__MACOSX" | ".DS_Store" | "Thumbs.db" | "desktop.ini")
            || part.starts_with("._")
    })
}

fn refused(entry: &ZipFileEntry<'_>, bytes_max: u64) -> Option<Skip> {
    if entry.is_symlink() {
        return Some(Skip::NotAFile);
    }
    if entry.encrypted() {
        return Some(Skip::Encrypted);
    }
    if !matches!(
        entry.compression(),
        CompressionMethod::Stored | CompressionMethod::Deflated
    ) {
        return Some(Skip::UnknownCompression);
    }
    if entry.size() > bytes_max {
        return Some(Skip::TooLarge);
    }
    (entry.size() == 0).then_some(Skip::Empty)
}

/// Sends an entry's bytes and gives its last piece.
fn unpack(
    entry: ZipFileEntry<'_>,
    zip: &mut File,
    bytes_max: u64,
    pieces: &mpsc::Sender<Piece>,
) -> Result<Piece, Stopped> {
    let Ok(body) = entry.with_reader(zip, ZipReadOptions::new()) else {
        return Ok(Piece::Skip(Skip::Damaged));
    };
    // One more than allowed tells whether it is too large, whatever was declared.
    let mut body = body.take(bytes_max.saturating_add(1));
    let mut sent = 0;
    loop {
        let mut piece = vec![0; PIECE_BYTES];
        let length = match fill(&mut body, &mut piece) {
            Ok(0) => return Ok(Piece::End),
            Ok(length) => length,
            Err(_) => return Ok(Piece::Skip(Skip::Damaged)),
        };
        sent += length as u64;
        if sent > bytes_max {
            return Ok(Piece::Skip(Skip::TooLarge));
        }
        piece.truncate(length);
        send(pieces, Piece::Bytes(piece.into()))?;
    }
}

/// Reads until the buffer is full or there is no more.
fn fill(body: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match body.read(&mut buffer[length..])? {
            0 => break,
            read => length += read,
        }
    }
    Ok(length)
}

fn send(pieces: &mpsc::Sender<Piece>, piece: Piece) -> Result<(), Stopped> {
    pieces.blocking_send(piece).map_err(|_| Stopped::Left)
}
