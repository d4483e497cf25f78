// SPDX-License-Identifier: Apache-2.0
//
// Every function as nothing, for NSP_DISABLE. Arguments are evaluated, spans are NULL, contexts invalid.
// Included by <nanospan/nanospan.h>; not for direct inclusion.
#ifndef NANOSPAN_NANOSPAN_H
#error "include <nanospan/nanospan.h>"
#endif
#ifndef NANOSPAN_ABI_DISABLED_H
#define NANOSPAN_ABI_DISABLED_H

#define NSP__OFF static inline __attribute__((unused, always_inline))
#define NSP__OFF1(a) (void)(a)
#define NSP__OFF2(a, b) ((void)(a), (void)(b))
#define NSP__OFF3(a, b, c) ((void)(a), (void)(b), (void)(c))
#define NSP__OFF4(a, b, c, d) ((void)(a), (void)(b), (void)(c), (void)(d))

NSP__OFF const char *nsp_status_str(nsp_status status)
{
    NSP__OFF1(status);
    return "";
}
NSP__OFF const char *nsp_error_detail(void)
{
    return "";
}

NSP__OFF void nsp_config_init(nsp_config *config)
{
    __builtin_memset(config, 0, sizeof *config);
    config->size = sizeof *config;
}
NSP__OFF nsp_status nsp_init(const nsp_config *config)
{
    NSP__OFF1(config);
    return NSP_OK;
}
NSP__OFF nsp_status nsp_flush(uint64_t timeout_ns)
{
    NSP__OFF1(timeout_ns);
    return NSP_OK;
}
NSP__OFF void nsp_log_configure(nsp_log_level level, nsp_log_fn log, void *context)
{
    NSP__OFF3(level, log, context);
}
NSP__OFF nsp_status nsp_shutdown(uint64_t timeout_ns)
{
    NSP__OFF1(timeout_ns);
    return NSP_OK;
}
NSP__OFF nsp_status nsp_thread_attach(const nsp_thread_options *options)
{
    NSP__OFF1(options);
    return NSP_OK;
}
NSP__OFF void nsp_thread_reset(void) {}
NSP__OFF void nsp_thread_warm(void) {}
NSP__OFF size_t nsp_do_work(size_t max_spans)
{
    NSP__OFF1(max_spans);
    return 0;
}
NSP__OFF nsp_status nsp_stats_get(nsp_stats *out)
{
    size_t size = out->size;
    if (size >= sizeof *out)
        __builtin_memset(out, 0, sizeof *out);
    out->size = size;
    return NSP_OK;
}

NSP__OFF nsp_status nsp_latency_get(const char *name, nsp_latency *out)
{
    size_t size = out->size;
    NSP__OFF1(name);
    if (size >= sizeof *out)
        __builtin_memset(out, 0, sizeof *out);
    out->size = size;
    return NSP_OK;
}
NSP__OFF uint64_t nsp_latency_step_ns(const nsp_latency *latency, size_t step)
{
    NSP__OFF2(latency, step);
    return 0;
}
NSP__OFF uint64_t nsp_latency_quantile_ns(const nsp_latency *latency, double share)
{
    NSP__OFF2(latency, share);
    return 0;
}

NSP__OFF nsp_status nsp_settings_each(nsp_setting_visit visit, void *argument)
{
    NSP__OFF2(visit, argument);
    return NSP_OK;
}
NSP__OFF nsp_status nsp_sessions_each(const char *folder, nsp_session_visit visit, void *argument)
{
    NSP__OFF3(folder, visit, argument);
    return NSP_OK;
}

