// The one x axis of all pictures over time: by time or by event, and the part of it that is visible. Places on the axis
// are from 0 to 1; moments are microseconds since the first packet.

// By event, each gap between two moments weighs log2(1 + gap / GRAIN): bursts spread, and silence shrinks.
const GRAIN = 120;

class Axis {
    // `moments`: all that has a moment, sorted, each once.
    constructor(span, moments) {
        this.start = span[0];
        this.end = Math.max(span[1], span[0] + 1);
        const inside = moments.filter((t) => t > this.start && t < this.end);
        this.moments = Float64Array.from([this.start, ...inside, this.end]);
        this.places = new Float64Array(this.moments.length);
        let sum = 0;
        for (let i = 1; i < this.moments.length; i++) {
            sum += Math.log2(1 + (this.moments[i] - this.moments[i - 1]) / GRAIN);
            this.places[i] = sum;
        }
        for (let i = 1; i < this.places.length; i++) this.places[i] /= sum;
        this.mode = this.isMostlySilent() ? "event" : "time";
        this.all();
    }

    // Whether gaps longer than 1/60 of the span make up more than 55 % of it.
    isMostlySilent() {
        const whole = this.end - this.start;
        let silent = 0;
        for (let i = 1; i < this.moments.length; i++) {
            const gap = this.moments[i] - this.moments[i - 1];
            if (gap > whole / 60) silent += gap;
        }
        return silent > 0.55 * whole;
    }

    // The place of a moment, from 0 to 1.
    U(t) {
        if (this.mode === "time") return (t - this.start) / (this.end - this.start);
        return Axis.between(this.moments, this.places, t);
    }

    // The moment at a place.
    inv(u) {
        if (this.mode === "time") return this.start + u * (this.end - this.start);
        return Axis.between(this.places, this.moments, u);
    }

    static between(from, to, value) {
        const last = from.length - 1;
        if (value <= from[0]) return to[0];
        if (value >= from[last]) return to[last];
        const i = lowerBound(from, value);
        if (from[i] === value) return to[i];
        const share = (value - from[i - 1]) / (from[i] - from[i - 1]);
        return to[i - 1] + share * (to[i] - to[i - 1]);
    }

    // The pixel of a moment, where the visible part is `width` pixels wide.
    x(t, width) {
        return ((this.U(t) - this.left) / (this.right - this.left)) * width;
    }

    // The moment at a pixel.
    t(x, width) {
        return this.inv(clamp(this.left + (x / width) * (this.right - this.left), 0, 1));
    }

    from() {
        return this.inv(this.left);
    }

    to() {
        return this.inv(this.right);
    }

    isWhole() {
        return this.left <= 0 && this.right >= 1;
    }

    all() {
        this.left = 0;
        this.right = 1;
    }

    setMode(mode) {
        const [from, to] = [this.from(), this.to()];
        const whole = this.isWhole();
        this.mode = mode;
        if (whole) this.all();
        else this.show(from, to);
    }

    // Shows a stretch of time, at least MOST_NARROW long.
    show(from, to) {
        this.setPlaces(this.U(Math.min(from, to)), this.U(Math.max(from, to)));
    }

    setPlaces(left, right) {
        const middle = (left + right) / 2;
        // A stretch of 4 µs has nothing left to tell apart.
        let half = Math.max((right - left) / 2, 1e-9);
        for (let i = 0; i < 40; i++) {
            const [from, to] = [this.inv(clamp(middle - half, 0, 1)), this.inv(clamp(middle + half, 0, 1))];
            if (to - from >= 4 || half >= 0.5) break;
            half *= 2;
        }
        half = Math.min(half, 0.5);
        this.left = clamp(middle - half, 0, 1 - 2 * half);
        this.right = this.left + 2 * half;
    }

    // Makes the visible part `factor` times as long; the place at `share` of the width stays where it is.
    zoom(factor, share) {
        const length = this.right - this.left;
        const at = this.left + share * length;
        const next = Math.min(1, length * factor);
        const left = clamp(at - share * next, 0, 1 - next);
        if (next >= 1) this.all();
        else this.setPlaces(left, left + next);
    }

