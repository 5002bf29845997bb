//! What can be typed. Help, man page and completions come from here alone.
//!
//! This file, `values.rs` and `outputs.rs` stand on crates and the library only, so that tests can
//! include them by their path. What was typed is turned into what is wanted elsewhere
//! (`options.rs`).

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{ArgAction, Args, CommandFactory, Parser, ValueEnum, ValueHint};
use gannet::http::Field;
use url::Url;

use super::outputs::Place;
use super::values::{
    Codes, MinSpeed, Pins, Resolve, Split, base_url, codes, duration, field_value, is_stdout,
    leads_to_stdout, min_speed, one_or_more, pins, resolve, size, split, start_interval,
};

/// Fetch many files at once over HTTP and HTTPS
///
/// Each URL is one file. Files go to the folder of --dir under the last part of their URL; a body is written to
/// NAME.part and takes its final name by one rename when it is complete, so a file at its final name is always a
/// whole one. A completion line for each file goes to standard output, errors and progress go to standard error.
///
/// DUR is a duration such as 500ms, 10s or '1h 30m'; a bare number is seconds. SIZE and RATE are bytes, and take K, M,
/// G and T (powers of 1024), as in 10M.
#[derive(Parser)]
#[command(
    name = "gannet",
    version,
    override_usage = "gannet [OPTIONS] URL...\n       gannet [OPTIONS] -i FILE",
    after_help = "'gannet --help' has every option, with its full meaning.",
    after_long_help = AFTER_HELP,
    disable_help_flag = true,
    disable_version_flag = true,
    args_override_self = true,
    max_term_width = 100
)]
pub(crate) struct Flags {
    #[command(flatten)]
    pub(crate) input: Input,
    #[command(flatten)]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) concurrency: Concurrency,
    #[command(flatten)]
    pub(crate) resume: Resume,
    #[command(flatten)]
    pub(crate) integrity: Integrity,
    #[command(flatten)]
    pub(crate) http: Http,
    #[command(flatten)]
    pub(crate) tls: Tls,
    #[command(flatten)]
    pub(crate) network: Network,
    #[command(flatten)]
    pub(crate) retry: Retry,
    #[command(flatten)]
    pub(crate) reporting: Reporting,
}

/// How the long help ends; the man page has its own, fuller sections.
const AFTER_HELP: &str = "\
Exit status: 0 all files were fetched, 2 usage or list, 3 local file, 4 network, 5 TLS, 6 authentication, \
7 malformed answer, 8 error status, 9 wrong digest, 10 the file changed, 11 the file exists, 12 no space, 28 timed out, 129, 130 and 143 stopped by a signal, \
1 anything else. 'man gannet' has the whole table, the format of lists and examples.";

#[derive(Args)]
#[command(next_help_heading = "Input")]
pub(crate) struct Input {
    /// What to fetch: one file for each URL
    #[arg(value_name = "URL", required_unless_present = "input_file", value_hint = ValueHint::Url)]
    pub(crate) urls: Vec<String>,

    /// Read URLs from FILE, one a line; - is standard input
    ///
    /// Can be given several times. The list is read as it is needed: the first transfer starts before the end of the
    /// list is seen. A line that starts with # is a comment; indented lines below a URL set options for it.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) input_file: Vec<PathBuf>,

    /// How lists are written
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = InputFormat::Auto, hide_short_help = true)]
    pub(crate) input_format: InputFormat,

    /// Take only the Kth of N shares of all URLs
    ///
    /// For lists that several workers share: each URL falls to one of them, by a hash that never
    /// changes. With 'auto' the scheduler's environment says which worker this is: Slurm arrays,
    /// AWS Batch arrays, Kubernetes indexed Jobs and GNU parallel (the last two with
    /// GANNET_SHARDS=N), or else GANNET_SHARD=K/N.
    ///
    /// All workers read the whole list and name the files of all its rows, so that they may write into one
    /// folder: each file gets the name that a single run of the list would give it.
    #[arg(long, value_name = "K/N", hide_short_help = true)]
    pub(crate) shard: Option<String>,

    /// Resolve relative references in a list against URL
    #[arg(long, value_name = "URL", value_parser = base_url, hide_short_help = true)]
    pub(crate) base: Option<Url>,

    /// Let a bad line in a list end the run
    ///
    /// An unknown key or a bad line in a list ends the run with exit status 2 before anything is fetched that comes
    /// after it. Without this the line is reported and counted as failed, and the rest goes on.
    #[arg(long)]
    pub(crate) strict: bool,

    /// Read no configuration: neither gannet.toml nor GANNET_ variables
    #[arg(id = "no_config", long = "no-config", hide_short_help = true)]
    pub(crate) _no_config: bool,
}

