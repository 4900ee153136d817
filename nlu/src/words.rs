//! Written text to spoken words: lower case, no punctuation, digits said aloud, one spelling where English has two.
//!
//! Recogniser output passes through unchanged; what people type ("21.5°C", "7:30 pm", "A/C", "tyre") becomes what they
//! would have said. The same treatment is given to templates and entity names, so both sides always meet.

use crate::builtin::number::say_cardinal;

/// Spellings that sound alike or are read letter by letter, brought to one form that a pronunciation lexicon knows.
const SPELLINGS: &[(&str, &str)] = &[
    ("ac", "a c"),
    ("aircon", "air con"),
    ("airconditioning", "air conditioning"),
    ("aux", "aux"),
    ("cd", "c d"),
    ("centre", "center"),
    ("colour", "color"),
    ("colours", "colors"),
    ("dab", "d a b"),
    ("eta", "e t a"),
    ("favourite", "favorite"),
    ("fm", "f m"),
    ("grey", "gray"),
    ("kilometre", "kilometer"),
    ("kilometres", "kilometers"),
    ("kmh", "kilometers per hour"),
    ("kph", "kilometers per hour"),
    ("litre", "liter"),
    ("litres", "liters"),
    ("metre", "meter"),
    ("metres", "meters"),
    ("mph", "miles per hour"),
    ("ok", "okay"),
    ("pm", "p m"),
    ("programme", "program"),
    ("tyre", "tire"),
    ("tyres", "tires"),
    ("usb", "u s b"),
];

/// Hesitations, dropped wherever they stand.
const HESITATIONS: &[&str] = &["um", "uh", "er", "erm", "hmm", "uhm"];

/// The ways a text may be said, as words of `[a-z']`. Without digits there is exactly one way; with digits the first
/// says numbers as numbers and the second, when it differs, digit by digit. Empty when nothing sayable is in the text.
pub fn spoken(text: &str) -> Vec<Vec<String>> {
    let plain: String = text.chars().flat_map(plain_char).collect();
    let mut ways = vec![say_all(&plain, Digits::AsNumber)];
    if plain.chars().any(|c| c.is_ascii_digit()) {
        let spelled = say_all(&plain, Digits::OneByOne);
        if spelled != ways[0] {
            ways.push(spelled);
        }
    }
    ways.retain(|words| !words.is_empty());
    ways
}

/// The ways the name of an entity may be said: as [`spoken`], and short capitals ("BBC") both letter by letter (first)
/// and as a word.
pub fn spoken_name(name: &str) -> Vec<Vec<String>> {
    let spaced: Vec<String> = name.split_whitespace().map(spell_capitals).collect();
    let mut ways = spoken(&spaced.join(" "));
    for way in spoken(name) {
        if !ways.contains(&way) {
            ways.push(way);
        }
    }
    ways
}

fn spell_capitals(word: &str) -> String {
    let short = (2..=4).contains(&word.len()) && word.chars().all(|c| c.is_ascii_uppercase());
    if !short {
        return word.to_string();
    }
    word.chars().map(String::from).collect::<Vec<_>>().join(" ")
}

#[derive(Clone, Copy)]
enum Digits {
    AsNumber,
    OneByOne,
}

/// Lower case, accents taken off, typographic apostrophes made plain, signs with a spoken name named.
pub(crate) fn plain_char(c: char) -> Vec<char> {
    let folded = match c {
        '’' | '‘' | '`' => "'",
        '°' | 'º' => " degrees ",
        '%' => " percent ",
        '&' => " and ",
        'à' | 'á' | 'â' | 'ã' | 'å' | 'À' | 'Á' | 'Â' | 'Å' => "a",
        'ä' | 'Ä' | 'æ' | 'Æ' => "ae",
        'ç' | 'Ç' => "c",
        'è' | 'é' | 'ê' | 'ë' | 'È' | 'É' | 'Ê' | 'Ë' => "e",
        'ì' | 'í' | 'î' | 'ï' | 'Í' | 'Î' => "i",
        'ñ' | 'Ñ' => "n",
        'ò' | 'ó' | 'ô' | 'õ' | 'ø' | 'Ó' | 'Ô' | 'Ø' => "o",
        'ö' | 'Ö' => "oe",
        'ß' => "ss",
        'ù' | 'ú' | 'û' | 'Ú' | 'Û' => "u",
        'ü' | 'Ü' => "ue",
        _ => return c.to_lowercase().collect(),
    };
    folded.chars().collect()
}

