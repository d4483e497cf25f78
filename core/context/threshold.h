// SPDX-License-Identifier: Apache-2.0
//
// Sampling thresholds. A trace with randomness R (56 bits) is sampled if and only if R >= T = (1 - rate) x
// 2^56. T keeps four hexadecimal digits after its leading f's. That is enough for any rate (a relative error
// under 2^-12), and short in a tracestate and in a record.
#ifndef NSP_CONTEXT_THRESHOLD_H
#define NSP_CONTEXT_THRESHOLD_H

#include <math.h>
#include <nanospan/base.h>
#include <nanospan/context.h>

#include "common/hex.h"

enum { NSP__THRESHOLD_DIGITS = 14, NSP__THRESHOLD_TEXT_SIZE = NSP__THRESHOLD_DIGITS + 1 };

// No randomness reaches this value: rate 0. Every smaller number is a threshold; 0 means rate 1.
#define NSP__THRESHOLD_NEVER (UINT64_C(1) << 56)

// The code of "no threshold", also used for thresholds that have no code.
#define NSP__THRESHOLD_CODE_NONE UINT32_MAX
// "No threshold" in the record of a trace that B3 marks as debug, which is recorded whatever the rate is.
// Children inherit it with their parent's code, so the whole trace in this process is marked.
#define NSP__THRESHOLD_CODE_DEBUG (UINT32_MAX - 1)
// "No threshold" in the record of a trace of which it is decided at its end whether anybody will see it.
#define NSP__THRESHOLD_CODE_SPECULATIVE (UINT32_MAX - 2)

// How many of the threshold's 14 digits are f, counted from the left.
static inline unsigned nsp__threshold_leading_f(uint64_t threshold)
{
    uint64_t gap = ~threshold & (NSP__THRESHOLD_NEVER - 1);
    return gap == 0 ? NSP__THRESHOLD_DIGITS : (unsigned)(__builtin_clzll(gap) - 8) / 4;
}

// The threshold of a rate, quantised. Rates of 1 and more give 0. Rates under 2^-56, 0, negative rates and
// NaN give NEVER.
static inline uint64_t nsp__threshold_from_rate(double rate)
{
    if (!(rate >= 0x1p-56))
        return NSP__THRESHOLD_NEVER;
    if (rate >= 1)
        return 0;
    uint64_t threshold = NSP__THRESHOLD_NEVER - (uint64_t)(rate * 0x1p56 + 0.5);
    unsigned kept = nsp__threshold_leading_f(threshold) + 4;
    if (kept >= NSP__THRESHOLD_DIGITS)
        return threshold;
    // The digit after the f's is at most e, so a carry stops there at the latest.
    unsigned cut = 4 * (NSP__THRESHOLD_DIGITS - kept);
    return (threshold + (UINT64_C(1) << (cut - 1))) >> cut << cut;
}

// The rate that a threshold stands for; 0 for NEVER and everything above.
static inline double nsp__threshold_rate(uint64_t threshold)
{
    return threshold >= NSP__THRESHOLD_NEVER ? 0 : (double)(NSP__THRESHOLD_NEVER - threshold) * 0x1p-56;
}

// A threshold from its code: bits 16 and up count the leading f's (0 to 14), bits 0 to 15 are the four digits
// after them. NSP_CONTEXT_UNKNOWN for NSP__THRESHOLD_CODE_NONE and for any number that is not a code.
static inline uint64_t nsp__threshold_decode(uint32_t code)
{
    unsigned leading = code >> 16;
    if (leading > NSP__THRESHOLD_DIGITS)
        return NSP_CONTEXT_UNKNOWN;
    uint64_t ones = NSP__THRESHOLD_NEVER - (NSP__THRESHOLD_NEVER >> (4 * leading));
    // The digits are shifted up by 40 bits and then down into place; bits below the last digit are lost.
    return ones | (((uint64_t)(code & 0xffff) << 40) >> (4 * leading));
}

// The exact 32-bit code of a threshold, or NSP__THRESHOLD_CODE_NONE if decoding would not give the same
// threshold back.
static inline uint32_t nsp__threshold_encode(uint64_t threshold)
{
    if (threshold >= NSP__THRESHOLD_NEVER)
        return NSP__THRESHOLD_CODE_NONE;
    unsigned leading = nsp__threshold_leading_f(threshold);
    uint64_t rest =
        leading == NSP__THRESHOLD_DIGITS ? 0 : threshold << (4 * leading) & (NSP__THRESHOLD_NEVER - 1);
    uint32_t code = (uint32_t)leading << 16 | (uint32_t)(rest >> 40);
    return nsp__threshold_decode(code) == threshold ? code : NSP__THRESHOLD_CODE_NONE;
}

// Writes the threshold in the form that `th` has: digits without trailing zeros, "0" for 0, zero terminated.
// Returns the number of digits. The threshold must be less than NEVER.
static inline size_t nsp__threshold_format(uint64_t threshold, char out[NSP__THRESHOLD_TEXT_SIZE])
{
    size_t length = nsp__hex_trimmed(out, threshold << 8);
    out[length] = '\0';
    return length;
}

#endif
