//! The parsers of dates: of cookies (RFC 6265 §5.1.1), and of other fields, which have a zone.

use std::time::{Duration, SystemTime};

/// The zones of RFC 5322 §4.3 and "UTC", in upper case, and their offsets in hours.
const ZONES: [(&str, i64); 12] = [
    ("GMT", 0),
    ("UTC", 0),
    ("UT", 0),
    ("Z", 0),
    ("EST", -5),
    ("EDT", -4),
    ("CST", -6),
    ("CDT", -5),
    ("MST", -7),
    ("MDT", -6),
    ("PST", -8),
    ("PDT", -7),
];

/// The names of the months, in lower case.
const MONTHS: [&[u8; 3]; 12] = [
    b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec",
];

/// Parses the date of a field (RFC 9110 §5.6.7). Beside its three forms, those that curl accepts are accepted: a day
/// of one digit, another zone than GMT, or none.
pub(crate) fn parse(text: &str) -> Option<SystemTime> {
    if let Ok(time) = httpdate::parse_http_date(text) {
        return Some(time);
    }
    let mut offset = 0;
    let mut is_after_time = false;
    let mut words = Vec::new();
    for word in text.split_ascii_whitespace() {
        if is_after_time && !word.starts_with(|first: char| first.is_ascii_digit()) {
            offset = zone(word)?;
        } else {
            is_after_time |= time_of(word.as_bytes()).is_some();
            words.push(word);
        }
    }
    let seconds = parse_cookie(&words.join(" "))? - offset;
    Some(SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).ok()?))
}

