// SPDX-License-Identifier: Apache-2.0
//
// Span names and attribute keys, interned: 32 bits in a record instead of a text.
// No call takes more than 4 KiB of stack.
#ifndef NANOSPAN_NAME_H
#define NANOSPAN_NAME_H

#include <nanospan/base.h>

// An interned text, valid in the whole process until it exits, over shutdown and a later init too. 0 is no name.
typedef uint32_t nsp_name;

enum {
    // At most this many distinct names in a process, and bytes of text of all names together.
    NSP_NAME_MAX = 8192,
    NSP_NAME_TEXT_MAX = 512 * 1024,
    // A longer name is cut here, at a character.
    NSP_NAME_LENGTH_MAX = 1023,
    // What stands for every name that no longer fits; reads "nanospan.names_full". Counted in nsp_stats.
    NSP_NAME_OVERFLOW = 1
};

NSP_BEGIN_DECLS
#ifndef NSP_DISABLE

// Interns length bytes of text, copied: the same text always gives the same name. For bindings and for texts known
// only at run time; must not be fed unbounded texts. A known text is found wait-free; a new one is added lock-free in
// a bounded number of steps, without a system call. Thread safe; may be called before nsp_init, and from a signal
// handler (one that interrupts this very call gets NSP_NAME_OVERFLOW).
NSP_API nsp_name nsp_intern(const char *text, size_t length);

// The text of a name: zero terminated, never freed; *length (may be NULL) gets its bytes. "" for what is no name.
NSP_API const char *nsp_name_text(nsp_name name, size_t *length);

// Cold half of NSP_NAME.
NSP_API nsp_name nsp__name_intern_site(nsp_name *site, const char *text, size_t length);

// The name of a string literal, interned once for each call site: one load and one branch afterwards. Only a
// literal compiles. NSP_KEY is the same thing, said of an attribute's key.
#define NSP_NAME(literal)                                                                                    \
    (__extension__({                                                                                         \
        static nsp_name nsp__site_;                                                                          \
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
