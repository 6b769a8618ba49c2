use super::*;

#[test]
fn numbers_of_headers() {
    for (bytes, value) in [
        (b"0000644\0".as_slice(), Some(0o644)),
        (b"    644 ", Some(0o644)),
        (b"\0\0\0\0\0\0\0\0", Some(0)),
        (b"", Some(0)),
        (b"77777777", Some(0o77_777_777)),
        (b"0000648\0", None),
        (b"-000644\0", None),
        (b"12\x0034\0\0\0", None),
        (b"\x80\0\0\0\0\0\0\x2a", Some(42)),
        (b"\xff\xff\xff\xff\xff\xff\xff\xfe", Some(-2)),
        (b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff", Some(i64::MAX)),
        (b"\x80\0\0\0\x80\0\0\0\0\0\0\0", None),
        (b"\x80\x01\0\0\0\0\0\0\0\0\0\0", None),
    ] {
        assert_eq!(number::field(bytes), value, "{}", bytes.escape_ascii());
    }
}

#[test]
fn times_of_pax() {
    for (text, value) in [
        ("1", Some((1, 0))),
        ("1.5", Some((1, 500_000_000))),
        ("1.0000000019", Some((1, 1))),
        ("-1.5", Some((-2, 500_000_000))),
        ("-0.000000001", Some((-1, 999_999_999))),
        ("-0.0000000001", Some((-1, 999_999_999))),
        ("-3", Some((-3, 0))),
        ("", None),
        ("1.", None),
        (".5", None),
        ("1e3", None),
        ("--1", None),
        ("99999999999999999999", None),
    ] {
        assert_eq!(number::time(text.as_bytes()), value, "{text}");
    }
}

#[test]
fn names_below_the_root() {
    for (name, clean) in [
        ("a/b", Some("a/b")),
        ("/a//b/./c/", Some("a/b/c")),
        ("", Some("")),
        ("././/", Some("")),
        ("a..b/...", Some("a..b/...")),
        ("a/../b", None),
        ("..", None),
    ] {
        assert_eq!(name::clean(name.as_bytes()), clean.map(|clean| clean.as_bytes().to_vec()), "{name}");
    }
}
