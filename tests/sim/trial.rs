//! Runs over the servers of the field: perhaps some that are ended from outside, one that ends by itself, and, where
//! that failed, one in which nothing goes wrong any more.

use std::cell::RefCell;
use std::fs;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use gannet::multi::Protocol;
use gannet::session::{self, Plan};

use super::driver::{Driver, Outside};
use super::field::{Field, Row, Server};
use super::net::Net;
use super::random::Random;
use super::{Verdicts, each_seed, plan};
use crate::harness::Dir;

/// No run takes longer, in its own time, or has more requests for a file.
const LONGEST: Duration = Duration::from_secs(3 * 3600);
const MOST_REQUESTS: usize = 1000;

/// A kind of trouble.
pub(super) struct Kind {
    /// Draws the servers of a file.
    pub(super) draw: fn(Row, &mut Random) -> Row,
    /// Whether a file has to come with these retries, as its row was drawn.
    pub(super) must_come: fn(&Row, Option<u32>) -> bool,
    /// How long a run may take at most where no byte takes any time.
    pub(super) longest: fn(&Field) -> Duration,
}

impl Kind {
    /// Runs the seeds of a test.
    pub(super) fn each_seed(&self, what: &str, usually: u64) {
        each_seed(what, usually, |seed| run(self, seed));
    }
}

/// No bound but that of all runs.
pub(super) fn any_time(_: &Field) -> Duration {
    LONGEST
}

struct Trial {
    field: Rc<RefCell<Field>>,
    net: Rc<RefCell<Net>>,
    folder: Dir,
    lists: Dir,
    plan: Plan,
    /// No run takes longer.
    longest: Duration,
}

impl Trial {
    fn new(kind: &Kind, random: &mut Random) -> Self {
        let began = Instant::now();
        let files = 1 + random.below(3);
        let rows = (0..files).map(|number| (kind.draw)(Row::new(number, random), random));
        let field = Field::new(rows.collect(), began);
        let mut longest = LONGEST;
        let own = Random::new(random.next());
        let (is_calm, is_http2) = (random.once_in(2), random.once_in(5) && field.cuts() == 0);
        if is_calm {
            longest = (kind.longest)(&field);
        }
        let field = Rc::new(RefCell::new(field));
        let net = match is_calm {
            true => Net::calm(began, Rc::clone(&field) as _, own),
            false => Net::slow(began, Rc::clone(&field) as _, own),
        };
        // A cut connection of HTTP/2 would cost others their responses too.
        let net = if is_http2 { net.over_http2(0) } else { net };
        let (folder, lists) = (Dir::in_memory(), Dir::in_memory());
        let mut plan = plan(Vec::new(), folder.path(), random);
        if is_http2 {
            plan.options.protocol = Protocol::Http2;
        }
        if random.once_in(3) {
            plan.retry.retries = None;
            // Without a number of tries, nothing but time ends those that wait for none.
            plan.retry.first_delay = plan.retry.first_delay.max(Duration::from_millis(10));
        }
        Self {
            field,
            net: Rc::new(RefCell::new(net)),
            folder,
            lists,
            plan,
            longest,
        }
    }

    /// Makes a run; `None` if it was killed. Whatever became of it, what stands at a final name is right.
    fn run(&mut self, ends_in: Option<(usize, Outside)>) -> Option<(Verdicts, session::Totals)> {
        let began = self.net.borrow().now;
        let folder = self.folder.path();
        self.field
            .borrow_mut()
            .begin(began, |row| state(folder, row).is_some());
        self.plan.lists = vec![self.lists.write("list", self.field.borrow().list())];
        folder.clone_into(&mut self.plan.dir);
        let mut driver = Driver {
            net: Rc::clone(&self.net),
            ends_in,
        };
        let mut verdicts = Verdicts::default();
        let totals = session::run_on(&mut driver, self.plan.clone(), &mut verdicts);
        assert_eq!(self.net.borrow().open(), 0, "connections left open");
        let took = self.net.borrow().now - began;
        assert!(
            took <= self.longest,
            "it took {took:?}, and may take {:?}",
            self.longest
        );
        let totals = totals.ok()?;
        let failed = verdicts.0.values().filter(|(_, verdict)| verdict.is_err());
        assert_eq!(totals.failed, failed.count() as u64);
        Some((verdicts, totals))
    }

    /// A run that is ended by a signal or a kill, if it does not end before.
    fn run_interrupted(&mut self, random: &mut Random) {
        let next = Dir::in_memory();
        let (from, to) = (self.folder.path().to_owned(), next.path().to_owned());
        let outside = random
            .pick(&[Outside::Signal, Outside::Kill(from, to)])
            .clone();
        if self.run(Some((1 + random.below(150), outside))).is_none() {
            self.folder = next;
        }
        self.check_found();
    }

