//! The plan of a run: the parsed and validated settings of the command line or of another caller.

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

/// The description of a run: its URLs, its targets and its options.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The URLs of the command line; they come before the lists.
    pub urls: Vec<String>,
    /// Lists of URLs, read in this order; `-` is standard input.
    pub lists: Vec<PathBuf>,
    /// The format of the lists.
    pub format: Format,
    /// The shard of the rows that this run fetches; without it, all rows.
    pub shard: Option<Shard>,
    /// The base URL of relative references in lists.
    pub base: Option<Url>,
    /// A bad line of a list ends the run.
    pub is_strict: bool,
    /// The digests of a single file, beside those that its row has.
    pub digests: Vec<Expected>,
    /// A list of digests that must contain every file.
    pub checksums: Option<ListSource>,
    /// The target folder.
    pub dir: PathBuf,
    /// Where bodies are written: to files by name, to one named file, or to a stream.
    pub output: Output,
    /// The template of names for rows that give none.
    pub template: Option<Template>,
    /// The server may name files by a header.
    pub takes_names: bool,
    /// The URL that redirects lead to may name files.
    pub takes_final_names: bool,
    /// What happens to existing files.
    pub exists: Exists,
    /// An existing file is fetched only if the server has a newer one.
    pub is_newer_only: bool,
    /// Files get the server's Last-Modified as their modification time.
    pub has_remote_time: bool,
    /// How durable files are before they count as done.
    pub durability: Durability,
    /// What happens to part files of earlier runs.
    pub resume: Resume,
    /// The list of failed and unfinished rows that the run writes; `-` is standard output.
    pub failed: Option<PathBuf>,
    /// The lock file: URL, size and digest of each file.
    pub lock: Option<PathBuf>,
    /// Every file must match the lock file.
    pub is_locked: bool,
    /// The byte range of each URL that is fetched instead of the full file.
    pub range: Option<ByteRange>,
    /// The most files fetched at once.
    pub jobs: usize,
    /// How many transfers may fetch one file, unless its row has its own setting.
    pub split: Split,
    /// The smallest segment of a divided file, in bytes; without it, the size depends on `split`.
    pub min_split: Option<u64>,
    /// The first failure ends the run.
    pub is_fail_fast: bool,
    /// Nothing is fetched; the report receives the planned URLs and paths.
    pub is_dry_run: bool,
    /// The limits and delays of retries.
    pub retry: Retry,
    /// The seed of the jitter of retries; without it, each run draws a random one.
    pub seed: Option<u64>,
    /// The most threads that compute digests, each started when there is work for it. With 0, digests are computed in
    /// the writing thread; without it, there may be one thread for each processor.
    pub hashing_threads: Option<usize>,
    /// The settings of each transfer.
    pub request: Request,
    /// The settings of connections. The run sets the limits of transfers and of all connections itself.
    pub options: Options,
    /// The cookies to send, to which those of responses are added. Without it, the jar of `options` is used, if any.
    pub cookies: Option<Vec<Cookie>>,
    /// Cookies that a redirect sets are not sent along its chain either.
    pub has_no_cookies: bool,
    /// The detail of the traces that the report receives; without it, none.
    pub traces: Option<Detail>,
}

/// How durable files are before they count as done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Durability {
    /// The system decides when files reach the disk.
    #[default]
    System,
    /// Each file and its name are synced to the disk before it counts as done.
    File,
    /// All files are synced to the disk together, when the run ends.
    Batch,
}

/// What happens to part files of earlier runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Resume {
    /// Resume a part file if its validators prove that it is of the present version.
    #[default]
    Proven,
    /// Resume every part file, and the files that other tools left at final names: the user vouches for their version.
    Vouched,
    /// Fetch every file from its first byte.
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
            takes_final_names: false,
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
            has_no_cookies: false,
            traces: None,
        }
    }
}

impl Plan {
    /// Whether responses may name files. With `--locked`, the lock file gives the names.
    pub(super) fn is_named_by_server(&self) -> bool {
        (self.takes_names || self.takes_final_names) && !self.is_locked
    }

    /// Replaces the name of the single file by the target of its symbolic links, so that the link remains. A device or
    /// a pipe becomes a stream.
    pub(super) fn follow_output(&mut self) -> io::Result<()> {
        let Output::File(path) = &self.output else {
            return Ok(());
        };
        let typed = self.dir.join(path);
        let destination = match Destination::of(&typed) {
            // The row reports a folder at its target.
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

/// The source of a list that must be read completely before it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListSource {
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

/// The settings that all transfers of a run share.
#[derive(Debug, Clone)]
pub struct Request {
    /// Header fields.
    pub headers: Arc<[Field]>,
    /// The request fields that offer codings, for example [`accept_encoding`](crate::http::accept_encoding): bodies are
    /// decoded. `None` stores bodies as they are sent.
    pub decoding: Option<Arc<[Field]>>,
    /// Basic credentials, for the origin of each URL.
    pub credentials: Option<Arc<Credentials>>,
    /// The most redirects that are followed.
    pub max_redirects: u32,
    /// The largest file accepted, in bytes.
    pub max_size: Option<u64>,
    /// The longest time to connect.
    pub connect_timeout: Option<Duration>,
    /// The longest time without a byte.
    pub stall_timeout: Option<Duration>,
    /// The longest time of a transfer.
    pub timeout: Option<Duration>,
    /// The lowest average speed of a transfer, in bytes a second, and the time over which it is averaged.
    pub min_speed: Option<(u64, Duration)>,
    /// The highest speed of a transfer, in bytes a second.
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
