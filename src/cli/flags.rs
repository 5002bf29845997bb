//! The flags of the command line. Help, man page and completions are generated from this file.
//!
//! This file, `values.rs` and `outputs.rs` use only the library and other crates, so that tests can include them by
//! path. `options.rs` turns flags into a plan.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::{PathBufValueParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::{ArgAction, Args, CommandFactory, Parser, ValueEnum, ValueHint};
use gannet::http::Field;
use gannet::list::{Format, Split};
use gannet::multi::TlsVersion;
use gannet::session::{Durability, Exists};
use url::Url;

use super::outputs::FileName;
use super::values::{
    Choice, Codes, MinSpeed, Pins, Resolve, base_url, choice, codes, duration, field_value,
    is_stdout, leads_to_stdout, min_speed, one_or_more, pins, resolve, size, split, start_interval,
    unix_socket,
};

/// Fetch many files in parallel over HTTP and HTTPS
///
/// Each URL is one file. It is stored in the folder of --dir and named after the last component of the URL's path. The
/// body is written to NAME.part and renamed when it is complete, so a file with its final name is always complete. A
/// completion line for each file goes to standard output; errors and progress go to standard error.
///
/// DUR is a duration such as 500ms, 10s or '1h 30m'; a number without a unit is in seconds. SIZE is in bytes and RATE
/// in bytes per second; both accept the units K, M, G and T (powers of 1024), as in 10M.
#[derive(Parser)]
#[command(
    name = "gannet",
    version,
    override_usage = "gannet [OPTIONS] URL...\n       gannet [OPTIONS] -i FILE",
    after_help = "'gannet --help' lists all options with full descriptions.",
    after_long_help = AFTER_HELP,
    disable_help_flag = true,
    disable_version_flag = true,
    args_override_self = true,
    max_term_width = 100
)]
pub(crate) struct Flags {
    #[command(flatten)]
    pub(crate) input: InputFlags,
    #[command(flatten)]
    pub(crate) output: OutputFlags,
    #[command(flatten)]
    pub(crate) concurrency: Concurrency,
    #[command(flatten)]
    pub(crate) resume: ResumeFlags,
    #[command(flatten)]
    pub(crate) integrity: Integrity,
    #[command(flatten)]
    pub(crate) http: Http,
    #[command(flatten)]
    pub(crate) tls: TlsFlags,
    #[command(flatten)]
    pub(crate) network: Network,
    #[command(flatten)]
    pub(crate) retry: RetryFlags,
    #[command(flatten)]
    pub(crate) reporting: ReportingFlags,
}

/// The end of the long help. The man page has more detailed sections instead.
const AFTER_HELP: &str = "\
Exit status: 0 all files were fetched, 2 usage or list, 3 local file, 4 network, 5 TLS, 6 authentication, \
7 malformed response, 8 error status, 9 wrong digest, 10 the file changed, 11 the file exists, 12 no space, 28 timed out, 129, 130 and 143 stopped by a signal, \
1 any other failure. 'man gannet' has the full table, the formats of lists and examples.";

#[derive(Args)]
#[command(next_help_heading = "Input")]
pub(crate) struct InputFlags {
    /// The URLs to fetch; each is one file
    #[arg(value_name = "URL", required_unless_present = "input_file", value_hint = ValueHint::Url)]
    pub(crate) urls: Vec<String>,

    /// Read URLs from FILE, one per line; - is standard input
    ///
    /// Can be given several times. The list is read incrementally: the first transfer starts before the end of the list
    /// is read. A line that starts with # is a comment; indented lines below a URL set options for it.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) input_file: Vec<PathBuf>,

    /// The format of the lists
    #[arg(long, value_name = "FORMAT", value_parser = choice(&FORMATS), default_value = "auto", hide_short_help = true)]
    pub(crate) input_format: Format,

    /// Fetch only the Kth of N shares of the URLs
    ///
    /// For several workers with the same list: each URL is assigned to one worker, by a hash that never changes. With
    /// 'auto' the number of the worker is read from the environment of the scheduler: Slurm arrays, AWS Batch arrays,
    /// Kubernetes indexed Jobs and GNU parallel (the last two need GANNET_SHARDS=N), or else from GANNET_SHARD=K/N.
    ///
    /// Every worker reads the whole list and names the files of all rows. So all workers can write to one folder: each
    /// file gets the same name as in a single run of the list.
    #[arg(long, value_name = "K/N", hide_short_help = true)]
    pub(crate) shard: Option<String>,

    /// Resolve relative references in a list against URL
    #[arg(long, value_name = "URL", value_parser = base_url, hide_short_help = true)]
    pub(crate) base: Option<Url>,

    /// Stop at an invalid line in a list
    ///
    /// An unknown key or an invalid line ends the run with exit status 2, before any row after it is fetched. Without
    /// this flag the line is reported and counted as failed, and the run continues.
    #[arg(long)]
    pub(crate) strict: bool,

    /// Send paths as they are written, with /./ and /../
    ///
    /// Without this flag a path is sent as browsers do: /a/../b and /a/%2e%2e/b are /b, and characters such as quotes
    /// are percent-encoded. With it only blanks and characters beyond ASCII are. It holds for URLs of the command line
    /// and of lists, and for redirects. Names of files, and URLs in reports, are those without it. The fragment of a
    /// URL in a report is then path-as-is=PATH with the path that was sent; this flag reads it again.
    #[arg(long, hide_short_help = true)]
    pub(crate) path_as_is: bool,

