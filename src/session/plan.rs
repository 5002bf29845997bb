//! What is wanted of a run: the command line, or any other caller, with every word already understood.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use crate::download::{Exists, Retry, Template};
use crate::http::cookie::Cookie;
use crate::http::{ByteRange, Credentials, Expected, Field};
use crate::list::{Format, Shard, Split};
use crate::multi::{Detail, Options};
use crate::sys::Destination;

/// A run: what to fetch, where to, and how.
#[derive(Debug, Clone)]
pub struct Plan {
    /// URLs as they were typed; they come before the lists.
    pub urls: Vec<String>,
    /// Lists of URLs, read in this order; `-` is standard input.
    pub lists: Vec<PathBuf>,
    /// How they are written.
    pub format: Format,
    /// The share of all rows that is this run's.
    pub shard: Option<Shard>,
    /// What relative references in lists are resolved against.
    pub base: Option<Url>,
    /// A bad line of a list ends the run.
    pub is_strict: bool,
    /// The digests of a single file, beside those that its row has.
    pub digests: Vec<Expected>,
    /// A list of digests that every file is to have one in.
    pub checksums: Option<ListPlace>,
    /// The folder that files go to.
    pub dir: PathBuf,
    /// The name of a single file, or standard output.
    pub output: Output,
    /// How files are named whose rows do not.
    pub template: Option<Template>,
    /// The server may name files.
    pub takes_names: bool,
    /// What to do about files that are there.
    pub exists: Exists,
    /// A file that is there is fetched only if the server has a newer one.
    pub is_newer_only: bool,
    /// Files get the server's Last-Modified.
    pub has_remote_time: bool,
    /// How durable files are before they count as done.
    pub durability: Durability,
    /// What to do about bodies that an earlier run left incomplete.
    pub resume: Resume,
    /// A list to be written of the rows that are not done; `-` is standard output.
    pub failed: Option<PathBuf>,
    /// A file that holds what was fetched.
    pub lock: Option<PathBuf>,
    /// Nothing may differ from that file.
    pub is_locked: bool,
    /// Of a single URL, these bytes alone.
    pub range: Option<ByteRange>,
    /// Files at once.
    pub jobs: usize,
    /// How many transfers may bring one file, unless its row says so.
    pub split: Split,
    /// The smallest share of a file, in bytes; without it, one that depends on `split`.
    pub min_split: Option<u64>,
    /// The first failure ends the run.
    pub is_fail_fast: bool,
    /// Nothing is fetched; it is only said what would be.
    pub is_dry_run: bool,
    /// When to try again.
    pub retry: Retry,
    /// What decides how long retries wait, within their bounds; without it, each run draws its own.
    pub seed: Option<u64>,
    /// Threads that compute digests; none of them is started before there is work. With 0, whoever
    /// writes computes them; without it there may be one a processor.
    pub hashing_threads: Option<usize>,
    /// How each transfer is made.
    pub request: Request,
    /// How connections are made. The limits of transfers are the session's own to set.
    pub options: Options,
    /// Cookies to send; those of answers are added to them, and without any such list none are taken.
    pub cookies: Option<Vec<Cookie>>,
    /// How much of what each transfer does the report is told, if anything.
    pub traces: Option<Detail>,
}

/// How durable files are before they count as done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Durability {
    /// As the system sees fit.
    #[default]
    System,
    /// Each file reaches the disk, and its name.
    File,
    /// All files reach the disk together, when the run ends.
    Batch,
}

/// What to do about bodies that are there in part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Resume {
    /// Continue those of which it can be proved that they are of the present version.
    #[default]
    Proven,
    /// Continue what cannot be proved too, and what other tools left at final names: the user vouches for it.
    Vouched,
    /// Start over.
    Never,
}

impl Plan {
    /// The plan for these URLs, with the defaults of the command line.
    pub fn new(urls: Vec<String>, dir: PathBuf) -> Self {
        Self {
            urls,
            lists: Vec::new(),
            base: None,
            format: Format::Auto,
            shard: None,
            is_strict: false,
            digests: Vec::new(),
            checksums: None,
            dir,
            output: Output::ByName,
            template: None,
            takes_names: false,
            exists: Exists::default(),
            is_newer_only: false,
            has_remote_time: false,
            durability: Durability::default(),
            resume: Resume::default(),
            failed: None,
            lock: None,
            is_locked: false,
            range: None,
            jobs: 16,
            split: Split::default(),
            min_split: None,
            is_fail_fast: false,
            is_dry_run: false,
            retry: Retry::default(),
            seed: None,
            hashing_threads: None,
            request: Request::default(),
            options: Options::default(),
            cookies: None,
            traces: None,
        }
    }
}

impl Plan {
    /// Has the single file be the one that its name leads to: a link that was typed stays what it is, and so
    /// does a device.
    pub(super) fn follow_output(&mut self) -> io::Result<()> {
        let Output::File(path) = &self.output else {
            return Ok(());
        };
        let typed = self.dir.join(path);
        let destination = match Destination::of(&typed) {
            // It is told as any other folder in the place of a file.
            Err(error) if error.kind() == io::ErrorKind::IsADirectory => return Ok(()),
            result => result?,
        };
        match destination {
            Destination::Stdout => self.output = Output::Stdout,
            Destination::Stream(at) => self.output = Output::Stream(at),
            Destination::File(at) if at != typed => {
                let beneath = at.strip_prefix(&self.dir).unwrap_or(&at);
                self.output = Output::File(beneath.to_owned());
            }
            Destination::File(_) => {}
        }
        Ok(())
    }
}

/// Where a list is that is needed as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListPlace {
    /// In a file.
    File(PathBuf),
    /// On a server, from which it is fetched first.
    Url(Url),
}

/// Where bodies go.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Output {
    /// Into files that are named by their URLs or rows.
    ByName,
    /// Into this one file, of a single URL. A run follows the symbolic links that it leads over.
    File(PathBuf),
    /// To this device or pipe, of a single URL.
    Stream(PathBuf),
    /// To standard output, of a single URL.
    Stdout,
}

/// What every transfer of a run has in common.
#[derive(Debug, Clone)]
pub struct Request {
    /// Header fields.
    pub headers: Arc<[Field]>,
    /// The request fields that offer codings, for example [`accept_encoding`](crate::http::accept_encoding): bodies are
    /// decoded. `None` stores bodies as they are sent.
    pub decoding: Option<Arc<[Field]>>,
    /// Basic credentials, for the origin of each URL.
    pub credentials: Option<Arc<Credentials>>,
    /// Redirects followed at most.
    pub max_redirects: u32,
    /// The largest file taken, in bytes.
    pub max_size: Option<u64>,
    /// Longest time to connect.
    pub connect_timeout: Option<Duration>,
    /// Longest time without a byte.
    pub stall_timeout: Option<Duration>,
    /// Longest time for a whole transfer.
    pub timeout: Option<Duration>,
    /// Bytes a second of one transfer at least, on average over each span of so long.
    pub min_speed: Option<(u64, Duration)>,
    /// Bytes a second of one transfer at most.
    pub max_recv_speed: Option<u64>,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            headers: Arc::from([]),
            decoding: None,
            credentials: None,
            max_redirects: 20,
            max_size: None,
            connect_timeout: Some(Duration::from_secs(10)),
            stall_timeout: Some(Duration::from_secs(30)),
            timeout: None,
            min_speed: None,
            max_recv_speed: None,
        }
    }
}