fn say_all(plain: &str, digits: Digits) -> Vec<String> {
    let mut words = Vec::new();
    for token in tokens(plain) {
        if token.starts_with(|c: char| c.is_ascii_digit() || c == '+') {
            say_number(&token, digits, &mut words);
        } else {
            say_word(&token, &mut words);
        }
    }
    join_degree_letters(&mut words);
    words
}

/// Runs of letters and apostrophes, and runs of digits with the signs that belong inside numbers.
fn tokens(plain: &str) -> Vec<String> {
    let chars: Vec<char> = plain.chars().collect();
    let mut out = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let start = at;
        if chars[at].is_ascii_digit()
            || (chars[at] == '+' && chars.get(at + 1).is_some_and(char::is_ascii_digit))
        {
            at += 1;
            while at < chars.len() && in_number(&chars, at) {
                at += 1;
            }
            out.push(chars[start..at].iter().filter(|c| **c != ',').collect());
        } else if is_letter(chars[at]) {
            while at < chars.len() && is_letter(chars[at]) {
                at += 1;
            }
            let word: String = chars[start..at].iter().collect();
            let slash_ac =
                word == "a" && chars.get(at) == Some(&'/') && chars.get(at + 1) == Some(&'c');
            if slash_ac && chars.get(at + 2).is_none_or(|c| !is_letter(*c)) {
                at += 2;
                out.push("ac".into());
            } else {
                out.push(word.trim_matches('\'').to_string());
            }
        } else {
            at += 1;
        }
    }
    out.retain(|token| !token.is_empty());
    out
}

fn is_letter(c: char) -> bool {
    c.is_ascii_lowercase() || c == '\''
}

fn in_number(chars: &[char], at: usize) -> bool {
    let digit_after = chars.get(at + 1).is_some_and(char::is_ascii_digit);
    chars[at].is_ascii_digit() || (matches!(chars[at], '.' | ',' | ':') && digit_after)
}

fn say_word(word: &str, words: &mut Vec<String>) {
    if HESITATIONS.contains(&word) {
        return;
    }
    match word {
        // An ending glued to digits: "1st" comes as "1", "st".
        "st" | "nd" | "rd" | "th" if ordinal_before(words) => {}
        "am" if words.last().is_some_and(|w| is_number_word(w)) => {
            words.extend(["a".into(), "m".into()])
        }
        _ => match SPELLINGS.iter().find(|(written, _)| *written == word) {
            Some((_, said)) => words.extend(said.split(' ').map(String::from)),
            None => words.push(word.to_string()),
        },
    }
}

/// Turns a trailing cardinal word into its ordinal; false when the last word is no number.
fn ordinal_before(words: &mut [String]) -> bool {
    let Some(last) = words.last_mut() else {
        return false;
    };
    match crate::builtin::number::ordinal_word(last) {
        Some(ordinal) => {
            *last = ordinal;
            true
        }
        None => false,
    }
}

fn is_number_word(word: &str) -> bool {
    word == "o'clock" || crate::builtin::number::small_value(word).is_some()
}

