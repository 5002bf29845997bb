//! A set of 64-bit keys in a file, for more keys than a run keeps in memory.
//!
//! The file consists of levels. Each is a hash table of pages, twice as large as the level before. Keys are added to
//! the last level until it reaches its load limit, so that no key ever moves.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// The size of a page in bytes, and the number of keys in it.
const PAGE: usize = 4096;
const SLOTS: u64 = (PAGE / 8) as u64;

/// The pages of the first level; few in tests, so that these reach further levels.
const FIRST: u64 = if cfg!(test) { 16 } else { 1024 };

/// How many slots of a level are filled before the next level begins. Pages fill unevenly; a full page also begins the
/// next level.
const fn room(pages: u64) -> u64 {
    pages * SLOTS * 5 / 8
}

/// The set.
#[derive(Debug)]
pub(super) struct Spill {
    file: File,
    levels: Vec<Level>,
}

#[derive(Debug, Clone, Copy)]
struct Level {
    /// The number of its first page in the file.
    start: u64,
    pages: u64,
    keys: u64,
}

impl Level {
    /// The byte offset of a key's page.
    fn offset(&self, key: u64) -> u64 {
        (self.start + key % self.pages) * PAGE as u64
    }
}

impl Spill {
    /// An empty set in an empty file, which can be read and written.
    pub(super) fn new(file: File) -> Self {
        let levels = Vec::new();
        Self { file, levels }
    }

    /// Whether a key is in it.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn contains(&self, key: u64) -> io::Result<bool> {
        for level in self.levels.iter().rev() {
            if slot(&self.page(level, key)?, stored(key)).is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Adds a key that is not in it.
    ///
    /// # Errors
    /// The file cannot be read or written; the key is not in it then.
    pub(super) fn insert(&mut self, key: u64) -> io::Result<()> {
        if let Some(level) = self.levels.last().copied()
            && level.keys < room(level.pages)
            && let Some(slot) = slot(&self.page(&level, key)?, 0)
        {
            return self.put(key, slot);
        }
        let level = self.levels.last().map_or(
            Level {
                start: 0,
                pages: FIRST,
                keys: 0,
            },
            |last| Level {
                start: last.start + last.pages,
                pages: last.pages * 2,
                keys: 0,
            },
        );
        self.levels.push(level);
        self.put(key, 0)
    }

    /// Writes a key to a slot of its page in the last level.
    fn put(&mut self, key: u64, slot: usize) -> io::Result<()> {
        let Some(level) = self.levels.last_mut() else {
            return Ok(());
        };
        let at = level.offset(key) + slot as u64 * 8;
        self.file.write_all_at(&stored(key).to_le_bytes(), at)?;
        level.keys += 1;
        Ok(())
    }

    /// Reads the page of a key; slots beyond the end of the file are empty.
    fn page(&self, level: &Level, key: u64) -> io::Result<[u8; PAGE]> {
        let mut page = [0; PAGE];
        let at = level.offset(key);
        let mut length = 0;
        while length < PAGE {
            match self.file.read_at(&mut page[length..], at + length as u64) {
                Ok(0) => break,
                Ok(read) => length += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(page)
    }
}

/// A key as it is stored, where 0 marks an empty slot.
fn stored(key: u64) -> u64 {
    key.max(1)
}

/// The first slot that holds a value.
fn slot(page: &[u8; PAGE], value: u64) -> Option<usize> {
    let value = value.to_le_bytes();
    page.chunks_exact(8).position(|slot| slot == value)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Distinct pseudorandom keys.
    fn key(n: u64) -> u64 {
        n.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    #[test]
    fn keys_are_found_again_and_no_others_over_several_levels() {
        let mut spill = Spill::new(tempfile::tempfile().unwrap());
        let count = room(FIRST) + 1000;
        for n in 0..count {
            spill.insert(key(n)).unwrap();
        }
        assert_eq!(spill.levels.len(), 2);
        for n in (0..count).step_by(7) {
            assert!(spill.contains(key(n)).unwrap(), "{n}");
            assert!(!spill.contains(key(n + count)).unwrap(), "{n}");
        }
    }

    #[test]
    fn a_page_that_is_full_begins_the_next_level() {
        let mut spill = Spill::new(tempfile::tempfile().unwrap());
        for n in 0..=SLOTS {
            spill.insert(n * FIRST * 2).unwrap();
        }
        assert_eq!(spill.levels.len(), 2);
        assert!((0..=SLOTS).all(|n| spill.contains(n * FIRST * 2).unwrap()));
    }

    #[test]
    fn a_file_that_cannot_be_written_takes_no_key() {
        let path = tempfile::NamedTempFile::new().unwrap();
        let mut spill = Spill::new(File::open(path.path()).unwrap());
        assert!(spill.insert(7).is_err());
        assert!(!spill.contains(7).unwrap());
    }
}