/// How a list is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum InputFormat {
    /// by how it begins
    Auto,
    /// a URL a line, with options below it
    Urls,
    /// a JSON object a line
    Jsonl,
    /// digests and names, as sha256sum writes them, resolved against --base
    Sums,
    /// RFC 5854
    Metalink,
}

#[derive(Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct Output {
    /// Put files into DIR, which is made if missing
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

    /// Name the file of a single URL; - is standard output
    #[arg(short, long, value_name = "FILE", conflicts_with = "input_file")]
    pub(crate) output: Option<PathBuf>,

    /// Name files after their URLs by TEMPLATE
    ///
    /// It may have {host}, {path} (with its folders), {name} (the last part of the path), {stem}
    /// and {ext} (what comes before and after its last dot), {index} (the number of the row, from 1,
    /// of all rows, those that cannot be read and those of other shares included), {hash} (the first
    /// 16 hex digits of the SHA-256 of the URL, without user information and fragment), and slashes,
    /// which make folders below --dir. A name that a list gives goes before.
    #[arg(long, value_name = "TEMPLATE", conflicts_with_all = ["output", "content_disposition"], hide_short_help = true)]
    pub(crate) name: Option<String>,

    /// Let the server name the file
    ///
    /// The name in the answer's Content-Disposition header is used, reduced to a safe base name.
    #[arg(long)]
    pub(crate) content_disposition: bool,

    /// What to do when the file is already there
    #[arg(long, value_name = "WHAT", value_enum, default_value_t = Exists::Verify)]
    pub(crate) exists: Exists,

    /// Fetch a file that is there only if the server has a newer one
    ///
    /// The server is asked with what is known of the file, or else with its time, whoever made it;
    /// a file that the server calls unchanged, or sends as large and no newer, is kept. With a
    /// digest asked for, that alone decides.
    #[arg(short = 'N', long, conflicts_with = "exists", hide_short_help = true)]
    pub(crate) timestamping: bool,

    /// Give files the server's Last-Modified as their time
    #[arg(long, hide_short_help = true)]
    pub(crate) remote_time: bool,

    /// When files must have reached the disk
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = Fsync::None, hide_short_help = true)]
    pub(crate) fsync: Fsync,
}

/// When a file must have reached the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Fsync {
    /// when the system sees fit
    None,
    /// each file, and its name, before it counts as done
    File,
    /// all together, before the run ends: the file system of --dir
    Batch,
}

/// What to do when the final name is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Exists {
    /// keep it if it is known to be the same, else fetch it anew and replace it
    Verify,
    /// keep it, whatever it holds
    Skip,
    /// fetch it anew and replace it
    Overwrite,
    /// keep it and give the new one another name
    Rename,
    /// count it as a failure
    Error,
}

#[derive(Args)]
#[command(next_help_heading = "Resume and integrity")]
pub(crate) struct Integrity {
    /// Fail unless the file of a single URL has this digest
    ///
    /// Written as ALG:HEX or ALG=HEX, or as subresource integrity, ALG-BASE64. ALG is sha256,
    /// sha512, sha1, md5, blake3, sha384 or sha224. Can be given several times, and then all of
    /// them are checked. A file that fails does not take its final name. A URL can ask for the same
    /// with a fragment, as in URL#sha256=HEX, and a list with checksum=. With --exists verify a
    /// file that is there and has the digest is kept without asking the server.
    #[arg(long, value_name = "ALG:HEX", conflicts_with = "input_file")]
    pub(crate) checksum: Vec<String>,

