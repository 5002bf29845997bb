//! The program end to end, against a scripted server and a real nginx; the engine under other event
//! loops; and the rules that the code keeps. One binary, with a module for each topic.

#[expect(unreachable_pub, reason = "fuzz/ has it as a library")]
mod fuzz; // what the fuzz targets do
mod harness; // a folder, the program, nginx, certificates
mod server; // the scripted server, and its own tests

mod calls; // killed at each system call, and with each of them failing
mod cli_auth; // -u, userinfo, and where credentials are sent
mod cli_body; // framings: lengths, chunks, closes, 1xx, empty, coded
mod cli_compressed; // --compressed: bodies that come coded and land decoded
mod cli_config; // gannet.toml and GANNET_ variables
mod cli_connections; // -j, -x, keep-alive, stale connections, few descriptors
mod cli_cookies; // --cookies: the file's, and those of answers
mod cli_digest; // --checksum, fragments, checksum=, Repr-Digest
mod cli_disk; // folders and files that cannot be written
mod cli_events; // --events
mod cli_exists; // --exists in its five values
mod cli_exit; // exit codes, with several failures in any order
mod cli_failed; // --failed: a list of the rows that are not done
mod cli_fetch; // one URL, many, -d, -o, standard output
mod cli_formats; // jsonl, sums, metalink, --checksums, --shard
mod cli_headers; // what a request says: -H, -A, --referer
mod cli_http2; // HTTP/2 through whatever a server may do
mod cli_json; // --json and --report
mod cli_limits; // --max-filesize
mod cli_list; // -i: the urls format and its row options
mod cli_lock; // --lock and --locked
mod cli_machine; // few descriptors, closed streams, full disks, links, stopped and continued
mod cli_malformed; // answers that are not HTTP
mod cli_mirrors; // one file from several mirrors at once
mod cli_names; // names from URLs and servers, safe and apart
mod cli_netrc; // --netrc: each host its own login
mod cli_network; // dead ports, bad names, --resolve, -4 and -6
mod cli_nginx; // many files from a real server, every byte compared
mod cli_part; // NAME.part beside disks that refuse, other programs, other URLs and power cuts
mod cli_pieces; // a metalink's digests of pieces
mod cli_pipe; // lists that come slowly, readers that leave early
mod cli_privacy; // credentials, and where they must not come out
mod cli_proxy; // -p, --noproxy, the variables, real proxies
mod cli_range; // --range: a part as a file
mod cli_rate; // --rate
mod cli_redirect; // redirects, and where they may lead
mod cli_report; // completion and failure lines, -q, -v, colour, summary
mod cli_resume; // NAME.part and its state: what the next run goes on with
mod cli_retry; // transient failures, Retry-After, cut bodies
mod cli_shard; // --shard: the workers of one list
mod cli_signal; // SIGINT and SIGTERM
mod cli_split; // -s: one file over several connections
mod cli_time; // -N, --remote-time, --fsync
mod cli_timeout; // stalls, connecting, the whole
mod cli_tls; // certificates good and bad, truncation
mod cli_trust; // --capath, --cert, --tls-min, --pinnedpubkey, and what a refusal says
mod cli_tunnel; // CONNECT and SOCKS5 through proxies that do anything
mod cli_usage; // --help, --version, flags that are wrong

mod engine; // the engine's contract, and the same tests under two event loops
mod fuzz_seeds; // the fuzz targets' seeds, and mutations of them
mod generated; // the man page and the completions are what the flags say
mod kills; // 200 kills, by hand
mod sim; // whole runs over a simulated network, in virtual time
mod soak; // 50,000 transfers, by hand
mod tidy; // layers, calls that a layer may not make, lengths, the public face, habits
