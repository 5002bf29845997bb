//! [`advice`]: what to do about an error, in terms of flags. The errors of the library name only the cause.

use std::fmt;

use gannet::error::{Error, Fault, Malformed};

/// The message of an error with its advice.
pub(super) struct WithAdvice<'a>(pub(super) &'a Error);

impl fmt::Display for WithAdvice<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match advice(self.0.fault()) {
            Some(advice) => write!(f, "{}: {advice}", self.0),
            None => write!(f, "{}", self.0),
        }
    }
}

/// The flag that avoids a fault, if there is one.
fn advice(fault: &Fault) -> Option<&'static str> {
    match fault {
        Fault::Malformed(Malformed::Unasked(206)) => Some("if -H asks for a range, use --range"),
        Fault::WebPage => {
            Some("it may want a login; to take the page as the file, use --no-resume")
        }
        Fault::Http11Required => Some("run without --http2"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gannet::error::Doing;

    fn shown(fault: Fault) -> String {
        WithAdvice(&Error::new(fault, Doing::Receiving, None)).to_string()
    }

    #[test]
    fn an_error_with_a_way_out_names_the_flag() {
        for (fault, flag) in [
            (Fault::Malformed(Malformed::Unasked(206)), "--range"),
            (Fault::WebPage, "--no-resume"),
            (Fault::Http11Required, "--http2"),
        ] {
            let cause = fault.to_string();
            let shown = shown(fault);
            assert!(
                shown.starts_with(&cause) && shown.ends_with(flag),
                "{shown}"
            );
            assert!(!cause.contains("--"), "{cause}");
        }
    }

    #[test]
    fn an_error_without_one_names_the_cause_alone() {
        for fault in [
            Fault::Malformed(Malformed::Unasked(304)),
            Fault::TooManyRedirects(20),
        ] {
            assert_eq!(fault.to_string(), shown(fault));
        }
    }
}