NSP__OFF nsp_status nsp_recovery_open(nsp_recovery **out, const char *directory, char *problem, size_t size)
{
    NSP__OFF1(directory);
    *out = NULL;
    if (problem != NULL && size != 0)
        problem[0] = 0;
    return NSP_ERR_DISABLED;
}
NSP__OFF bool nsp_recovery_set_aside(const nsp_recovery *recovery)
{
    NSP__OFF1(recovery);
    return false;
}
NSP__OFF bool nsp_recovery_exporter_failed(const nsp_recovery *recovery)
{
    NSP__OFF1(recovery);
    return false;
}
NSP__OFF bool nsp_recovery_damaged(const nsp_recovery *recovery)
{
    NSP__OFF1(recovery);
    return false;
}
NSP__OFF nsp_status nsp_recovery_export(nsp_recovery *recovery, const nsp_recovery_options *options)
{
    NSP__OFF2(recovery, options);
    return NSP_ERR_DISABLED;
}
NSP__OFF nsp_status nsp_recovery_note_file(nsp_recovery *recovery, const char *path, int file)
{
    NSP__OFF3(recovery, path, file);
    return NSP_OK;
}
NSP__OFF nsp_status nsp_recovery_settle(nsp_recovery *recovery)
{
    NSP__OFF1(recovery);
    return NSP_ERR_DISABLED;
}
NSP__OFF void nsp_recovery_account_get(const nsp_recovery *recovery, nsp_recovery_account *account)
{
    NSP__OFF1(recovery);
    size_t size = account->size;
    if (size >= sizeof *account)
        __builtin_memset(account, 0, sizeof *account);
    account->size = size;
}
NSP__OFF nsp_status nsp_recovery_remove(nsp_recovery *recovery, bool with_what_is_left)
{
    NSP__OFF2(recovery, with_what_is_left);
    return NSP_ERR_DISABLED;
}
NSP__OFF nsp_status nsp_history_export(const char *directory, uint64_t before_ns,
                                       const nsp_recovery_options *options, nsp_history_account *account,
                                       nsp_history_visit visit, void *argument, char *problem, size_t size)
{
    NSP__OFF3(directory, before_ns, options);
    NSP__OFF3(account, visit, argument);
    if (problem != NULL && size != 0)
        problem[0] = 0;
    return NSP_ERR_DISABLED;
}

NSP__OFF void nsp_recovery_close(nsp_recovery *recovery)
{
    NSP__OFF1(recovery);
}

NSP__OFF nsp_status nsp_tune_open(nsp_tune **out, const char *directory, char *problem, size_t size)
{
    NSP__OFF1(directory);
    if (out != NULL)
        *out = NULL;
    if (problem != NULL && size != 0)
        problem[0] = 0;
    return NSP_ERR_DISABLED;
}
NSP__OFF nsp_status nsp_tune_apply(nsp_tune *tune, const nsp_tune_change *changes, size_t count,
                                   size_t *failed)
{
    NSP__OFF2(tune, changes);
    if (failed != NULL)
        *failed = count;
    return NSP_ERR_DISABLED;
}
NSP__OFF bool nsp_tune_matches(nsp_tune *tune, const char *pattern)
{
    NSP__OFF2(tune, pattern);
    return false;
}
NSP__OFF void nsp_tune_close(nsp_tune *tune)
{
    NSP__OFF1(tune);
}

NSP__OFF nsp_status nsp_drainer_open(nsp_drainer **out, const nsp_drainer_options *options)
{
    NSP__OFF1(options);
    if (out != NULL)
        *out = NULL;
    return NSP_ERR_DISABLED;
}
NSP__OFF nsp_status nsp_drainer_add(nsp_drainer *drainer, const char *directory, char *problem, size_t size)
{
    NSP__OFF2(drainer, directory);
    if (problem != NULL && size != 0)
        problem[0] = 0;
    return NSP_ERR_DISABLED;
}
NSP__OFF uint64_t nsp_drainer_work(nsp_drainer *drainer, uint64_t *pause_ns)
{
    NSP__OFF1(drainer);
    if (pause_ns != NULL)
        *pause_ns = 50000000;
    return 0;
}
NSP__OFF bool nsp_drainer_each(nsp_drainer *drainer, size_t *at, nsp_drained *out)
{
    NSP__OFF3(drainer, at, out);
    return false;
}
NSP__OFF nsp_status nsp_drainer_remove(nsp_drainer *drainer, const char *directory, bool with_files)
{
    NSP__OFF3(drainer, directory, with_files);
    return NSP_ERR_DISABLED;
}
NSP__OFF nsp_status nsp_drainer_close(nsp_drainer *drainer, uint64_t timeout_ns)
{
    NSP__OFF2(drainer, timeout_ns);
    return NSP_OK;
}

NSP__OFF nsp_name nsp_intern(const char *text, size_t length)
{
    NSP__OFF2(text, length);
    return 0;
}
NSP__OFF const char *nsp_name_text(nsp_name name, size_t *length)
{
    NSP__OFF1(name);
    if (length != NULL)
        *length = 0;
    return "";
}

NSP__OFF nsp_ticks nsp_now(void)
{
    return 1;
}
NSP__OFF uint64_t nsp_ticks_to_unix_ns(nsp_ticks ticks)
{
    NSP__OFF1(ticks);
    return 0;
}
NSP__OFF nsp_ticks nsp_ticks_from_unix_ns(uint64_t unix_ns)
{
    NSP__OFF1(unix_ns);
    return 1;
}