    fn check_found(&self) {
        for row in &self.field.borrow().rows {
            let (ranges, plain) = row.asked;
            assert!(
                ranges + plain < MOST_REQUESTS,
                "{:?} requests: {row:?}",
                row.asked
            );
            if let Ok(found) = fs::read(self.folder.path().join(row.number.to_string())) {
                assert!(row.may_be(&found), "file {} is wrong: {row:?}", row.number);
            }
        }
    }

    /// A run that ends by itself; gives the rows that failed, with what was said.
    fn run_to_its_end(&mut self) -> Vec<(usize, String)> {
        let (verdicts, _) = self.run(None).expect("a run");
        self.check_found();
        verdicts.assert_nothing_left(&self.folder);
        let mut failed = Vec::new();
        for row in &self.field.borrow().rows {
            let is_there = self.folder.path().join(row.number.to_string()).exists();
            match &verdicts.0[&row.number].1 {
                Ok(()) => assert!(is_there, "file {} is done and not there", row.number),
                Err(said) => failed.push((row.number, said.clone())),
            }
        }
        failed
    }

    /// A run in which nothing goes wrong: the failed files come, and nothing of them that could be kept comes again.
    fn run_healed(&mut self, failed: &[(usize, String)]) {
        self.plan.retry.retries = Some(3);
        let mut kept = Vec::new();
        for (number, _) in failed {
            let row = &self.field.borrow().rows[*number];
            if let Some(state) = state(self.folder.path(), row)
                && row.is_uniform()
            {
                kept.push((*number, state));
            }
        }
        self.field.borrow_mut().rows.iter_mut().for_each(Row::heal);
        let still = self.run_to_its_end();
        assert!(
            still.is_empty(),
            "not even with servers that are well: {still:?}"
        );
        for (number, state) in kept {
            let row = &self.field.borrow().rows[number];
            assert!(
                row.asked.1 == 0,
                "file {number} was fetched again: {row:?}: {state}"
            );
        }
    }
}

/// The state that an earlier run has left of a file, if this run can use it: under another query only the same entity
/// tag and the same size show that it is of the same file.
fn state(folder: &Path, row: &Row) -> Option<String> {
    let state = fs::read_to_string(folder.join(format!("{}.part.gannet", row.number))).ok()?;
    let is_whole = state.contains(&format!("\"ranges\":[[0,{}]]", row.size));
    let is_tagged = state.contains("\"size\":") && state.contains("\"etag\":\"\\\"");
    // A 416 to a request for bytes behind the last one has no entity tag.
    let is_proven = is_tagged && !is_whole;
    (is_proven || row.query.is_none()).then_some(state)
}

/// The runs of a seed; gives how many files they were of.
fn run(kind: &Kind, seed: u64) -> usize {
    let mut random = Random::new(seed);
    let mut trial = Trial::new(kind, &mut random);
    let retries = trial.plan.retry.retries;
    let mut must_come = Vec::new();
    for row in &trial.field.borrow().rows {
        must_come.push((kind.must_come)(row, retries));
    }
    while random.once_in(4) {
        trial.run_interrupted(&mut random);
    }
    // Of a file that was begun, a range is requested first, and any response to that may fail.
    for (row, must_come) in trial.field.borrow().rows.iter().zip(&mut must_come) {
        let is_begun = state(trial.folder.path(), row).is_some();
        *must_come &= !is_begun || row.servers.iter().any(Server::is_well);
    }
    let failed = trial.run_to_its_end();
    for (number, said) in &failed {
        let row = &trial.field.borrow().rows[*number];
        assert!(
            !must_come[*number],
            "file {number} must come, retries {retries:?}: {said}: {row:?}"
        );
    }
    if !failed.is_empty() {
        trial.run_healed(&failed);
    }
    must_come.len()
}

/// A run with three retries and otherwise the usual settings, in which bytes take no time; gives how long it took.
pub(super) fn run_calmly(rows: Vec<Row>) -> (Duration, session::Totals) {
    let (folder, lists) = (Dir::in_memory(), Dir::in_memory());
    let began = Instant::now();
    let field = Field::new(rows, began);
    let mut plan = Plan::new(Vec::new(), folder.path().to_owned());
    plan.lists = vec![lists.write("list", field.list())];
    plan.seed = Some(7);
    plan.retry.retries = Some(3);
    plan.hashing_threads = Some(0);
    let net = Net::calm(began, Rc::new(RefCell::new(field)), Random::new(7));
    let net = Rc::new(RefCell::new(net));
    let mut driver = Driver {
        net: Rc::clone(&net),
        ends_in: None,
    };
    let totals = session::run_on(&mut driver, plan, &mut Verdicts::default()).expect("a run");
    let took = net.borrow().now - began;
    (took, totals)
}
