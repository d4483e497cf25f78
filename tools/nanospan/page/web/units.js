// SPDX-License-Identifier: Apache-2.0
//
// How numbers and times are written: exactly as the command writes them (support/units.c, common/text.c), so
// that what stands on the page can be compared with what stands in a terminal.

// 1,234,567
function formatCount(value) {
    return String(value).replace(/\B(?=(\d{3})+$)/g, ",");
}

// printf's %.*f. toFixed rounds an exact half up, printf to the even digit; a half is exact only if the value is an
// odd multiple of 2^-(decimals + 1).
function toFixedEven(value, decimals) {
    const halves = value * 2 ** (decimals + 1);
    if (!Number.isInteger(halves) || halves % 2 === 0)
        return value.toFixed(decimals);
    const below = Math.floor(value * 10 ** decimals);
    return ((below % 2 === 0 ? below : below + 1) / 10 ** decimals).toFixed(decimals);
}

const DURATION_UNITS = [[1e9, "s"], [1e6, "ms"], [1e3, "\u00b5s"]];

// 270 ns, 12.41 µs, 3.200 ms: four digits, and nanoseconds below a microsecond. Takes whole nanoseconds, 0 or more.
function formatDuration(nanoseconds) {
    for (const [from, unit] of DURATION_UNITS) {
        if (nanoseconds < from)
            continue;
        const value = nanoseconds / from;
        const decimals = value < 9.9995 ? 3 : value < 99.995 ? 2 : value < 999.95 ? 1 : 0;
        return `${toFixedEven(value, decimals)} ${unit}`;
    }
    return `${Math.round(nanoseconds)} ns`;
}

// The same with a sign, for differences: +12.41 µs, −3 ns, 0 ns.
function formatDifference(nanoseconds) {
    const rounded = Math.round(nanoseconds);
    const sign = rounded > 0 ? "+" : rounded < 0 ? "\u2212" : "";
    return sign + formatDuration(Math.abs(rounded));
}

// Every nanosecond of a duration or of a time since the trace's start: 1,234,567 ns. Takes a number or a BigInt.
function formatExact(nanoseconds) {
    const text = String(nanoseconds);
    return text.startsWith("-") ? `\u2212${formatCount(text.slice(1))} ns` : `${formatCount(text)} ns`;
}

// 12.3 %, −0.4 %: never -0.0 %.
function formatPercent(share, decimals = 1) {
    const digits = Math.abs(share * 100).toFixed(decimals);
    return `${share < 0 && Number(digits) !== 0 ? "\u2212" : ""}${digits} %`;
}

// 2026-11-30 19:11:39.469674284, in UTC. Takes a BigInt.
function formatTime(unixNanoseconds) {
    const time = BigInt.asUintN(64, unixNanoseconds);
    const date = new Date(Number(time / 1000000000n) * 1000);
    const fraction = String(time % 1000000000n).padStart(9, "0");
    return `${date.toISOString().slice(0, 19).replace("T", " ")}.${fraction}`;
}

// "12us", "3 ms", "1.5s", "270" (nanoseconds): a duration that a user wrote. NaN if it is none.
function parseDuration(text) {
    const match = /^\s*([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*(ns|us|\u00b5s|\u03bcs|ms|s|)\s*$/i.exec(text.replace(/,/g, ""));
    if (match === null)
        return NaN;
    const unit = {"": 1, ns: 1, us: 1e3, "\u00b5s": 1e3, "\u03bcs": 1e3, ms: 1e6, s: 1e9}[match[2].toLowerCase()];
    return Math.round(Number(match[1]) * unit);
}

// The same the other way round, with all its nanoseconds: 118.612345ms.
function exactDuration(nanoseconds) {
    for (const [from, unit] of DURATION_UNITS)
        if (nanoseconds >= from)
            return `${plainDecimal(...splitExponent(nanoseconds / from))}${unit.replace("\u00b5", "u")}`;
    return `${nanoseconds}ns`;
}

function splitExponent(value) {
    const [digits, exponent] = value.toExponential().split("e");
    return [digits, Number(exponent)];
}

// printf's %.*g with as few digits as give the same number again.
function formatDouble(value) {
    if (Number.isNaN(value))
        return "NaN";
    if (!Number.isFinite(value))
        return value < 0 ? "-Infinity" : "Infinity";
    if (value === 0)
        return Object.is(value, -0) ? "-0.0" : "0";
    const [digits, power] = splitExponent(value);
    if (power < -4 || power >= Math.max(15, digits.replace(/[-.]/g, "").length))
        return `${digits}e${power < 0 ? "-" : "+"}${String(Math.abs(power)).padStart(2, "0")}`;
    return plainDecimal(digits, power);
}

function plainDecimal(digits, power) {
    const sign = digits.startsWith("-") ? "-" : "";
    const plain = digits.replace(/[-.]/g, "");
    if (power < 0)
        return `${sign}0.${"0".repeat(-power - 1)}${plain}`;
    if (plain.length <= power + 1)
        return sign + plain.padEnd(power + 1, "0");
    return `${sign}${plain.slice(0, power + 1)}.${plain.slice(power + 1)}`;
}
