//! Several machines behind one name: each names the same bytes in its own way, or has another version of the file.

use super::field::{Backend, Balance, Row, Server};
use super::random::Random;
use super::trial::{Kind, any_time};

/// Tags for the same bytes by backend.
fn tag(style: usize, index: usize, version: usize) -> String {
    match style {
        0 => format!("\"{version}-{index}\""),
        1 => format!("Mon, 10 Sep 2001 0{version}:46:4{index} GMT"),
        2 => format!("\"{version}\""),
        3 => format!("W/\"{version}-{index}\""),
        _ => String::new(),
    }
}

fn server(random: &mut Random) -> Server {
    let mut server = Server::right("", random);
    let style = *random.pick(&[0, 0, 0, 1, 1, 2, 3, 4]);
    let versions = *random.pick(&[1, 1, 2, 3]);
    let backends = 2 + random.below(3);
    server.backends.clear();
    for index in 0..backends {
        let version = random.below(versions);
        let tag = tag(style, index, version);
        server.backends.push(Backend { version, tag });
    }
    let seconds = 1 + random.below(20) as u64;
    let balances = [
        Balance::Random,
        Balance::InTurn,
        Balance::ByConnection,
        Balance::ByTime(seconds),
    ];
    server.balance = *random.pick(&balances);
    server.cuts = *random.pick(&[0, 0, 1, 1, 2, 3]);
    server
}

fn draw(mut row: Row, random: &mut Random) -> Row {
    for _ in 0..*random.pick(&[1, 1, 1, 2]) {
        row.servers.push(server(random));
    }
    // The first server can have the promised digest.
    row.has_digest &= row.servers[0].backends[0].version == 0;
    row
}

/// Each cut response costs a try, and no other does. Without a number of tries, the time of the origin counts, which
/// may pass while other files have the slots.
fn must_come(row: &Row, retries: Option<u32>) -> bool {
    let mut servers = row.servers.iter();
    servers.any(|server| {
        if server.cuts > 0 && retries.is_none() && !row.is_apart {
            return false;
        }
        let is_right =
            !row.has_digest || server.backends.iter().all(|backend| backend.version == 0);
        is_right && retries.is_none_or(|retries| server.cuts <= retries as usize)
    })
}

const KIND: Kind = Kind {
    draw,
    must_come,
    longest: any_time,
};

#[test]
fn backends_that_differ_cost_no_file_and_are_never_spliced() {
    KIND.each_seed("backends", 200);
}
