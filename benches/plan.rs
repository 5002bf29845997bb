//! What dividing a file costs: shares given out, advanced and stolen, as while a file is fetched.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use gannet::internals::download::Ranges;
use gannet::internals::download::division::plan::Plan;

const MIB: u64 = 1 << 20;

/// Divides a file of `size` bytes among `lanes`, which write `step` bytes in turn, the later ones
/// slower, until all is there. Gives the number of shares.
fn fetch(size: u64, lanes: usize, step: u64) -> usize {
    let mut plan = Plan::new(size, MIB, Ranges::default());
    let mut running = vec![plan.adopt(0, 0)];
    let mut shares = 1;
    while !plan.is_done() {
        while running.len() < lanes {
            let missing = (lanes - running.len()) as u64;
            let Some(opened) = plan.open(missing, 1e7, |lane| Some(1e7 / (lane + 1) as f64)) else {
                break;
            };
            running.push(opened.lane);
            shares += 1;
        }
        for &lane in &running {
            let rest = plan.rest(lane);
            plan.advance(lane, rest.end.min(rest.start + step / (lane as u64 + 1)));
        }
        while let Some(lane) = plan.superfluous(None) {
            plan.close(lane);
            running.retain(|running| *running != lane);
        }
    }
    shares
}

fn plan(c: &mut Criterion) {
    let mut group = c.benchmark_group("a file of 1 GiB");
    for lanes in [1, 16, 64] {
        let shares = fetch(1024 * MIB, lanes, 4 * MIB) as u64;
        group.throughput(Throughput::Elements(shares));
        group.bench_function(format!("by {lanes}, in {shares} shares"), |b| {
            b.iter(|| fetch(black_box(1024 * MIB), lanes, 4 * MIB));
        });
    }
    group.finish();
}

criterion_group!(benches, plan);
criterion_main!(benches);
