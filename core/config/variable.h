// SPDX-License-Identifier: Apache-2.0
//
// One environment variable: how its text becomes a member of nsp_config, and what that member may be. The
// checks of nsp_init on a configuration made in code are the same ones. What a kind of variable does is a
// table of operations; a new kind is one more of them, and nothing else.
#ifndef NSP_CONFIG_VARIABLE_H
#define NSP_CONFIG_VARIABLE_H

#include <nanospan/config.h>

typedef struct nsp__variable nsp__variable;

// Operations that a kind has no need of are NULL.
typedef struct nsp__kind {
    // Puts what the text says into the member; false, with nothing changed, for a bad value. "" is no value:
    // the member of a text becomes NULL, that of a limit "no limit"; for the others it is a bad one.
    // argument: what a sampler finds in OTEL_TRACES_SAMPLER_ARG, or NULL.
    bool (*parse)(const nsp__variable *variable, const char *text, const char *argument, nsp_config *config);
    // Is the member's value one that this variable could have set? NULL: any is.
    bool (*holds)(const nsp__variable *variable, const nsp_config *config);
    // Writes what is accepted, as a phrase: by the variable, or with in_code by the member.
    void (*accepts)(const nsp__variable *variable, bool in_code, char *out, size_t size);
    // Writes the member's value: as the variable would say it, or with in_code in the member's unit.
    void (*print)(const nsp__variable *variable, bool in_code, const nsp_config *config, char *out,
                  size_t size);
    // Writes why a bad text is one, as a sentence's end. NULL: "is not accepted" says it all.
    void (*fault)(const nsp__variable *variable, const char *text, char *out, size_t size);
    // Writes which parts of a text are not used, and why; "" for none. Lists have it.
    void (*left_out)(const nsp__variable *variable, const char *text, char *out, size_t size);
    // May this text be shown? NULL: any may.
    bool (*showable)(const char *text);
    uint64_t scale;   // numbers: how much of the member's unit one of the variable's is
    const char *unit; // numbers: the variable's, with a blank before it, or ""
    bool text;        // the member is a text
    // A bad text hides weaker variables all the same: the member becomes what "" makes it.
    bool keeps_its_place;
    // The member is another variable's: of what is ignored, and of the sampler's argument.
    bool sets_nothing;
} nsp__kind;

extern const nsp__kind nsp__kind_flag_else_false; // true or false, in any case; anything else counts as false
extern const nsp__kind nsp__kind_flag_inverted;   // true or false, and the member, a bool, is the opposite
extern const nsp__kind nsp__kind_flag_relaxed;    // also 1, yes, on and 0, no, off
extern const nsp__kind nsp__kind_count;           // integers; the member has 4 or 8 bytes
extern const nsp__kind nsp__kind_limit;           // the same; without a default it is UINT32_MAX: no limit
extern const nsp__kind nsp__kind_bytes;           // an integer, or one with KiB, MiB, GiB or TiB
extern const nsp__kind nsp__kind_milliseconds;    // an integer; the member is in nanoseconds
extern const nsp__kind nsp__kind_microseconds;    // the same
extern const nsp__kind nsp__kind_ratio;           // a decimal number; the member is a double
extern const nsp__kind nsp__kind_choice;  // one of choices, in any case; the member is an enum like them
extern const nsp__kind nsp__kind_sampler; // a sampler's name: sets sample_rate and parent_policy
extern const nsp__kind nsp__kind_sampler_argument; // a ratio, read by nsp__kind_sampler alone
extern const nsp__kind nsp__kind_ignored;          // has no counterpart here
extern const nsp__kind
    nsp__kind_choice_text; // one of choices, in any case; the member is a text from here on
extern const nsp__kind nsp__kind_choice_list;    // a list of choices, of which one at least is known
extern const nsp__kind nsp__kind_text;           // anything
extern const nsp__kind nsp__kind_attributes;     // key=value,key=value
extern const nsp__kind nsp__kind_headers;        // the same, and each is a header
extern const nsp__kind nsp__kind_endpoint;       // host:port, an http or https URL, a Unix socket
extern const nsp__kind nsp__kind_endpoint_own;   // the same; a path that ends in v1/traces is used as it is
extern const nsp__kind nsp__kind_endpoint_exact; // the same; any path is
extern const nsp__kind nsp__kind_cpus;           // a list of CPUs
extern const nsp__kind nsp__kind_folder;         // an absolute path, or "none"
extern const nsp__kind nsp__kind_propagators;    // a list of propagators, of which one at least is known

struct nsp__variable {
    const char *name;
    const char *member;         // its name
    const char *fallback;       // the default as if it stood in the variable; "": none
    const char *meaning;        // one line, for docs/configuration.md
    const char *const *choices; // ends with NULL
    const nsp__kind *kind;
    uint64_t min, max; // of an integer member, in the member's unit
    double ratio_min;  // of a ratio; its upper end is 1
    uint16_t offset;   // of the member
    uint8_t width;     // bytes of the member
    bool secret;       // its value is not logged
    bool clamped;      // an integer beyond max counts as max
    bool zero_is_none; // 0 is accepted too, and means: no limit
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

// The text as it may be logged: what can hold a password is not shown.
const char *nsp__variable_shown(const nsp__variable *variable, const char *text);

// ---- for the kinds ----

// The word's place in the list, in any case of letters; -1 if it is not there.
int nsp__word_find(const char *const *words, const char *text, size_t length);

// Writes "a, b or c".
void nsp__words_list(const char *const *words, char *out, size_t size);

#endif
