//! From the text of an expression to its tree. `not` binds closer than `and`, `and` closer than `or`.

use bittrace_trace::rules::rule;

use super::value_type::ValueType;
use super::{Expression, FilterError, Operator};
use crate::query::catalog::message_names;
use crate::query::names::{FieldName, PROTOCOLS, RowKey, scope_of_word};

#[derive(Debug, Clone, PartialEq)]
struct Token {
    kind: TokenKind,
    /// Where it begins, in characters.
    column: usize,
}

#[derive(Debug, Clone, PartialEq)]
enum TokenKind {
    Word(String),
    Quoted(String),
    Operator(Operator),
    And,
    Or,
    Not,
    Open,
    Close,
    In,
    OpenSet,
    CloseSet,
    Comma,
}

/// How deep expressions may nest.
const MAX_DEPTH: usize = 200;

pub(super) fn parse(text: &str) -> Result<Expression, FilterError> {
    let fail = |(column, what): Fault| FilterError { expression: text.to_owned(), column, what };
    let tokens = tokens(text).map_err(fail)?;
    let mut parser = Parser { tokens: &tokens, at: 0, end: text.chars().count(), depth: 0 };
    let expression = parser.alternatives().map_err(fail)?;
    match parser.peek() {
        None => Ok(expression),
        Some(token) => Err(fail((token.column, "expected \"and\", \"or\" or the end here".to_owned()))),
    }
}

type Fault = (usize, String);

fn tokens(text: &str) -> Result<Vec<Token>, Fault> {
    let characters: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    let mut in_set = false;
    while let Some(&c) = characters.get(at) {
        let column = at;
        let next = characters.get(at + 1);
        let (kind, length) = match (c, next) {
            (c, _) if c.is_whitespace() => {
                at += 1;
                continue;
            }
            ('(', _) => (TokenKind::Open, 1),
            (')', _) => (TokenKind::Close, 1),
            ('{', _) => {
                in_set = true;
                (TokenKind::OpenSet, 1)
            }
            ('}', _) => {
                in_set = false;
                (TokenKind::CloseSet, 1)
            }
            (',', _) if in_set => (TokenKind::Comma, 1),
            ('=', Some('=')) => (TokenKind::Operator(Operator::Equal), 2),
            ('=', _) => (TokenKind::Operator(Operator::Equal), 1),
            ('!', Some('=')) => (TokenKind::Operator(Operator::NotEqual), 2),
            ('!', _) => (TokenKind::Not, 1),
            ('<', Some('=')) => (TokenKind::Operator(Operator::LessOrEqual), 2),
            ('<', _) => (TokenKind::Operator(Operator::Less), 1),
            ('>', Some('=')) => (TokenKind::Operator(Operator::GreaterOrEqual), 2),
            ('>', _) => (TokenKind::Operator(Operator::Greater), 1),
            ('~', _) => (TokenKind::Operator(Operator::Contains), 1),
            ('&', Some('&')) => (TokenKind::And, 2),
            ('|', Some('|')) => (TokenKind::Or, 2),
            ('&' | '|', _) => return Err((column, format!("expected {c}{c} here"))),
            ('"' | '\'', _) => {
                let rest = &characters[at + 1..];
                let Some(length) = rest.iter().position(|&other| other == c) else {
                    return Err((column, "this quote is never closed".to_owned()));
                };
                (TokenKind::Quoted(rest[..length].iter().collect()), length + 2)
            }
            _ => {
                let ends =
                    |c: &char| c.is_whitespace() || "()=!<>~&|\"'{}".contains(*c) || in_set && *c == ',';
                let length = characters[at..].iter().position(ends).unwrap_or(characters.len() - at);
                (word(characters[at..at + length].iter().collect()), length)
            }
        };
        tokens.push(Token { kind, column });
        at += length;
    }
    Ok(tokens)
}

fn word(text: String) -> TokenKind {
    match text.to_ascii_lowercase().as_str() {
        "and" => TokenKind::And,
        "or" => TokenKind::Or,
        "not" => TokenKind::Not,
        "contains" => TokenKind::Operator(Operator::Contains),
        "matches" => TokenKind::Operator(Operator::Matches),
        "in" => TokenKind::In,
        _ => TokenKind::Word(text),
    }
}

struct Parser<'t> {
    tokens: &'t [Token],
    at: usize,
    end: usize,
    depth: usize,
}