    /// Fail unless each file has the digest that FILE has of its name
    ///
    /// FILE is as sha256sum and its like write it, SHA256SUMS for example, and may be a URL: it is
    /// fetched first. A file is looked up by the last part of its URL, or else by its own name. One
    /// that is not in FILE fails unless something else says what its digest is to be.
    #[arg(long, value_name = "FILE|URL", hide_short_help = true)]
    pub(crate) checksums: Option<String>,

    /// Write to FILE what was fetched from where
    ///
    /// FILE is JSON, with the URL, name, size, SHA-256 and entity tag of each file. What it held of
    /// other URLs stays in it. It is written when the run ends, in one step, and several runs may
    /// share it.
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub(crate) lock: Option<PathBuf>,

    /// Refuse whatever differs from the file of --lock
    ///
    /// A URL that is not in it, or a file of another size, digest or name, fails. FILE is not written.
    #[arg(long, requires = "lock", hide_short_help = true)]
    pub(crate) locked: bool,
}

#[derive(Args)]
#[command(next_help_heading = "Concurrency")]
pub(crate) struct Concurrency {
    /// Fetch N files at once
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
    /// An origin is a scheme, a host and a port. Without this only --jobs bounds it.
    #[arg(short = 'x', long, value_name = "N", value_parser = one_or_more)]
    pub(crate) per_host: Option<u32>,

    /// Fetch each file over N connections
    ///
    /// With auto a file begins with one connection and gets more, up to 16, while they add speed.
    /// All parts are of one version of the file: that takes a server that sends parts, and a strong
    /// ETag or date. Where one is missing, the file comes over one connection. Mirrors are asked at
    /// once where a digest is asked for, or all have one ETag.
    #[arg(short, long, value_name = "N|auto", value_parser = split, default_value = "auto")]
    pub(crate) split: Split,

    /// Divide no file into parts smaller than SIZE
    ///
    /// The default is 8M, or 1M where --split has a number.
    #[arg(long, value_name = "SIZE", value_parser = size, hide_short_help = true)]
    pub(crate) min_split: Option<u64>,

    /// Receive at most RATE bytes a second in all
    ///
    /// 0 lifts the limit.
    #[arg(long, value_name = "RATE", value_parser = size)]
    pub(crate) limit_rate: Option<u64>,

    /// Receive at most RATE bytes a second for each file
    ///
    /// 0 lifts the limit.
    #[arg(long, value_name = "RATE", value_parser = size, hide_short_help = true)]
    pub(crate) limit_rate_file: Option<u64>,

    /// Start at most N transfers a second, minute or hour
    ///
    /// Written as N/s, N/m or N/h, and spread evenly. Each try of a file counts, first or not, and
    /// each part of one; a redirect does not. With it a file is divided only where --split has a
    /// number.
    #[arg(long, value_name = "N/s", value_parser = start_interval, hide_short_help = true)]
    pub(crate) rate: Option<Duration>,
}

#[derive(Args)]
#[command(next_help_heading = "Resume and integrity")]
pub(crate) struct Resume {
    /// Continue partial files that another tool has left
    ///
    /// A partial file at the final name, as wget and curl leave it, is continued without proof that
    /// the file is still the same: you vouch for that. It moves to NAME.part when the server has
    /// sent more of it. A file that is as large as the server's is kept; a larger one is fetched
    /// anew.
    #[arg(short, long = "continue", conflicts_with = "no_resume")]
    pub(crate) r#continue: bool,

    /// Start over instead of resuming what an earlier run has left
    #[arg(long, hide_short_help = true)]
    pub(crate) no_resume: bool,
}

#[derive(Args)]
#[command(next_help_heading = "HTTP")]
pub(crate) struct Http {
    /// Send this header, 'Name: value', with every request
    ///
    /// Can be given several times. An Authorization or Cookie header given here stays with the origin of each URL: it
    /// does not follow a redirect to another one.
    #[arg(short = 'H', long = "header", value_name = "HEADER", value_parser = Field::parse)]
    pub(crate) headers: Vec<Field>,

