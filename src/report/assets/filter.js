// The language of `--filter`, over the messages in the file: from text to a function of a message's place. `not` binds closer
// than `and`, `and` closer than `or`. A comparison with something that a message does not have is false, also with `!=`.

const MAX_DEPTH = 200;
const WORDS = { and: "&&", or: "||", not: "!", contains: "~", matches: "matches", in: "in" };
const OPERATORS = ["==", "!=", "<", "<=", ">", ">=", "~", "matches"];

// Reads an expression. Throws { column, what }, the column in characters.
function parseFilter(text) {
    const characters = [...text];
    const parser = new FilterParser(tokensOf(characters), characters.length);
    const test = parser.alternatives();
    if (parser.peek()) parser.fail(parser.column(), 'expected "and", "or" or the end here');
    return test;
}

function tokensOf(characters) {
    const tokens = [];
    let at = 0;
    let inSet = false;
    const fail = (what) => {
        throw { column: at, what };
    };
    while (at < characters.length) {
        const c = characters[at];
        const two = c + (characters[at + 1] ?? "");
        let [kind, value, length] = [c, "", 1];
        if (/\s/.test(c)) {
            at++;
            continue;
        } else if (["==", "!=", "<=", ">=", "&&", "||"].includes(two)) [kind, length] = [two, 2];
        else if (c === "=") kind = "==";
        else if ("(){}<>~!".includes(c)) inSet = c === "{" || (inSet && c !== "}");
        else if (c === "," && inSet) kind = ",";
        else if (c === "&" || c === "|") fail(`expected ${c}${c} here`);
        else if (c === '"' || c === "'") {
            const end = characters.indexOf(c, at + 1);
            if (end < 0) fail("this quote is never closed");
            [kind, value, length] = ["quoted", characters.slice(at + 1, end).join(""), end + 1 - at];
        } else {
            let end = at;
            while (
                end < characters.length &&
                !/\s/.test(characters[end]) &&
                !"()=!<>~&|\"'{}".includes(characters[end]) &&
                !(inSet && characters[end] === ",")
            )
                end++;
            value = characters.slice(at, end).join("");
            const lower = value.toLowerCase();
            [kind, length] = [Object.hasOwn(WORDS, lower) ? WORDS[lower] : "word", end - at];
        }
        tokens.push({ kind, value, column: at });
        at += length;
    }
    return tokens;
}

class FilterParser {
    constructor(tokens, end) {
        Object.assign(this, { tokens, end, at: 0, depth: 0 });
    }

    peek() {
        return this.tokens[this.at];
    }

    takes(kind) {
        const found = this.peek() && this.peek().kind === kind;
        if (found) this.at++;
        return found;
    }

    column() {
        return this.peek() ? this.peek().column : this.end;
    }

    fail(column, what) {
        throw { column, what };
    }

    // Runs `make`; what it throws as text is told at `column`.
    located(column, make) {
        try {
            return make();
        } catch (what) {
            if (typeof what === "string") this.fail(column, what);
            throw what;
        }
    }

    alternatives() {
        const parts = [this.conditions()];
        while (this.takes("||")) parts.push(this.conditions());
        return parts.length === 1 ? parts[0] : (i) => parts.some((part) => part(i));
    }

    conditions() {
        const parts = [this.condition()];
        while (this.takes("&&")) parts.push(this.condition());
        return parts.length === 1 ? parts[0] : (i) => parts.every((part) => part(i));
    }

    condition() {
        if (++this.depth > MAX_DEPTH) this.fail(this.column(), "nested too deeply");
        const test = this.unary();
        this.depth--;
        return test;
    }

    unary() {
        if (this.takes("!")) {
            const inner = this.condition();
            return (i) => !inner(i);
        }
        if (!this.takes("(")) return this.comparison();
        const inner = this.alternatives();
        if (!this.takes(")")) this.fail(this.column(), "expected ) here");
        return inner;
    }

    comparison() {
        const column = this.column();
        const word = this.peek();
        if (!word || word.kind !== "word") this.fail(column, "expected a name here, such as message or src");
        this.at++;
        const after = this.tokens[this.at + 1];
        const isNegated = Boolean(this.peek() && this.peek().kind === "!" && after && after.kind === "in");
        if (isNegated) this.at++;
        const next = this.peek() && this.peek().kind;
        if (!isNegated && next !== "in" && !OPERATORS.includes(next))
            return this.located(column, () => aloneName(word.value));
        const name = this.located(column, () => nameOf(word.value));
        if (name.key === "wireshark")
            this.fail(column, "wireshark is an object: write wireshark.stream or wireshark.frame");
        const side = { ...name, word: word.value };
        if (this.takes("in")) return this.set(side, isNegated);
        this.at++;
        const [value, at] = this.value();
        return this.located(at, () => comparing(side, next, value));
    }

    value() {
        const token = this.peek();
        if (!token || !["word", "quoted"].includes(token.kind)) this.fail(this.column(), "expected a value here");
        this.at++;
        return [token.value, token.column];
    }

    // The values after `in`, in braces, with commas between them: each a value, or a range such as 1..5.
    set(side, isNegated) {
        if (!this.takes("{")) this.fail(this.column(), "expected { here, as in {1, 2, 5..9}");
        const parts = [];
        do {
            const [value, column] = this.value();
            parts.push(this.located(column, () => partOf(side, value, isNegated)));
        } while (this.takes(","));
        if (!this.takes("}")) this.fail(this.column(), "expected , or } here");
        return isNegated ? (i) => parts.every((part) => part(i)) : (i) => parts.some((part) => part(i));
    }
}

function partOf(side, value, isNegated) {
    const range = side.type.kind === "number" ? /^(.*?)\.\.(.*)$/.exec(value) : null;
    if (!range) return comparing(side, isNegated ? "!=" : "==", value);
    const low = comparing(side, ">=", range[1]);
    const high = comparing(side, "<=", range[2]);
    const within = (i) => low(i) && high(i);
    return isNegated ? (i) => side.isThere(i) && !within(i) : within;
}

function comparing(side, operator, value) {
    const operand = operandOf(side.type, operator, side.word, value);
    return (i) => {
        const values = side.values(i);
        if (operator === "!=") return values.length > 0 && !values.some((one) => compareOne("==", operand, one));
        return values.some((one) => compareOne(operator, operand, one));
    };
}

// A name without a comparison is true where something stands under it. The name of a message is a slip.
function aloneName(word) {
    if (Object.hasOwn(SCOPES, word)) return SCOPES[word];
    const slip = messageNames().includes(word)
        ? "message"
        : PROTOCOL_NAMES.includes(word)
          ? "protocol"
          : ruleNames().includes(word)
            ? "rule"
            : "";
    if (!slip) return nameOf(word).isThere;
    let known = true;
    try {
        nameOf(word);
    } catch {
        known = false;
    }
    throw `did you mean ${slip} == ${word}?${known ? ` (fields.${word} is true where a message has a field of that name)` : ""}`;
}
