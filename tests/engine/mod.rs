//! The engine's contract, statement by statement, and the engine end to end under two event loops.
//!
//! S, A, T, K, C, I, V, R, L and E number the statements: sockets, assign, timer, calls, codes, info, events,
//! adding and removing, limits, edge and level. [`fake`] is the loop that checks what a loop may expect; it is
//! level-triggered, or edge-triggered with GANNET_EDGE=1.

mod edges;
mod fake;
mod ledger;
mod loops;
mod peer;

mod action; // K1 to K8, E1
mod certificates; // when the function that loads certificates is called
mod connect_only; // transfers that only connect
mod end_to_end; // the engine under two event loops
mod events; // V1 to V5
mod http2; // S3, L5, R3 on streams
mod http2_ends; // connections of HTTP/2 that end, are clogged or closed: E1, E2
mod idle; // E1 to E3
mod info; // I1 to I4, R1 to R4, C1 to C3
mod limits; // L1 to L4
mod options; // options that change while transfers run
mod panics; // S8 for sinks and functions that panic
mod proxies; // tunnels, under two event loops
mod random; // all of them at once, at random
mod random_http2; // the same over HTTP/2
mod rest; // S5 on streams
mod sockets; // S1 to S7, A1 to A4
mod timer; // T1 to T6, S8, K6