    // Moves the visible part by a share of its length.
    pan(share) {
        const length = this.right - this.left;
        this.left = clamp(this.left + share * length, 0, 1 - length);
        this.right = this.left + length;
    }

    // Brings a moment into the visible part, with as little movement as possible.
    reveal(t) {
        const at = this.U(t);
        const length = this.right - this.left;
        if (at < this.left || at > this.right) {
            this.left = clamp(at - length / 2, 0, 1 - length);
            this.right = this.left + length;
        }
    }

    // Marks of the scale: pixel and text, in seconds. By event, each is the roundest moment near its place.
    ticks(width) {
        const wanted = Math.max(2, Math.floor(width / 95));
        return this.mode === "time" ? this.evenTicks(width, wanted) : this.roundTicks(width, wanted);
    }

    evenTicks(width, wanted) {
        const [from, to] = [this.from() / 1e6, this.to() / 1e6];
        const raw = (to - from) / wanted;
        const power = 10 ** Math.floor(Math.log10(raw));
        const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= raw);
        const decimals = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
        const ticks = [];
        for (let k = Math.ceil(from / step - 1e-9); k * step <= to * (1 + 1e-12); k++) {
            ticks.push({ x: this.x(k * step * 1e6, width), text: (k * step).toFixed(decimals) });
        }
        return ticks;
    }

    roundTicks(width, wanted) {
        const ticks = [];
        let before = "";
        for (let i = 0; i <= wanted; i++) {
            const at = (i / wanted) * width;
            const [low, high] = [this.t(at - 18, width) / 1e6, this.t(at + 18, width) / 1e6];
            let decimals = 0;
            while (decimals < 6 && Math.ceil(low * 10 ** decimals) > high * 10 ** decimals) decimals++;
            const round = Math.ceil(low * 10 ** decimals - 1e-9) / 10 ** decimals;
            const moment = clamp(round * 1e6, this.from(), this.to());
            const text = round.toFixed(decimals);
            if (text !== before) ticks.push({ x: clamp(this.x(moment, width), 0, width), text });
            before = text;
        }
        return ticks;
    }

    // Stretches without any event, which this axis squeezes: from, to (pixels) and how long.
    silences(width) {
        if (this.mode === "time") return [];
        const visible = this.to() - this.from();
        const first = Math.max(1, lowerBound(this.moments, this.from()));
        const found = [];
        for (let i = first; i < this.moments.length && this.moments[i - 1] < this.to(); i++) {
            const gap = this.moments[i] - this.moments[i - 1];
            if (gap < visible / 60) continue;
            const from = Math.max(0, this.x(this.moments[i - 1], width));
            const to = Math.min(width, this.x(this.moments[i], width));
            if (to - from >= 8) found.push({ from, to, gap });
        }
        return found;
    }
}

// All moments of the data, sorted, each once: what the axis by event spreads.
function momentsOf(data) {
    const all = [];
    const add = (list) => {
        for (const t of list || []) all.push(t);
    };
    add(data.messages.t);
    for (const lane of data.lanes) {
        add([lane.opened]);
        if (lane.closed !== null) add([lane.closed]);
        add(lane.may_ask.t);
        add(lane.they_ask.t);
        add(lane.under_way.t);
    }
    for (const asker of data.askers) {
        add(asker.asked.t);
        add(asker.answered.t);
    }
    for (const finding of data.findings) add(finding.t);
    add(data.blocks.t);
    add(data.latencies.t || data.latencies.slowest.t);
    if (data.pieces) add(data.pieces.checked.t);
    if (!data.blocks.exact) {
        for (const column of new Set(data.blocks.cell_bin)) all.push((column + 0.5) * data.blocks.bin);
    }
    const sorted = Float64Array.from(all).sort();
    return sorted.filter((t, i) => i === 0 || t !== sorted[i - 1]);
}