impl<'t> Parser<'t> {
    fn peek(&self) -> Option<&'t Token> {
        self.tokens.get(self.at)
    }

    fn takes(&mut self, kind: &TokenKind) -> bool {
        let found = self.peek().is_some_and(|token| token.kind == *kind);
        self.at += usize::from(found);
        found
    }

    fn column(&self) -> usize {
        self.peek().map_or(self.end, |token| token.column)
    }

    fn alternatives(&mut self) -> Result<Expression, Fault> {
        let first = self.conditions()?;
        let mut alternatives = vec![first];
        while self.takes(&TokenKind::Or) {
            alternatives.push(self.conditions()?);
        }
        Ok(only(&mut alternatives).unwrap_or(Expression::Any(alternatives)))
    }

    fn conditions(&mut self) -> Result<Expression, Fault> {
        let first = self.condition()?;
        let mut conditions = vec![first];
        while self.takes(&TokenKind::And) {
            conditions.push(self.condition()?);
        }
        Ok(only(&mut conditions).unwrap_or(Expression::All(conditions)))
    }

    fn condition(&mut self) -> Result<Expression, Fault> {
        let column = self.column();
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err((column, "nested too deeply".to_owned()));
        }
        let expression = if self.takes(&TokenKind::Not) {
            Expression::Not(Box::new(self.condition()?))
        } else if self.takes(&TokenKind::Open) {
            let inner = self.alternatives()?;
            if !self.takes(&TokenKind::Close) {
                return Err((self.column(), "expected ) here".to_owned()));
            }
            inner
        } else {
            self.comparison()?
        };
        self.depth -= 1;
        Ok(expression)
    }

    fn comparison(&mut self) -> Result<Expression, Fault> {
        let column = self.column();
        let Some(Token { kind: TokenKind::Word(word), .. }) = self.peek() else {
            return Err((column, "expected a name here, such as message or src".to_owned()));
        };
        self.at += 1;
        let next = self.peek().map(|token| &token.kind);
        let is_negated = next == Some(&TokenKind::Not)
            && self.tokens.get(self.at + 1).is_some_and(|token| token.kind == TokenKind::In);
        self.at += usize::from(is_negated);
        if !is_negated && !matches!(next, Some(TokenKind::Operator(_) | TokenKind::In)) {
            return alone(word).map_err(|what| (column, what));
        }
        let name = FieldName::parse(word).map_err(|unknown| (column, unknown.to_string()))?;
        if name == FieldName::Key(RowKey::Wireshark) {
            return Err((
                column,
                "wireshark is an object: write wireshark.stream or wireshark.frame".to_owned(),
            ));
        }
        let side = LeftSide { word, kind: ValueType::of(&name), name };
        if self.takes(&TokenKind::In) {
            return self.set(&side, is_negated);
        }
        let Some(Token { kind: TokenKind::Operator(operator), .. }) = self.peek() else {
            return Err((self.column(), "expected an operator here".to_owned()));
        };
        self.at += 1;
        let (value, column) = self.value()?;
        side.compare(*operator, value).map_err(|what| (column, what))
    }

    fn value(&mut self) -> Result<(&'t str, usize), Fault> {
        let column = self.column();
        match self.peek().map(|token| &token.kind) {
            Some(TokenKind::Word(value) | TokenKind::Quoted(value)) => {
                self.at += 1;
                Ok((value, column))
            }
            _ => Err((column, "expected a value here".to_owned())),
        }
    }

    /// The values after `in`, in braces, with commas between them: each a value, or a range such as `1..5`.
    fn set(&mut self, side: &LeftSide<'_>, is_negated: bool) -> Result<Expression, Fault> {
        if !self.takes(&TokenKind::OpenSet) {
            return Err((self.column(), "expected { here, as in {1, 2, 5..9}".to_owned()));
        }
        let mut parts = Vec::new();
        loop {
            let (value, column) = self.value()?;
            parts.push(side.part(value, is_negated).map_err(|what| (column, what))?);
            if self.takes(&TokenKind::CloseSet) {
                break;
            }
            if !self.takes(&TokenKind::Comma) {
                return Err((self.column(), "expected , or } here".to_owned()));
            }
        }
        Ok(if is_negated { Expression::All(parts) } else { Expression::Any(parts) })
    }
}

/// The left side of a comparison.
struct LeftSide<'t> {
    /// As it is written.
    word: &'t str,
    name: FieldName,
    kind: ValueType,
}

impl LeftSide<'_> {
    fn compare(&self, operator: Operator, value: &str) -> Result<Expression, String> {
        let operand = self.kind.operand(operator, self.word, value)?;
        Ok(Expression::Compare(self.name.clone(), operator, Box::new(operand)))
    }

    /// A value or a range of a set. Negated, it is true where something stands under the name that is not in it.
    fn part(&self, value: &str, is_negated: bool) -> Result<Expression, String> {
        let range = value.split_once("..").filter(|_| matches!(self.kind, ValueType::Number(_)));
        let Some((first, last)) = range else {
            return self.compare(if is_negated { Operator::NotEqual } else { Operator::Equal }, value);
        };
        let within = Expression::All(vec![
            self.compare(Operator::GreaterOrEqual, first)?,
            self.compare(Operator::LessOrEqual, last)?,
        ]);
        if !is_negated {
            return Ok(within);
        }
        let present = Expression::Present(self.name.clone());
        Ok(Expression::All(vec![present, Expression::Not(Box::new(within))]))
    }
}

/// A name without a comparison is true where something stands under it. The name of a message is a slip: no message has
/// anything under it, or has something else.
fn alone(word: &str) -> Result<Expression, String> {
    if let Some(scope) = scope_of_word(word) {
        return Ok(Expression::Within(scope));
    }
    let slip = if message_names().any(|name| name == word) {
        Some("message")
    } else if PROTOCOLS.contains(&word) {
        Some("protocol")
    } else if rule(word).is_some() {
        Some("rule")
    } else {
        None
    };
    match (slip, FieldName::parse(word)) {
        (Some(key), Ok(_)) => Err(format!(
            "did you mean {key} == {word}? (fields.{word} is true where a message has a field of that name)"
        )),
        (Some(key), Err(_)) => Err(format!("did you mean {key} == {word}?")),
        (None, Ok(name)) => Ok(Expression::Present(name)),
        (None, Err(unknown)) => Err(unknown.to_string()),
    }
}

/// The expression of a list of one.
fn only(expressions: &mut Vec<Expression>) -> Option<Expression> {
    if expressions.len() == 1 { expressions.pop() } else { None }
}
