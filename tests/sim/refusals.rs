//! Servers that refuse ranges of a file, all or some of them, for a time or for good, and have the full file all the
//! while.

use std::time::Duration;

use super::field::{Row, Rule, Server, To, What, When};
use super::random::Random;
use super::trial::{Kind, any_time};

/// Statuses that may concern the range alone.
const OF_RANGES: [u16; 10] = [400, 403, 404, 405, 410, 412, 416, 501, 204, 205];

/// Statuses of a server in trouble.
const OF_TROUBLE: [u16; 5] = [500, 502, 503, 504, 202];

/// A file with tries that are limited by time outlasts a trouble that is no longer than this.
const OUTLASTED: u64 = 150;

fn server(tag: &str, random: &mut Random) -> Server {
    let (status, wait) = match random.below(5) {
        0..3 => (*random.pick(&OF_RANGES), None),
        3 => (*random.pick(&OF_TROUBLE), None),
        _ => (
            *random.pick(&[503, 429]),
            Some(*random.pick(&[0, 5, 50, 3_600])),
        ),
    };
    let to = *random.pick(&[To::Ranges, To::Ranges, To::LaterRanges]);
    let when = match random.below(6) {
        0 => When::Until(Duration::from_secs(
            random.below(2 * OUTLASTED as usize) as u64
        )),
        1 => When::From(Duration::from_secs(random.below(30) as u64)),
        2 => When::Sometimes,
        3 => When::Connections,
        _ => When::Always,
    };
    let mut server =
        Server::right(tag, random).with(Rule::new(to, when, What::Status(status, wait)));
    server.cuts = *random.pick(&[0, 0, 1, 1, 2, 3]);
    server
}

fn draw(row: Row, random: &mut Random) -> Row {
    row.with_servers(random, server)
}

/// Whether a server brings the file alone: a range that is refused is no failed try if the status may concern it; else
/// the retries are used up before the full file is requested, and that response must not be cut. The time of a server
/// that other files use too counts from their failures.
fn is_enough(server: &Server, row: &Row, retries: Option<u32>) -> bool {
    let retries = retries.map_or(usize::MAX, |retries| retries as usize);
    let Some(rule) = server.rules.first() else {
        return server.cuts <= retries;
    };
    let What::Status(status, wait) = rule.what else {
        return false;
    };
    if OF_RANGES.contains(&status) {
        return server.cuts <= retries;
    }
    let is_over =
        row.is_apart && matches!(rule.when, When::Until(end) if end.as_secs() <= OUTLASTED);
    match wait {
        // The first response has all of it, unless ranges of it that came before have ended it early.
        _ if server.cuts == 0 => matches!(rule.when, When::Always | When::Until(_)),
        None => server.cuts == 1 && retries > 0,
        Some(wait) => server.cuts == 1 && retries == usize::MAX && is_over && wait <= 50,
    }
}

/// A server that is well is enough; of several that refuse, those that were dropped are not asked again.
fn must_come(row: &Row, retries: Option<u32>) -> bool {
    // Without a number of tries, the other files of the origin may have used up its time.
    let is_alone = row.servers.len() == 1 && (row.is_apart || retries.is_some());
    let mut servers = row.servers.iter();
    servers.any(|server| server.is_well() || is_alone && is_enough(server, row, retries))
}

const KIND: Kind = Kind {
    draw,
    must_come,
    longest: any_time,
};

#[test]
fn refused_ranges_never_cost_a_file_that_its_server_has() {
    KIND.each_seed("refused ranges", 200);
}
