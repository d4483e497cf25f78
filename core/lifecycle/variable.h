// SPDX-License-Identifier: Apache-2.0
//
// One environment variable: how its text becomes a member of nsp_config, and what that member may be. The checks of
// nsp_init on a configuration made in code are the same ones.
#ifndef NSP_LIFECYCLE_VARIABLE_H
#define NSP_LIFECYCLE_VARIABLE_H

#include <nanospan/config.h>

typedef enum nsp__variable_kind {
    NSP__BOOL,             // true or false, in any case; the member is a bool
    NSP__BOOL_INVERTED,    // the same, and the member is the opposite
    NSP__BOOL_RELAXED,     // also 1, yes, on and 0, no, off
    NSP__COUNT,            // integers; the member has 4 or 8 bytes
    NSP__LIMIT,            // the same; without a default it is UINT32_MAX: no limit
    NSP__BYTES,            // an integer, or one with KiB, MiB, GiB or TiB
    NSP__MILLISECONDS,     // an integer; the member is in nanoseconds
    NSP__MICROSECONDS,     // the same
    NSP__RATIO,            // a decimal number; the member is a double
    NSP__CHOICE,           // one of choices, in any case; the member is an enum that counts like them
    NSP__CHOICE_TEXT,      // one of choices, in any case; the member is a text
    NSP__TEXT,             // anything; the member is a text, from here on
    NSP__PAIRS,            // key=value,key=value
    NSP__ENDPOINT,         // host:port, an http or https URL, a Unix socket
    NSP__ENDPOINT_EXACT,   // the same; its path is used as it is
    NSP__CPUS,             // a list of CPUs
    NSP__FOLDER,           // an absolute path, or "none"
    NSP__PROPAGATORS,      // a list of propagators, of which one at least is known
    NSP__SAMPLER,          // a sampler's name: sets sample_rate and parent_policy
    NSP__SAMPLER_ARGUMENT, // a ratio, read by NSP__SAMPLER alone
    NSP__IGNORED           // has no counterpart here
} nsp__variable_kind;

typedef struct nsp__variable {
    const char *name;
    const char *member;         // its name
    const char *fallback;       // the default as if it stood in the variable; "": none
    const char *meaning;        // one line, for docs/configuration.md
    const char *const *choices; // ends with NULL
    uint64_t min, max;          // of an integer member, in the member's unit
    double ratio_min;           // of a ratio; its upper end is 1
    uint16_t offset;            // of the member
    uint8_t width;              // bytes of the member
    uint8_t kind;               // nsp__variable_kind
    bool secret;                // its value is not logged
} nsp__variable;

// Puts what the text says into the member; false, with nothing changed, for a bad value. The member points into text.
// argument: what NSP__SAMPLER finds in OTEL_TRACES_SAMPLER_ARG, or NULL.
bool nsp__variable_apply(const nsp__variable *variable, const char *text, const char *argument,
                         nsp_config *config);

// Is the member's value one that this variable could have set? Unset texts are.
bool nsp__variable_holds(const nsp__variable *variable, const nsp_config *config);

// Is the member a text?
bool nsp__variable_is_text(const nsp__variable *variable);

// The text as it may be logged: what can hold a password is not shown.
const char *nsp__variable_shown(const nsp__variable *variable, const char *text);

// Writes what is accepted, as a phrase: by the variable, or with in_code by the member.
void nsp__variable_accepts(const nsp__variable *variable, bool in_code, char *out, size_t size);

// Writes the member's value: as the variable would say it, or with in_code in the member's unit.
void nsp__variable_value(const nsp__variable *variable, bool in_code, const nsp_config *config, char *out,
                         size_t size);

#endif
