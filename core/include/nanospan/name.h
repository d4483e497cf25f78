// SPDX-License-Identifier: Apache-2.0
//
// Span names and attribute keys are interned: a record holds a 32-bit number instead of the text.
// No call uses more than 4 KiB of stack.
#ifndef NANOSPAN_NAME_H
#define NANOSPAN_NAME_H

#include <nanospan/base.h>

// An interned text. It is valid in the whole process until the process exits, even after nsp_shutdown and a
// later nsp_init. 0 means "no name".
typedef uint32_t nsp_name;

enum {
    // The largest number of distinct names in a process, and the largest total size of their texts in bytes.
    NSP_NAME_MAX = 8192,
    NSP_NAME_TEXT_MAX = 512 * 1024,
    // The longest name in bytes. A longer one is cut at the last whole character.
    NSP_NAME_LENGTH_MAX = 1023,
    // Replaces every name that no longer fits. Its text is "nanospan.names_full". nsp_stats.names_overflowed
    // counts how often that happened.
    NSP_NAME_OVERFLOW = 1
};

NSP_BEGIN_DECLS
#ifndef NSP_DISABLE

// Interns `length` bytes of text, which are copied. The same text always gives the same name. For bindings,
// and for texts that are known only at run time; do not pass an unbounded variety of texts, because names are
// never freed. Finding a known text is wait-free. Adding a new one is lock-free, takes a bounded number of
// steps and makes no system call. Thread safe. It may be called before nsp_init and from a signal handler (a
// handler that interrupts this very call gets NSP_NAME_OVERFLOW).
NSP__API nsp_name nsp_intern(const char *text, size_t length);

// Returns the text of a name, zero terminated and never freed, or "" if the number is not a name. *length
// receives its length in bytes; `length` may be NULL. Thread safe and signal safe.
NSP__API const char *nsp_name_text(nsp_name name, size_t *length);

// The slow path of NSP_NAME.
NSP__API nsp_name nsp__name_intern_site(nsp_name *site, const char *text, size_t length);

// The words of the call sites lie in a section of their own: together, so that few pages hold them all, and
// apart from variables that the program writes. In C++, the words of inline functions could not be in the same
// section as others.
#if defined(__ELF__) && !defined(__cplusplus)
#define NSP__SITE static __attribute__((section("nsp_names")))
#else
#define NSP__SITE static
#endif

// The name of a string literal. It is interned once for each call site; after that it costs one load and one
// branch. Only a literal compiles. NSP_KEY does the same for an attribute's key.
#define NSP_NAME(literal)                                                                                    \
    (__extension__({                                                                                         \
        NSP__SITE nsp_name nsp__site_;                                                                       \
        nsp_name nsp__name_ = __atomic_load_n(&nsp__site_, __ATOMIC_RELAXED);                                \
        if (NSP__UNLIKELY(nsp__name_ == 0))                                                                  \
            nsp__name_ = nsp__name_intern_site(&nsp__site_, "" literal "", sizeof("" literal "") - 1);       \
        nsp__name_;                                                                                          \
    }))
#else
#define NSP_NAME(literal) ((nsp_name)(sizeof("" literal "") * 0))
#endif
#define NSP_KEY(literal) NSP_NAME(literal)

NSP_END_DECLS
#endif
