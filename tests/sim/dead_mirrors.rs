//! Mirrors that are dead before the one that has the file: they never cost a failure, and each costs no more than its
//! own time limit.

use std::time::Duration;

use super::field::{Field, Row, Rule, Server, To, What, When};
use super::random::Random;
use super::reply::{Cut, CutAt};
use super::trial::{self, Kind, any_time};

/// Hosts of servers that are of no use.
const DYING: [usize; 2] = [5, 6];

const WALL: usize = 7;

/// A server that is of no use.
fn dead(random: &mut Random) -> Server {
    let mut server = Server::right("\"dead\"", random);
    let what = match random.below(8) {
        0..3 => {
            server.host = *random.pick(&[WALL, 8, 9]);
            return server;
        }
        3 => What::Status(*random.pick(&[400, 403, 404, 410, 500]), None),
        4 => What::Status(
            *random.pick(&[429, 503]),
            Some(*random.pick(&[0, 5, 120, 3_600])),
        ),
        5 => What::Status(*random.pick(&[202, 204, 205]), None),
        6 => What::Ends(Cut::Stall, CutAt::Start),
        _ => What::Ends(*random.pick(&[Cut::Close, Cut::Reset]), CutAt::Start),
    };
    server.host = *random.pick(&DYING);
    server.with(Rule::new(To::Any, When::Always, what))
}

/// A server that ends each response somewhere, and may have named it as the right one does.
fn dying(tag: &str, random: &mut Random) -> Server {
    let cut = *random.pick(&[Cut::Close, Cut::Reset, Cut::Stall]);
    let mut server = Server::right(tag, random);
    server.host = *random.pick(&DYING);
    let what = What::Ends(cut, *random.pick(&[CutAt::Anywhere, CutAt::Body]));
    server.with(Rule::new(To::Any, When::Always, what))
}

fn draw_dying(mut row: Row, random: &mut Random) -> Row {
    for _ in 0..=random.below(3) {
        let tag = *random.pick(&["\"v\"", "\"v\"", "\"w\"", ""]);
        let server = match random.once_in(2) {
            true => dead(random),
            false => dying(tag, random),
        };
        row.servers.push(server);
    }
    row.servers.push(Server::right("\"v\"", random));
    row
}

fn draw(mut row: Row, random: &mut Random) -> Row {
    for _ in 0..=random.below(4) {
        row.servers.push(dead(random));
    }
    let tag = *random.pick(&["\"dead\"", "\"v\"", "W/\"v\"", ""]);
    let right = Server::right(tag, random);
    row.servers.push(right);
    row
}

/// Whatever the number of retries.
fn must_come(row: &Row, _: Option<u32>) -> bool {
    row.servers.last().is_some_and(Server::is_well)
}

/// The time that connections may take, and that of silence, which is longer while the server sends to others. No pause
/// that a server asks for is waited for.
fn longest(field: &Field) -> Duration {
    let is_apart = field.rows.iter().all(|row| row.is_apart);
    let servers = field.rows.iter().flat_map(|row| &row.servers);
    let seconds = servers.map(|server| match server.rules.first().map(|rule| &rule.what) {
        Some(What::Ends(Cut::Stall, _)) if is_apart => 31,
        Some(What::Ends(Cut::Stall, _)) => 121,
        _ if server.host == WALL => 11,
        _ => 1,
    });
    Duration::from_secs(seconds.sum())
}

const KIND: Kind = Kind {
    draw,
    must_come,
    longest,
};

const DYING_KIND: Kind = Kind {
    draw: draw_dying,
    must_come,
    longest: any_time,
};

#[test]
fn dead_mirrors_never_cost_the_file_and_each_no_more_than_its_time_limit() {
    KIND.each_seed("dead mirrors", 150);
}

#[test]
fn mirrors_that_die_in_mid_file_never_cost_it() {
    DYING_KIND.each_seed("dying mirrors", 100);
}

/// Many files, with one first server that is overloaded and asks for a pause.
#[test]
fn a_pause_that_a_first_server_asks_for_does_not_hold_up_rows_that_have_a_mirror() {
    let mut random = Random::new(7);
    let mut rows = Vec::new();
    for number in 0..100 {
        let mut row = Row::new(number, &mut random);
        (row.is_apart, row.query) = (false, None);
        let busy = Rule::new(To::Any, When::Always, What::Status(503, Some(120)));
        for (host, rule) in [(5, Some(busy)), (0, None)] {
            let mut server = Server::right("\"v\"", &mut random);
            server.host = host;
            server.rules.extend(rule);
            row.servers.push(server);
        }
        rows.push(row);
    }
    let (took, totals) = trial::run_calmly(rows);
    assert_eq!(totals.failed, 0);
    assert!(took < Duration::from_secs(5), "it took {took:?}");
}
