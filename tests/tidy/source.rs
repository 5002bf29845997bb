//! A source file with its comments, strings and tests blanked, and what can be read off it: paths and functions.

/// A file's code, each byte in its place: what was blanked is spaces, line ends stay. Its comments stand beside it.
pub(super) struct Source {
    code: Vec<u8>,
    /// Where its lines end.
    ends: Vec<usize>,
    comments: Vec<Comment>,
}

/// One line of a `//` comment that belongs to no item under `#[cfg(test)]`.
pub(super) struct Comment {
    at: usize,
    /// Without its slashes, the `!` and blanks at either end.
    pub(super) text: String,
}

/// A struct with named fields.
pub(super) struct Struct {
    pub(super) name: String,
    pub(super) line: usize,
    pub(super) fields: usize,
    pub(super) bools: usize,
}

/// A function's name, the line it starts on, and its length in lines.
pub(super) struct Function {
    pub(super) name: String,
    pub(super) line: usize,
    pub(super) lines: usize,
}

/// A public item at the top of a file; each name of a `pub use` is one.
pub(super) struct Item {
    /// `use`, `mod`, or another keyword of an item.
    pub(super) kind: String,
    pub(super) name: String,
}

impl Source {
    /// Blanks comments, the contents of strings, and items under `#[cfg(test)]`.
    pub(super) fn new(text: &str) -> Self {
        let mut source = Self {
            code: text.as_bytes().to_vec(),
            ends: text.match_indices('\n').map(|(at, _)| at).collect(),
            comments: Vec::new(),
        };
        source.blank_comments_and_strings();
        source.blank_tests();
        source
    }

    /// Lines that hold code.
    pub(super) fn code_lines(&self) -> usize {
        self.code
            .split(|b| *b == b'\n')
            .filter(|line| line.iter().any(|b| !b.is_ascii_whitespace()))
            .count()
    }

    /// Where a piece of code stands, line by line.
    pub(super) fn lines_with(&self, wanted: &str) -> Vec<usize> {
        let text = String::from_utf8_lossy(&self.code);
        text.match_indices(wanted)
            .filter(|(at, _)| *at == 0 || !is_word(self.code[at - 1]))
            .map(|(at, _)| self.line(at))
            .collect()
    }

    /// Every path of two or more segments with its line; `a::{b, c::d}` is `a::b` and `a::c::d`.
    pub(super) fn paths(&self) -> Vec<(usize, String)> {
        let (mut found, mut at) = (Vec::new(), 0);
        while at < self.code.len() {
            if is_word(self.code[at]) {
                at = self.path(at, "", &mut found);
            } else {
                at += 1;
            }
        }
        found.retain(|(_, path)| path.contains("::"));
        found
    }

    /// Every function that has a body.
    pub(super) fn functions(&self) -> Vec<Function> {
        let mut found = Vec::new();
        for at in 0..self.code.len() {
            let is_fn =
                self.code[at..].starts_with(b"fn ") && (at == 0 || !is_word(self.code[at - 1]));
            let name = if is_fn {
                self.word(self.skip_space(at + 2))
            } else {
                String::new()
            };
            if name.is_empty() {
                continue;
            }
            if let Some(open) = self.body(at) {
                let (first, last) = (self.line(at), self.line(self.closing(open)));
                found.push(Function {
                    name,
                    line: first,
                    lines: last - first + 1,
                });
            }
        }
        found
    }

    /// Every `pub` item outside braces with its line, but for those behind `#[doc(hidden)]`.
    pub(super) fn public_items(&self) -> Vec<(usize, Item)> {
        let (mut found, mut depth, mut at) = (Vec::new(), 0_i32, 0);
        while at < self.code.len() {
            let word = self.word(at);
            if word.is_empty() {
                depth += match self.code[at] {
                    b'{' | b'(' | b'[' => 1,
                    b'}' | b')' | b']' => -1,
                    _ => 0,
                };
                at += 1;
                continue;
            }
            let next = self.skip_space(at + word.len());
            if word == "pub" && depth == 0 && self.code.get(next) != Some(&b'(') {
                let is_hidden = self.is_hidden(at);
                at = self.public_item(next, &mut found, is_hidden);
            } else {
                at += word.len();
            }
        }
        found
    }

