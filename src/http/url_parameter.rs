//! Parameters in the fragment of a URL: what a [`Url`] cannot hold otherwise. A fragment is never sent (RFC 9110 §7.1).

use url::Url;

/// The value of a parameter; `key` has the equals sign.
pub(super) fn get<'u>(url: &'u Url, key: &str) -> Option<&'u str> {
    let mut parameters = url.fragment()?.split('&');
    parameters.find_map(|parameter| parameter.strip_prefix(key))
}

/// Adds a parameter behind those that are there.
pub(super) fn add(url: &mut Url, key: &str, value: &str) {
    let fragment = match url.fragment() {
        None | Some("") => format!("{key}{value}"),
        Some(fragment) => format!("{fragment}&{key}{value}"),
    };
    url.set_fragment(Some(&fragment));
}