    /// Ignore the configuration: gannet.toml and GANNET_ variables
    #[arg(id = "no_config", long = "no-config", hide_short_help = true)]
    pub(crate) _no_config: bool,
}

/// The values of `--input-format`.
const FORMATS: [Choice<Format>; 5] = [
    ("auto", Format::Auto, "detected by how the list begins"),
    (
        "urls",
        Format::Urls,
        "one URL per line, with options on indented lines",
    ),
    ("jsonl", Format::Jsonl, "one JSON object per line"),
    (
        "sums",
        Format::Sums,
        "digests and names as sha256sum writes them; the names are resolved against --base",
    ),
    ("metalink", Format::Metalink, "RFC 5854"),
];

#[derive(Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputFlags {
    /// Store files in DIR; it is created if missing
    #[arg(
        short,
        long,
        value_name = "DIR",
        value_hint = ValueHint::DirPath,
        visible_short_alias = 'P',
        visible_alias = "output-dir",
        alias = "directory-prefix"
    )]
    pub(crate) dir: Option<PathBuf>,

    /// Store a single URL as FILE; - is standard output
    ///
    /// A FILE that ends in a slash is a folder: files are stored in it, as with --dir.
    #[arg(short, long, value_name = "FILE", conflicts_with = "input_file")]
    pub(crate) output: Option<PathBuf>,

    /// Name files by TEMPLATE
    ///
    /// TEMPLATE may contain {host}, {path} (with its folders), {name} (the last component of the path), {stem} and
    /// {ext} (the name before and after its last dot), {index} (the number of the row, from 1; invalid rows and those
    /// of other shards count too) and {hash} (the first 16 hex digits of the SHA-256 of the URL without user
    /// information and fragment). Slashes create folders below --dir. A name given in a list takes precedence.
    #[arg(long, value_name = "TEMPLATE", conflicts_with_all = ["output", "content_disposition", "trust_server_names"], hide_short_help = true)]
    pub(crate) name: Option<String>,

    /// Use the file name that the server sends
    ///
    /// The name in the Content-Disposition header of the response is used, reduced to a safe base name.
    #[arg(long)]
    pub(crate) content_disposition: bool,

    /// Name files by the URL that redirects lead to
    ///
    /// Without this flag the URL that was given names the file. A name in a Content-Disposition header takes
    /// precedence with --content-disposition.
    #[arg(long, hide_short_help = true)]
    pub(crate) trust_server_names: bool,

    /// What to do if the file exists
    #[arg(long, value_name = "WHAT", value_parser = choice(&EXISTS), default_value = "verify")]
    pub(crate) exists: Exists,

    /// Fetch an existing file only if the server has a newer one
    ///
    /// The request carries the stored validators of the file, or else its modification time, also for files of other
    /// tools. The file is kept if the server says that it is unchanged, or sends one of the same size that is not
    /// newer. If a digest is given, only the digest decides.
    #[arg(short = 'N', long, conflicts_with = "exists", hide_short_help = true)]
    pub(crate) timestamping: bool,

    /// Set the time of files to the server's Last-Modified
    #[arg(long, hide_short_help = true)]
    pub(crate) remote_time: bool,

    /// When to sync files to the disk
    #[arg(long, value_name = "WHEN", value_parser = choice(&FSYNC), default_value = "none", hide_short_help = true)]
    pub(crate) fsync: Durability,
}

impl OutputFlags {
    /// Reads `-o FOLDER/` as a folder of `--dir`.
    fn take_folder(&mut self) {
        if let Some(folder) = self.output.take_if(|path| is_folder(path)) {
            let dir = self.dir.take().unwrap_or_default();
            self.dir = Some(dir.join(folder));
        }
    }
}

/// Whether a path can only name a folder.
fn is_folder(path: &Path) -> bool {
    let bytes = path.as_os_str().as_encoded_bytes();
    bytes.ends_with(b"/") || !bytes.is_empty() && path.file_name().is_none()
}

/// The values of `--fsync`.
const FSYNC: [Choice<Durability>; 3] = [
    ("none", Durability::System, "when the system decides"),
    (
        "file",
        Durability::File,
        "each file and its name, before the file counts as done",
    ),
    (
        "batch",
        Durability::Batch,
        "all files together at the end of the run, by syncing the file system of --dir",
    ),
];

/// The values of `--exists`.
const EXISTS: [Choice<Exists>; 5] = [
    (
        "verify",
        Exists::Verify,
        "keep the file if it is known to be the same, else fetch it again and replace it, unless it has at most 1 MiB \
         and turns out to be equal",
    ),
    ("skip", Exists::Skip, "keep the file, whatever its contents"),
    (
        "overwrite",
        Exists::Overwrite,
        "fetch the file again and replace it",
    ),
    (
        "rename",
        Exists::Rename,
        "keep the file and give the new one another name",
    ),
    ("error", Exists::Error, "count the file as failed"),
];

#[derive(Args)]
#[command(next_help_heading = "Resume and integrity")]
pub(crate) struct Integrity {
    /// Fail unless the file of a single URL has this digest
    ///
    /// The syntax is ALG:HEX, ALG=HEX, or that of subresource integrity, ALG-BASE64. ALG is sha256, sha512, sha1, md5,
    /// blake3, sha384 or sha224. If the flag is given several times, all digests are checked. A file with another
    /// digest does not get its final name. A digest can also be given in the fragment of a URL, as in URL#sha256=HEX,
    /// and in a list by checksum=. With --exists verify, an existing file with this digest is kept without a request.
    #[arg(long, value_name = "ALG:HEX", conflicts_with = "input_file")]
    pub(crate) checksum: Vec<String>,