    /// Reads the public item with its keyword here, and gives where its name ends.
    fn public_item(&self, start: usize, found: &mut Vec<(usize, Item)>, is_hidden: bool) -> usize {
        let mut at = start;
        let mut kind = self.word(at);
        while ["const", "async", "unsafe", "extern"].contains(&kind.as_str()) {
            let next = self.skip_space(at + kind.len());
            if kind == "const" && self.word(next) != "fn" {
                break;
            }
            at = next;
            kind = self.word(at);
        }
        let name_at = self.skip_space(at + kind.len());
        if kind == "use" {
            let end = self.find(name_at, b";");
            let names = self.imported_names(name_at, end);
            if !is_hidden {
                let line = self.line(start);
                found.extend(names.into_iter().map(|name| {
                    (
                        line,
                        Item {
                            kind: kind.clone(),
                            name,
                        },
                    )
                }));
            }
            return end;
        }
        let name = self.word(name_at);
        let end = name_at + name.len();
        if !is_hidden {
            found.push((self.line(start), Item { kind, name }));
        }
        end
    }

    /// The names that an import between two places gives: the last word before each comma, brace or end.
    fn imported_names(&self, from: usize, to: usize) -> Vec<String> {
        let text = String::from_utf8_lossy(&self.code[from..to]);
        let leaves = text.split([',', '{', '}']).map(str::trim);
        let leaves = leaves.filter(|leaf| !leaf.is_empty() && !leaf.ends_with("::"));
        let names =
            leaves.filter_map(|leaf| leaf.rsplit(|c: char| c == ':' || c.is_whitespace()).next());
        names.map(str::to_owned).collect()
    }

    /// Whether an attribute right before this place hides the item from the documentation.
    fn is_hidden(&self, at: usize) -> bool {
        let before = String::from_utf8_lossy(&self.code[..at]);
        let item = before.rfind([';', '}']).map_or(0, |end| end + 1);
        before[item..].contains("#[doc(hidden)]")
    }

    /// The lines of its comments, each with its number.
    pub(super) fn comments(&self) -> impl Iterator<Item = (usize, &str)> {
        let comments = self.comments.iter();
        comments.map(|comment| (self.line(comment.at), comment.text.as_str()))
    }