    /// Send this User-Agent
    #[arg(short = 'U', long, value_name = "NAME", visible_short_alias = 'A', value_parser = field_value)]
    pub(crate) user_agent: Option<String>,

    /// Send this Referer
    #[arg(long, value_name = "URL", value_parser = field_value, hide_short_help = true)]
    pub(crate) referer: Option<String>,

    /// Log in with HTTP Basic authentication
    ///
    /// Never sent to another origin than that of each URL, nor from https to http. A password given here can be seen in
    /// the list of processes.
    #[arg(short, long, value_name = "USER[:PASS]")]
    pub(crate) user: Option<String>,

    /// Log in with the bearer token that the environment variable VAR holds
    ///
    /// Like a user's password it is never sent to another origin than that of each URL; unlike that
    /// it stands in no list of processes.
    #[arg(
        long,
        value_name = "VAR",
        conflicts_with = "user",
        hide_short_help = true
    )]
    pub(crate) bearer_env: Option<String>,

    /// Log in with what ~/.netrc, or FILE, has for each host
    ///
    /// The file of the environment variable NETRC goes before ~/.netrc. A host's login is sent to that host alone, with
    /// Basic authentication, also where a redirect leads there, but in the clear to none after https. The 'default'
    /// one is for the hosts of the URLs themselves. --user, user information in a URL and an Authorization header go
    /// before; a URL with a user but no password gets that user's password.
    #[arg(
        long,
        value_name = "FILE",
        num_args = 0..=1,
        require_equals = true,
        hide_short_help = true
    )]
    pub(crate) netrc: Option<Option<PathBuf>>,

    /// Fetch only bytes A to B of a single URL
    ///
    /// Written as A-B, both counted from 0 and both included, as A- for all from A on, or as -N for the
    /// last N. The file has exactly these bytes, or fewer where what is there ends before; a digest that
    /// is asked for is theirs. They come over one connection. It is a failure if the server sends
    /// something else, such as the whole.
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

    /// Let servers compress what they send, and decompress it
    ///
    /// Servers are offered gzip, br and zstd (or what a -H 'Accept-Encoding: ...' says), and each file
    /// is what comes out: sizes and digests that are asked for are its own. A file that comes
    /// compressed comes over one connection, and is started over rather than resumed. Without this
    /// nothing is offered, and bytes are stored as they are sent.
    #[arg(long, hide_short_help = true)]
    pub(crate) compressed: bool,

    /// Send the cookies of FILE, and those that answers set during the run
    ///
    /// FILE is in Netscape's format, as curl, wget and browsers' extensions write it; it is not changed. Each cookie
    /// goes where its domain, path, time and security say. A Cookie header of --header goes before them, in one
    /// line, to the origin of each URL.
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub(crate) cookies: Option<PathBuf>,

    /// Speak HTTP/1.1 only
    #[arg(id = "http1_1", long = "http1.1", hide_short_help = true)]
    pub(crate) http1_1: bool,

    /// Speak HTTP/2 only
    ///
    /// Without it https servers are asked, and http ones spoken to in HTTP/1.1. With it an http
    /// server is taken to speak HTTP/2 without being asked.
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

    /// Refuse a file larger than SIZE
    ///
    /// 0 lifts the limit.
    #[arg(long, value_name = "SIZE", value_parser = size, hide_short_help = true)]
    pub(crate) max_filesize: Option<u64>,
}

#[derive(Args)]
#[command(next_help_heading = "TLS")]
pub(crate) struct Tls {
    /// Trust the certificates in FILE (PEM), and no others
    #[arg(long, value_name = "FILE")]
    pub(crate) cacert: Option<PathBuf>,

