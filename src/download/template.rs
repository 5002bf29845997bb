//! Names of files from a pattern: `{host}/{path}`. The components of a URL are made safe; the pattern itself must stay
//! below its folder.

use std::path::PathBuf;

use sha2::{Digest, Sha256};
use url::Url;

use super::name::{self, beneath, from_url, safe};

/// A pattern for the names of files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Host,
    Path,
    Name,
    Stem,
    Ext,
    Index,
    Hash,
}

impl Template {
    /// Parses a pattern: text with `{host}`, `{path}`, `{name}`, `{stem}`, `{ext}`, `{index}` and `{hash}`; `{{` and
    /// `}}` are braces.
    ///
    /// # Errors
    /// The fault of the pattern, as a message.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            plain.push_str(&rest[..at]);
            let brace = &rest[at..=at];
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix(brace) {
                plain.push_str(brace);
                rest = after;
                continue;
            }
            let word = if brace == "{" {
                rest.split_once('}')
            } else {
                None
            };
            let Some((word, after)) = word else {
                return Err(format!("a '{brace}' without its other"));
            };
            pieces.push(Piece::Text(std::mem::take(&mut plain)));
            pieces.push(placeholder(word)?);
            rest = after;
        }
        plain.push_str(rest);
        pieces.push(Piece::Text(plain));
        let template = Self(pieces);
        let example = template.fill(|_| "x".to_owned());
        if example.ends_with('/') {
            return Err("it names a folder, not a file".into());
        }
        beneath(&example)?;
        Ok(template)
    }

    /// The path of a URL's file, the `index`th of the run, relative to the target folder.
    ///
    /// # Errors
    /// The name is empty.
    pub(crate) fn expand(&self, url: &Url, index: u64) -> Result<PathBuf, String> {
        let name = from_url(url);
        let (stem, ext) = match name.rsplit_once('.') {
            Some((stem, ext)) if !stem.is_empty() => (stem, ext),
            _ => (name.as_str(), ""),
        };
        let path = self.fill(|piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Host => safe(url.host_str().unwrap_or_default()),
            Piece::Path => folders(url)
                .into_iter()
                .chain([name.clone()])
                .collect::<Vec<_>>()
                .join("/"),
            Piece::Name => name.clone(),
            Piece::Stem => stem.to_owned(),
            Piece::Ext => ext.to_owned(),
            Piece::Index => index.to_string(),
            Piece::Hash => hash(url),
        });
        if path.ends_with('/') {
            return Err("nothing is left of the name".into());
        }
        // Safe components can combine to an unsafe one.
        let components = path.split('/').filter(|component| !component.is_empty());
        let path = components.map(safe).collect::<Vec<_>>().join("/");
        beneath(&path)
    }

    fn fill(&self, value: impl Fn(&Piece) -> String) -> String {
        let values = self.0.iter().map(|piece| match piece {
            Piece::Text(text) => text.clone(),
            piece => value(piece),
        });
        values.collect()
    }
}

fn placeholder(word: &str) -> Result<Piece, String> {
    Ok(match word {
        "host" => Piece::Host,
        "path" => Piece::Path,
        "name" => Piece::Name,
        "stem" => Piece::Stem,
        "ext" => Piece::Ext,
        "index" => Piece::Index,
        "hash" => Piece::Hash,
        _ => {
            return Err(format!(
                "unknown '{{{}}}': {{host}}, {{path}}, {{name}}, {{stem}}, {{ext}}, {{index}} and {{hash}} are known",
                word.escape_debug()
            ));
        }
    })
}

/// The first 16 hex digits of the SHA-256 of a URL without user information and fragment, which do not identify the
/// file. The definition is documented: a script can compute it.
fn hash(url: &Url) -> String {
    let mut url = url.clone();
    url.set_fragment(None);
    // These calls cannot fail: a fetched URL has a host.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    let digest = Sha256::digest(url.as_str());
    digest[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// The folders of a URL's path, each made safe.
fn folders(url: &Url) -> Vec<String> {
    let mut segments: Vec<_> = url.path_segments().into_iter().flatten().collect();
    segments.pop();
    let filled = segments.into_iter().filter(|segment| !segment.is_empty());
    filled.map(name::from_segment).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn expand(template: &str, url: &str) -> Result<String, String> {
        let path = Template::parse(template)?.expand(&Url::parse(url).unwrap(), 7)?;
        Ok(path.to_str().unwrap().to_owned())
    }

    #[test]
    fn each_placeholder_has_its_part_of_the_url() {
        let url = "https://me:pw@Host.example:8080/a%20b//c/d.tar.gz?q#f";
        for (template, path) in [
            ("{host}", "host.example"),
            ("{path}", "a b/c/d.tar.gz"),
            ("{name}", "d.tar.gz"),
            ("{stem}-{index}.{ext}", "d.tar-7.gz"),
            ("{host}/{path}", "host.example/a b/c/d.tar.gz"),
            ("x/{{{name}}}", "x/{d.tar.gz}"),
            ("{hash}.{ext}", "9792d17247ad4ef0.gz"),
        ] {
            assert_eq!(expand(template, url).as_deref(), Ok(path), "{template}");
        }
        assert_eq!(expand("{path}", "http://h/").as_deref(), Ok("index.html"));
        assert_eq!(
            expand("{path}", "http://h/a/").as_deref(),
            Ok("a/index.html")
        );
        assert_eq!(
            expand("{stem}{ext}", "http://h/.profile").as_deref(),
            Ok(".profile")
        );
    }

    #[test]
    fn a_url_cannot_lead_out_of_the_folder() {
        for url in [
            "http://h/%2e%2e/x",
            "http://h/..%2f..%2fetc/passwd",
            "http://h/a/%2e%2e%2fx",
            "http://h/%00/%5c",
            "http://h/CON/NUL",
        ] {
            let path = expand("{path}", url).unwrap();
            assert!(beneath(&path).is_ok(), "{url}: {path}");
            assert!(
                path.split('/').all(|component| component != ".."),
                "{url}: {path}"
            );
        }
        // Components that are safe alone also stay safe together.
        assert!(
            !expand("{ext}.", "http://h/a.")
                .unwrap_or_default()
                .contains("..")
        );
        assert!(
            !expand(".{ext}.", "http://h/a")
                .unwrap_or_default()
                .contains("..")
        );
    }

    #[test]
    fn a_pattern_that_cannot_be_used_is_refused() {
        for (template, component) in [
            ("", "names nothing"),
            ("/{name}", "absolute"),
            ("../{name}", ".."),
            ("{name}/", "names a folder"),
            ("{nam}", "unknown '{nam}'"),
            ("{name", "without its other"),
            ("name}", "without its other"),
            ("{}", "unknown '{}'"),
        ] {
            let fault = Template::parse(template).unwrap_err();
            assert!(fault.contains(component), "{template}: {fault}");
        }
        assert!(
            expand("x/{ext}", "http://h/a")
                .unwrap_err()
                .contains("nothing is left")
        );
    }

    proptest! {
        #[test]
        fn any_url_stays_beneath(path in "(/[ -~]{0,8}){0,5}", template in "(\\{(host|path|name|stem|ext|index|hash)\\}|[a-z./]){1,6}") {
            let url = Url::parse(&format!("http://h{path}")).unwrap();
            if let Ok(template) = Template::parse(&template)
                && let Ok(path) = template.expand(&url, 1)
            {
                prop_assert!(beneath(path.to_str().unwrap()).is_ok(), "{path:?}");
            }
        }
    }
}
