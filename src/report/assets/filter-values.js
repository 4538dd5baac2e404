// The right side of a comparison in a filter: what values a name can have, and how they compare. As on the command line, a
// value that no message can have is refused: a filter that is never true would look like an empty capture.

const UNITS = {
    B: [1, "bytes"],
    kB: [1e3, "bytes"],
    KB: [1e3, "bytes"],
    MB: [1e6, "bytes"],
    GB: [1e9, "bytes"],
    KiB: [1024, "bytes"],
    MiB: [1048576, "bytes"],
    GiB: [1073741824, "bytes"],
    ns: [1e-9, "seconds"],
    us: [1e-6, "seconds"],
    µs: [1e-6, "seconds"],
    ms: [1e-3, "seconds"],
    s: [1, "seconds"],
    min: [60, "seconds"],
    h: [3600, "seconds"],
    d: [86400, "seconds"],
};
const SEVERITIES = ["chat", "note", "warn", "error"];
const WITHOUT_ORDER = ["word", "message", "rule", "hex", "hash", "flag"];

// An IP address as version and number, or null. An IPv4 address mapped into IPv6 is its IPv4 address.
function parseAddress(text) {
    if (/^\d{1,3}(\.\d{1,3}){3}$/.test(text)) {
        const parts = text.split(".");
        if (parts.some((part) => Number(part) > 255 || (part.length > 1 && part[0] === "0"))) return null;
        return { v: 4, number: parts.reduce((sum, part) => sum * 256n + BigInt(part), 0n) };
    }
    if (!/^[0-9a-fA-F:.]+$/.test(text) || !text.includes(":")) return null;
    let whole = text;
    const tail = text.slice(text.lastIndexOf(":") + 1);
    if (tail.includes(".")) {
        const four = parseAddress(tail);
        if (!four) return null;
        const digits = four.number.toString(16).padStart(8, "0");
        whole = `${text.slice(0, text.lastIndexOf(":") + 1)}${digits.slice(0, 4)}:${digits.slice(4)}`;
    }
    const halves = whole.split("::");
    if (halves.length > 2) return null;
    const groups = halves.map((half) => (half === "" ? [] : half.split(":")));
    const count = groups.reduce((sum, half) => sum + half.length, 0);
    if (halves.length === 2 ? count > 7 : count !== 8) return null;
    const filled = halves.length === 2 ? [...groups[0], ...Array(8 - count).fill("0"), ...groups[1]] : groups[0];
    if (!filled.every((group) => /^[0-9a-fA-F]{1,4}$/.test(group))) return null;
    const number = filled.reduce((sum, group) => sum * 65536n + BigInt(`0x${group}`), 0n);
    if (number >> 32n === 0xffffn) return { v: 4, number: number & 0xffffffffn };
    return { v: 6, number };
}

// "10.0.0.3:6881" or "[2001:db8::7]:6881", or null.
function parseEndpoint(text) {
    const found = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text);
    if (!found || Number(found[3]) > 65535) return null;
    const address = parseAddress(found[1] || found[2]);
    return address ? { address, port: Number(found[3]) } : null;
}

// "10.0.0.0/8", or null.
function parseNetwork(text) {
    const [before, length] = text.split("/");
    const address = length === undefined || !/^\d+$/.test(length) ? null : parseAddress(before);
    if (!address || Number(length) > (address.v === 4 ? 32 : 128)) return null;
    return { address, length: Number(length) };
}

function isWithin(address, network) {
    if (address.v !== network.address.v) return false;
    const rest = BigInt((address.v === 4 ? 32 : 128) - network.length);
    return address.number >> rest === network.address.number >> rest;
}

function compareAddresses(a, b) {
    if (a.v !== b.v) return a.v - b.v;
    return a.number < b.number ? -1 : a.number > b.number ? 1 : 0;
}

// Microseconds since 1970 of a time such as 2026-01-02T03:04:05.123456Z, or null.
function parseTime(text) {
    const found = /^(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d(?::\d\d)?)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)$/.exec(text);
    if (!found) return null;
    const whole = Date.parse(`${found[1]}T${found[2]}${found[4].toUpperCase()}`);
    return Number.isNaN(whole) ? null : whole * 1000 + Number((found[3] || "0").padEnd(9, "0")) / 1000;
}

function plainNumber(text) {
    if (/^0x[0-9a-fA-F]+$/.test(text)) return parseInt(text.slice(2), 16);
    return /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(text) ? Number(text) : null;
}