    /// Its code line by line, without comments, strings and tests.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.code).into_owned()
    }

    /// Every struct that has named fields. A field is a line that begins with its name and a colon.
    pub(super) fn structs(&self) -> Vec<Struct> {
        let mut found = Vec::new();
        for (at, name) in self.words_after("struct ") {
            let Some(open) = self
                .body(at)
                .filter(|open| !self.code[at..*open].contains(&b'('))
            else {
                continue;
            };
            let block = String::from_utf8_lossy(&self.code[open..self.closing(open)]);
            let types = block.lines().filter_map(field_type);
            let types: Vec<_> = types.collect();
            let bools = types
                .iter()
                .filter(|kind| kind.trim_end_matches(',') == "bool")
                .count();
            let (line, fields) = (self.line(at), types.len());
            found.push(Struct {
                name,
                line,
                fields,
                bools,
            });
        }
        found
    }

    /// The names of the types that are defined here.
    pub(super) fn types(&self) -> Vec<String> {
        let keywords = ["struct ", "enum "].into_iter();
        let words = keywords.flat_map(|keyword| self.words_after(keyword));
        words.map(|(_, name)| name).collect()
    }

    /// The types that have inherent methods here.
    pub(super) fn inherent_impls(&self) -> Vec<String> {
        let text = self.text();
        let heads = text.lines().filter_map(|line| line.strip_prefix("impl"));
        let heads = heads.filter(|head| !head.contains(" for "));
        heads.filter_map(implementer).collect()
    }

    /// Where each word that follows a keyword begins its item, and the word.
    fn words_after(&self, keyword: &str) -> Vec<(usize, String)> {
        let text = String::from_utf8_lossy(&self.code);
        let found = text.match_indices(keyword);
        let found = found.filter(|(at, _)| *at == 0 || !is_word(self.code[at - 1]));
        let words = found.map(|(at, _)| (at, self.word(at + keyword.len())));
        words.filter(|(_, word)| !word.is_empty()).collect()
    }

    fn line(&self, at: usize) -> usize {
        1 + self.ends.partition_point(|end| *end < at)
    }

    fn word(&self, at: usize) -> String {
        let word = self.code[at.min(self.code.len())..]
            .iter()
            .take_while(|b| is_word(**b));
        word.map(|b| char::from(*b)).collect()
    }

    fn skip_space(&self, at: usize) -> usize {
        at + self.code[at.min(self.code.len())..]
            .iter()
            .take_while(|b| b.is_ascii_whitespace())
            .count()
    }

    /// Reads the path that starts here and gives where it ends.
    fn path(&self, start: usize, prefix: &str, found: &mut Vec<(usize, String)>) -> usize {
        let first = self.word(start);
        let mut path = format!("{prefix}{first}");
        let mut at = start + first.len();
        loop {
            let colons = self.skip_space(at);
            if !self.code[colons.min(self.code.len())..].starts_with(b"::") {
                break;
            }
            let next = self.skip_space(colons + 2);
            match self.code.get(next) {
                Some(b'{') => return self.group(next, &path, found),
                Some(b) if is_word(*b) => {
                    let word = self.word(next);
                    at = next + word.len();
                    path = format!("{path}::{word}");
                }
                _ => {
                    at = next;
                    break;
                }
            }
        }
        found.push((self.line(start), path));
        at
    }

    fn group(&self, open: usize, prefix: &str, found: &mut Vec<(usize, String)>) -> usize {
        let close = self.closing(open);
        let mut at = open + 1;
        while at < close {
            if self.word(at) == "as" {
                let name = self.skip_space(at + 2);
                at = name + self.word(name).len();
            } else if is_word(self.code[at]) {
                at = self.path(at, &format!("{prefix}::"), found);
            } else {
                at += 1;
            }
        }
        close + 1
    }

    /// The opening brace of what starts here, unless a semicolon ends it first.
    fn body(&self, start: usize) -> Option<usize> {
        let mut depth = 0_i32;
        for at in start..self.code.len() {
            match self.code[at] {
                b'(' | b'[' => depth += 1,
                b')' | b']' => depth -= 1,
                b'{' if depth == 0 => return Some(at),
                b';' if depth == 0 => return None,
                _ => (),
            }
        }
        None
    }

    fn closing(&self, open: usize) -> usize {
        let mut depth = 0;
        for at in open..self.code.len() {
            match self.code[at] {
                b'{' => depth += 1,
                b'}' if depth == 1 => return at,
                b'}' => depth -= 1,
                _ => (),
            }
        }
        self.code.len()
    }

    fn blank(&mut self, from: usize, to: usize) {
        let to = to.min(self.code.len());
        for b in &mut self.code[from.min(to)..to] {
            if *b != b'\n' {
                *b = b' ';
            }
        }
    }

    fn blank_tests(&mut self) {
        let mark = b"#[cfg(test)]";
        let mut at = 0;
        while at + mark.len() <= self.code.len() {
            if self.code[at..].starts_with(mark) {
                let end = match self.body(at + mark.len()) {
                    Some(open) => self.closing(open),
                    None => at + self.code[at..].iter().position(|b| *b == b';').unwrap_or(0),
                };
                self.blank(at, end + 1);
                let is_tests = |comment: &Comment| (at..=end).contains(&comment.at);
                self.comments.retain(|comment| !is_tests(comment));
            }
            at += 1;
        }
    }

    fn blank_comments_and_strings(&mut self) {
        let mut at = 0;
        while at < self.code.len() {
            let end = match self.code[at] {
                b'/' if self.code[at..].starts_with(b"//") => self.find(at, b"\n"),
                b'/' if self.code[at..].starts_with(b"/*") => self.comment_end(at),
                b'"' => self.string_end(at),
                b'r' | b'b' | b'c' if at == 0 || !is_word(self.code[at - 1]) => {
                    self.prefixed_string_end(at)
                }
                b'\'' => self.char_end(at),
                _ => at,
            };
            if self.code[at..].starts_with(b"//") {
                let text = String::from_utf8_lossy(&self.code[at..end]);
                let text = text
                    .trim_start_matches('/')
                    .trim_start_matches('!')
                    .trim()
                    .to_owned();
                self.comments.push(Comment { at, text });
            }
            self.blank(at, end);
            at = end.max(at + 1);
        }
    }

    fn find(&self, from: usize, wanted: &[u8]) -> usize {
        let rest = &self.code[from.min(self.code.len())..];
        rest.windows(wanted.len())
            .position(|w| w == wanted)
            .map_or(self.code.len(), |at| from + at)
    }

    fn comment_end(&self, start: usize) -> usize {
        let (mut depth, mut at) = (0, start);
        while at < self.code.len() {
            if self.code[at..].starts_with(b"/*") {
                depth += 1;
                at += 2;
            } else if self.code[at..].starts_with(b"*/") {
                depth -= 1;
                at += 2;
            } else {
                at += 1;
            }
            if depth == 0 {
                break;
            }
        }
        at
    }

    fn string_end(&self, quote: usize) -> usize {
        let mut at = quote + 1;
        while at < self.code.len() && self.code[at] != b'"' {
            at += if self.code[at] == b'\\' { 2 } else { 1 };
        }
        at + 1
    }

    /// `r"…"`, `br#"…"#`, `b"…"` and their like; anything else ends where it starts.
    fn prefixed_string_end(&self, start: usize) -> usize {
        let prefix = self.code[start..]
            .iter()
            .take_while(|b| b"rbc".contains(*b))
            .count();
        let hashes = self.code[start + prefix..]
            .iter()
            .take_while(|b| **b == b'#')
            .count();
        let quote = start + prefix + hashes;
        let is_raw = self.code[start..start + prefix].contains(&b'r');
        match self.code.get(quote) {
            Some(b'"') if is_raw => {
                let close = [b"\"".as_slice(), &vec![b'#'; hashes]].concat();
                self.find(quote + 1, &close) + close.len()
            }
            Some(b'"') if hashes == 0 => self.string_end(quote),
            _ => start,
        }
    }

    /// A character literal; a lifetime ends where it starts.
    fn char_end(&self, quote: usize) -> usize {
        let rest = &self.code[quote + 1..];
        let escaped = usize::from(rest.first() == Some(&b'\\'));
        let close = rest
            .iter()
            .skip(1 + escaped)
            .take(10)
            .position(|b| *b == b'\'');
        let close = close.map(|at| at + 1 + escaped);
        match close {
            Some(at) if escaped == 1 => quote + at + 2,
            // A single character of one to four bytes.
            Some(at) if std::str::from_utf8(&rest[..at]).is_ok_and(|t| t.chars().count() == 1) => {
                quote + at + 2
            }
            _ => quote,
        }
    }
}