NSP__OFF nsp_span *nsp_span_begin(nsp_name name)
{
    NSP__OFF1(name);
    return NULL;
}
NSP__OFF nsp_span *nsp_span_begin_at(nsp_name name, nsp_ticks start)
{
    NSP__OFF2(name, start);
    return NULL;
}
NSP__OFF nsp_span *nsp_span_begin_with(nsp_name name, const nsp_span_options *options)
{
    NSP__OFF2(name, options);
    return NULL;
}
NSP__OFF nsp_span *nsp_span_begin_detached(nsp_name name, const nsp_span_options *options)
{
    NSP__OFF2(name, options);
    return NULL;
}
NSP__OFF void nsp_span_end(nsp_span *span)
{
    NSP__OFF1(span);
}
NSP__OFF void nsp_span_end_at(nsp_span *span, nsp_ticks end)
{
    NSP__OFF2(span, end);
}
NSP__OFF nsp_span *nsp_span_next(nsp_span *span, nsp_name name)
{
    NSP__OFF2(span, name);
    return NULL;
}
NSP__OFF nsp_span *nsp_span_next_at(nsp_span *span, nsp_name name, nsp_ticks at)
{
    NSP__OFF3(span, name, at);
    return NULL;
}
NSP__OFF void nsp_span_enter(nsp_span *span)
{
    NSP__OFF1(span);
}
NSP__OFF void nsp_span_leave(nsp_span *span)
{
    NSP__OFF1(span);
}
NSP__OFF nsp_span *nsp_span_current(void)
{
    return NULL;
}
NSP__OFF nsp_ticks nsp_span_start(const nsp_span *span)
{
    NSP__OFF1(span);
    return 0;
}
NSP__OFF bool nsp_span_recording(const nsp_span *span)
{
    NSP__OFF1(span);
    return false;
}

NSP__OFF void nsp_span_set_name(nsp_span *span, nsp_name name)
{
    NSP__OFF2(span, name);
}
NSP__OFF void nsp_span_set_str(nsp_span *s, nsp_name key, const char *value)
{
    NSP__OFF3(s, key, value);
}
NSP__OFF void nsp_span_set_strn(nsp_span *s, nsp_name key, const char *value, size_t n)
{
    NSP__OFF4(s, key, value, n);
}
NSP__OFF void nsp_span_set_i64(nsp_span *s, nsp_name key, int64_t value)
{
    NSP__OFF3(s, key, value);
}
NSP__OFF void nsp_span_set_f64(nsp_span *s, nsp_name key, double value)
{
    NSP__OFF3(s, key, value);
}
NSP__OFF void nsp_span_set_bool(nsp_span *s, nsp_name key, bool value)
{
    NSP__OFF3(s, key, value);
}
NSP__OFF void nsp_span_set_bytes(nsp_span *s, nsp_name key, const void *value, size_t n)
{
    NSP__OFF4(s, key, value, n);
}
NSP__OFF void nsp_span_set_strs(nsp_span *s, nsp_name key, const char *const *values, size_t n)
{
    NSP__OFF4(s, key, values, n);
}
NSP__OFF void nsp_span_set_i64s(nsp_span *s, nsp_name key, const int64_t *values, size_t n)
{
    NSP__OFF4(s, key, values, n);
}
NSP__OFF void nsp_span_set_f64s(nsp_span *s, nsp_name key, const double *values, size_t n)
{
    NSP__OFF4(s, key, values, n);
}
NSP__OFF void nsp_span_set_bools(nsp_span *s, nsp_name key, const bool *values, size_t n)
{
    NSP__OFF4(s, key, values, n);
}