// A value as written and what it means. `type` is a type of a name; throws text where no message has such a value.
function operandOf(type, operator, name, value) {
    if (operator === "matches") return patternOf(type, name, value);
    if (["<", "<=", ">", ">="].includes(operator) && WITHOUT_ORDER.includes(type.kind)) {
        throw `${name} has no order: use ==, !=, in or ~`;
    }
    const isPart = operator === "~";
    switch (type.kind) {
        case "number":
            return { text: value, number: numberOf(type.unit, name, value) };
        case "time":
            return timeOf(isPart, value);
        case "severity":
            return { text: wordOf(name, value, SEVERITIES, false) };
        case "word":
            return { text: wordOf(name, value, type.words, isPart) };
        case "message":
            return { text: wordOf(name, value, messageNames(), isPart) };
        case "rule":
            return { text: wordOf(name, value, ruleNames(), isPart) };
        case "end":
        case "address":
            return addressOf(type.kind, isPart, name, value);
        case "hex":
        case "hash":
            return hexOf(type.kind, isPart, name, value);
        case "flag":
            if (value.toLowerCase() === "true") return { text: value };
            throw `${name} is either true or absent: write ${name}, or not ${name}`;
        default:
            return networkOrText(value);
    }
}

function patternOf(type, name, value) {
    if (["number", "time", "severity", "flag"].includes(type.kind)) {
        throw `matches is for text, and ${name} is not text: use == or <`;
    }
    try {
        return { text: value, pattern: new RegExp(value, "iu") };
    } catch {
        throw `not a regular expression: ${value}`;
    }
}

function numberOf(unit, name, value) {
    const plain = plainNumber(value);
    if (plain !== null) return plain;
    const [, digits, suffix] = /^(.*?)([\p{L}]*)$/u.exec(value);
    const number = plainNumber(digits);
    if (number === null || !UNITS[suffix]) throw `${name} is a number, and "${value}" is not`;
    const [factor, of] = UNITS[suffix];
    if (unit !== "any" && of !== unit) {
        throw `${name} ${
            {
                bytes: "counts bytes: units are B, KiB, MiB, GiB, kB, MB, GB",
                seconds: "is in seconds: units are ns, us, ms, s, min, h, d",
            }[unit] || "has no unit"
        }`;
    }
    return number * factor;
}

function timeOf(isPart, value) {
    const moment = parseTime(value);
    if (moment === null && !(isPart && /^[0-9\-:.TZtz]+$/.test(value))) {
        throw `"${value}" is not a time such as 2026-01-02T03:04:05Z; elapsed counts seconds from the first packet`;
    }
    return { text: value, moment };
}

function wordOf(name, value, known, isPart) {
    const lower = value.toLowerCase();
    if (!known.length || known.some((word) => (isPart ? word.includes(lower) : word === lower))) return value;
    const close = closeTo(value, known);
    if (close.length) throw `unknown ${name} "${value}"; did you mean ${close.join(" or ")}?`;
    throw `unknown ${name} "${value}"${name === "rule" ? ": bittrace analyze --list-rules lists all" : `: ${known.join(", ")}`}`;
}

function networkOrText(value) {
    const operand = addressOperand(value);
    const [before, length] = value.split("/");
    if (length === undefined || !parseAddress(before) || operand.network) return operand;
    throw `"${value}" is not a network: expected ${before}/ and a number from 0 to ${parseAddress(before).v === 4 ? 32 : 128}`;
}

function addressOperand(value) {
    return {
        text: value,
        address: parseAddress(value.replace(/^\[([^\]]*)\]$/, "$1")),
        endpoint: parseEndpoint(value),
        network: parseNetwork(value),
    };
}

function addressOf(kind, isPart, name, value) {
    const operand = networkOrText(value);
    if (operand.address || operand.network || (operand.endpoint && kind === "end")) return operand;
    if (operand.endpoint) throw `${name} has no port: write the address alone`;
    const couldBe = /^[0-9a-fA-F.:[\]%]*$/.test(value);
    if (isPart && couldBe) return operand;
    if (couldBe) throw `"${value}" is not a whole address; ${name} ~ ${value} finds a part of one`;
    throw `"${value}" is not an address or a network such as 10.0.0.0/8`;
}