fn is_word(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_'
}

/// The type of the field that a line declares.
fn field_type(line: &str) -> Option<&str> {
    let line = line.trim();
    let line = match line.strip_prefix("pub") {
        Some(rest) if rest.starts_with('(') => rest.split_once(')')?.1,
        Some(rest) if rest.starts_with(' ') => rest,
        _ => line,
    };
    let (name, kind) = line.split_once(':')?;
    let is_name = !name.trim().is_empty() && name.trim().bytes().all(is_word);
    (is_name && !kind.starts_with(':')).then(|| kind.trim())
}

/// The type that a line implements, given what follows `impl` on it.
fn implementer(head: &str) -> Option<String> {
    let mut depth = 0_i32;
    let parameters = head.starts_with('<').then(|| {
        head.find(|c| {
            depth += i32::from(c == '<') - i32::from(c == '>');
            depth == 0
        })
    });
    let name = match parameters {
        Some(end) => &head[end? + 1..],
        None => head,
    };
    let name = name.strip_prefix(' ')?;
    let end = name.find(|c: char| !c.is_alphanumeric() && c != '_')?;
    Some(name[..end].to_owned())
}

#[test]
fn groups_of_imports_are_read_as_the_paths_they_are() {
    let source = Source::new("use crate::{a, b::{c, d as e}};\nfn f() { std::fs::read::<u8>(x); }");
    let paths: Vec<_> = source
        .paths()
        .into_iter()
        .map(|(line, path)| format!("{line} {path}"))
        .collect();
    assert_eq!(
        paths,
        [
            "1 crate::a",
            "1 crate::b::c",
            "1 crate::b::d",
            "2 std::fs::read"
        ]
    );
}

