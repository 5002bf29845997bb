//! Turns flags into the [`Plan`] of a run.

use std::env;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow};
use gannet::http::{
    ByteRange, ConnectTo, Credentials, Expected, Field, NoProxy, Proxies, Proxy, accept_encoding,
};
use gannet::internals::http::encoding::take_offer;
use gannet::list::{Shard, parse_url};
use gannet::multi::{
    Detail, Family, Identity, Limits, Options, Protocol, TlsOptions, TrustRoots, Windows,
};
use gannet::session::{ListSource, Output, Plan, Request, Resume, Retry, Template};

use super::flags::{self, Flags};
use super::values::is_stdout;

/// Builds the plan of a run.
///
/// # Errors
/// A flag has an invalid value; the message names the flag.
pub(crate) fn plan(flags: Flags) -> Result<Plan> {
    let request = request(&flags)?;
    let options = options(&flags)?;
    let digests = flags.integrity.checksum.iter().map(|text| {
        let digest = text.parse::<Expected>();
        digest.map_err(|why| anyhow!("--checksum: {why}"))
    });
    let digests = digests.collect::<Result<_>>()?;
    let output = match flags.output.output {
        None => Output::ByName,
        Some(path) if is_stdout(&path) => Output::Stdout,
        Some(path) => Output::File(path),
    };
    Ok(Plan {
        urls: flags.input.urls,
        lists: flags.input.input_file,
        base: flags.input.base,
        is_strict: flags.input.strict,
        digests,
        checksums: flags.integrity.checksums.map(checksums).transpose()?,
        format: flags.input.input_format,
        shard: flags.input.shard.as_deref().map(shard).transpose()?,
        dir: flags.output.dir.unwrap_or_else(|| PathBuf::from(".")),
        output,
        template: flags.output.name.as_deref().map(template).transpose()?,
        takes_names: flags.output.content_disposition,
        takes_final_names: flags.output.trust_server_names,
        exists: flags.output.exists,
        resume: resume(&flags.resume),
        split: flags.concurrency.split,
        min_split: flags.concurrency.min_split,
        is_newer_only: flags.output.timestamping,
        has_remote_time: flags.output.remote_time,
        durability: flags.output.fsync,
        lock: flags.integrity.lock,
        is_locked: flags.integrity.locked,
        range: flags.http.range.as_deref().map(range).transpose()?,
        failed: flags.reporting.failed,
        jobs: flags.concurrency.jobs as usize,
        is_fail_fast: flags.reporting.fail_fast,
        is_dry_run: flags.reporting.dry_run,
        retry: Retry {
            retries: flags.retry.tries,
            first_delay: flags.retry.delay,
            longest_retry_after: flags.retry.max_retry_after,
            longest: flags.retry.max_time.and_then(span),
            awaits_unreached: flags.retry.retry_connrefused,
            statuses: flags.retry.on.as_ref().map(|codes| codes.0.clone()),
        },
        seed: None,
        hashing_threads: None,
        request,
        options,
        cookies: None,
        has_no_cookies: flags.http.jar.no_cookies,
        traces: match (flags.reporting.verbose, &flags.reporting.events) {
            (0, None) => None,
            (0, Some(_)) => Some(Detail::Steps),
            _ => Some(Detail::All),
        },
    })
}

/// `FILE|URL`: a name with a scheme is a URL.
fn checksums(typed: String) -> Result<ListSource> {
    if !typed.contains("://") {
        return Ok(ListSource::File(typed.into()));
    }
    let url = parse_url(&typed, None).map_err(|why| anyhow!("--checksums: {why}"))?;
    Ok(ListSource::Url(url))
}

fn template(typed: &str) -> Result<Template> {
    Template::parse(typed).map_err(|why| anyhow!("--name: {why}"))
}

fn range(typed: &str) -> Result<ByteRange> {
    typed.parse().map_err(|why| anyhow!("--range: {why}"))
}

fn shard(typed: &str) -> Result<Shard> {
    let shard = match typed {
        "auto" => Shard::from_environment(|name| env::var(name).ok()),
        typed => Shard::parse(typed),
    };
    shard.map_err(|why| anyhow!("--shard: {why}"))
}

/// Which partial files are continued.
fn resume(flags: &flags::ResumeFlags) -> Resume {
    if flags.r#continue {
        Resume::Vouched
    } else if flags.no_resume {
        Resume::Never
    } else {
        Resume::Proven
    }
}

fn request(flags: &Flags) -> Result<Request> {
    let named = [
        ("User-Agent", &flags.http.user_agent),
        ("Referer", &flags.http.referer),
    ];
    let named = named
        .into_iter()
        .filter_map(|(name, value)| Some(Field::parse(&format!("{name}: {}", value.as_ref()?))));
    let given = flags.http.headers.iter().cloned().map(Ok);
    let headers: Result<Vec<Field>, String> = named.chain(given).collect();
    let mut headers = headers.map_err(|why| anyhow!(why))?;
    if let Some(variable) = &flags.http.bearer_env {
        headers.push(bearer(variable)?);
    }
    let decoding = if flags.http.compressed {
        Some(take_offer(&mut headers).unwrap_or_else(accept_encoding))
    } else {
        None
    };
    Ok(Request {
        headers: headers.into(),
        decoding,
        credentials: flags
            .http
            .user
            .as_deref()
            .map(Credentials::parse)
            .map(Arc::new),
        max_redirects: flags.http.max_redirs,
        max_size: limit(flags.http.max_filesize),
        connect_timeout: span(flags.network.connect_timeout),
        stall_timeout: span(flags.network.stall_timeout),
        timeout: flags.network.timeout.and_then(span),
        min_speed: flags
            .network
            .min_speed
            .map(|least| (least.rate, least.span)),
        max_recv_speed: limit(flags.concurrency.limit_rate_file),
    })
}