    /// Trust the certificates in the files of DIR (PEM), and no others but those of --cacert
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, hide_short_help = true)]
    pub(crate) capath: Option<PathBuf>,

    /// Show the client certificate in FILE (PEM) to servers that ask for one
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub(crate) cert: Option<PathBuf>,

    /// Take the client certificate's key from FILE (PEM)
    ///
    /// Without this it is looked for in the file of --cert.
    #[arg(long, value_name = "FILE", requires = "cert", hide_short_help = true)]
    pub(crate) key: Option<PathBuf>,

    /// Speak no TLS older than VERSION
    #[arg(long, value_name = "VERSION", value_enum, default_value_t = Oldest::V1_2, hide_short_help = true)]
    pub(crate) tls_min: Oldest,

    /// Accept servers with this public key only
    ///
    /// Each HASH is sha256// and the Base64 of the SHA-256 digest of a server's
    /// SubjectPublicKeyInfo; several are separated by semicolons. This is checked in addition to
    /// the certificate, and with --insecure too.
    #[arg(long, value_name = "HASH", value_parser = pins, hide_short_help = true)]
    pub(crate) pinnedpubkey: Option<Pins>,

    /// Do not verify certificates
    ///
    /// Anyone on the way can then read and change what is fetched.
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

    /// Use this address for HOST and PORT instead of looking it up
    ///
    /// Several addresses are separated by commas; an IPv6 address can stand in brackets. Can be given several times.
    #[arg(long, value_name = "HOST:PORT:ADDR", value_parser = resolve, hide_short_help = true)]
    pub(crate) resolve: Vec<Resolve>,

    /// Connect to HOST2 and PORT2 where a URL says HOST1 and PORT1
    ///
    /// Everything else is as if HOST1 were connected to: the request, and the certificate that is expected. Each of the
    /// four can be empty: any host or port, or that of the URL. The first that is about a URL counts. Can be given
    /// several times.
    #[arg(long, value_name = "HOST1:PORT1:HOST2:PORT2", hide_short_help = true)]
    pub(crate) connect_to: Vec<String>,

    /// Connect by the proxy at URL
    ///
    /// URL is [SCHEME://][USER[:PASS]@]HOST[:PORT], and the scheme one of http (if there is none),
    /// https, socks5 and socks5h. To https URLs, and over SOCKS to all, the proxy makes a tunnel;
    /// other requests are given to it. With socks5 names are looked up here, with socks5h by the
    /// proxy. Without this the variables http_proxy, https_proxy and all_proxy name proxies; an
    /// empty URL says that there is none.
    #[arg(short, long, value_name = "URL", value_hint = ValueHint::Url)]
    pub(crate) proxy: Option<String>,

    /// Connect to the hosts in LIST without a proxy
    ///
    /// Names, each for itself and all below it, addresses and networks such as 10.0.0.0/8, separated
    /// by commas; * is every host. Without this the variable no_proxy has such a list.
    #[arg(long, value_name = "LIST", hide_short_help = true)]
    pub(crate) noproxy: Option<String>,

    /// Give up connecting after DUR
    ///
    /// 0 lifts the limit.
    #[arg(long, value_name = "DUR", value_parser = duration, default_value = "10s")]
    pub(crate) connect_timeout: Duration,

    /// Give up when no byte comes for DUR
    ///
    /// A transfer that has none while others have bytes from the same origin is given up to four times as long.
    /// 0 lifts the limit.
    #[arg(short = 'T', long, value_name = "DUR", value_parser = duration, default_value = "30s")]
    pub(crate) stall_timeout: Duration,

    /// Give up a transfer that takes longer than DUR
    ///
    /// The clock starts when the transfer does, not while it waits for its turn. Without this, or
    /// with 0, a transfer may take as long as it likes.
    #[arg(long, value_name = "DUR", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,

    /// Give up a transfer that is slower than RATE for DUR
    ///
    /// RATE is bytes a second, on average over each span of DUR, from the request on. The time that a rate limit holds
    /// a transfer back does not count.
    #[arg(long, value_name = "RATE:DUR", value_parser = min_speed, hide_short_help = true)]
    pub(crate) min_speed: Option<MinSpeed>,
}

/// The oldest version of TLS that is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Oldest {
    /// TLS 1.2
    #[value(name = "1.2")]
    V1_2,
    /// TLS 1.3
    #[value(name = "1.3")]
    V1_3,
}