    /// Fail unless each file has its digest in FILE
    ///
    /// FILE has the format of sha256sum and similar tools, for example SHA256SUMS. It may be a URL, which is fetched
    /// first. The digest of a file is found by the last component of its URL, or else by its own name. A file without a
    /// digest in FILE fails, unless its digest is given elsewhere. In a run of one URL, FILE may also be one digest
    /// without a name.
    #[arg(long, value_name = "FILE|URL", hide_short_help = true)]
    pub(crate) checksums: Option<String>,

    /// Write a lock file: the URL and digest of each file
    ///
    /// FILE is JSON, with the URL, name, size, SHA-256 and entity tag of each file. Its entries for other URLs are
    /// kept. It is replaced in one step when the run ends. Several runs may use the same file.
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub(crate) lock: Option<PathBuf>,

    /// Fail what differs from the file of --lock
    ///
    /// A URL that is not in the lock file fails, and so does a file with another size, digest or name. The lock file is
    /// not written.
    #[arg(long, requires = "lock", hide_short_help = true)]
    pub(crate) locked: bool,
}

#[derive(Args)]
#[command(next_help_heading = "Concurrency")]
pub(crate) struct Concurrency {
    /// Fetch up to N files at once
    #[arg(
        short,
        long,
        value_name = "N",
        value_parser = one_or_more,
        default_value = "16",
        alias = "max-concurrent-downloads"
    )]
    pub(crate) jobs: u32,

    /// Open at most N connections to one origin
    ///
    /// An origin is a scheme, a host and a port. Without this flag only --jobs limits the connections.
    #[arg(short = 'x', long, value_name = "N", value_parser = one_or_more)]
    pub(crate) per_host: Option<u32>,

    /// Fetch each file over N connections
    ///
    /// With auto a file starts with one connection and gets more, up to 16, while they make it faster. All segments
    /// must be of the same version of the file, so the server must support range requests and send a strong ETag or
    /// date. Otherwise the file is fetched over one connection. Mirrors are used at the same time if a digest is given,
    /// or if all of them send the same strong ETag.
    #[arg(short, long, value_name = "N|auto", value_parser = split, default_value = "auto")]
    pub(crate) split: Split,

    /// Divide no file into segments smaller than SIZE
    ///
    /// The default is 8M, or 1M if --split is a number.
    #[arg(long, value_name = "SIZE", value_parser = size, hide_short_help = true)]
    pub(crate) min_split: Option<u64>,

    /// Limit the total speed to RATE
    ///
    /// 0 means no limit.
    #[arg(long, value_name = "RATE", value_parser = size)]
    pub(crate) limit_rate: Option<u64>,

    /// Limit the speed of each file to RATE
    ///
    /// 0 means no limit. With a limit, files are not divided.
    #[arg(long, value_name = "RATE", value_parser = size, hide_short_help = true)]
    pub(crate) limit_rate_file: Option<u64>,

    /// Start at most N transfers per second, minute or hour
    ///
    /// The syntax is N/s, N/m or N/h. The starts are spaced evenly. Retries and the segments of a file count too;
    /// redirects do not. With this flag a file is divided only if --split is a number.
    #[arg(long, value_name = "N/s", value_parser = start_interval, hide_short_help = true)]
    pub(crate) rate: Option<Duration>,
}

#[derive(Args)]
#[command(next_help_heading = "Resume and integrity")]
pub(crate) struct ResumeFlags {
    /// Continue partial files that other tools left
    ///
    /// A partial file with the final name, as wget and curl leave it, is continued without proof that it is the same
    /// version: you are responsible for that. It moves to NAME.part when the server sends more of it. A file of the
    /// same size as the server's is kept; a larger one is fetched again.
    #[arg(short, long = "continue", conflicts_with = "no_resume")]
    pub(crate) r#continue: bool,

    /// Start over instead of resuming files of earlier runs
    ///
    /// A file also fails if its first response was no web page and a small web page comes in place of the rest: that is
    /// usually a login or an error. The partial file is kept then, and this flag takes the page as the file.
    #[arg(long, hide_short_help = true)]
    pub(crate) no_resume: bool,
}

#[derive(Args)]
#[command(next_help_heading = "HTTP")]
pub(crate) struct Http {
    /// Send this header, 'Name: value', with every request
    ///
    /// Can be given several times. An Authorization or Cookie header is sent only to the origin of each URL, not to
    /// another origin after a redirect.
    #[arg(short = 'H', long = "header", value_name = "HEADER", value_parser = Field::parse)]
    pub(crate) headers: Vec<Field>,

    /// Send this User-Agent
    #[arg(short = 'U', long, value_name = "NAME", visible_short_alias = 'A', value_parser = field_value)]
    pub(crate) user_agent: Option<String>,

    /// Send this Referer
    #[arg(long, value_name = "URL", value_parser = field_value, hide_short_help = true)]
    pub(crate) referer: Option<String>,

    /// Log in with Basic or Digest authentication
    ///
    /// The login is sent only to the origin of each URL, and never from https to http. A password given here is visible
    /// in the list of processes.
    #[arg(short, long, value_name = "USER[:PASS]")]
    pub(crate) user: Option<String>,