/// The bearer token in an environment variable, as a header (RFC 6750 §2.1). The error does not quote it.
fn bearer(variable: &str) -> Result<Field> {
    let token = env::var(variable)
        .map_err(|_| anyhow!("--bearer-env: the variable {variable} is not set"))?;
    let is_token = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    match Field::parse(&format!("Authorization: Bearer {token}")) {
        Ok(field) if is_token => Ok(field),
        _ => Err(anyhow!(
            "--bearer-env: the value of the variable {variable} is not a token"
        )),
    }
}

fn options(flags: &Flags) -> Result<Options> {
    let overrides = flags.network.resolve.iter();
    Ok(Options {
        limits: Limits {
            per_origin: flags.concurrency.per_host.map_or(0, |n| n as usize),
            ..Limits::default()
        },
        family: match (flags.network.ipv4, flags.network.ipv6) {
            (true, _) => Family::V4,
            (_, true) => Family::V6,
            _ => Family::Any,
        },
        interface: flags.network.interface.clone(),
        unix_socket: flags.network.unix_socket.clone(),
        are_paths_typed: flags.input.path_as_is,
        proxies: proxies(&flags.network)?,
        stand_ins: stand_ins(&flags.network.connect_to)?,
        overrides: overrides
            .map(|entry| ((entry.host.clone(), entry.port), entry.addresses.clone()))
            .collect(),
        tls: tls(&flags.tls)?,
        max_recv_speed: limit(flags.concurrency.limit_rate),
        start_interval: flags.concurrency.rate,
        call_budget: None,
        protocol: match (flags.http.http1_1, flags.http.http2) {
            (true, _) => Protocol::Http1,
            (_, true) => Protocol::Http2,
            _ => Protocol::Negotiated,
        },
        netrc: None,
        cookies: None,
        redirect_cookies: None,
        windows: Windows::default(),
    })
}

fn stand_ins(typed: &[String]) -> Result<Vec<ConnectTo>> {
    let rules = typed.iter().map(|rule| rule.parse());
    let rules: Result<_, String> = rules.collect();
    rules.map_err(|why| anyhow!("--connect-to: {why}"))
}

/// The proxies of the flags, or else of the environment. Errors quote no URL, because it may contain a password.
fn proxies(flags: &flags::Network) -> Result<Proxies> {
    let mut proxies = match flags.proxy.as_deref() {
        Some("") => Proxies::default(),
        Some(typed) => {
            let proxy = typed.parse::<Proxy>();
            Proxies::all(proxy.map_err(|why| anyhow!("--proxy: {why}"))?)
        }
        None => Proxies::from_environment(variable),
    };
    let exempt = flags
        .noproxy
        .clone()
        .or_else(|| variable("no_proxy"))
        .or_else(|| variable("NO_PROXY"));
    proxies.exempt = NoProxy::parse(&exempt.unwrap_or_default());
    Ok(proxies)
}

/// An environment variable; `None` if it is unset or empty.
fn variable(name: &str) -> Option<String> {
    let value = env::var_os(name).filter(|value| !value.is_empty())?;
    Some(value.to_string_lossy().into_owned())
}

fn tls(flags: &flags::TlsFlags) -> Result<TlsOptions> {
    let (file, folder) = (flags.cacert.clone(), flags.capath.clone());
    let passphrase = flags.key_pass_env.as_deref().map(passphrase).transpose()?;
    Ok(TlsOptions {
        roots: if file.is_none() && folder.is_none() {
            TrustRoots::Platform
        } else {
            TrustRoots::Given { file, folder }
        },
        insecure: flags.insecure,
        pins: flags
            .pinnedpubkey
            .as_ref()
            .map_or_else(Vec::new, |pins| pins.digests().to_vec()),
        identity: flags.cert.clone().map(|certificate| Identity {
            key: flags.key.clone().unwrap_or_else(|| certificate.clone()),
            certificate,
            passphrase,
        }),
        oldest: flags.tls_min,
        certificates: None,
    })
}

/// The passphrase in an environment variable.
fn passphrase(variable: &str) -> Result<Vec<u8>> {
    let value = env::var_os(variable)
        .ok_or_else(|| anyhow!("--key-pass-env: the variable {variable} is not set"))?;
    Ok(value.into_vec())
}

/// A limit of zero means no limit.
fn limit(typed: Option<u64>) -> Option<u64> {
    typed.filter(|limit| *limit > 0)
}

/// A time limit of zero means no limit.
fn span(typed: Duration) -> Option<Duration> {
    Some(typed).filter(|limit| !limit.is_zero())
}
