//! Login pages in place of the file: from some moment on, for some tries, on some connections or from some servers.
//! None of them replaces a file that an earlier response has shown to be another.

use std::time::Duration;

use super::field::{Page, Row, Rule, Server, To, What, When};
use super::random::Random;
use super::trial::{Kind, any_time};

fn server(tag: &str, random: &mut Random) -> Server {
    let to = *random.pick(&[To::Any, To::Any, To::Ranges, To::LaterRanges, To::Plain]);
    let when = match random.below(7) {
        0 => When::Until(Duration::from_secs(random.below(100) as u64)),
        1 => When::From(Duration::from_secs(random.below(30) as u64)),
        2 => When::Sometimes,
        3 => When::Connections,
        4 => When::Requests(1..2 + random.below(4)),
        5 => When::Requests(0..1 + random.below(4)),
        _ => When::Always,
    };
    let page = Page::new(random);
    let mut server = Server::right(tag, random).with(Rule::new(to, when, What::Page(page)));
    server.cuts = *random.pick(&[0, 0, 1, 1, 2, 3]);
    server
}

fn draw(row: Row, random: &mut Random) -> Row {
    row.with_servers(random, server)
}

/// A server without pages is enough, and one that sends them in place of ranges alone, if its first response is whole:
/// that has all of the file.
fn must_come(row: &Row, _: Option<u32>) -> bool {
    let is_alone = row.servers.len() == 1;
    let mut servers = row.servers.iter();
    servers.any(|server| server.is_well() || is_alone && server.cuts == 0 && spares_plain(server))
}

/// Whether it sends pages to all requests for ranges, and to no others. A page in place of a segment costs the file if
/// other segments have come.
fn spares_plain(server: &Server) -> bool {
    let mut rules = server.rules.iter();
    rules.all(|rule| {
        matches!(rule.to, To::Ranges | To::LaterRanges) && matches!(rule.when, When::Always)
    })
}

const KIND: Kind = Kind {
    draw,
    must_come,
    longest: any_time,
};

#[test]
fn no_login_page_replaces_what_was_promised() {
    KIND.each_seed("login pages", 200);
}
