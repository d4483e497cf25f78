// SPDX-License-Identifier: Apache-2.0
//
// One environment variable: how its text becomes a member of nsp_config, and which values that member may
// have. nsp_init checks a configuration made in code in the same way. Each kind of variable is a table of
// operations, so a new kind is one more such table and nothing else.
#ifndef NSP_CONFIG_VARIABLE_H
#define NSP_CONFIG_VARIABLE_H

#include <nanospan/config.h>

typedef struct nsp__variable nsp__variable;

// Operations that a kind does not need are NULL.
typedef struct nsp__kind {
    // Stores the value of the text in the member. False for a bad value, with nothing changed. "" means no
    // value: the member of a text becomes NULL, that of a limit "no limit"; for all other kinds it is a bad
    // value. argument: the text of OTEL_TRACES_SAMPLER_ARG, for a sampler, or NULL.
    bool (*parse)(const nsp__variable *variable, const char *text, const char *argument, nsp_config *config);
    // True if the variable could have set the member's value. NULL: any value is allowed.
    bool (*holds)(const nsp__variable *variable, const nsp_config *config);
    // Writes a phrase that says what is accepted: by the variable or, with in_code, by the member.
    void (*accepts)(const nsp__variable *variable, bool in_code, char *out, size_t size);
    // Writes the member's value in the form that the variable has or, with in_code, in the member's unit.
    void (*print)(const nsp__variable *variable, bool in_code, const nsp_config *config, char *out,
                  size_t size);
    // Writes why a text is bad, as the end of a sentence. NULL stands for "is not accepted".
    void (*fault)(const nsp__variable *variable, const char *text, char *out, size_t size);
    // Writes which parts of a text are not used, and why; "" if there are none. Only lists have it.
    void (*left_out)(const nsp__variable *variable, const char *text, char *out, size_t size);
    // True if this text may be shown. NULL: any text may.
    bool (*showable)(const char *text);
    uint64_t scale;   // numbers: the variable's unit in units of the member
    const char *unit; // numbers: the variable's unit with a blank before it, or ""
    bool text;        // the member is a text
    // Even a bad text hides variables of lower precedence: the member then becomes what "" makes it.
    bool keeps_its_place;
    // The member belongs to another variable; for variables that are ignored, and for the sampler's argument.
    bool sets_nothing;
} nsp__kind;

extern const nsp__kind nsp__kind_flag_else_false; // true or false, in any case; anything else counts as false
extern const nsp__kind nsp__kind_flag_inverted;   // true or false; the member, a bool, gets the opposite
extern const nsp__kind nsp__kind_flag_relaxed;    // true or false, also 1, yes, on and 0, no, off
extern const nsp__kind nsp__kind_count;           // integers; the member has 4 or 8 bytes
extern const nsp__kind nsp__kind_limit; // the same; without a default the member is UINT32_MAX: no limit
extern const nsp__kind nsp__kind_bytes; // an integer, or one with KiB, MiB, GiB or TiB
extern const nsp__kind nsp__kind_milliseconds; // an integer; the member is in nanoseconds
extern const nsp__kind nsp__kind_microseconds; // the same
extern const nsp__kind nsp__kind_ratio;        // a decimal number; the member is a double
extern const nsp__kind
    nsp__kind_per_second;                 // a decimal number, also with "/s" after it, or 0: none; a double
extern const nsp__kind nsp__kind_choice;  // one of choices, in any case; the member is an enum in their order
extern const nsp__kind nsp__kind_sampler; // a sampler's name: sets sample_rate and parent_policy
extern const nsp__kind nsp__kind_sampler_argument; // a ratio; only nsp__kind_sampler reads it
extern const nsp__kind nsp__kind_ignored;          // has no counterpart here
extern const nsp__kind nsp__kind_choice_text;  // one of choices, in any case; from here on members are texts
extern const nsp__kind nsp__kind_choice_list;  // a list of choices, at least one of them known
extern const nsp__kind nsp__kind_text;         // anything
extern const nsp__kind nsp__kind_attributes;   // key=value,key=value
extern const nsp__kind nsp__kind_headers;      // the same; each pair is a header
extern const nsp__kind nsp__kind_endpoint;     // host:port, an http or https URL, a Unix socket
extern const nsp__kind nsp__kind_endpoint_own; // the same; a path that ends in v1/traces is used as it is
extern const nsp__kind nsp__kind_endpoint_exact; // the same; any path is used as it is
extern const nsp__kind nsp__kind_cpus;           // a list of CPUs
extern const nsp__kind nsp__kind_folder;         // an absolute path, or "none"
extern const nsp__kind nsp__kind_outliers;       // outlier rules
extern const nsp__kind nsp__kind_propagators;    // a list of propagators, at least one of them known

struct nsp__variable {
    const char *name;
    const char *member;         // its name
    const char *fallback;       // the default, in the form of the variable; "": none
    const char *meaning;        // one line, for docs/configuration.md
    const char *const *choices; // ends with NULL
    const nsp__kind *kind;
    uint64_t min, max; // of an integer member, in the member's unit
    double ratio_min;  // of a ratio, whose upper end is 1, and of a number per second
    double ratio_max;  // of a number per second
    uint16_t offset;   // of the member
    uint8_t width;     // bytes of the member
    bool secret;       // the value is not logged
    bool clamped;      // an integer beyond max counts as max
    const char *zero;  // 0 is accepted too, and means this; NULL: it is a number like others
};

// The kind's operations, for callers.
bool nsp__variable_apply(const nsp__variable *variable, const char *text, const char *argument,
                         nsp_config *config);
bool nsp__variable_holds(const nsp__variable *variable, const nsp_config *config);
void nsp__variable_accepts(const nsp__variable *variable, bool in_code, char *out, size_t size);
void nsp__variable_value(const nsp__variable *variable, bool in_code, const nsp_config *config, char *out,
                         size_t size);
void nsp__variable_fault(const nsp__variable *variable, const char *text, char *out, size_t size);
void nsp__variable_left_out(const nsp__variable *variable, const char *text, char *out, size_t size);

// The text in the form in which it may be logged: texts that can hold a password are not shown.
const char *nsp__variable_shown(const nsp__variable *variable, const char *text);

// ---- for the kinds ----

// The index of the word in the list, in any case of letters; -1 if it is not there.
int nsp__word_find(const char *const *words, const char *text, size_t length);

// Writes "a, b or c".
void nsp__words_list(const char *const *words, char *out, size_t size);

#endif
