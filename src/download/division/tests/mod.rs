//! The division of a file over servers that are slow, refuse, lie, break or die, in virtual time.

mod world;

use std::time::Duration;

use proptest::prelude::*;

use crate::error::Fault;
use world::{Did, Number, Server, Setting, World, Wrong};

const K: u64 = 1 << 10;
const M: u64 = 1 << 20;

/// A file of 32 MiB in segments of at least 1 MiB.
fn setting(number: Number) -> Setting {
    Setting {
        size: 32 * M,
        least: M,
        limit: None,
        at: 0,
        number,
        per_origin: 0,
        retries: 3,
    }
}

/// Runs a division of a file that several transfers fetch.
fn run(most: usize, servers: Vec<Server>) -> World {
    World::new(setting(Number::Fixed(most)), servers).run()
}

/// Whether the division ended with every byte.
fn is_done(world: &World) -> bool {
    matches!(world.end, Some(Ok(())))
}

fn dropped(world: &World) -> Vec<usize> {
    let dropped = world.did.iter().filter_map(|did| match did {
        Did::Dropped { server } => Some(*server),
        _ => None,
    });
    dropped.collect()
}

/// The tries that were counted, by server.
fn tries(world: &World) -> Vec<(usize, u32)> {
    let tries = world.did.iter().filter_map(|did| match did {
        Did::Retried { server, tries } => Some((*server, *tries)),
        _ => None,
    });
    tries.collect()
}

#[test]
fn a_server_that_limits_each_connection_is_asked_over_several() {
    let world = run(8, vec![Server::at(1e6)]);
    assert!(is_done(&world));
    // One connection would take 34 seconds.
    assert!(
        world.elapsed() < Duration::from_secs(6),
        "{:?}",
        world.elapsed()
    );
    assert!(tries(&world).is_empty());
}

#[test]
fn a_number_that_is_found_by_trying_stops_where_the_link_is_full() {
    let server = Server {
        link: 2e6,
        ..Server::at(2e6)
    };
    let world = World::new(setting(Number::Found(16)), vec![server]).run();
    assert!(is_done(&world));
    let opened = world.opened().count();
    assert!(opened <= 4, "{opened} requests on a full link");
}

#[test]
fn a_lone_server_that_ignores_ranges_is_left_with_its_first_response() {
    let server = Server::at(4e6).that(Wrong::IgnoresRanges);
    let world = run(8, vec![server]);
    assert!(is_done(&world));
    assert_eq!(world.opened().count(), 7, "it is asked no more");
    assert!(tries(&world).is_empty());
}

#[test]
fn a_mirror_without_the_file_is_dropped_and_named() {
    let world = run(4, vec![Server::at(1e6), Server::at(1e6).that(Wrong::Lacks)]);
    assert!(is_done(&world));
    assert_eq!(dropped(&world), [1]);
    assert_eq!(world.brought(1), 0);
}

#[test]
fn a_mirror_with_another_version_is_dropped_silently() {
    let world = run(
        4,
        vec![Server::at(1e6), Server::at(1e6).that(Wrong::Differs)],
    );
    assert!(is_done(&world));
    assert!(dropped(&world).is_empty());
    assert_eq!(world.brought(1), 0);
}

#[test]
fn a_first_server_that_dies_is_dropped_and_the_mirror_brings_the_rest() {
    let dies = Wrong::DiesAt(Duration::from_secs(2));
    let impatient = Setting {
        retries: 0,
        ..setting(Number::Fixed(4))
    };
    let servers = vec![Server::at(1e6).that(dies), Server::at(1e6)];
    let world = World::new(impatient, servers).run();
    assert!(is_done(&world));
    assert_eq!(dropped(&world), [0]);
    assert_eq!(world.division.servers().leader().host_str(), Some("h1"));
}

#[test]
fn a_slow_mirror_brings_less_than_a_fast_one() {
    let world = run(4, vec![Server::at(4e5), Server::at(4e6)]);
    assert!(is_done(&world));
    assert!(world.brought(1) > 4 * world.brought(0));
}

#[test]
fn a_server_that_refuses_further_connections_is_seldom_asked_for_them() {
    let server = Server {
        most: 2,
        ..Server::at(4e5)
    };
    let world = run(8, vec![server]);
    assert!(is_done(&world));
    assert!(world.elapsed() > Duration::from_secs(40));
    let opened = world.opened().count();
    assert!(opened < 24, "{opened} requests");
}

#[test]
fn connections_that_break_at_one_moment_are_one_try() {
    let dies = Wrong::DiesAt(Duration::from_secs(1));
    let world = run(8, vec![Server::at(1e5).that(dies)]);
    assert!(!is_done(&world));
    // Each of the eight is reported.
    let mut tries = tries(&world);
    tries.dedup();
    assert_eq!(tries, [(0, 1), (0, 2), (0, 3)]);
}

#[test]
fn a_delay_that_a_lone_server_names_is_kept() {
    let busy = Wrong::IsBusy {
        until: Duration::from_secs(5),
        retry_after: Duration::from_secs(20),
    };
    let short = Setting {
        at: 31 * M,
        least: 64 * K,
        ..setting(Number::Fixed(2))
    };
    let world = World::new(short, vec![Server::at(1e5).that(busy)]).run();
    assert!(is_done(&world));
    let late = world.did.iter().filter_map(|did| match did {
        Did::Opened { at, delay, .. } => Some(*at + delay.unwrap_or_default()),
        _ => None,
    });
    let between = late.filter(|at| *at > Duration::from_secs(1) && *at < Duration::from_secs(5));
    assert_eq!(between.count(), 0, "nothing is asked in the meantime");
}