    /// Log in with the bearer token in the environment variable VAR
    ///
    /// The token is sent only to the origin of each URL, like the login of --user. Unlike that, it is not visible in
    /// the list of processes.
    #[arg(
        long,
        value_name = "VAR",
        conflicts_with = "user",
        hide_short_help = true
    )]
    pub(crate) bearer_env: Option<String>,

    /// Log in with the logins of ~/.netrc, or of FILE
    ///
    /// The environment variable NETRC can name another file than ~/.netrc. The login of a host is sent to that host
    /// only, with Basic authentication, also after a redirect to it, but never in plaintext after https. The 'default'
    /// login is for the hosts of the URLs themselves. --user, user information in a URL and an Authorization header
    /// take precedence. A URL with a user and no password gets the password of that user, or that of an entry without a
    /// login.
    #[arg(
        long,
        value_name = "FILE",
        num_args = 0..=1,
        require_equals = true,
        hide_short_help = true
    )]
    pub(crate) netrc: Option<Option<PathBuf>>,

    /// Fetch only bytes A to B of each URL
    ///
    /// The syntax is A-B, counted from 0 with both ends included; A- for everything from A; or -N for the last N bytes.
    /// The stored file has exactly these bytes, or fewer if the file on the server ends first. A given digest is that
    /// of these bytes. They are fetched over one connection. It is a failure if the server sends another range or the
    /// full file.
    #[arg(
        long,
        value_name = "A-B",
        allow_hyphen_values = true,
        conflicts_with_all = [
            "input_file", "continue", "timestamping", "compressed", "checksums", "lock", "failed"
        ],
        hide_short_help = true
    )]
    pub(crate) range: Option<String>,

    /// Accept compressed responses and decompress them
    ///
    /// gzip, br and zstd are offered to servers (or the codings of a -H 'Accept-Encoding: ...'). Files are stored
    /// decompressed, and given sizes and digests are those of the stored files. A compressed response is fetched over
    /// one connection, and is restarted instead of resumed. Archives such as .tar.gz stay as they are, although servers
    /// declare their compression as a coding. Without this flag no coding is offered, and bytes are stored as
    /// received.
    #[arg(long, hide_short_help = true)]
    pub(crate) compressed: bool,

    #[command(flatten)]
    pub(crate) jar: CookieFlags,

    /// Use HTTP/1.1 only
    #[arg(id = "http1_1", long = "http1.1", hide_short_help = true)]
    pub(crate) http1_1: bool,

    /// Use HTTP/2 only
    ///
    /// Without this flag the version is negotiated for https, and http uses HTTP/1.1. With it HTTP/2 is used for http
    /// without negotiation.
    #[arg(long, conflicts_with = "http1_1", hide_short_help = true)]
    pub(crate) http2: bool,

    /// Follow at most N redirects
    #[arg(
        long,
        value_name = "N",
        default_value_t = 20,
        visible_alias = "max-redirects",
        alias = "max-redirect",
        hide_short_help = true
    )]
    pub(crate) max_redirs: u32,

    /// Fail a file that is larger than SIZE
    ///
    /// 0 means no limit.
    #[arg(long, value_name = "SIZE", value_parser = size, hide_short_help = true)]
    pub(crate) max_filesize: Option<u64>,
}

#[derive(Args)]
#[command(next_help_heading = "HTTP")]
pub(crate) struct CookieFlags {
    /// Send the cookies of FILE, and those set during the run
    ///
    /// FILE has Netscape's format, as curl, wget and browser extensions write it; it is not changed. Each cookie is
    /// sent according to its domain, path, expiry and Secure attribute. A Cookie header of --header comes before them
    /// in the same line, for the origin of each URL.
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub(crate) cookies: Option<PathBuf>,

    /// Send no cookies that redirects set
    ///
    /// Without this flag and --cookies, a cookie that a redirect sets is sent along the same chain of redirects, and
    /// then forgotten.
    #[arg(long, conflicts_with = "cookies", hide_short_help = true)]
    pub(crate) no_cookies: bool,
}

#[derive(Args)]
#[command(next_help_heading = "TLS")]
pub(crate) struct TlsFlags {
    /// Trust only the certificates in FILE (PEM)
    #[arg(long, value_name = "FILE")]
    pub(crate) cacert: Option<PathBuf>,

    /// Trust only the certificates in the files of DIR (PEM), and those of --cacert
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, hide_short_help = true)]
    pub(crate) capath: Option<PathBuf>,

    /// Use the client certificate in FILE (PEM) if a server asks for one
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub(crate) cert: Option<PathBuf>,

    /// Read the client certificate's key from FILE (PEM)
    ///
    /// Without this flag the key is read from the file of --cert.
    #[arg(long, value_name = "FILE", requires = "cert", hide_short_help = true)]
    pub(crate) key: Option<PathBuf>,

    /// Decrypt the key with the passphrase in VARIABLE
    ///
    /// VARIABLE is the name of an environment variable. The key is PKCS#8 (ENCRYPTED PRIVATE KEY), as openssl pkcs8
    /// -topk8 writes it.
    #[arg(
        long,
        value_name = "VARIABLE",
        requires = "cert",
        hide_short_help = true
    )]
    pub(crate) key_pass_env: Option<String>,

    /// The oldest TLS version to use
    #[arg(long, value_name = "VERSION", value_parser = choice(&TLS_VERSIONS), default_value = "1.2", hide_short_help = true)]
    pub(crate) tls_min: TlsVersion,

    /// Accept servers with this public key only
    ///
    /// HASH is sha256// and the SHA-256 of the server's SubjectPublicKeyInfo in Base64; several are separated by
    /// semicolons. The key is checked in addition to the certificate, also with --insecure.
    #[arg(long, value_name = "HASH", value_parser = pins, hide_short_help = true)]
    pub(crate) pinnedpubkey: Option<Pins>,

    /// Do not verify certificates
    ///
    /// An attacker on the network can then read and change the files.
    #[arg(short = 'k', long)]
    pub(crate) insecure: bool,
}