function hexOf(kind, isPart, name, value) {
    const digits = value.replace(/[: ]/g, "").toLowerCase();
    if (!/^[0-9a-f]+$/.test(digits)) {
        if (name === "peer_id") throw `peer_id is in hexadecimal digits: peer_id_text ~ "${value}" finds text`;
        throw `${name} is in hexadecimal digits, and "${value}" is not`;
    }
    if (kind === "hash" && !isPart) {
        if (digits.length < 6)
            throw `a hash needs at least 6 digits; ${name} ~ ${value} finds digits anywhere in the hash`;
        if (digits.length > 64) throw "a hash has at most 64 digits";
        return { text: digits, isPrefix: true };
    }
    return { text: digits };
}

// Whether an order (negative, 0, positive) is what an operator wants.
function accepts(operator, order) {
    return (
        { "==": order === 0, "!=": order !== 0, "<": order < 0, "<=": order <= 0, ">": order > 0, ">=": order >= 0 }[
            operator
        ] || false
    );
}

// A value of a message, as { number }, { text }, { end: "10.0.0.3:6881" }, { time } or { severity }, against an operand.
function compareOne(operator, operand, value) {
    if (value.number !== undefined) return compareNumber(operator, operand, value.number);
    if (value.severity !== undefined) {
        if (operator === "~") return compareWords(operator, operand, SEVERITIES[value.severity]);
        return accepts(operator, value.severity - SEVERITIES.indexOf(operand.text.toLowerCase()));
    }
    if (value.time !== undefined && operand.moment !== null && operator !== "~")
        return accepts(operator, value.time - operand.moment);
    if (value.end !== undefined) return compareEnd(operator, operand, value.end);
    const text = value.text;
    if (
        (operand.address || operand.endpoint || operand.network) &&
        operator !== "matches" &&
        (parseEndpoint(text) || parseAddress(text))
    ) {
        return compareEnd(operator, operand, text);
    }
    return compareWords(operator, operand, text);
}

function compareNumber(operator, operand, number) {
    if (operator === "~") return String(number).includes(operand.text);
    if (operator === "matches") return compareWords(operator, operand, String(number));
    const wanted = operand.number ?? plainNumber(operand.text);
    return wanted !== null && wanted !== undefined && accepts(operator, number - wanted);
}

function compareEnd(operator, operand, text) {
    if (operator === "matches") return compareWords(operator, operand, text);
    const here = parseEndpoint(text);
    const address = here ? here.address : parseAddress(text);
    if (operand.endpoint) {
        const order =
            compareAddresses(address, operand.endpoint.address) || (here ? here.port : 0) - operand.endpoint.port;
        return operator === "~" ? order === 0 : accepts(operator, order);
    }
    if (operand.network) return ["==", "~"].includes(operator) && isWithin(address, operand.network);
    if (operand.address) return accepts(operator === "~" ? "==" : operator, compareAddresses(address, operand.address));
    return compareWords(operator, operand, text);
}

function compareWords(operator, operand, text) {
    if (operator === "~") return text.toLowerCase().includes(operand.text.toLowerCase());
    if (operator === "matches") return Boolean(operand.pattern) && operand.pattern.test(text);
    if (operator === "==" && operand.isPrefix) return text.toLowerCase().startsWith(operand.text);
    const isSame = text.toLowerCase() === operand.text.toLowerCase();
    if (operator === "==" && isSame) return true;
    return accepts(operator, text < operand.text ? -1 : text > operand.text ? 1 : 0);
}

// The words that `text` is likely meant to be, the closest first.
function closeTo(text, known) {
    const lower = text.toLowerCase();
    const allowed = clamp(Math.floor(lower.length / 3), 1, 3);
    const found = [];
    for (const word of new Set(known)) {
        const isNear = (lower.length >= 3 && word.includes(lower)) || (word.length >= 3 && lower.startsWith(word));
        const distance = editDistance(lower, word);
        if (distance <= allowed || isNear) found.push([distance, word]);
    }
    return found
        .sort((a, b) => a[0] - b[0] || (a[1] < b[1] ? -1 : 1))
        .slice(0, 3)
        .map(([, word]) => word);
}

// How many letters must be changed, added, left out or swapped with their neighbour.
function editDistance(a, b) {
    const rows = [];
    for (let i = 0; i <= a.length; i++) {
        rows.push([]);
        for (let j = 0; j <= b.length; j++) {
            if (!i || !j) {
                rows[i].push(i + j);
                continue;
            }
            let best = Math.min(
                rows[i - 1][j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1),
                rows[i - 1][j] + 1,
                rows[i][j - 1] + 1,
            );
            if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
                best = Math.min(best, rows[i - 2][j - 2] + 1);
            rows[i].push(best);
        }
    }
    return rows[a.length][b.length];
}
