//! The texts of a run: they say which message they are.

use crate::oracle::Letter;

const MARK: &str = "sotto-load";

/// A text that names its message, of so many characters at least.
pub(super) fn write(letter: Letter, length: usize) -> String {
    let Letter { from, to, number } = letter;
    let mut text = format!("{MARK} {from} {to} {number} ");
    while text.len() < length {
        text.push('.');
    }
    text
}

/// Which message a text is; `None` where it is none of ours.
pub(super) fn read(text: &str) -> Option<Letter> {
    let mut words = text.split(' ');
    (words.next()? == MARK).then_some(())?;
    Some(Letter {
        from: words.next()?.parse().ok()?,
        to: words.next()?.parse().ok()?,
        number: words.next()?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_says_which_message_it_is() {
        let letter = Letter { from: 3, to: 17, number: 12_345 };

        let text = write(letter, 120);

        assert_eq!(text.len(), 120);
        assert_eq!(read(&text), Some(letter));
        assert_eq!(read("hello"), None);
        assert_eq!(read("sotto-load 1 2"), None);
    }
}