#[derive(Args)]
#[command(next_help_heading = "Network")]
pub(crate) struct Network {
    /// Use IPv4 addresses only
    #[arg(short = '4', alias = "ipv4", conflicts_with = "ipv6")]
    pub(crate) ipv4: bool,

    /// Use IPv6 addresses only
    #[arg(short = '6', alias = "ipv6")]
    pub(crate) ipv6: bool,

    /// Connect from this interface, or from this address
    ///
    /// NAME is that of a network interface, such as eth0, or an IP address of this machine; an address limits
    /// connections to its family. Name lookups are not affected.
    #[arg(long, value_name = "NAME", hide_short_help = true)]
    pub(crate) interface: Option<String>,

    /// Connect to the Unix socket PATH instead of the URL's host
    ///
    /// The URL still gives the Host header, the expected certificate and the path. All connections lead to PATH, also
    /// after redirects and to mirrors, so --proxy and the variables of proxies, --connect-to, --resolve, -4 and -6 have
    /// no effect. PATH has at most 107 bytes.
    #[arg(long, value_name = "PATH", value_parser = PathBufValueParser::new().try_map(unix_socket), conflicts_with = "interface", value_hint = ValueHint::FilePath, hide_short_help = true)]
    pub(crate) unix_socket: Option<PathBuf>,

    /// Use ADDR for HOST and PORT instead of a lookup
    ///
    /// The HOST * stands for every host that no other rule has. Several addresses are separated by commas; an IPv6
    /// address can be in brackets. Can be given several times.
    #[arg(long, value_name = "HOST:PORT:ADDR", value_parser = resolve, hide_short_help = true)]
    pub(crate) resolve: Vec<Resolve>,

    /// Connect to HOST2:PORT2 for URLs with HOST1:PORT1
    ///
    /// Only the connection changes: the request and the expected certificate are still those of HOST1. Each of the four
    /// can be empty: an empty HOST1 or PORT1 matches all URLs, an empty HOST2 or PORT2 is that of the URL. Can be given
    /// several times; the first match is used.
    #[arg(long, value_name = "HOST1:PORT1:HOST2:PORT2", hide_short_help = true)]
    pub(crate) connect_to: Vec<String>,

    /// Connect through the proxy at URL
    ///
    /// URL is [SCHEME://][USER[:PASS]@]HOST[:PORT]. The scheme is http (the default), https, socks5 or socks5h. For
    /// https URLs, and for all URLs over SOCKS, the proxy opens a tunnel; other requests are sent to the proxy. With
    /// socks5 names are looked up locally, with socks5h or socks by the proxy. Without this flag the variables
    /// http_proxy, https_proxy and all_proxy are used; an empty URL means no proxy. A variable with an invalid URL
    /// fails the files that need it.
    #[arg(short, long, value_name = "URL", value_hint = ValueHint::Url)]
    pub(crate) proxy: Option<String>,

    /// Connect to the hosts in LIST without a proxy
    ///
    /// LIST has names (each includes its subdomains), addresses and networks such as 10.0.0.0/8, separated by commas; *
    /// is every host. Without this flag the variable no_proxy is used.
    #[arg(long, value_name = "LIST", hide_short_help = true)]
    pub(crate) noproxy: Option<String>,

    /// Limit the time to connect to DUR
    ///
    /// 0 means no limit.
    #[arg(long, value_name = "DUR", value_parser = duration, default_value = "10s")]
    pub(crate) connect_timeout: Duration,

    /// Fail if no byte arrives for DUR
    ///
    /// A transfer that gets no bytes while others get bytes from the same origin has up to four times as long. 0 means
    /// no limit.
    #[arg(short = 'T', long, value_name = "DUR", value_parser = duration, default_value = "30s")]
    pub(crate) stall_timeout: Duration,

    /// Limit the time of a transfer to DUR
    ///
    /// The time starts when the transfer starts, not while it waits in the queue. Without this flag, or with 0, there
    /// is no limit.
    #[arg(long, value_name = "DUR", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,

    /// Fail if a transfer is slower than RATE for DUR
    ///
    /// RATE is an average over each period of DUR, from the request on. Time in which a rate limit pauses the transfer
    /// does not count.
    #[arg(long, value_name = "RATE:DUR", value_parser = min_speed, hide_short_help = true)]
    pub(crate) min_speed: Option<MinSpeed>,
}

/// The values of `--tls-min`.
const TLS_VERSIONS: [Choice<TlsVersion>; 2] = [
    ("1.2", TlsVersion::V1_2, "TLS 1.2"),
    ("1.3", TlsVersion::V1_3, "TLS 1.3"),
];

#[derive(Args)]
#[command(next_help_heading = "Retry")]
pub(crate) struct RetryFlags {
    /// Retry up to N times after the first try
    ///
    /// Without this flag time decides, because an outage of a server lasts minutes and many files meet the same one: a
    /// file is retried until its server has failed for five minutes without a success, or has failed on this file for
    /// as long and in five tries. Once that time is over, each further file of the server gets one try. A server that
    /// has not answered in this run, and that has no address, accepts no connection or does not speak TLS, is most
    /// likely a typo: its files fail within three seconds. See also --retry-connrefused.
    ///
    /// The count, and the time, start again after a try that resumed the file and added at least 1 MiB. So a large file
    /// can be fetched from a server that cuts its responses.
    #[arg(id = "retry", short = 't', long = "retry", value_name = "N")]
    pub(crate) tries: Option<u32>,