#[derive(Args)]
#[command(next_help_heading = "Retry")]
pub(crate) struct Retry {
    /// Try up to N times more after the first
    ///
    /// Tries are counted anew after one that went on with what was there and brought a MiB or more, so that a
    /// large file comes whole from a server that cuts its answers.
    #[arg(
        id = "retry",
        short = 't',
        long = "retry",
        value_name = "N",
        default_value_t = 5
    )]
    pub(crate) tries: u32,

    /// Wait DUR before the first retry
    ///
    /// The delay doubles with each retry up to a minute, and is varied at random.
    #[arg(id = "retry_delay", long = "retry-delay", value_name = "DUR", value_parser = duration, default_value = "1s", hide_short_help = true)]
    pub(crate) delay: Duration,

    /// Obey a Retry-After of up to DUR
    #[arg(long, value_name = "DUR", value_parser = duration, default_value = "5m", hide_short_help = true)]
    pub(crate) max_retry_after: Duration,

    /// Begin no retry later than DUR after the first try began
    ///
    /// Without this, or with 0, only the number of tries ends them.
    #[arg(id = "retry_max_time", long = "retry-max-time", value_name = "DUR", value_parser = duration, hide_short_help = true)]
    pub(crate) max_time: Option<Duration>,

    /// Retry the HTTP statuses CODES, and no others
    ///
    /// They are separated by commas. Without this 408, 425, 429, 500, 502, 503, 504, 522 and 524
    /// are tried again. Failures of the network are tried again in any case, a certificate that is
    /// not accepted never is.
    #[arg(id = "retry_on", long = "retry-on", value_name = "CODES", value_parser = codes, hide_short_help = true)]
    pub(crate) on: Option<Codes>,
}

#[derive(Args)]
#[command(next_help_heading = "Reporting")]
pub(crate) struct Reporting {
    /// Print no completion lines and no progress; -qq no errors either
    #[arg(short, long, action = ArgAction::Count)]
    pub(crate) quiet: u8,

    /// Say what each transfer does; -vv shows headers too
    ///
    /// Lines start with * for what is done, > for what is sent and < for what comes back. Credentials are masked.
    #[arg(short, long, action = ArgAction::Count)]
    pub(crate) verbose: u8,

    /// How to show progress
    #[arg(long, value_name = "HOW", value_enum, default_value_t = ProgressChoice::Auto, hide_short_help = true)]
    pub(crate) progress: ProgressChoice,

    /// Print each completion as a JSON object on a line of its own
    ///
    /// Failures too; errors are still told on standard error. The man page has the fields.
    #[arg(long)]
    pub(crate) json: bool,

    /// Write every completion and the totals to FILE, as one JSON document
    ///
    /// It appears when the run has ended. - is standard output, and completion lines go to standard error then.
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub(crate) report: Option<PathBuf>,

    /// Write to FILE what happens as it happens; - is standard output
    ///
    /// A JSON object a line: each start, redirect, retry and completion, and once a second how far
    /// each file is. The man page has the fields. With - completion lines go to standard error.
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub(crate) events: Option<PathBuf>,

    /// End with a line that sums the run up
    ///
    /// This is the default on a terminal and with more than one URL.
    #[arg(long, overrides_with = "no_summary", hide_short_help = true)]
    pub(crate) summary: bool,

    /// Do not end with a line that sums the run up
    #[arg(long, overrides_with = "summary", hide_short_help = true)]
    pub(crate) no_summary: bool,

