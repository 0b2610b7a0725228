//! Every path that a Rust source names, as far as its text tells.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// One source file, but for what is compiled into tests only.
pub(crate) struct Source {
    pub(crate) file: PathBuf,
    /// Its module, from the crate's name down: `roundtable::audio::capture`.
    pub(crate) module: String,
    /// The paths it names, in full, `crate`, `self` and `super` resolved; globs end in `::*`.
    pub(crate) paths: Vec<String>,
    /// The modules it declares in files of their own.
    pub(crate) modules: Vec<String>,
}

/// All sources of the crate `name` whose root is in `dir`, reached through its `mod` declarations: so files of
/// tests alone are left out, as the compiler leaves them out.
pub(crate) fn sources(dir: &Path, name: &str) -> Vec<Source> {
    let mut found = Vec::new();
    let mut waiting = vec![(name.to_owned(), dir.join("lib.rs"), dir.to_owned())];
    while let Some((module, file, children)) = waiting.pop() {
        let text = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let source = Source::new(module, &file, &text);
        for child in &source.modules {
            let folder = children.join(child);
            let own = folder.with_extension("rs");
            let file = if own.exists() { own } else { folder.join("mod.rs") };
            waiting.push((format!("{}::{child}", source.module), file, folder));
        }
        found.push(source);
    }
    found
}

impl Source {
    /// Reads `text` as the source of `module`.
    pub(crate) fn new(module: String, file: &Path, text: &str) -> Self {
        let tokens = without_tests(&tokens(text));
        let mut imports = BTreeMap::new();
        let mut paths = Vec::new();
        let mut modules = Vec::new();
        let mut others = Vec::new();
        let mut rest = tokens.as_slice();
        while let [first, after @ ..] = rest {
            if first == "use" {
                let end = after.iter().position(|token| token == ";").unwrap_or(after.len());
                spell_out(&after[..end], &[], &mut |path, name| {
                    let path = absolute(&path, &module);
                    imports.insert(name, path.clone());
                    paths.push(path.join("::"));
                });
                rest = &after[end..];
            } else {
                if let (true, [name, semicolon, ..]) = (first == "mod", after) {
                    modules.extend((semicolon == ";").then(|| name.clone()));
                }
                others.push(first.as_str());
                rest = after;
            }
        }
        for path in inline(&others) {
            let mut full = absolute(&path, &module);
            if let Some(import) = full.first().and_then(|first| imports.get(first)) {
                full.splice(..1, import.iter().cloned());
            }
            paths.push(full.join("::"));
        }
        Self { file: file.to_owned(), module, paths, modules }
    }
}

/// Words, `::`, and every other character by itself; no comments, strings, characters or lifetimes.
fn tokens(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        let hashes = rest[word..].bytes().take_while(|&byte| byte == b'#').count();
        let is_raw = matches!(&rest[..word], "r" | "br" | "cr") && rest[word + hashes..].starts_with('"');
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if is_raw {
            let start = word + hashes + 1;
            let end = format!("\"{}", "#".repeat(hashes));
            rest[start..].find(&end).map_or(rest.len(), |at| start + at + end.len())
        } else if first == '"' {
            quoted(rest, '"')
        } else if first == '\'' {
            // A lifetime has no closing quote right after its first character.
            let mut next = rest[1..].chars();
            let is_character = next.next() == Some('\\') || next.next() == Some('\'');
            if is_character {
                quoted(rest, '\'')
            } else {
                1 + rest[1..].find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len() - 1)
            }
        } else {
            0
        };
        let length = match (skipped, word) {
            (0, 0) if rest.starts_with("::") => 2,
            (0, 0) => first.len_utf8(),
            (0, word) => word,
            (skipped, _) => skipped,
        };
        if skipped == 0 && !first.is_whitespace() {
            found.push(rest[..length].to_owned());
        }
        rest = &rest[length..];
    }
    found
}

/// The length of the block comment that `text` begins with; they nest.
fn block_comment(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        let pair = text.as_bytes().get(at..at + 2);
        (depth, at) = match pair {
            Some(b"/*") => (depth + 1, at + 2),
            Some(b"*/") => (depth - 1, at + 2),
            _ => (depth, at + 1),
        };
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

/// The length of the string or character literal that `text` begins with.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if c == quote && !escaped {
            return at + 1;
        }
        escaped = c == '\\' && !escaped;
    }
    text.len()
}