    /// Retry servers that refuse connections as any other failure
    ///
    /// For a service that is just starting. It also holds for names without an address and for ports that do not speak
    /// TLS.
    #[arg(long, hide_short_help = true)]
    pub(crate) retry_connrefused: bool,

    /// Wait DUR before the first retry
    ///
    /// The delay doubles with each retry, up to one minute, with random jitter.
    #[arg(id = "retry_delay", long = "retry-delay", value_name = "DUR", value_parser = duration, default_value = "1s", hide_short_help = true)]
    pub(crate) delay: Duration,

    /// Obey Retry-After up to DUR
    #[arg(long, value_name = "DUR", value_parser = duration, default_value = "5m", hide_short_help = true)]
    pub(crate) max_retry_after: Duration,

    /// Start no retry later than DUR after the first try
    ///
    /// With this flag, the five minutes of patience with a server do not apply. 0 is no limit.
    #[arg(id = "retry_max_time", long = "retry-max-time", value_name = "DUR", value_parser = duration, hide_short_help = true)]
    pub(crate) max_time: Option<Duration>,

    /// Retry only the HTTP statuses CODES
    ///
    /// CODES are separated by commas. The default is 202, 408, 425, 429, 500, 502, 503, 504, 522 and 524. Network
    /// failures are always retried, refused certificates never.
    #[arg(id = "retry_on", long = "retry-on", value_name = "CODES", value_parser = codes, hide_short_help = true)]
    pub(crate) on: Option<Codes>,
}

#[derive(Args)]
#[command(next_help_heading = "Reporting")]
pub(crate) struct ReportingFlags {
    /// Print no completion lines and no progress; -qq no errors
    #[arg(short, long, action = ArgAction::Count)]
    pub(crate) quiet: u8,

    /// Print what each transfer does; -vv also prints headers
    ///
    /// Lines start with * for an action, > for a sent header and < for a received header. Credentials are masked.
    #[arg(short, long, action = ArgAction::Count)]
    pub(crate) verbose: u8,

    /// How to show progress
    #[arg(long, value_name = "HOW", value_enum, default_value_t = ProgressChoice::Auto, hide_short_help = true)]
    pub(crate) progress: ProgressChoice,

    /// Print each completion as a JSON object on one line
    ///
    /// Failures are included; they are also reported on standard error. The man page describes the fields.
    #[arg(long)]
    pub(crate) json: bool,

    /// Write all completions and the totals to FILE, as one JSON document
    ///
    /// FILE is written when the run ends. - is standard output; completion lines then go to standard error.
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub(crate) report: Option<PathBuf>,

    /// Write events to FILE as they happen; - is standard output
    ///
    /// Each line is a JSON object: a start, redirect, retry or completion, and once a second the progress of each file.
    /// The man page describes the fields. With -, completion lines go to standard error.
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub(crate) events: Option<PathBuf>,

    /// Print a summary line at the end
    ///
    /// This is the default on a terminal and with more than one URL.
    #[arg(long, overrides_with = "no_summary", hide_short_help = true)]
    pub(crate) summary: bool,

    /// Print no summary line
    #[arg(long, overrides_with = "summary", hide_short_help = true)]
    pub(crate) no_summary: bool,

    /// When to colour the output
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = ColorChoice::Auto, hide_short_help = true)]
    pub(crate) color: ColorChoice,

    /// Write the rows that are not done to FILE, as a list
    ///
    /// The rows have all their options, mirrors and digests, and their credentials, so only the owner can read FILE.
    /// They include rows that were in progress or not started when the run ended early. FILE is written when the run
    /// ends, and is empty if all rows are done. - is standard output.
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub(crate) failed: Option<PathBuf>,

    /// Stop at the first failure
    #[arg(long)]
    pub(crate) fail_fast: bool,

    /// Print what would be fetched, and to which file
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Print help; --help prints more
    #[arg(id = "help", short, long = "help", action = ArgAction::Help)]
    pub(crate) _help: Option<bool>,

    /// Print the version
    #[arg(id = "version", short = 'V', long = "version", action = ArgAction::Version)]
    pub(crate) _version: Option<bool>,
}

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProgressChoice {
    /// bars on a terminal, else plain
    Auto,
    /// one line for the run and one for each active transfer
    Bars,
    /// one line for the run, updated in place
    Line,
    /// a new line every 10 seconds
    Plain,
    /// nothing
    None,
}

/// When to use colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorChoice {
    /// on a terminal, unless NO_COLOR is set
    Auto,
    /// always
    Always,
    /// never
    Never,
}

impl Flags {
    /// Parses a command line, program name first.
    ///
    /// # Errors
    ///
    /// Usage errors, and clap's "errors" for --help and --version. Their `exit` method prints the message and exits
    /// with status 2 or 0.
    pub(crate) fn read<I>(command_line: I) -> Result<Self, clap::Error>
    where
        I: IntoIterator<Item: Into<OsString> + Clone>,
    {
        let mut flags = Self::try_parse_from(command_line)?;
        flags.output.take_folder();
        match flags.conflict().or_else(|| flags.take_outputs()) {
            Some(message) => Err(Self::command().error(ErrorKind::ArgumentConflict, message)),
            None => Ok(flags),
        }
    }