fn say_number(token: &str, digits: Digits, words: &mut Vec<String>) {
    if let Some((hour, minute)) = token.split_once(':') {
        return say_clock(hour, minute, words);
    }
    let (whole, fraction) = token.split_once('.').unwrap_or((token, ""));
    let one_by_one = matches!(digits, Digits::OneByOne) || whole.starts_with('+') || dialled(whole);
    match whole.parse::<u32>() {
        Ok(value) if !one_by_one => words.extend(say_cardinal(value)),
        _ => say_digits(whole, words),
    }
    if !fraction.is_empty() {
        words.push("point".into());
        say_digits(&fraction.replace('.', ""), words);
    }
}

/// Leading zeros and long runs are read digit by digit, as telephone numbers are.
fn dialled(whole: &str) -> bool {
    whole.len() > 6 || (whole.len() > 1 && whole.starts_with('0'))
}

fn say_digits(digits: &str, words: &mut Vec<String>) {
    for c in digits.chars() {
        match c.to_digit(10) {
            Some(value) => words.extend(say_cardinal(value)),
            None => words.push("plus".into()),
        }
    }
}

fn say_clock(hour: &str, minute: &str, words: &mut Vec<String>) {
    words.extend(say_cardinal(hour.parse().unwrap_or(0)));
    match minute.parse::<u32>().unwrap_or(0) {
        0 => {}
        value @ 1..=9 => {
            words.push("oh".into());
            words.extend(say_cardinal(value));
        }
        value => words.extend(say_cardinal(value)),
    }
}

/// "21 degrees c" is degrees Celsius.
fn join_degree_letters(words: &mut [String]) {
    for at in 1..words.len() {
        if words[at - 1] == "degrees" {
            match words[at].as_str() {
                "c" => words[at] = "celsius".into(),
                "f" => words[at] = "fahrenheit".into(),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn first(text: &str) -> String {
        spoken(text)
            .first()
            .map(|words| words.join(" "))
            .unwrap_or_default()
    }

    #[test]
    fn typed_text_becomes_what_people_say() {
        for (written, said) in [
            (
                "Set temperature to 21.5°C!",
                "set temperature to twenty one point five degrees celsius",
            ),
            ("Turn the A/C on", "turn the a c on"),
            ("twenty-one", "twenty one"),
            ("Wake me at 7:30 pm", "wake me at seven thirty p m"),
            ("at 7:05am", "at seven oh five a m"),
            ("I am cold", "i am cold"),
            ("open it 50%", "open it fifty percent"),
            ("what’s the tyre pressure?", "what's the tire pressure"),
            ("the 1st", "the first"),
            ("um, play it", "play it"),
            ("1,200 km", "one thousand two hundred km"),
            ("call +44 0207", "call plus four four zero two zero seven"),
            ("Café Zürich", "cafe zuerich"),
        ] {
            assert_eq!(first(written), said, "{written}");
        }
    }

    #[test]
    fn numbers_can_also_be_said_digit_by_digit() {
        let ways = spoken("dial 911");
        assert_eq!(ways[0].join(" "), "dial nine hundred eleven");
        assert_eq!(ways[1].join(" "), "dial nine one one");
    }

    #[test]
    fn nothing_sayable_gives_no_way() {
        assert!(spoken(" ?! … ").is_empty());
        assert!(spoken("").is_empty());
    }

    #[test]
    fn short_capitals_are_spelled_first() {
        let ways = spoken_name("BBC Radio 4");
        assert_eq!(ways[0].join(" "), "b b c radio four");
        assert!(ways.iter().any(|way| way.join(" ") == "bbc radio four"));
    }

    proptest! {
        #[test]
        fn any_text_gives_plain_words_and_speaking_them_again_changes_nothing(text in "\\PC{0,60}") {
            for way in spoken(&text) {
                for word in &way {
                    prop_assert!(!word.is_empty() && word.chars().all(is_letter), "{word:?}");
                }
                let again = spoken(&way.join(" "));
                prop_assert_eq!(again.len(), 1);
                let twice = spoken(&again[0].join(" "));
                prop_assert_eq!(&again, &twice);
            }
        }
    }
}
