//! From the text of an expression to its tree. `not` binds closer than `and`, `and` closer than `or`.

use std::net::IpAddr;

use super::operand::Operand;
use super::{Expression, FilterError, Operator};
use crate::query::names::{FieldName, MESSAGES, PROTOCOLS, RowKey, close_to};

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
        Some(token) => Err(fail((token.column, "wanted and, or, or the end here".to_owned()))),
    }
}

type Fault = (usize, String);

fn tokens(text: &str) -> Result<Vec<Token>, Fault> {
    let characters: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
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
            ('&' | '|', _) => return Err((column, format!("wanted {c}{c} here"))),
            ('"' | '\'', _) => {
                let rest = &characters[at + 1..];
                let Some(length) = rest.iter().position(|&other| other == c) else {
                    return Err((column, "this quote is never closed".to_owned()));
                };
                (TokenKind::Quoted(rest[..length].iter().collect()), length + 2)
            }
            _ => {
                let ends = |c: &char| c.is_whitespace() || "()=!<>~&|\"'".contains(*c);
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
            return Err((column, "this is nested too deep".to_owned()));
        }
        let expression = if self.takes(&TokenKind::Not) {
            Expression::Not(Box::new(self.condition()?))
        } else if self.takes(&TokenKind::Open) {
            let inner = self.alternatives()?;
            if !self.takes(&TokenKind::Close) {
                return Err((self.column(), "wanted ) here".to_owned()));
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
        let Some(Token { kind: TokenKind::Word(name), .. }) = self.peek() else {
            return Err((column, "wanted a name here, such as message or src".to_owned()));
        };
        let name = FieldName::parse(name).map_err(|unknown| (column, unknown.to_string()))?;
        self.at += 1;
        let Some(Token { kind: TokenKind::Operator(operator), .. }) = self.peek() else {
            return Ok(Expression::Present(name));
        };
        self.at += 1;
        let column = self.column();
        let value = match self.peek().map(|token| &token.kind) {
            Some(TokenKind::Word(value) | TokenKind::Quoted(value)) => value,
            _ => return Err((column, "wanted a value here".to_owned())),
        };
        self.at += 1;
        let operand = Operand::new(value);
        check(&name, *operator, operand.text()).map_err(|what| (column, what))?;
        Ok(Expression::Compare(name, *operator, operand))
    }
}

/// The expression of a list of one.
fn only(expressions: &mut Vec<Expression>) -> Option<Expression> {
    if expressions.len() == 1 { expressions.pop() } else { None }
}

/// Refuses values that a key never has.
fn check(name: &FieldName, operator: Operator, value: &str) -> Result<(), String> {
    network(value)?;
    let FieldName::Key(key) = name else { return Ok(()) };
    let known: &[&str] = match key {
        RowKey::Severity => &["chat", "note", "warn", "error"],
        _ if !matches!(operator, Operator::Equal | Operator::NotEqual) => {
            return numeric(*key, operator, value);
        }
        RowKey::Message => MESSAGES,
        RowKey::Protocol => PROTOCOLS,
        RowKey::Side => &["local", "far"],
        RowKey::Transport => &["tcp", "udp", "utp"],
        _ => return numeric(*key, operator, value),
    };
    if known.iter().any(|known| known.eq_ignore_ascii_case(value)) {
        return Ok(());
    }
    let close = close_to(value, known.iter().copied());
    Err(if close.is_empty() {
        format!("\"{value}\" is none of {}", known.join(", "))
    } else {
        format!("there is no \"{value}\"; do you mean {}?", close.join(" or "))
    })
}

fn numeric(key: RowKey, operator: Operator, value: &str) -> Result<(), String> {
    let is_number = matches!(
        key,
        RowKey::N
            | RowKey::Elapsed
            | RowKey::Frames
            | RowKey::Stream
            | RowKey::Offset
            | RowKey::Length
            | RowKey::Answers
            | RowKey::Latency
    );
    if is_number && operator != Operator::Contains && !Operand::new(value).is_number() {
        return Err(format!("\"{value}\" is no number"));
    }
    Ok(())
}

/// Refuses what begins as a network and is none. Nothing a message holds has an address before a slash.
fn network(value: &str) -> Result<(), String> {
    let Some((address, length)) = value.split_once('/') else { return Ok(()) };
    let Ok(address) = address.parse::<IpAddr>() else { return Ok(()) };
    let longest = if address.is_ipv4() { 32 } else { 128 };
    if length.parse::<u32>().is_ok_and(|length| length <= longest) {
        return Ok(());
    }
    Err(format!("\"{value}\" is no network: wanted {address}/ and a number from 0 to {longest}"))
}