NSP__OFF void nsp_span_add_event(nsp_span *span, nsp_name name)
{
    NSP__OFF2(span, name);
}
NSP__OFF void nsp_span_add_event_at(nsp_span *span, nsp_name name, nsp_ticks at)
{
    NSP__OFF3(span, name, at);
}
NSP__OFF void nsp_span_add_event_with(nsp_span *span, nsp_name name, nsp_ticks at, const nsp_attr *attributes,
                                      size_t count)
{
    NSP__OFF4(span, name, at, attributes);
    NSP__OFF1(count);
}
NSP__OFF void nsp_span_add_link(nsp_span *span, const nsp_context *context)
{
    NSP__OFF2(span, context);
}
NSP__OFF void nsp_span_add_link_with(nsp_span *span, const nsp_context *context, const nsp_attr *attributes,
                                     size_t count)
{
    NSP__OFF4(span, context, attributes, count);
}
NSP__OFF void nsp_span_set_status(nsp_span *span, nsp_span_status status, const char *message)
{
    NSP__OFF3(span, status, message);
}
NSP__OFF void nsp_span_context(const nsp_span *span, nsp_context *out)
{
    NSP__OFF1(span);
    __builtin_memset(out, 0, sizeof *out);
}

#define NSP_SPAN(variable, literal)                                                                          \
    nsp_span *variable __attribute__((unused)) = nsp_span_begin(NSP_NAME(literal))

NSP__OFF bool nsp_context_valid(const nsp_context *context)
{
    NSP__OFF1(context);
    return false;
}
NSP__OFF nsp_status nsp_context_parsen(nsp_context *out, const char *traceparent, size_t traceparent_length,
                                       const char *tracestate, size_t tracestate_length)
{
    NSP__OFF4(traceparent, traceparent_length, tracestate, tracestate_length);
    __builtin_memset(out, 0, sizeof *out);
    return NSP_ERR_DISABLED;
}
NSP__OFF nsp_status nsp_context_parse(nsp_context *out, const char *traceparent, const char *tracestate)
{
    return nsp_context_parsen(out, traceparent, 0, tracestate, 0);
}
NSP__OFF void nsp_context_format(const nsp_context *context, char traceparent[NSP_TRACEPARENT_SIZE])
{
    NSP__OFF1(context);
    traceparent[0] = 0;
}
NSP__OFF size_t nsp_context_format_state(const nsp_context *context, char *tracestate, size_t size)
{
    NSP__OFF1(context);
    if (size != 0)
        tracestate[0] = 0;
    return 0;
}
NSP__OFF void nsp_context_pack(const nsp_context *context, uint8_t out[NSP_CONTEXT_PACKED_SIZE])
{
    NSP__OFF1(context);
    __builtin_memset(out, 0, NSP_CONTEXT_PACKED_SIZE);
}
NSP__OFF size_t nsp_context_packed_size(const nsp_context *context)
{
    NSP__OFF1(context);
    return 0;
}
NSP__OFF nsp_status nsp_context_unpack(nsp_context *out, const uint8_t *bytes, size_t length)
{
    NSP__OFF2(bytes, length);
    __builtin_memset(out, 0, sizeof *out);
    return NSP_ERR_DISABLED;
}

