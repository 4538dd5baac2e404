"use strict";
// Elements, numbers and words that every page uses. Text of others becomes text nodes and attributes, never markup.

const data = JSON.parse(document.getElementById("data").textContent);

// Characters that would hide or turn the text around them. They are shown as escapes.
const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;

function shown(text) {
    return String(text).replace(UNSEEN, (c) => "\\u" + c.charCodeAt(0).toString(16).padStart(4, "0"));
}

// An element with attributes and children. Attributes that are functions are listeners; strings become text.
function element(name, attributes, ...children) {
    const made = document.createElement(name);
    setAttributes(made, attributes);
    append(made, children);
    return made;
}

function svg(name, attributes, ...children) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    setAttributes(made, attributes);
    append(made, children);
    return made;
}

function setAttributes(made, attributes) {
    for (const [key, value] of Object.entries(attributes || {})) {
        if (typeof value === "function") made.addEventListener(key, value);
        else if (value === true) made.setAttribute(key, "");
        else if (value !== false && value !== null && value !== undefined) made.setAttribute(key, shown(value));
    }
}

function append(parent, children) {
    for (const child of children.flat(Infinity)) {
        if (child === null || child === undefined || child === false) continue;
        parent.append(child instanceof Node ? child : document.createTextNode(shown(child)));
    }
}

function button(label, attributes, ...children) {
    return element("button", { type: "button", ...attributes }, label, ...children);
}

// A dialog that is gone once it is closed. `name` says to those who do not see it what it is.
function showSheet(name, title, ...content) {
    const dialog = element(
        "dialog",
        { class: "sheet", "aria-label": name, close: () => dialog.remove() },
        element(
            "div",
            { class: "sheet-head" },
            element("h2", {}, title),
            button("Close", { click: () => dialog.close() }),
        ),
        ...content,
    );
    document.body.append(dialog);
    dialog.showModal();
}

// Keys, each with what it does.
function keyList(keys) {
    return element(
        "dl",
        { class: "keys" },
        keys.map(([key, what]) => [element("dt", {}, key), element("dd", {}, what)]),
    );
}

function clamp(value, low, high) {
    return Math.min(high, Math.max(low, value));
}

// The first index whose value is at least `wanted` in a sorted list.
function lowerBound(list, wanted) {
    let low = 0;
    let high = list.length;
    while (low < high) {
        const middle = (low + high) >> 1;
        if (list[middle] < wanted) low = middle + 1;
        else high = middle;
    }
    return low;
}

// 1031592 as "1,031,592".
function grouped(number) {
    return String(number).replace(/\B(?=(\d{3})+(?!\d))/g, ",");
}

function plural(number, word) {
    return `${grouped(number)} ${word}${number === 1 ? "" : "s"}`;
}

// Microseconds as seconds with six decimals in two groups: "10.806 533".
function seconds(us) {
    const whole = Math.floor(us / 1e6);
    const part = String(Math.round(us - whole * 1e6)).padStart(6, "0");
    return `${grouped(whole)}.${part.slice(0, 3)} ${part.slice(3)}`;
}

// How long something took, in three digits: "974 µs", "1.00 s", "2 min 5 s".
function duration(us) {
    if (us < 999.5) return `${Math.round(us)} µs`;
    if (us < 999500) return `${threeDigits(us / 1e3)} ms`;
    const whole = us / 1e6;
    if (whole < 99.95) return `${threeDigits(whole)} s`;
    if (whole < 3600) return `${Math.floor(whole / 60)} min ${Math.round(whole % 60)} s`;
    return `${Math.floor(whole / 3600)} h ${Math.round((whole % 3600) / 60)} min`;
}

function threeDigits(number) {
    return number < 9.995 ? number.toFixed(2) : number < 99.95 ? number.toFixed(1) : number.toFixed(0);
}

// A number of bytes: "17 B", "16 KiB", "1.5 MiB".
function byteCount(bytes) {
    if (bytes < 1024) return `${Math.round(bytes)} B`;
    let value = bytes;
    for (const unit of ["KiB", "MiB", "GiB", "TiB"]) {
        value /= 1024;
        if (value < 1023.95) return `${value < 99.95 ? String(Number(value.toFixed(1))) : value.toFixed(0)} ${unit}`;
    }
    return `${grouped(Math.round(value))} TiB`;
}

// The polite live region: what the keyboard reached is spoken.
const spoken = element("div", { class: "unseen", "aria-live": "polite", role: "status" });

function speak(text) {
    spoken.textContent = shown(text);
}
