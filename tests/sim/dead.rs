//! Hosts that cannot be reached, in virtual time: a list with a thousand rows of one costs little
//! more than one row, and rows of others go by.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use gannet::session::{self, BadRow, Completion, Plan, Report, Verdict};

use super::driver::Driver;
use super::net::Net;
use super::random::Random;
use super::site::Site;
use crate::harness::Dir;

/// When each file ended, after how many tries, and whether well.
struct Ends {
    net: Rc<RefCell<Net>>,
    began: Instant,
    ends: Vec<(String, Duration, u32, bool)>,
}

impl Report for Ends {
    fn completed(&mut self, completion: &Completion<'_>) {
        let host = completion.url.host_str().unwrap_or_default().to_owned();
        let since = self.net.borrow().now - self.began;
        let is_well = !matches!(completion.verdict, Verdict::Failed(_));
        self.ends.push((host, since, completion.tries, is_well));
    }

    fn bad_row(&mut self, _: &BadRow) {
        panic!("no row is bad");
    }
}

/// Runs these URLs with this number of retries, or as many as the time allows, and gives their results.
fn ends(urls: Vec<String>, net: Net, retries: Option<u32>) -> Ends {
    let dir = Dir::in_memory();
    let net = Rc::new(RefCell::new(net));
    let mut ends = Ends {
        began: net.borrow().now,
        net: Rc::clone(&net),
        ends: Vec::new(),
    };
    let mut plan = Plan::new(urls, dir.path().to_owned());
    plan.retry.retries = retries;
    plan.seed = Some(7);
    plan.hashing_threads = Some(0);
    let mut driver = Driver { net, ends_in: None };
    session::run_on(&mut driver, plan, &mut ends).expect("a run");
    ends
}

#[test]
fn a_thousand_rows_of_a_dead_host_hold_up_nobody_and_end_together() {
    for (host, connecting) in [("h7", 10), ("h8", 0), ("h9", 0)] {
        let site = Site::calm(10, &mut Random::new(3));
        let dead = (0..1000).map(|at| format!("http://{host}.test/0/{at}"));
        let live: Vec<_> = (0..10)
            .map(|at| format!("http://h0.test{}", site.path(at)))
            .collect();
        let site = Rc::new(RefCell::new(site));
        let net = Net::calm(Instant::now(), site, Random::new(3));
        let ends = ends(dead.chain(live).collect(), net, Some(2)).ends;
        assert_eq!(ends.len(), 1010);
        for (name, since, tries, is_well) in ends {
            if name == "h0.test" {
                // The first transfers to the dead host use up their timeout, all at once; no other one
                // waits for that host.
                let most = Duration::from_secs(connecting + 1);
                assert!(is_well && since < most, "{host}: {since:?}");
            } else {
                // Until it is in doubt; then three tries, each perhaps behind one that was under
                // way already, and the delays.
                let most = Duration::from_secs(connecting + 3 * 2 * connecting + 1 + 2 + 1);
                assert!(!is_well && since < most, "{host}: {since:?}");
                assert_eq!(tries, 3, "{host}");
            }
        }
    }
}

/// Without a number of retries, a name without an address and a port that refuses are most likely typos.
#[test]
fn rows_of_a_host_that_cannot_be_reached_fail_within_seconds() {
    for host in ["h8", "h9"] {
        let site = Site::calm(10, &mut Random::new(3));
        let dead = (0..100).map(|at| format!("http://{host}.test/0/{at}"));
        let site = Rc::new(RefCell::new(site));
        let net = Net::calm(Instant::now(), site, Random::new(3));
        let ends = ends(dead.collect(), net, None).ends;
        assert_eq!(ends.len(), 100);
        for (_, since, tries, is_well) in ends {
            assert!(
                !is_well && since < Duration::from_secs(4),
                "{host}: {since:?}"
            );
            assert!(tries < 20, "{host}: {tries} tries");
        }
    }
}
