// SPDX-License-Identifier: Apache-2.0
//
// What the drawings share: a canvas with as many pixels as the screen has there, the theme's colours, and texts that
// fit. Colours are the CSS variables of page.css, so light and dark are decided in one place.

const themeColours = new Map();
const themeListeners = new Set();
const colourProbe = document.getElementById("colour-probe");

// The colour of --NAME as the canvas takes it.
function colour(name) {
    let known = themeColours.get(name);
    if (known === undefined) {
        colourProbe.style.color = `var(--${name})`;
        known = getComputedStyle(colourProbe).color;
        themeColours.set(name, known);
    }
    return known;
}

// Calls `draw` whenever the colours change. Returns a function that ends it.
function onTheme(draw) {
    themeListeners.add(draw);
    return () => themeListeners.delete(draw);
}

function themeChanged() {
    themeColours.clear();
    for (const draw of themeListeners)
        draw();
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", themeChanged);

// The colour of a service's bars; the same service has the same one everywhere on the page.
const SERVICE_COLOURS = 8;
const serviceNumbers = new Map();

function serviceColour(service, suffix = "") {
    if (!serviceNumbers.has(service))
        serviceNumbers.set(service, serviceNumbers.size % SERVICE_COLOURS);
    return colour(`service-${serviceNumbers.get(service) + 1}${suffix}`);
}

function font(size = 12, weight = 400, family = "sans") {
    return `${weight} ${size}px ${getComputedStyle(document.documentElement).getPropertyValue(`--${family}`)}`;
}

const calm = matchMedia("(prefers-reduced-motion: reduce)");

// A canvas in `element` that fills its width; `draw(context, width, height)` is called with CSS pixels whenever the
// size, the pixel ratio or the theme changes, and after `redraw()`, at most once a frame.
class Drawing {
    constructor(canvas, draw) {
        this.canvas = canvas;
        this.context = canvas.getContext("2d");
        this.draw = draw;
        this.frame = 0;
        this.size = null;
        this.observer = new ResizeObserver((entries) => this.resized(entries[0]));
        try {
            this.observer.observe(canvas, {box: "device-pixel-content-box"});
        } catch {
            this.observer.observe(canvas);
        }
        this.endTheme = onTheme(() => this.redraw());
    }

    // Only the browser knows on how many device pixels a size comes to lie where their ratio is no whole number. It says
    // so just before it paints, so what is drawn now is never stretched.
    resized(entry) {
        this.size = entry.devicePixelContentBoxSize?.[0] ?? null;
        this.drawNow();
    }

    redraw() {
        if (this.frame === 0)
            this.frame = requestAnimationFrame(() => {
                this.frame = 0;
                this.drawNow();
            });
    }

    drawNow() {
        const {width, height} = this.canvas.getBoundingClientRect();
        if (width < 1 || height < 1)
            return;
        const ratio = Math.min(devicePixelRatio || 1, 4);
        const isKnown = this.size !== null && Math.abs(this.size.inlineSize - width * ratio) < 2 && Math.abs(this.size.blockSize - height * ratio) < 2;
        const across = isKnown ? this.size.inlineSize : Math.round(width * ratio);
        const down = isKnown ? this.size.blockSize : Math.round(height * ratio);
        if (this.canvas.width !== across || this.canvas.height !== down) {
            this.canvas.width = across;
            this.canvas.height = down;
        }
        this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
        this.context.clearRect(0, 0, width, height);
        this.draw(this.context, width, height);
    }

    destroy() {
        cancelAnimationFrame(this.frame);
        this.observer.disconnect();
        this.endTheme();
    }
}

// The longest beginning of `text` that fits into `width`, with an ellipsis if it is not all of it; "" if there is no
// room for three characters.
function fitText(context, text, width) {
    const shown = text.length > 400 ? text.slice(0, 400) : text;
    if (shown === text && context.measureText(text).width <= width)
        return text;
    let low = 0, high = shown.length;
    while (low < high) {
        const middle = (low + high + 1) >> 1;
        if (context.measureText(`${shown.slice(0, middle)}\u2026`).width <= width)
            low = middle;
        else
            high = middle - 1;
    }
    return low < 3 ? "" : `${shown.slice(0, low)}\u2026`;
}

// A new element with attributes, properties that begin with a dot ({".title": ...}), and children, which are elements
// or texts. Texts never become markup.
function make(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes))
        if (name.startsWith("."))
            made[name.slice(1)] = value;
        else if (value === true)
            made.setAttribute(name, "");
        else if (value !== false && value !== null && value !== undefined)
            made.setAttribute(name, value);
    made.append(...children.filter((child) => child !== null && child !== undefined));
    return made;
}