    /// Flags that contradict each other in ways that clap cannot express.
    fn conflict(&self) -> Option<String> {
        if self.input.urls.len() > 1 {
            let message = if self.output.output.is_some() {
                Some("'--output <FILE>' is for a single URL")
            } else if !self.integrity.checksum.is_empty() {
                Some("'--checksum <ALG:HEX>' is for a single URL")
            } else {
                None
            };
            if let Some(message) = message {
                return Some(message.to_owned());
            }
        }
        if let Some(message) = self.mistaken_input() {
            return Some(message);
        }
        let stdin = self
            .input
            .input_file
            .iter()
            .filter(|file| *file == Path::new("-"));
        (stdin.count() > 1).then(|| "'--input-file -' can be given only once".to_owned())
    }

    /// A list that is given as a URL, or a URL that is given as a list.
    fn mistaken_input(&self) -> Option<String> {
        let mut lists = self
            .input
            .input_file
            .iter()
            .map(|list| list.to_string_lossy());
        if let Some(url) = lists.find(|list| is_url(list) && !Path::new(&**list).exists()) {
            return Some(format!(
                "--input-file reads a file, and '{}' is a URL: fetch it with 'gannet -o - URL | gannet -i -'",
                without_login(&url)
            ));
        }
        let mut urls = self.input.urls.iter();
        let file = urls.find(|url| !url.contains("://") && Path::new(url).is_file())?;
        Some(format!(
            "'{file}' is a file: to fetch the URLs in it, use '-i {file}'; for a host of this name, write http://{file}"
        ))
    }

    /// Replaces each output that leads to standard output by `-`. Returns a message if two outputs are the same file,
    /// or if an output is a list that is read.
    fn take_outputs(&mut self) -> Option<String> {
        let reporting = &mut self.reporting;
        let is_json = reporting.json;
        let outputs = [
            ("--output", &mut self.output.output),
            ("--report", &mut reporting.report),
            ("--events", &mut reporting.events),
            ("--failed", &mut reporting.failed),
            ("--lock", &mut self.integrity.lock),
        ];
        let dir = self.output.dir.as_deref().unwrap_or(Path::new(""));
        let mut taken = Vec::<Taken>::new();
        for (flag, typed) in outputs {
            let Some(path) = typed else { continue };
            let mut full = match flag {
                "--output" if !is_stdout(path) => dir.join(&*path),
                _ => path.clone(),
            };
            if leads_to_stdout(&full) {
                full = PathBuf::from("-");
                path.clone_from(&full);
            }
            let is_stdout = is_stdout(&full);
            if flag == "--lock" && is_stdout {
                return Some("'--lock -' cannot be read again: name a file".into());
            }
            if is_json && is_stdout && flag != "--output" {
                return Some(format!("'{flag} -' and '--json' both use standard output"));
            }
            taken.push(Taken {
                flag,
                file: FileName::of_output(&full),
                full,
            });
        }
        let lists = self.input.input_file.iter();
        let lists: Vec<_> = lists.map(|list| FileName::of_input(list)).collect();
        taken
            .iter()
            .enumerate()
            .find_map(|(at, output)| output.clash(&taken[..at], &taken, &lists))
    }
}

fn is_url(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    text.starts_with("http://") || text.starts_with("https://")
}

/// A URL for messages: its userinfo is masked.
fn without_login(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://***@{rest}"),
        _ => url.to_owned(),
    }
}

/// An output of the command line.
struct Taken {
    flag: &'static str,
    full: PathBuf,
    file: FileName,
}

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{} {}'", self.flag, self.full.display())
    }
}

