//! Reading the texts of a file.

use std::{fs, io, path::Path};

use sotto_ids::limits::MAX_TEXT_CHARS;

/// Why a file has no texts to send.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TextsFileError {
    #[error("unreadable_file: {path} cannot be read")]
    Unreadable { path: String, source: io::Error },
    #[error("not_utf8: line {line} is not UTF-8")]
    NotUtf8 { line: usize },
    #[error("no_second_column: line {line} has no tab")]
    NoSecondColumn { line: usize },
    #[error("empty_text: the second column of line {line} is empty")]
    EmptyText { line: usize },
    #[error("text_too_long: line {line} has {characters} characters, more than {MAX_TEXT_CHARS}")]
    TextTooLong { line: usize, characters: usize },
    #[error("too_few_texts: the file has {count}, and two are needed")]
    TooFewTexts { count: usize },
}

/// Reads the second column of each line, exactly as it stands.
pub(crate) fn read(path: &Path) -> Result<Vec<String>, TextsFileError> {
    let bytes = fs::read(path).map_err(|source| TextsFileError::Unreadable {
        path: path.display().to_string(),
        source,
    })?;
    parse(&bytes)
}

fn parse(bytes: &[u8]) -> Result<Vec<String>, TextsFileError> {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let texts: Vec<String> = bytes
        .split(|&byte| byte == b'\n')
        .zip(1_usize..)
        .filter(|(bytes, line)| !(bytes.is_empty() && *line == 1))
        .map(|(bytes, line)| text(bytes, line))
        .collect::<Result<_, _>>()?;
    if texts.len() < 2 {
        return Err(TextsFileError::TooFewTexts { count: texts.len() });
    }
    Ok(texts)
}

fn text(bytes: &[u8], line: usize) -> Result<String, TextsFileError> {
    let row = std::str::from_utf8(bytes).map_err(|_| TextsFileError::NotUtf8 { line })?;
    let text = row.split('\t').nth(1).ok_or(TextsFileError::NoSecondColumn { line })?;
    let characters = text.chars().count();
    if characters == 0 {
        return Err(TextsFileError::EmptyText { line });
    }
    if characters > MAX_TEXT_CHARS {
        return Err(TextsFileError::TextTooLong { line, characters });
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(bytes: &[u8]) -> String {
        parse(bytes).unwrap_err().to_string()
    }

    #[test]
    fn texts_are_taken_byte_for_byte() {
        let texts = parse("ham\t  two spaces, £ and a return\r\nspam\tlast".as_bytes()).unwrap();
        assert_eq!(texts, ["  two spaces, £ and a return\r", "last"]);
    }

    #[test]
    fn a_line_that_is_none_is_named() {
        assert!(refusal(b"ham\tgood\nno tab\n").starts_with("no_second_column: line 2"));
        assert!(refusal(b"ham\tgood\nham\t\n").starts_with("empty_text"));
        assert!(refusal(b"ham\t\xff\nham\tgood\n").starts_with("not_utf8: line 1"));
        let long = format!("ham\tgood\nham\t{}", "x".repeat(MAX_TEXT_CHARS + 1));
        assert!(refusal(long.as_bytes()).starts_with("text_too_long: line 2"));
    }

    #[test]
    fn a_file_with_less_than_two_texts_is_refused() {
        assert!(refusal(b"").starts_with("too_few_texts: the file has 0"));
        assert!(refusal(b"ham\tonly\n").starts_with("too_few_texts: the file has 1"));
        let missing = read(Path::new("/nowhere/at/all.tsv")).unwrap_err().to_string();
        assert!(missing.starts_with("unreadable_file"), "{missing}");
    }
}
