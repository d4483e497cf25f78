# SPDX-License-Identifier: Apache-2.0
"""Writes the C source of nanospan._native: definitions.py OUTPUT."""

import sys

from cffi import FFI

DECLARATIONS = """
typedef uint32_t nsp_name;
typedef int... nsp_status;
typedef int... nsp_log_level;
typedef int... nsp_type;

enum { NSP_OK, NSP_ERR_ALREADY, NSP_ERR_TIMEOUT, NSP_NAME_OVERFLOW, NSP_ABI_VERSION, ... };
enum { NSP_TYPE_STR, NSP_TYPE_BOOL, NSP_TYPE_I64, NSP_TYPE_F64, NSP_TYPE_BYTES, NSP_TYPE_STRS, NSP_TYPE_BOOLS,
       NSP_TYPE_I64S, NSP_TYPE_F64S, ... };

typedef struct nsp_context {
    uint8_t trace_id[16];
    uint8_t span_id[8];
    uint8_t flags;
    bool remote;
    ...;
} nsp_context;
typedef struct nsp_baggage { uint32_t length; ...; } nsp_baggage;
typedef struct nsp_baggage_member {
    const char *key;
    size_t key_length;
    const char *value;
    size_t value_length;
    ...;
} nsp_baggage_member;
typedef struct nsp_incoming { nsp_context context; nsp_baggage baggage; } nsp_incoming;
typedef struct nsp_attr {
    nsp_name key;
    nsp_type type;
    size_t count;
    union {
        const char *str;
        bool boolean;
        int64_t i64;
        double f64;
        const uint8_t *bytes;
        const char *const *strs;
        const bool *bools;
        const int64_t *i64s;
        const double *f64s;
    } value;
} nsp_attr;
typedef struct nsp_link {
    nsp_context context;
    const nsp_attr *attributes;
    size_t attribute_count;
} nsp_link;
typedef struct nsp_config {
    bool enabled;
    const char *service_name, *service_version, *environment, *endpoint;
    double sample_rate;
    uint32_t detached_spans;
    uint64_t exit_timeout_ns;
    nsp_log_level log_level;
    ...;
} nsp_config;
typedef struct nsp_stats {
    size_t size;
    uint64_t attempted, open, in_rings, in_batches, exported, dropped_detached_full, misused, values_cut, leaked;
    ...;
} nsp_stats;
typedef struct nspy_span {
    bool recording;
    nsp_context context;
    ...;
} nspy_span;
typedef struct nspy_fields { size_t length; char text[...]; } nspy_fields;

nsp_name nsp_intern(const char *text, size_t length);
const char *nsp_error_detail(void);
const char *nsp_status_str(nsp_status status);
void nsp_config_init(nsp_config *config);
nsp_status nsp_init(const nsp_config *config);
nsp_status nsp_flush(uint64_t timeout_ns);
nsp_status nsp_shutdown(uint64_t timeout_ns);
nsp_status nsp_stats_get(nsp_stats *out);
nsp_status nsp_context_parse(nsp_context *out, const char *traceparent, const char *tracestate);
size_t nsp_context_format_state(const nsp_context *context, char *tracestate, size_t size);
const char *nsp_inject_field(size_t index);
nsp_status nsp_baggage_parsen(nsp_baggage *out, const char *text, size_t length);
nsp_status nsp_baggage_set_with(nsp_baggage *baggage, const char *key, const char *value, size_t length,
                                const char *properties);
nsp_status nsp_baggage_remove(nsp_baggage *baggage, const char *key);
bool nsp_baggage_next(const nsp_baggage *baggage, size_t *at, nsp_baggage_member *member);
size_t nsp_baggage_decode(const char *value, size_t length, char *out, size_t size);

void nspy_forked(void);
bool nspy_begin(nspy_span *out, nsp_name name, nspy_span *parent, const nsp_context *context, bool root, int kind,
                uint64_t start_unix_ns, const nsp_link *links, size_t link_count);
void nspy_end(nspy_span *span, uint64_t end_unix_ns);
bool nspy_is_recording(nspy_span *span);
size_t nspy_room(nspy_span *span);
void nspy_set_name(nspy_span *span, nsp_name name);
void nspy_set_strn(nspy_span *span, nsp_name key, const char *text, size_t length);
void nspy_set_i64(nspy_span *span, nsp_name key, int64_t value);
void nspy_set_f64(nspy_span *span, nsp_name key, double value);
void nspy_set_bool(nspy_span *span, nsp_name key, bool value);
void nspy_set_bytes(nspy_span *span, nsp_name key, const char *bytes, size_t length);
void nspy_set_strs(nspy_span *span, nsp_name key, const char *const *values, size_t count);
void nspy_set_i64s(nspy_span *span, nsp_name key, const int64_t *values, size_t count);
void nspy_set_f64s(nspy_span *span, nsp_name key, const double *values, size_t count);
void nspy_set_bools(nspy_span *span, nsp_name key, const bool *values, size_t count);
void nspy_set_status(nspy_span *span, int status, const char *message);
void nspy_add_event_with(nspy_span *span, nsp_name name, uint64_t unix_ns, const nsp_attr *attributes, size_t count);
void nspy_add_link_with(nspy_span *span, const nsp_context *context, const nsp_attr *attributes, size_t count);
bool nspy_extract(nsp_incoming *out, nspy_fields *fields);
void nspy_inject(const nsp_context *context, const nsp_baggage *baggage, nspy_fields *out);
"""

ffi = FFI()
ffi.cdef(DECLARATIONS)
ffi.set_source("nanospan._native", '#include "calls.h"\n')

if __name__ == "__main__":
    ffi.emit_c_code(sys.argv[1])