impl Taken {
    /// A message if this output is the same file as an output before it, or would replace a list that is read.
    fn clash(&self, before: &[Self], all: &[Self], lists: &[FileName]) -> Option<String> {
        let is_stdout = is_stdout(&self.full);
        let mut before = before.iter().filter(|other| other.file.is(&self.file));
        if let Some(other) = before.next()
            && !self.file.is_device()
        {
            let what = if is_stdout {
                "standard output"
            } else {
                "one file"
            };
            return Some(format!("{other} and {self} both use {what}"));
        }
        if is_stdout {
            return None;
        }
        if self.flag != "--failed" && lists.iter().any(|list| list.is(&self.file)) {
            return Some(format!("{self} would replace a list that is read"));
        }
        if !matches!(self.flag, "--report" | "--failed" | "--lock") {
            return None;
        }
        let temporary = self.file.temporary();
        if lists.iter().any(|list| list.is(&temporary)) {
            return Some(format!(
                "the temporary file of {self} would replace a list that is read"
            ));
        }
        let other = all.iter().find(|other| other.file.is(&temporary))?;
        Some(format!(
            "the temporary file of {self} would replace {other}"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gannet::error::RETRIED_STATUSES;
    use gannet::internals::http::digest::Algorithm;

    fn read(line: &[&str]) -> Flags {
        Flags::read([&["gannet"], line].concat()).unwrap_or_else(|error| panic!("{error}"))
    }

    fn fault(line: &[&str]) -> clap::Error {
        let read = Flags::read([&["gannet"], line].concat());
        read.err().unwrap_or_else(|| panic!("{line:?} was taken"))
    }

    #[test]
    fn the_definition_is_sound() {
        Flags::command().debug_assert();
    }

    #[test]
    fn the_defaults_are_those_of_the_contract() {
        let flags = read(&["http://h/a"]);
        assert_eq!(flags.concurrency.jobs, 16);
        assert_eq!(flags.http.max_redirs, 20);
        assert_eq!(flags.network.connect_timeout, Duration::from_secs(10));
        assert_eq!(flags.network.stall_timeout, Duration::from_secs(30));
        assert_eq!(flags.network.timeout, None);
        assert_eq!(flags.retry.tries, None);
        assert_eq!(flags.retry.delay, Duration::from_secs(1));
        assert_eq!(flags.retry.max_retry_after, Duration::from_secs(300));
        assert_eq!(flags.output.exists, Exists::Verify);
        assert_eq!(flags.reporting.progress, ProgressChoice::Auto);
        assert_eq!(flags.reporting.color, ColorChoice::Auto);
    }

    #[test]
    fn neither_a_url_nor_a_list_is_a_usage_error_with_a_hint() {
        let error = fault(&["-j", "4"]);
        assert_eq!(error.exit_code(), 2);
        assert!(
            error.to_string().contains("Usage: gannet [OPTIONS] URL..."),
            "{error}"
        );
    }

    #[test]
    fn lists_and_urls_may_be_mixed_and_repeated() {
        let flags = read(&["-i", "a", "-i", "-", "http://h/1", "http://h/2"]);
        assert_eq!(
            flags.input.input_file,
            [PathBuf::from("a"), PathBuf::from("-")]
        );
        assert_eq!(flags.input.urls.len(), 2);
    }

    #[test]
    fn standard_input_is_read_once() {
        assert!(
            fault(&["-i", "-", "-i", "-"])
                .to_string()
                .contains("only once")
        );
    }

    #[test]
    fn one_name_for_several_files_is_refused() {
        assert_eq!(
            fault(&["-o", "x", "http://h/1", "http://h/2"]).exit_code(),
            2
        );
        assert_eq!(fault(&["-o", "-", "-i", "list"]).exit_code(), 2);
        assert_eq!(
            read(&["-o", "-", "http://h/1"]).output.output,
            Some(PathBuf::from("-"))
        );
    }

    #[test]
    fn an_output_that_ends_in_a_slash_is_a_folder() {
        for (typed, dir) in [
            (&["-o", "x/", "u", "v"][..], "x/"),
            (&["-d", "a", "-o", "x/", "u"], "a/x/"),
            (&["-o", ".", "u"], "."),
            (&["-o", "/", "u"], "/"),
        ] {
            let output = read(typed).output;
            assert_eq!(output.output, None);
            assert_eq!(output.dir, Some(PathBuf::from(dir)));
        }
    }

    #[test]
    fn the_other_tools_spellings_work() {
        for dir in ["-d", "-P", "--dir", "--output-dir", "--directory-prefix"] {
            assert_eq!(
                read(&[dir, "x", "u"]).output.dir,
                Some(PathBuf::from("x")),
                "{dir}"
            );
        }
        for agent in ["-U", "-A", "--user-agent"] {
            assert_eq!(
                read(&[agent, "me", "u"]).http.user_agent.as_deref(),
                Some("me")
            );
        }
        for redirs in ["--max-redirs", "--max-redirects", "--max-redirect"] {
            assert_eq!(read(&[redirs, "3", "u"]).http.max_redirs, 3);
        }
        assert_eq!(
            read(&["--max-concurrent-downloads=8", "u"])
                .concurrency
                .jobs,
            8
        );
        assert!(read(&["--ipv4", "u"]).network.ipv4);
        assert_eq!(read(&["-s", "auto", "u"]).concurrency.split, Split::Auto);
    }

    #[test]
    fn the_last_of_summary_and_no_summary_wins() {
        let flags = read(&["--summary", "--no-summary", "u"]);
        assert!(flags.reporting.no_summary && !flags.reporting.summary);
        let flags = read(&["--no-summary", "--summary", "u"]);
        assert!(flags.reporting.summary && !flags.reporting.no_summary);
    }

    fn long_help(id: &str) -> String {
        let command = Flags::command();
        let arg = command.get_arguments().find(|arg| arg.get_id() == id);
        arg.and_then(|arg| arg.get_long_help()).unwrap().to_string()
    }

    #[test]
    fn the_help_names_every_algorithm() {
        let help = long_help("checksum");
        for algorithm in Algorithm::ALL {
            assert!(help.contains(algorithm.name()), "{algorithm}");
        }
    }

    #[test]
    fn the_help_names_the_statuses_that_are_retried() {
        let statuses = RETRIED_STATUSES.map(|status| status.to_string()).join(", ");
        let (rest, last) = statuses.rsplit_once(", ").unwrap();
        assert!(long_help("retry_on").contains(&format!("{rest} and {last}.")));
    }

    #[test]
    fn letters_that_repeat_are_counted() {
        let flags = read(&["-qq", "-v", "-v", "u"]);
        assert_eq!((flags.reporting.quiet, flags.reporting.verbose), (2, 2));
    }

    #[test]
    fn both_address_families_alone_is_a_contradiction() {
        assert_eq!(fault(&["-4", "-6", "u"]).exit_code(), 2);
    }

    #[test]
    fn no_jobs_is_an_error_that_says_so() {
        for flag in ["--jobs", "--per-host", "--split"] {
            let error = fault(&[flag, "0", "u"]).to_string();
            assert!(error.contains("must be at least 1"), "{flag}: {error}");
        }
        assert!(
            fault(&["-j", "many", "u"])
                .to_string()
                .contains("not a whole number")
        );
    }

    #[test]
    fn the_short_help_fits_80_columns_by_60_lines_and_hides_what_is_hidden() {
        let help = Flags::command().term_width(80).render_help().to_string();
        assert!(help.lines().all(|line| line.len() <= 80), "{help}");
        assert!(help.lines().count() <= 60, "{} lines", help.lines().count());
        let long = Flags::command().render_long_help().to_string();
        for hidden in ["directory-prefix", "max-concurrent", "--ipv4"] {
            assert!(!long.contains(hidden), "{hidden}");
        }
    }
}