/// The offset of a zone to UTC in seconds: a name, or hours and minutes as in `+0100`.
fn zone(word: &str) -> Option<i64> {
    let named = ZONES
        .iter()
        .find(|(name, _)| word.eq_ignore_ascii_case(name));
    if let Some((_, hours)) = named {
        return Some(hours * 3600);
    }
    let (sign, rest) = match word.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let digits = rest.replace(':', "");
    if digits.len() != 4 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: i64 = digits.parse().ok()?;
    let (hours, minutes) = (number / 100, number % 100);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

/// Parses the date of a cookie into seconds since 1970. Its words may be in any order; unknown words, which include
/// zones, are ignored.
pub(super) fn parse_cookie(text: &str) -> Option<i64> {
    let (mut time, mut day, mut month, mut year) = (None, None, None, None);
    for word in text.as_bytes().split(|&byte| is_delimiter(byte)) {
        if time.is_none()
            && let Some(found) = time_of(word)
        {
            time = Some(found);
        } else if day.is_none()
            && let Some(found) = number(word, 1, 2)
        {
            day = Some(found);
        } else if month.is_none()
            && let Some(found) = month_of(word)
        {
            month = Some(found);
        } else if year.is_none()
            && let Some(found) = number(word, 2, 4)
        {
            year = Some(found);
        }
    }
    let (day, month, [hour, minute, second]) = (day?, month?, time?);
    let year = match year? {
        year @ 70..=99 => year + 1900,
        year @ 0..=69 => year + 2000,
        year => year,
    };
    let is_right = (1..=31).contains(&day)
        && year >= 1601
        && hour <= 23
        && minute <= 59
        && second <= 59
        && day <= days_in(year, month);
    is_right.then(|| ((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second)
}

fn is_delimiter(byte: u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'/' | b';'..=b'@' | b'['..=b'`' | b'{'..=b'~')
}

/// The number at the start of a word, if it has `least` to `most` digits.
fn number(word: &[u8], least: usize, most: usize) -> Option<i64> {
    let digits = word.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if !(least..=most).contains(&digits) {
        return None;
    }
    let sum = word[..digits]
        .iter()
        .fold(0, |sum, byte| sum * 10 + i64::from(byte - b'0'));
    Some(sum)
}

/// `HH:MM:SS`; anything but a digit may follow the seconds.
fn time_of(word: &[u8]) -> Option<[i64; 3]> {
    let mut fields = word.splitn(3, |&byte| byte == b':');
    let (hour, minute, second) = (fields.next()?, fields.next()?, fields.next()?);
    if ![hour, minute]
        .iter()
        .all(|field| field.iter().all(u8::is_ascii_digit))
    {
        return None;
    }
    Some([
        number(hour, 1, 2)?,
        number(minute, 1, 2)?,
        number(second, 1, 2)?,
    ])
}

/// The number of a month, counted from 1, by the first three letters of its name.
fn month_of(word: &[u8]) -> Option<i64> {
    let begin = word.first_chunk::<3>()?;
    let month = MONTHS
        .iter()
        .position(|name| name.eq_ignore_ascii_case(begin))?;
    i64::try_from(month + 1).ok()
}

fn days_in(year: i64, month: i64) -> i64 {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 => 28 + i64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970 in the Gregorian calendar, for years from 1 on. Years are counted from March, so that a leap day
/// is the last day of its year.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let before = year * 365 + year / 4 - year / 100 + year / 400;
    before + (month * 153 + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn dates_of_fields_are_read_in_each_zone_and_form() {
        let expected = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Sun, 6 Nov 1994 8:49:37 utc",
            "Sun, 06 Nov 1994 08:49:37 +0000",
            "Sun, 06 Nov 1994 01:49:37 -0700",
            "Sun, 06 Nov 1994 09:49:37 +01:00",
            "Sun, 06 Nov 1994 03:49:37 EST",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sunday, 6-Nov-94 08:49:37 UTC",
            "Sun, 06-Nov-1994 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "Sun Nov 6 08:49:37 1994",
            "Sun Nov  6 08:49:37 UTC 1994",
            "Sun Nov  6 09:49:37 +0100 1994",
            "06 Nov 1994 08:49:37",
        ] {
            assert_eq!(parse(text), Some(expected), "{text}");
        }
        for text in [
            "",
            "yesterday",
            "Sun, 06 Nov 1994 08:49:37 XYZ",
            "Sun, 06 Nov 1994 08:49:37 +2500",
            "Sun, 06 Nov 1994 08:49:37 +01",
            "Thu, 01 Jan 1970 00:00:00 +0100",
            "Sun, 06 Nov 1994",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_forms_that_servers_send_are_understood() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "Sun, 06-Nov-1994 08:49:37 GMT",
            "6 Nov 1994 8:49:37",
            "08:49:37 november-6-94",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "06 Nov 1994 08:49:37 +0000",
        ] {
            assert_eq!(parse_cookie(text), Some(784_111_777), "{text}");
        }
        assert_eq!(parse_cookie("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(parse_cookie("Thu, 01 Jan 70 00:00:00 GMT"), Some(0));
        assert_eq!(
            parse_cookie("Tue, 29 Feb 2000 12:00:00 GMT"),
            Some(951_825_600)
        );
        assert_eq!(
            parse_cookie("1 Jan 69 0:0:0"),
            parse_cookie("1 Jan 2069 0:0:0")
        );
        assert_eq!(parse_cookie("31 Dec 9999 23:59:59"), Some(253_402_300_799));
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in [
            "",
            "0",
            "Nov 1994 08:49:37",
            "06 1994 08:49:37",
            "06 Nov 08:49:37",
            "06 Nov 1994",
            "32 Jan 1994 08:49:37",
            "0 Jan 1994 08:49:37",
            "29 Feb 2001 08:49:37",
            "06 Nov 1600 08:49:37",
            "06 Nov 1994 24:00:00",
            "06 Nov 1994 08:60:00",
            "06 Nov 1994 08:49:60",
            "06 Nov 1994 08:49",
            "06 Nov 19945 08:49:37",
            "06 Nov 1994 008:49:37",
        ] {
            assert_eq!(parse_cookie(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_written_as_http_writes_it_is_read_back(seconds in 0_u64..253_402_300_800) {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            let text = httpdate::fmt_http_date(time);
            prop_assert_eq!(parse_cookie(&text), i64::try_from(seconds).ok(), "{}", text);
        }

        #[test]
        fn any_text_is_a_date_or_none(text in "([0-9:]{0,9}|[a-zA-Z]{1,5}|[ -~é]){0,8}") {
            let _ = (parse(&text), parse_cookie(&text));
        }
    }
}