/// Leaves out every item under `#[cfg(test)]` or another `cfg` that asks for `test`.
fn without_tests(tokens: &[String]) -> Vec<String> {
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let Some(end) = attribute(&tokens[at..]) else {
            kept.push(tokens[at].clone());
            at += 1;
            continue;
        };
        let words = &tokens[at..at + end];
        let asks = |word: &str| words.iter().any(|token| token == word);
        at += end;
        if asks("cfg") && asks("test") && !asks("not") {
            at += item(&tokens[at..]);
        }
    }
    kept
}

/// The length of the attribute that `tokens` begin with.
fn attribute(tokens: &[String]) -> Option<usize> {
    let open = match tokens {
        [hash, open, ..] if hash == "#" && open == "[" => 1,
        [hash, bang, open, ..] if hash == "#" && bang == "!" && open == "[" => 2,
        _ => return None,
    };
    Some(open + group(&tokens[open..], "[", "]"))
}

/// The length of the item that `tokens` begin with, its attributes included: to its `;` or closing brace.
fn item(tokens: &[String]) -> usize {
    let mut at = 0;
    while let Some(length) = attribute(&tokens[at..]) {
        at += length;
    }
    let is_use = tokens.get(at).is_some_and(|token| token == "use");
    while at < tokens.len() {
        match tokens[at].as_str() {
            ";" => return at + 1,
            "{" if !is_use => return at + group(&tokens[at..], "{", "}"),
            _ => at += 1,
        }
    }
    at
}

/// The length of the bracketed group that `tokens` begin with.
fn group(tokens: &[String], open: &str, close: &str) -> usize {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate() {
        depth += i32::from(token == open) - i32::from(token == close);
        if depth == 0 {
            return at + 1;
        }
    }
    tokens.len()
}

/// Calls `each` with every path of a `use` tree and the name it is known by afterwards.
fn spell_out(tree: &[String], prefix: &[String], each: &mut impl FnMut(Vec<String>, String)) {
    let mut path = prefix.to_vec();
    let mut at = 0;
    while at < tree.len() {
        match tree[at].as_str() {
            "::" => at += 1,
            "{" => {
                let length = group(&tree[at..], "{", "}");
                for branch in branches(&tree[at + 1..at + length - 1]) {
                    spell_out(branch, &path, each);
                }
                return;
            }
            "as" => {
                let name = tree.get(at + 1).cloned().unwrap_or_default();
                return each(path, name);
            }
            // `use module::{self}` names the module itself.
            "self" if !prefix.is_empty() => at += 1,
            word => {
                path.push(word.to_owned());
                at += 1;
            }
        }
    }
    if let Some(name) = path.last().cloned() {
        each(path, name);
    }
}

/// A brace's content, cut at its own commas.
fn branches(tokens: &[String]) -> Vec<&[String]> {
    let mut depth = 0;
    let cut = tokens.split(move |token| {
        depth += i32::from(token == "{") - i32::from(token == "}");
        depth == 0 && token == ","
    });
    cut.filter(|branch| !branch.is_empty()).collect()
}

/// Paths of at least two words outside `use`.
fn inline(tokens: &[&str]) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut path: Vec<String> = Vec::new();
    let is_word = |token: &str| token.starts_with(|c: char| c.is_alphabetic() || c == '_');
    for pair in tokens.windows(2).chain([&["", ""][..]]) {
        match pair {
            [word, "::"] if is_word(word) => path.push((*word).to_owned()),
            ["::", _] => {}
            [word, _] if !path.is_empty() => {
                path.extend(is_word(word).then(|| (*word).to_owned()));
                found.push(std::mem::take(&mut path));
            }
            _ => {}
        }
    }
    found
}

/// Resolves `crate`, `self` and `super` as seen from `module`.
fn absolute(path: &[String], module: &str) -> Vec<String> {
    let mut base: Vec<String> = Vec::new();
    for word in path {
        match word.as_str() {
            "crate" => base = vec![module.split("::").next().unwrap_or_default().to_owned()],
            "self" => base = module.split("::").map(str::to_owned).collect(),
            "super" => {
                if base.is_empty() {
                    base = module.split("::").map(str::to_owned).collect();
                }
                base.pop();
            }
            word => base.push(word.to_owned()),
        }
    }
    base
}