#[test]
fn comments_strings_and_tests_are_no_code() {
    let text = "// a::b\n/* c::d /* */ */ let s = \"e::f\\\"\"; let r = br#\"g::\"h\"#;\nlet c = '\"'; let l: &'a i::J;\n\
                #[cfg(test)]\nmod tests {\n use k::l;\n}\nuse m::n;";
    let paths: Vec<_> = Source::new(text)
        .paths()
        .into_iter()
        .map(|(_, path)| path)
        .collect();
    assert_eq!(paths, ["i::J", "m::n"]);
    assert_eq!(Source::new(text).code_lines(), 3);
}

#[test]
fn functions_are_measured_and_declarations_are_not() {
    let text = "trait T { fn a(&self, x: [u8; 2]); }\nfn b<F: Fn()>(f: fn(u8))\nwhere F: Send {\n  f();\n}\n";
    let found = Source::new(text).functions();
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].name.as_str(), found[0].line, found[0].lines),
        ("b", 2, 4)
    );
}

#[test]
fn public_items_are_named_as_a_user_names_them() {
    let text = "pub use a::{b, c::{D, e as f}};\npub(crate) use g::h;\n#[doc(hidden)]\npub mod i { pub fn j() {} }\n\
                pub mod k;\npub struct L { pub m: u8 }\npub const fn n() {}\npub const O: u8 = 1;\nimpl L { pub fn p() {} }";
    let found = Source::new(text).public_items();
    let found: Vec<_> = found
        .iter()
        .map(|(line, item)| format!("{line} {} {}", item.kind, item.name))
        .collect();
    assert_eq!(
        found,
        [
            "1 use b",
            "1 use D",
            "1 use f",
            "5 mod k",
            "6 struct L",
            "7 fn n",
            "8 const O"
        ]
    );
}

#[test]
fn comments_are_read_line_by_line_and_those_of_tests_are_not() {
    let text = "//! What it owns.\nlet url = \"http://h\"; // Why.\n#[cfg(test)]\nmod tests {\n // No.\n}\n/// Shown.\n";
    let source = Source::new(text);
    let comments: Vec<_> = source.comments().collect();
    assert_eq!(comments, [(1, "What it owns."), (2, "Why."), (7, "Shown.")]);
}

#[test]
fn structs_are_counted_by_their_fields_and_impls_by_their_type() {
    let text = "pub struct A<T: B> {\n  pub(crate) a: bool,\n  b: Vec<C::D>,\n}\nstruct E(u8);\nstruct F;\n\
                impl<T: B<C>> A<T> {\n}\nimpl E {\n}\nimpl G for E {\n}\nenum H {\n}\n";
    let source = Source::new(text);
    let structs = source.structs();
    assert_eq!(structs.len(), 1);
    let (name, line) = (structs[0].name.as_str(), structs[0].line);
    assert_eq!(
        (name, line, structs[0].fields, structs[0].bools),
        ("A", 1, 2, 1)
    );
    assert_eq!(source.inherent_impls(), ["A", "E"]);
    assert_eq!(source.types(), ["A", "E", "F", "H"]);
}
