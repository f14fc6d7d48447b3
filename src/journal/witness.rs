//! Who remembers how far the journal went, beside the journal: so that one that lost its end is found out.
//!
//! A file of 16 bytes, `acknowledged`: the number of the last durable batch (u64, big-endian) and its xxh3. It is written after
//! the batch is durable and before anything is acknowledged, and never made durable itself: after a power cut it may lag
//! behind the journal, but is never ahead of it.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use xxhash_rust::xxh3::xxh3_64;

use super::local::JournalError;

/// The name of the file in the journal's folder.
const NAME: &str = "acknowledged";

/// The last durable batch of a journal.
pub(super) struct Witness {
    folder: PathBuf,
    file: File,
}

impl Witness {
    /// Asks the witness beside a journal that has made `steps` batches true.
    ///
    /// # Errors
    /// [`JournalError::Damaged`] if there were more, [`JournalError::Disk`] if it cannot be asked.
    pub fn open(folder: &Path, steps: u64) -> Result<Self, JournalError> {
        let path = folder.join(NAME);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|error| disk(folder, &error))?;
        let mut text = Vec::new();
        (&mut file).take(17).read_to_end(&mut text).map_err(|error| disk(folder, &error))?;
        // What is no number of a batch, after a power cut or on a damaged disk, bears witness of nothing.
        let seen = read(&text).unwrap_or(0);
        if seen > steps {
            return Err(JournalError::Damaged(
                folder.to_owned(),
                format!(
                    "its last {} steps, of which the messages were acknowledged, are gone or cannot be read (to go on without \
                     them, remove {})",
                    seen - steps,
                    path.display()
                ),
            ));
        }
        Ok(Self { folder: folder.to_owned(), file })
    }

    /// A batch is durable.
    ///
    /// # Errors
    /// [`JournalError::Disk`].
    pub fn saw(&self, step: u64) -> Result<(), JournalError> {
        let number = step.to_be_bytes();
        let text = [number, xxh3_64(&number).to_be_bytes()].concat();
        self.file.write_all_at(&text, 0).map_err(|error| disk(&self.folder, &error))
    }
}

fn read(text: &[u8]) -> Option<u64> {
    let (number, hash) = text.split_first_chunk::<8>()?;
    (hash == xxh3_64(number).to_be_bytes()).then(|| u64::from_be_bytes(*number))
}

fn disk(folder: &Path, error: &io::Error) -> JournalError {
    JournalError::Disk(folder.to_owned(), format!("{NAME}: {error}"))
}
