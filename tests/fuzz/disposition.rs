//! Content-Disposition (`http::disposition`): a name is never empty nor longer than what it came from, survives both
//! ways of writing it unless it has escapes, and is harmless once made safe.

use gannet::internals::download::name::safe;
use gannet::internals::http::disposition::file_name;

use super::file_name::assert_safe;

/// Takes a field's value.
pub fn run(value: &[u8]) {
    let Some(name) = file_name(value) else {
        return;
    };
    assert!(!name.is_empty());
    assert!(name.chars().count() <= value.len());
    assert_safe(&safe(&name));

    // A path of Windows or a percent sign would be decoded once more.
    if name.contains(['\\', '%']) {
        return;
    }
    let quoted = name.replace('\\', "\\\\").replace('"', "\\\"");
    // The escape of a quote behind a drive letter looks like the root of that drive.
    if quoted.get(1..3) != Some(":\\") {
        let written = format!("attachment; filename=\"{quoted}\"; size=1");
        assert_eq!(file_name(written.as_bytes()).as_ref(), Some(&name));
    }

    let encoded: String = name.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let written = format!("attachment; filename=other; filename*=UTF-8''{encoded}");
    assert_eq!(file_name(written.as_bytes()).as_ref(), Some(&name));
}
