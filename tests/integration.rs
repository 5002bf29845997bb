//! All integration tests, one binary: a module a topic.

// The man page and the completions are what the flags say.
mod generated;
// The house rules: who may import whom, what is forbidden where, how long things are.
mod tidy;