#[test]
fn responses_that_are_short_are_no_failed_tries() {
    let world = run(4, vec![Server::at(2e6).that(Wrong::IsShort(100 * K))]);
    assert!(is_done(&world));
    assert!(tries(&world).is_empty());
}

#[test]
fn a_range_that_is_damaged_is_fetched_again() {
    let world = run(4, vec![Server::at(2e6).that(Wrong::Damages)]);
    assert!(is_done(&world), "{:?}", world.end);
    assert!(!tries(&world).is_empty());
}

/// Found by the property below: what another transfer had written since the last beat, and the damaged response may
/// have overwritten, counted as written.
#[test]
fn nothing_in_a_damaged_range_counts_as_written_whichever_transfer_wrote_it() {
    let setting = Setting {
        size: 4_800_003,
        least: 64 * K,
        per_origin: 2,
        retries: 2,
        ..setting(Number::Found(2))
    };
    let full = Server {
        link: 5e4,
        ..Server::at(5e4)
    };
    let servers = vec![
        full.that(Wrong::Lacks),
        full.that(Wrong::IgnoresRanges),
        Server::at(3e6).that(Wrong::Damages),
    ];
    World::new(setting, servers).run();
}

#[test]
fn a_first_server_with_another_version_fails_the_try() {
    let world = run(
        4,
        vec![Server::at(1e6).that(Wrong::Differs), Server::at(1e6)],
    );
    let error = world.end.and_then(Result::err);
    assert!(matches!(
        error.as_ref().map(|error| error.fault()),
        Some(Fault::Changed)
    ));
}

#[test]
fn a_server_that_stalls_again_and_again_fails_the_try() {
    let world = run(
        2,
        vec![
            Server::at(1e4).that(Wrong::DiesAt(Duration::from_secs(1))),
            Server::at(1e6).that(Wrong::Stalls(1000)),
        ],
    );
    assert!(!is_done(&world));
    assert!(world.elapsed() < Duration::from_secs(10 * 60));
}

/// Under a rate limit the first response is much faster than the others here, and each of them seems stuck.
#[test]
fn under_a_rate_limit_no_byte_comes_twice_for_the_speeds_that_it_makes() {
    for number in [Number::Fixed(4), Number::Found(16)] {
        let limited = Setting {
            limit: Some(2e6),
            ..setting(number)
        };
        let world = World::new(limited, vec![Server::at(1e8), Server::at(1e8)]).run();
        assert!(is_done(&world));
        let brought = world.brought(0) + world.brought(1);
        assert_eq!(brought, 32 * M, "{number:?}");
    }
}

/// A limit that is far from reached hides no stuck server.
#[test]
fn a_rate_limit_that_is_not_reached_changes_nothing() {
    let unreached = Setting {
        limit: Some(1e9),
        ..setting(Number::Fixed(4))
    };
    let servers = vec![Server::at(4e5), Server::at(4e6)];
    let limited = World::new(unreached, servers.clone()).run();
    let opened: Vec<_> = limited.opened().collect();
    assert_eq!(opened, run(4, servers).opened().collect::<Vec<_>>());
}

fn seconds() -> impl Strategy<Value = Duration> {
    (0_u64..20).prop_map(Duration::from_secs)
}

fn bytes() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), 1..200 * K, 1..2 * M]
}

fn speed() -> impl Strategy<Value = f64> {
    prop_oneof![Just(5e4), Just(4e5), Just(3e6), Just(2e7)]
}

fn wrong() -> impl Strategy<Value = Wrong> {
    prop_oneof![
        4 => Just(Wrong::Nothing),
        1 => seconds().prop_map(Wrong::DiesAt),
        1 => Just(Wrong::IgnoresRanges),
        1 => Just(Wrong::Differs),
        1 => Just(Wrong::Lacks),
        1 => bytes().prop_map(Wrong::IsShort),
        1 => bytes().prop_map(Wrong::Breaks),
        1 => bytes().prop_map(Wrong::Stalls),
        1 => Just(Wrong::Damages),
        1 => (seconds(), seconds()).prop_map(|(until, retry_after)| Wrong::IsBusy { until, retry_after }),
    ]
}

fn server() -> impl Strategy<Value = Server> {
    let most = prop_oneof![2 => Just(usize::MAX), 1 => 1_usize..4];
    (speed(), speed(), most, wrong()).prop_map(|(speed, link, most, wrong)| Server {
        speed,
        link,
        most,
        wrong,
    })
}

fn any_setting() -> impl Strategy<Value = Setting> {
    let number = prop_oneof![
        (1_usize..10).prop_map(Number::Fixed),
        (1_usize..17).prop_map(Number::Found),
    ];
    let least = prop_oneof![Just(1), Just(64 * K), Just(M)];
    (1..16 * M, 0_u64..100, number, least, 0_usize..4, 0_u32..5).prop_map(
        |(size, percent, number, least, per_origin, retries)| Setting {
            size,
            at: size * percent / 100,
            number,
            least,
            limit: None,
            per_origin,
            retries,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// `World` checks after each event that every missing byte is assigned or free, that no more transfers are open
    /// than allowed and none is opened to a dropped server, and that the division ends, once and in good time.
    #[test]
    fn a_division_ends_with_every_byte_or_one_failure_whatever_the_servers_do(
        setting in any_setting(),
        servers in prop::collection::vec(server(), 1..5),
    ) {
        let is_sound = servers.iter().all(|server| server.wrong == Wrong::Nothing);
        let world = World::new(setting, servers).run();
        prop_assert!(is_done(&world) || !is_sound, "{:?}", world.end);
    }
}