    /// Whether to colour what is printed
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = ColorChoice::Auto, hide_short_help = true)]
    pub(crate) color: ColorChoice,

    /// Write the rows that are not done to FILE, as a list to read again
    ///
    /// With all their options, mirrors and digests, and with their credentials: only its owner may
    /// read FILE. Rows that were under way when the run ended early are among them, and those that it had
    /// not begun. FILE is written when the run ends, and is empty if all is done. - is standard output.
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub(crate) failed: Option<PathBuf>,

    /// Let the first failure end the run
    #[arg(long)]
    pub(crate) fail_fast: bool,

    /// Print what would be fetched, and where to
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Print help; --help says more
    #[arg(id = "help", short, long = "help", action = ArgAction::Help)]
    pub(crate) _help: Option<bool>,

    /// Print the version
    #[arg(id = "version", short = 'V', long = "version", action = ArgAction::Version)]
    pub(crate) _version: Option<bool>,
}

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProgressChoice {
    /// bars on a terminal, plain lines elsewhere
    Auto,
    /// a line for the whole run and one for each active transfer
    Bars,
    /// one line for the whole run, kept up to date
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
    /// Usage errors, and clap's "errors" for --help and --version: `exit` on them does what is right, with exit
    /// status 2 for the former and 0 for the latter.
    pub(crate) fn read<I>(command_line: I) -> Result<Self, clap::Error>
    where
        I: IntoIterator<Item: Into<OsString> + Clone>,
    {
        let mut flags = Self::try_parse_from(command_line)?;
        let fault = |kind, message: &str| Err(Self::command().error(kind, message));
        if flags.input.urls.len() > 1 {
            let fault = |message| fault(ErrorKind::ArgumentConflict, message);
            if flags.output.output.is_some() {
                return fault("'--output <FILE>' names the file of a single URL");
            }
            if !flags.integrity.checksum.is_empty() {
                return fault("'--checksum <ALG:HEX>' is the digest of a single URL");
            }
            if flags.http.range.is_some() {
                return fault("'--range <A-B>' is of a single URL");
            }
        }
        if let Some(message) = flags.take_outputs() {
            return fault(ErrorKind::ArgumentConflict, &message);
        }
        let stdin = flags
            .input
            .input_file
            .iter()
            .filter(|file| *file == Path::new("-"));
        if stdin.count() > 1 {
            return fault(
                ErrorKind::ArgumentConflict,
                "'--input-file -' can be given only once",
            );
        }
        Ok(flags)
    }

    /// Names standard output `-` wherever an output leads there. What is wrong where two outputs would
    /// be mixed up.
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
                return Some("'--lock -' is no file that can be read again".into());
            }
            if is_json && is_stdout && flag != "--output" {
                return Some(format!("'{flag} -' and '--json' both want standard output"));
            }
            taken.push(Taken {
                flag,
                place: Place::of_output(&full),
                full,
            });
        }
        let lists = self.input.input_file.iter();
        let lists: Vec<_> = lists.map(|list| Place::of_input(list)).collect();
        let clash = |(at, output): (usize, &Taken)| output.clash(&taken[..at], &taken, &lists);
        taken.iter().enumerate().find_map(clash)
    }
}

/// An output that was typed.
struct Taken {
    flag: &'static str,
    full: PathBuf,
    place: Place,
}

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{} {}'", self.flag, self.full.display())
    }
}

impl Taken {
    /// What is wrong where it would be mixed up with an output before it, or would replace what is read.
    fn clash(&self, before: &[Self], all: &[Self], lists: &[Place]) -> Option<String> {
        let is_stdout = is_stdout(&self.full);
        let mut before = before.iter().filter(|other| other.place.is(&self.place));
        if let Some(other) = before.next()
            && !self.place.is_device()
        {
            let what = if is_stdout {
                "standard output"
            } else {
                "one file"
            };
            return Some(format!("{other} and {self} both want {what}"));
        }
        if is_stdout {
            return None;
        }
        if self.flag != "--failed" && lists.iter().any(|list| list.is(&self.place)) {
            return Some(format!("{self} would replace a list that is read"));
        }
        if !matches!(self.flag, "--report" | "--failed" | "--lock") {
            return None;
        }
        let part = self.place.part();
        if lists.iter().any(|list| list.is(&part)) {
            return Some(format!(
                "{self} is written beside it, over a list that is read"
            ));
        }
        let other = all.iter().find(|other| other.place.is(&part))?;
        Some(format!("{self} is written beside it, where {other} is"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(flags.retry.tries, 5);
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