NSP__OFF nsp_status nsp_extract(nsp_incoming *out, const nsp_carrier *carrier)
{
    NSP__OFF1(carrier);
    __builtin_memset(out, 0, sizeof *out);
    return NSP_ERR_DISABLED;
}
NSP__OFF nsp_status nsp_inject(const nsp_context *context, const nsp_baggage *baggage,
                               const nsp_carrier *carrier)
{
    NSP__OFF3(context, baggage, carrier);
    return NSP_ERR_DISABLED;
}
NSP__OFF nsp_status nsp_inject_span(const nsp_span *span, const nsp_carrier *carrier)
{
    NSP__OFF2(span, carrier);
    return NSP_ERR_DISABLED;
}
NSP__OFF const char *nsp_inject_field(size_t index)
{
    NSP__OFF1(index);
    return NULL;
}
NSP__OFF const nsp_incoming *nsp_incoming_enter(const nsp_incoming *incoming)
{
    NSP__OFF1(incoming);
    return NULL;
}
NSP__OFF const nsp_incoming *nsp_incoming_current(void)
{
    return NULL;
}
// Children get this process's environment as it is.
NSP_BEGIN_DECLS
extern char **environ;
NSP_END_DECLS
NSP__OFF nsp_status nsp_environment_copy(nsp_environment *out, char *const *entries)
{
    __builtin_memset(out, 0, sizeof *out);
    out->entries = entries != NULL ? (char **)(uintptr_t)entries : environ;
    return NSP_OK;
}
NSP__OFF void nsp_environment_free(nsp_environment *environment)
{
    __builtin_memset(environment, 0, sizeof *environment);
}
NSP__OFF bool nsp_environment_get(void *fields, const char *name, size_t index, const char **value,
                                  size_t *length)
{
    NSP__OFF4(fields, name, index, value);
    NSP__OFF1(length);
    return false;
}
NSP__OFF bool nsp_environment_set(void *fields, const char *name, const char *value, size_t length)
{
    NSP__OFF4(fields, name, value, length);
    return false;
}
NSP__OFF nsp_status nsp_baggage_parsen(nsp_baggage *out, const char *text, size_t length)
{
    NSP__OFF2(text, length);
    __builtin_memset(out, 0, sizeof *out);
    return NSP_ERR_DISABLED;
}
NSP__OFF nsp_status nsp_baggage_get(const nsp_baggage *baggage, const char *key, char *value, size_t size,
                                    size_t *length)
{
    NSP__OFF2(baggage, key);
    if (size != 0)
        value[0] = 0;
    if (length != NULL)
        *length = 0;
    return NSP_ERR_DISABLED;
}
NSP__OFF nsp_status nsp_baggage_set_with(nsp_baggage *baggage, const char *key, const char *value,
                                         size_t length, const char *properties)
{
    NSP__OFF4(baggage, key, value, length);
    NSP__OFF1(properties);
    return NSP_ERR_DISABLED;
}
NSP__OFF nsp_status nsp_baggage_set(nsp_baggage *baggage, const char *key, const char *value)
{
    NSP__OFF3(baggage, key, value);
    return NSP_ERR_DISABLED;
}
NSP__OFF nsp_status nsp_baggage_remove(nsp_baggage *baggage, const char *key)
{
    NSP__OFF2(baggage, key);
    return NSP_ERR_DISABLED;
}
NSP__OFF bool nsp_baggage_next(const nsp_baggage *baggage, size_t *at, nsp_baggage_member *member)
{
    NSP__OFF3(baggage, at, member);
    return false;
}
NSP__OFF size_t nsp_baggage_decode(const char *value, size_t length, char *out, size_t size)
{
    NSP__OFF2(value, length);
    if (size != 0)
        out[0] = 0;
    return 0;
}

NSP__OFF nsp_status nsp_sampler_set_rate(double rate)
{
    NSP__OFF1(rate);
    return NSP_OK;
}
NSP__OFF nsp_status nsp_outlier_set_rule(const char *pattern, const nsp_outlier_rule *rule)
{
    NSP__OFF2(pattern, rule);
    return NSP_OK;
}

NSP__OFF nsp_status nsp_outlier_remove_rule(const char *pattern)
{
    NSP__OFF1(pattern);
    return NSP_OK;
}

NSP__OFF nsp_status nsp_outlier_set_rules(const char *text)
{
    NSP__OFF1(text);
    return NSP_OK;
}

NSP__OFF nsp_status nsp_outlier_rule_read(const char *text, size_t *at,
                                          char pattern[NSP_SAMPLER_PATTERN_MAX + 1], nsp_outlier_rule *out)
{
    NSP__OFF2(text, at);
    NSP__OFF2(pattern, out);
    return NSP_ERR_NOT_FOUND;
}

NSP__OFF size_t nsp_outlier_rule_text(const nsp_outlier_rule *rule, char *text, size_t size)
{
    NSP__OFF1(rule);
    if (size != 0)
        *text = 0;
    return 0;
}

NSP__OFF bool nsp_trace_keep(void)
{
    return false;
}

NSP__OFF void nsp_outlier_kept(const char *name, uint64_t duration_ns)
{
    (void)name;
    (void)duration_ns;
}

NSP__OFF nsp_status nsp_snapshot(uint64_t before_ns)
{
    NSP__OFF1(before_ns);
    return NSP_OK;
}

NSP__OFF nsp_status nsp_sampler_set_rule(const char *pattern, double rate)
{
    NSP__OFF2(pattern, rate);
    return NSP_OK;
}
NSP__OFF nsp_status nsp_sampler_remove_rule(const char *pattern)
{
    NSP__OFF1(pattern);
    return NSP_OK;
}
NSP__OFF nsp_status nsp_sampler_set_parent_policy(nsp_parent_policy policy)
{
    NSP__OFF1(policy);
    return NSP_OK;
}
NSP__OFF nsp_status nsp_sampler_set_limit(double traces_per_second)
{
    NSP__OFF1(traces_per_second);
    return NSP_OK;
}
NSP__OFF double nsp_sampler_rate(void)
{
    return 0.0;
}

#undef NSP__OFF
#undef NSP__OFF1
#undef NSP__OFF2
#undef NSP__OFF3
#undef NSP__OFF4
#endif
