// SPDX-License-Identifier: Apache-2.0
//
// The border between the two libraries. libnanospan-core has everything but exporters; libnanospan has those, on
// top of it. What core knows of them is one table, which is found in two ways:
//   nsp__exporters_here    where libnanospan is linked, its table is there before any constructor runs
//   nsp__exporters_offer   libnanospan's constructor: it was loaded later, as part of a plug-in
// Nothing else internal crosses the border. Exporters include this header, and no other internal one of core's.
#ifndef NSP_CONFIG_EXPORTER_SET_H
#define NSP_CONFIG_EXPORTER_SET_H

#include <nanospan/exporter.h>

struct nsp__record;

typedef struct nsp__exporter_set {
    const char *release; // NSP_VERSION of the library that has them

    const nsp_exporter *const *exporters; // ends with NULL

    // Writes where one of them, created from this configuration, sends spans, for people to read: "OTLP over gRPC
    // to http://localhost:4317". One line, without secrets. For any other exporter, its name.
    void (*describe)(const nsp_exporter *exporter, const nsp_config *config, char *text, size_t size);

    // nsp__batch_decode (outside/session/batch_decode.h) for one encoding and what lies between a batch's head and length.
    // The encodings are the exporters' business.
    uint64_t (*decode)(uint32_t encoding, bool closed, const uint8_t *bytes, size_t length, uint64_t spans,
                       nsp_name (*intern)(void *argument, const char *text, size_t length),
                       bool (*visit)(void *argument, const struct nsp__record *record), void *argument);

    // True if a closed batch in this encoding can be cut.
    bool (*cuttable)(uint32_t encoding);
    // Writes such a batch without its first spans to `out`, which has room for `length` bytes; nothing of the bytes is
    // trusted. Returns its length, or 0 if the batch is damaged or has no more spans than these.
    size_t (*cut)(uint32_t encoding, uint8_t *out, const uint8_t *bytes, size_t length, uint64_t spans);
} nsp__exporter_set;

// Defined by libnanospan. nanospan-link.o (cmake/library.cmake) refers to it in each program that is linked with
// libnanospan, because no program needs to use it otherwise, and linkers leave out libraries that are not used.
NSP_API const nsp__exporter_set *nsp__exporters_here(void);

// Defined by libnanospan-core. `set` stays valid until the process ends. Thread safe, and may run in a constructor.
NSP_API void nsp__exporters_offer(const nsp__exporter_set *set);

// For core. The exporters that there are now; NULL: libnanospan-core is alone, or the libnanospan that is there
// cannot be used. Thread safe and signal safe.
const nsp__exporter_set *nsp__exporters(void);

// The one of this name; NULL for other names, including "none".
const nsp_exporter *nsp__exporter_named(const char *name, size_t length);

// Why there are none, as a part of a sentence, which the advice continues if the core is alone; otherwise it says
// itself what to do. size: 200 is enough. Returns text.
const char *nsp__exporters_missing(char *text, size_t size, const char *advice);

#endif
