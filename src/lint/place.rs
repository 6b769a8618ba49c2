//! Where in the text of a JSON document each value stands: line and column by JSON pointer
//! (RFC 6901). The text was parsed before; what is not JSON gives no places.

use std::collections::HashMap;

use serde::Serialize;

/// A part of the text; lines and columns count from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Region {
    /// First line.
    pub start_line: usize,
    /// First column.
    pub start_column: usize,
    /// Last line.
    pub end_line: usize,
    /// The column after the last character.
    pub end_column: usize,
}

/// All places of a document.
#[derive(Debug, Default)]
pub struct Places {
    /// By the names joined as they are: the pointer, and the span in bytes.
    by_field: HashMap<String, (String, usize, usize)>,
    /// Where each line begins.
    lines: Vec<usize>,
    text: String,
}

impl Places {
    /// Reads a document.
    pub fn of(text: &str) -> Self {
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let mut scan = Scan { bytes: text.as_bytes(), at: 0, found: HashMap::new() };
        scan.value("", "", None);
        Self { by_field: scan.found, lines, text: text.to_owned() }
    }

    /// The pointer and the region of a field, or of the nearest thing around it that is there.
    pub fn find(&self, field: &str) -> (String, Region) {
        let mut around = field;
        loop {
            if let Some((pointer, start, end)) = self.by_field.get(around) {
                // What is missing keeps its own name, below the object that is there.
                let missing = field.get(around.len()..).unwrap_or_default();
                return (format!("{pointer}{missing}"), self.region(*start, *end));
            }
            match around.rfind('/') {
                Some(at) => around = around.get(..at).unwrap_or_default(),
                None => return (field.to_owned(), self.region(0, 0)),
            }
        }
    }

    fn region(&self, start: usize, end: usize) -> Region {
        let ((start_line, start_column), (end_line, end_column)) = (self.position(start), self.position(end));
        Region { start_line, start_column, end_line, end_column }
    }

    fn position(&self, offset: usize) -> (usize, usize) {
        let line = self.lines.partition_point(|begin| *begin <= offset);
        let begin = self.lines.get(line.saturating_sub(1)).copied().unwrap_or_default();
        let column = self.text.get(begin..offset).map_or(0, |text| text.chars().count());
        (line.max(1), column + 1)
    }
}

struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
    found: HashMap<String, (String, usize, usize)>,
}

impl Scan<'_> {
    /// Reads one value; `key` is where its name begins and ends, if it has one.
    fn value(&mut self, field: &str, pointer: &str, key: Option<(usize, usize)>) {
        self.blank();
        let start = self.at;
        match self.peek() {
            Some(b'{') => self.object(field, pointer),
            Some(b'[') => self.array(field, pointer),
            Some(b'"') => drop(self.string()),
            _ => self.word(),
        }
        let nested = self.bytes.get(start).is_some_and(|byte| matches!(byte, b'{' | b'['));
        // A whole object is no place to look at: its name is, or where it begins.
        let span = match (key, nested) {
            (Some(key), true) => key,
            (Some((from, _)), false) => (from, self.at),
            (None, true) => (start, (start + 1).min(self.at)),
            (None, false) => (start, self.at),
        };
        self.found.insert(field.to_owned(), (pointer.to_owned(), span.0, span.1));
    }

    fn object(&mut self, field: &str, pointer: &str) {
        self.at += 1;
        loop {
            self.blank();
            match self.peek() {
                Some(b'"') => {
                    let from = self.at;
                    let name = self.string();
                    let key = (from, self.at);
                    self.blank();
                    self.at += 1;
                    let escaped = name.replace('~', "~0").replace('/', "~1");
                    self.value(&format!("{field}/{name}"), &format!("{pointer}/{escaped}"), Some(key));
                }
                Some(b',') => self.at += 1,
                Some(_) => break self.at += 1,
                None => break,
            }
        }
    }

    fn array(&mut self, field: &str, pointer: &str) {
        self.at += 1;
        let mut index = 0_usize;
        loop {
            self.blank();
            match self.peek() {
                Some(b']') => break self.at += 1,
                None => break,
                Some(_) => self.value(&format!("{field}/{index}"), &format!("{pointer}/{index}"), None),
            }
            index += 1;
            self.blank();
            if self.peek() == Some(b',') {
                self.at += 1;
            }
        }
    }

    fn string(&mut self) -> String {
        let from = self.at;
        self.at += 1;
        while let Some(byte) = self.peek() {
            self.at += if byte == b'\\' { 2 } else { 1 };
            if byte == b'"' {
                break;
            }
        }
        let text = self.bytes.get(from..self.at).unwrap_or_default();
        serde_json::from_slice(text).unwrap_or_default()
    }

    /// A number, true, false or null. It goes on in any case, so that the scan ends.
    fn word(&mut self) {
        self.at += 1;
        while self
            .peek()
            .is_some_and(|byte| !matches!(byte, b',' | b']' | b'}' | b' ' | b'\t' | b'\r' | b'\n'))
        {
            self.at += 1;
        }
    }

    fn blank(&mut self) {
        while self.peek().is_some_and(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_field_has_its_line_and_column() {
        let text =
            "{\n  \"a\": {\"b/c\": [1, {\"d\": \"\\\"x\"}], \"ü\": 1, \"e\": true },\n\t\"f\":null\n}\n";
        let places = Places::of(text);
        let rows = [
            ("", "", (1, 1, 1, 2)),
            ("/a", "/a", (2, 3, 2, 6)),
            ("/a/b/c", "/a/b~1c", (2, 9, 2, 14)),
            ("/a/b/c/0", "/a/b~1c/0", (2, 17, 2, 18)),
            ("/a/b/c/1/d", "/a/b~1c/1/d", (2, 21, 2, 31)),
            ("/a/e", "/a/e", (2, 43, 2, 52)),
            ("/f", "/f", (3, 2, 3, 10)),
            ("/a/gone/deeper", "/a/gone/deeper", (2, 3, 2, 6)),
            ("/gone", "/gone", (1, 1, 1, 2)),
        ];
        for (field, pointer, (start_line, start_column, end_line, end_column)) in rows {
            let wanted = Region { start_line, start_column, end_line, end_column };
            assert_eq!(places.find(field), (pointer.to_owned(), wanted), "{field}");
        }
    }

    #[test]
    fn what_is_no_json_ends() {
        for text in ["", "{", "[", "{\"a\"", "{\"a\":", "[,", "]", "\"\\", "{}}", "[1 2", "{1:2}"] {
            Places::of(text).find("/a/0");
        }
    }
}
