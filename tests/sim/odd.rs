//! Successes without a file, parts that were not asked for, and URLs that each run signs anew.

use std::time::Duration;

use super::field::{Row, Rule, Server, To, What, When};
use super::random::Random;
use super::trial::{Kind, any_time};

/// A file with tries that are limited by time outlasts a server that is not ready for no longer than this.
const OUTLASTED: u64 = 150;

fn server(random: &mut Random) -> Server {
    let server = Server::right("\"v\"", random);
    let status = What::Status(*random.pick(&[202, 202, 204, 205]), None);
    let rule = match random.below(6) {
        0 => Rule::new(To::Plain, When::Always, What::Quarters(0..4)),
        1 => {
            let from = random.below(4);
            let to = from + 1 + random.below(4 - from);
            Rule::new(To::Plain, When::Always, What::Quarters(from..to))
        }
        2 => Rule::new(To::Any, When::Requests(0..1 + random.below(3)), status),
        3 => Rule::new(
            To::Any,
            When::Until(Duration::from_secs(random.below(200) as u64)),
            status,
        ),
        4 => Rule::new(To::Ranges, When::Always, status),
        _ => Rule::new(To::Any, When::Sometimes, status),
    };
    let mut server = server.with(rule);
    server.cuts = *random.pick(&[0, 0, 1, 1, 2, 3, 30]);
    server
}

fn draw(mut row: Row, random: &mut Random) -> Row {
    if random.once_in(2) {
        row.query = Some("signed");
    }
    for _ in 0..*random.pick(&[1, 1, 1, 2]) {
        let server = match random.once_in(6) {
            true => Server::right("\"v\"", random),
            false => server(random),
        };
        row.servers.push(server);
    }
    row
}

/// Whether a server brings the file alone: 202 is retried, and 204 and 205 are not, unless a range was requested. The
/// time of a server that other files use too counts from their failures.
fn is_enough(server: &Server, row: &Row, retries: Option<u32>) -> bool {
    let by_time = if row.is_apart { 10 } else { 0 };
    let retries = retries.map_or(by_time, |retries| retries as usize);
    let Some(rule) = server.rules.first() else {
        return server.cuts <= retries;
    };
    match (&rule.what, &rule.when) {
        // An empty file has no range.
        (What::Quarters(quarters), _) => {
            *quarters == (0..4) && row.size > 0 && server.cuts <= retries
        }
        (What::Status(202, _), When::Requests(numbers)) => numbers.end + server.cuts <= retries,
        (What::Status(202, _), When::Until(end)) => {
            retries == 10 && end.as_secs() <= OUTLASTED && server.cuts == 0
        }
        (What::Status(202, _), When::Always) => server.cuts <= 1 && server.cuts <= retries,
        (What::Status(..), When::Always) => server.cuts <= retries,
        _ => false,
    }
}

/// A server that is well is enough; of several that refuse, those that were dropped are not asked again.
fn must_come(row: &Row, retries: Option<u32>) -> bool {
    let is_alone = row.servers.len() == 1;
    let mut servers = row.servers.iter();
    servers.any(|server| server.is_well() || is_alone && is_enough(server, row, retries))
}

const KIND: Kind = Kind {
    draw,
    must_come,
    longest: any_time,
};

#[test]
fn successes_without_a_file_and_parts_unasked_for_make_no_wrong_file() {
    KIND.each_seed("odd successes", 150);
}
