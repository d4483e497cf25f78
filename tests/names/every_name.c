// SPDX-License-Identifier: Apache-2.0
//
// Uses every public name, to show that each compiles and links, as C11 and as C++17 (every_name.cpp), with
// the library, and without it under NSP_DISABLE. Other tests cover what the functions do. This one checks
// only their types, and that they do nothing when disabled.
#include <stdio.h>
#include <string.h>

#include <nanospan/nanospan.h>

#ifdef NSP_DISABLE
enum { DISABLED = 1 };
#else
enum { DISABLED = 0 };
#endif

static int failures;

static void check(bool fine, const char *what, int line)
{
    if (!fine) {
        fprintf(stderr, "%s:%d: %s\n", __FILE__, line, what);
        failures++;
    }
}

#define CHECK(condition) check((condition), #condition, __LINE__)

static void keep_quiet(void *context, nsp_log_level level, const char *line)
{
    (void)context;
    (void)level;
    (void)line;
}

static nsp_status start(void)
{
    nsp_config config;
    nsp_config_init(&config);
    CHECK(config.size == sizeof config);
    config.exporter = "none";
    config.shm_dir = "none";
    config.collector = NSP_COLLECTOR_INVOKER;
    config.clock = NSP_CLOCK_AUTO;
    config.parent_policy = NSP_PARENT_FOLLOW;
    config.sample_rate = 1.0;
    config.log_level = NSP_LOG_ERROR;
    config.log = keep_quiet;
    return nsp_init(&config);
}

static int evaluated;

static nsp_span *counted(nsp_span *span)
{
    evaluated++;
    return span;
}

static void set_all(nsp_span *span)
{
    static const char *const texts[] = {"a", "b"};
    static const int64_t integers[] = {1, 2};
    static const double reals[] = {1.0, 2.0};
    static const bool truths[] = {true, false};
    nsp_span_set_str(span, NSP_KEY("str"), "text");
    nsp_span_set_strn(span, NSP_KEY("strn"), "text", 2);
    nsp_span_set_i64(span, NSP_KEY("i64"), -1);
    nsp_span_set_f64(span, NSP_KEY("f64"), 0.5);
    nsp_span_set_bool(span, NSP_KEY("bool"), true);
    nsp_span_set_bytes(span, NSP_KEY("bytes"), "\1\2", 2);
    nsp_span_set_strs(span, NSP_KEY("strs"), texts, 2);
    nsp_span_set_i64s(span, NSP_KEY("i64s"), integers, 2);
    nsp_span_set_f64s(span, NSP_KEY("f64s"), reals, 2);
    nsp_span_set_bools(span, NSP_KEY("bools"), truths, 2);

    const nsp_attr attributes[] = {
        nsp_attr_str(NSP_KEY("str"), "text"),        nsp_attr_strn(NSP_KEY("strn"), "text", 2),
        nsp_attr_bool(NSP_KEY("bool"), true),        nsp_attr_i64(NSP_KEY("i64"), 1),
        nsp_attr_f64(NSP_KEY("f64"), 1.0),           nsp_attr_bytes(NSP_KEY("bytes"), "\1", 1),
        nsp_attr_strs(NSP_KEY("strs"), texts, 2),    nsp_attr_bools(NSP_KEY("bools"), truths, 2),
        nsp_attr_i64s(NSP_KEY("i64s"), integers, 2), nsp_attr_f64s(NSP_KEY("f64s"), reals, 2),
    };
    const nsp_type types[] = {NSP_TYPE_STR,   NSP_TYPE_STR,  NSP_TYPE_BOOL,  NSP_TYPE_I64,  NSP_TYPE_F64,
                              NSP_TYPE_BYTES, NSP_TYPE_STRS, NSP_TYPE_BOOLS, NSP_TYPE_I64S, NSP_TYPE_F64S};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        CHECK(attributes[i].type == types[i]);
    nsp_context context;
    nsp_span_context(span, &context);
    nsp_span_add_event(span, NSP_NAME("event"));
    nsp_span_add_event_at(span, NSP_NAME("event"), nsp_now());
    nsp_span_add_event_with(span, NSP_NAME("event"), 0, attributes, 10);
    nsp_span_add_link(span, &context);
    nsp_span_add_link_with(span, &context, attributes, 2);
    nsp_span_set_name(span, NSP_NAME("another"));
    nsp_span_set_status(span, NSP_SPAN_STATUS_UNSET, NULL);
    nsp_span_set_status(span, NSP_SPAN_STATUS_ERROR, "message");
    nsp_span_set_status(span, NSP_SPAN_STATUS_OK, NULL);
}

static void use_spans(void)
{
    nsp_span *root = nsp_span_begin(NSP_NAME("root"));
    CHECK(nsp_span_recording(root) == !DISABLED);
    CHECK((nsp_span_start(root) != 0) == !DISABLED);
    CHECK((root == NULL) == DISABLED);
    CHECK(nsp_span_current() == root);
    set_all(root);
    nsp_span *child = nsp_span_begin_at(NSP_NAME("child"), nsp_now());
    child = nsp_span_next(child, NSP_NAME("child 2"));
    child = nsp_span_next_at(child, NSP_NAME("child 3"), nsp_now());
    nsp_span_end_at(child, nsp_now());

    nsp_context context;
    nsp_span_context(root, &context);
    CHECK(nsp_context_valid(&context) == !DISABLED);
    nsp_link link;
    memset(&link, 0, sizeof link);
    link.context = context;
    nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
    CHECK(options.size == sizeof options && options.kind == NSP_KIND_INTERNAL);
    static const nsp_kind kinds[] = {NSP_KIND_SERVER, NSP_KIND_CLIENT, NSP_KIND_PRODUCER, NSP_KIND_CONSUMER};
    options.kind = kinds[1];
    options.parent = &context;
    options.links = &link;
    options.link_count = 1;
    options.start = nsp_now();
    nsp_span_end(nsp_span_begin_with(NSP_NAME("with"), &options));
    nsp_span *detached = nsp_span_begin_detached(NSP_NAME("detached"), NULL);
    nsp_span_enter(detached);
    CHECK(nsp_span_current() == detached);
    nsp_span_leave(detached);
    nsp_span_end(detached);
    {
        NSP_SPAN(scope, "scope");
        CHECK(nsp_span_recording(scope) == !DISABLED);
    }
    CHECK(nsp_span_current() == root);
    // Arguments are evaluated, whether or not anything is done with them.
    nsp_span_set_i64(counted(root), NSP_KEY("k"), 1);
    nsp_span_end(counted(root));
    CHECK(evaluated == 2);
    nsp_span_begin(NSP_NAME("left open"));
    nsp_thread_reset();
    nsp_thread_warm();
    CHECK(nsp_span_current() == NULL);
}

#define ORDER_PATH(PHASE, I64, F64, STR, BOOL)                                                               \
    STR(symbol, 16, "symbol")                                                                                \
    I64(quantity, "quantity")                                                                                \
    PHASE(decode, "decode", NSP_PATH_AT_START)                                                               \
    PHASE(match, "match") F64(price, "price", 0) BOOL(filled, "filled")
NSP_PATH_DECLARE(order_path, "order", ORDER_PATH)

static order_path *evaluated_path(order_path *path)
{
    evaluated++;
    return path;
}

static void use_paths(void)
{
    nsp_path_options options = NSP_PATH_OPTIONS_INIT;
    CHECK(options.size == sizeof options && options.kind == NSP_KIND_INTERNAL && !options.detached);
    CHECK(options.status == NSP_SPAN_STATUS_UNSET && options.status_message == NULL);
    order_path *path = order_path_begin();
    CHECK(path != NULL);
    evaluated = 0;
    NSP_PATH_STR(evaluated_path(path), symbol, "AAPL", 4);
    NSP_PATH_MARK(evaluated_path(path), match);
    NSP_PATH_MARK_AT(evaluated_path(path), match, nsp_now()); // misuse, which is counted
    CHECK((nsp_path_span(evaluated_path(path)) == NULL) == DISABLED);
    CHECK((nsp_path_start(evaluated_path(path)) == 0) == DISABLED);
    CHECK(evaluated == 5);
    path->quantity = 100;
    path->price = 2.5;
    path->filled = true;
    order_path_end(path);
    path = order_path_begin_at(nsp_now());
    CHECK(path != NULL);
    order_path_end_at(path, nsp_now());
    options.detached = true;
    path = order_path_begin_with(&options);
    CHECK(path != NULL);
    order_path_end(path);
    order_path_end(order_path_begin_with(NULL));
    CHECK(NSP_PATH_BYTES_MAX == 1024 && NSP_PATH_PHASES_MAX == 64 && NSP_PATH_FIELDS_MAX == 64);
    CHECK(NSP_PATH_TEXT_MAX == 1000 && NSP_PATHS_MAX == 64 && NSP_PATH_AT_START == 1);
}

static void use_contexts(void)
{
    nsp_context context, copy;
    char traceparent[NSP_TRACEPARENT_SIZE], tracestate[NSP_TRACESTATE_MAX + 1];
    uint8_t packed[NSP_CONTEXT_PACKED_SIZE];
    const char *text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    nsp_status expected = DISABLED ? NSP_ERR_DISABLED : NSP_OK;
    CHECK(nsp_context_parse(&context, text, "vendor=x") == expected);
    CHECK(nsp_context_parsen(&context, text, strlen(text), "vendor=x", 8) == expected);
    CHECK(nsp_context_valid(&context) == !DISABLED);
    CHECK(((context.flags & NSP_TRACE_FLAG_SAMPLED) != 0) == !DISABLED);
    CHECK((context.flags & NSP_TRACE_FLAG_RANDOM) == 0);
    CHECK((context.threshold == NSP_CONTEXT_UNKNOWN) == !DISABLED);
    CHECK(sizeof context.trace_id == NSP_TRACE_ID_SIZE && sizeof context.span_id == NSP_SPAN_ID_SIZE);
    nsp_context_format(&context, traceparent);
    CHECK(strcmp(traceparent, DISABLED ? "" : text) == 0);
    CHECK(nsp_context_format_state(&context, tracestate, sizeof tracestate) == (DISABLED ? 0 : 8));
    nsp_context_pack(&context, packed);
    CHECK(nsp_context_packed_size(&context) == (DISABLED ? 0 : NSP_CONTEXT_PACKED_MIN + 2 + 8));
    CHECK(nsp_context_unpack(&copy, packed, sizeof packed) == expected);
    CHECK(nsp_context_valid(&copy) == !DISABLED);
}

// The only field that the carrier below can hold.
static char field[NSP_BAGGAGE_MAX + 1];

static bool carrier_get(void *fields, const char *name, size_t index, const char **value, size_t *length)
{
    *value = (const char *)fields;
    *length = strlen(field);
    return strcmp(name, "baggage") == 0 && index == 0;
}

static bool carrier_set(void *fields, const char *name, const char *value, size_t length)
{
    if (strcmp(name, "baggage") == 0 && length <= NSP_BAGGAGE_MAX)
        memcpy(fields, value, length + 1);
    return true;
}

static void use_propagation(void)
{
    static nsp_incoming incoming;
    nsp_baggage_member member;
    size_t at = 0, length = 1;
    char value[16];
    nsp_status expected = DISABLED ? NSP_ERR_DISABLED : NSP_OK;
    CHECK(nsp_baggage_parsen(&incoming.baggage, "a=b", 3) == expected);
    CHECK(nsp_baggage_set(&incoming.baggage, "key", "1 2") == expected);
    CHECK(nsp_baggage_set_with(&incoming.baggage, "gone", "x", 1, "property") == expected);
    CHECK(nsp_baggage_remove(&incoming.baggage, "gone") == expected);
    CHECK(nsp_baggage_get(&incoming.baggage, "key", value, sizeof value, &length) == expected);
    CHECK(strcmp(value, DISABLED ? "" : "1 2") == 0 && length == (DISABLED ? 0 : 3));
    CHECK(nsp_baggage_next(&incoming.baggage, &at, &member) == !DISABLED);
    CHECK(nsp_baggage_decode("%41", 3, value, sizeof value) == (DISABLED ? 0 : 1));
    const nsp_carrier carrier = {field, carrier_get, carrier_set};
    CHECK(nsp_inject(&incoming.context, &incoming.baggage, &carrier) == expected);
    CHECK((nsp_inject_field(0) != NULL) == !DISABLED);
    CHECK(strcmp(field, DISABLED ? "" : "a=b,key=1%202") == 0);
    CHECK(nsp_extract(&incoming, &carrier) == (DISABLED ? NSP_ERR_DISABLED : NSP_ERR_NOT_FOUND));
    CHECK(incoming.baggage.length == strlen(field));
    CHECK(nsp_incoming_enter(&incoming) == NULL);
    CHECK((nsp_incoming_current() == &incoming) == !DISABLED);
    CHECK(nsp_inject_span(NULL, &carrier) == expected);
    CHECK((nsp_incoming_enter(NULL) == &incoming) == !DISABLED);
    nsp_environment environment;
    const char *text = "";
    CHECK(nsp_environment_copy(&environment, NULL) == NSP_OK);
    CHECK(environment.entries != NULL);
    CHECK(nsp_environment_set(&environment, "baggage", "a=b", 3) == !DISABLED);
    CHECK(nsp_environment_get(&environment, "baggage", 0, &text, &length) == !DISABLED);
    CHECK(strcmp(text, DISABLED ? "" : "a=b") == 0);
    nsp_environment_free(&environment);
    const int flags = NSP_TRACE_FLAG_DEFERRED | NSP_TRACE_FLAG_DEBUG | NSP_TRACE_FLAG_DECIDED;
    CHECK((flags & (NSP_TRACE_FLAG_SAMPLED | NSP_TRACE_FLAG_RANDOM)) == 0);
}

static bool see_setting(void *argument, const nsp_setting *setting)
{
    ++*(size_t *)argument;
    return setting->state == NSP_SETTING_UNSET || setting->state == NSP_SETTING_IN_FORCE ||
           setting->state == NSP_SETTING_BEATEN || setting->state == NSP_SETTING_BAD ||
           setting->state == NSP_SETTING_WITHOUT_EFFECT;
}

static bool see_session(void *argument, const nsp_session *session)
{
    ++*(size_t *)argument;
    const nsp_session_rule *rules = session->rules;
    const nsp_session_outlier *outliers = session->outliers;
    const nsp_session_thread *threads = session->threads;
    const nsp_thread_state states[] = {NSP_THREAD_ATTACHED, NSP_THREAD_ENDED, NSP_THREAD_DRAINED};
    return session->stats.size == sizeof(nsp_stats) && rules != NULL &&
           (session->outlier_count == 0 || outliers[0].size == sizeof outliers[0]) &&
           (session->thread_count == 0 || threads[0].state <= states[2]);
}

static void use_inspection(void)
{
    const nsp_setting_visit setting = see_setting;
    const nsp_session_visit session = see_session;
    size_t settings = 0, sessions = 0;
    CHECK(nsp_settings_each(setting, &settings) == NSP_OK);
    CHECK((settings > 50) == !DISABLED);
    CHECK(nsp_sessions_each("/nowhere", session, &sessions) == NSP_OK);
    CHECK(sessions == 0);
}

static void see_history(void *argument, const nsp_history_thread *thread)
{
    (void)argument;
    (void)thread;
}

static bool see_progress(void *argument, const nsp_recovery_account *account)
{
    return argument == NULL || account->left == 0;
}

static void log_nothing(void *context, nsp_log_level level, const char *line)
{
    CHECK(context == NULL && level == NSP_LOG_NONE && line == NULL);
}

static void use_recovery(void)
{
    nsp_log_configure(NSP_LOG_NONE, log_nothing, NULL);
    nsp_log_configure(NSP_LOG_INFO, NULL, NULL);
    char problem[NSP_RECOVERY_PROBLEM_MAX] = "?";
    nsp_recovery *recovery = NULL;
    nsp_status status = nsp_recovery_open(&recovery, "/nowhere/name.1.2", problem, sizeof problem);
    CHECK(status == (DISABLED ? NSP_ERR_DISABLED : NSP_ERR_NOT_FOUND) && recovery == NULL);
    CHECK((problem[0] == 0) == DISABLED);
    nsp_recovery_options options = NSP_RECOVERY_OPTIONS_INIT;
    nsp_recovery_account account = NSP_RECOVERY_ACCOUNT_INIT;
    options.in_doubt = NSP_IN_DOUBT_SKIP;
    options.progress = see_progress;
    CHECK(options.size == sizeof options && account.size == sizeof account);
    CHECK(NSP_IN_DOUBT_SEND == 0);
    if (recovery != NULL) { // never: only that it compiles
        nsp_recovery_account_get(recovery, &account);
        CHECK(!nsp_recovery_set_aside(recovery));
        CHECK(!nsp_recovery_damaged(recovery));
        CHECK(!nsp_recovery_exporter_failed(recovery));
        CHECK(nsp_recovery_export(recovery, &options) == NSP_OK);
        CHECK(nsp_recovery_note_file(recovery, "/nowhere/file", 0) == NSP_OK);
        CHECK(nsp_recovery_settle(recovery) == NSP_OK && nsp_recovery_remove(recovery, true) == NSP_OK);
    }
    nsp_recovery_close(recovery);
    nsp_history_account found = NSP_HISTORY_ACCOUNT_INIT;
    status = nsp_history_export("/nowhere/name.1.2", 10000000, &options, &found, see_history, NULL, problem,
                                sizeof problem);
    CHECK(status == (DISABLED ? NSP_ERR_DISABLED : NSP_ERR_NOT_FOUND) && found.size == sizeof found &&
          found.spans == 0 && found.exported == 0);
}

static void use_drainer(void)
{
    nsp_drainer_options options = NSP_DRAINER_OPTIONS_INIT;
    nsp_drained drained = NSP_DRAINED_INIT;
    nsp_drainer *drainer = NULL;
    uint64_t pause_ns = 0;
    size_t at = 0;
    options.in_doubt = NSP_IN_DOUBT_SKIP;
    CHECK(options.size == sizeof options && drained.size == sizeof drained);
    CHECK(nsp_drainer_open(NULL, &options) == (DISABLED ? NSP_ERR_DISABLED : NSP_ERR_INVALID));
    if (drainer != NULL) { // never: only that it compiles
        char problem[NSP_DRAINED_PROBLEM_MAX];
        CHECK(nsp_drainer_add(drainer, "/nowhere/name.1.2", problem, sizeof problem) == NSP_OK);
        CHECK(nsp_drainer_work(drainer, &pause_ns) == 0 && !nsp_drainer_each(drainer, &at, &drained));
        CHECK(drained.state == NSP_DRAINED_LIVING || drained.state == NSP_DRAINED_ENDED ||
              drained.state == NSP_DRAINED_DIED || drained.state == NSP_DRAINED_FAILED);
        CHECK(nsp_drainer_remove(drainer, drained.directory, true) == NSP_OK);
    }
    CHECK(NSP_DRAINED_DIRECTORY_MAX > NSP_DRAINED_SERVICE_MAX);
    CHECK(nsp_drainer_close(drainer, 0) == NSP_OK);
}

static void use_outliers(void)
{
    char pattern[NSP_SAMPLER_PATTERN_MAX + 1] = "", text[NSP_OUTLIER_RULE_TEXT_MAX];
    nsp_outlier_rule rule = NSP_OUTLIER_RULE_INIT;
    size_t at = 0;
    const nsp_status read = nsp_outlier_rule_read("order*: slower=50us", &at, pattern, &rule);
    CHECK(read == (DISABLED ? NSP_ERR_NOT_FOUND : NSP_OK));
    CHECK(rule.size == sizeof rule && rule.slower_ns == (DISABLED ? 0 : 50000));
    rule.slower_ns = NSP_OUTLIER_SLOWER_MAX;
    rule.slowest = NSP_OUTLIER_SLOWEST_MIN;
    rule.errors = rule.asked = rule.measure = true;
    rule.limit = NSP_OUTLIER_LIMIT_MIN;
    CHECK((nsp_outlier_rule_text(&rule, text, sizeof text) > 20) == !DISABLED);
    CHECK(nsp_outlier_set_rule("rule.*", &rule) == NSP_OK);
    CHECK(nsp_outlier_remove_rule("rule.*") == NSP_OK);
    CHECK(nsp_outlier_set_rules("*: slowest=0.1%, limit=20/s") == NSP_OK &&
          nsp_outlier_set_rules(NULL) == NSP_OK);
    CHECK(NSP_OUTLIER_RULES_MAX == 63 && NSP_OUTLIER_LIMIT_MAX > 1);
    CHECK(!nsp_trace_keep());     // no span is current
    nsp_outlier_kept("order", 1); // does nothing
    CHECK(!nsp_trace_keep());     // no span is current
    CHECK(nsp_snapshot(10000000) == NSP_OK);
}

static void use_tune(void)
{
    nsp_tune *tune = NULL;
    const nsp_outlier_rule rule = NSP_OUTLIER_RULE_INIT;
    char problem[64];
    nsp_status expected = DISABLED ? NSP_ERR_DISABLED : NSP_ERR_INVALID;
    CHECK(nsp_tune_open(NULL, "/nowhere/name.1.2", problem, sizeof problem) == expected);
    const nsp_tune_change changes[] = {
        {NSP_TUNE_RATE, NSP_PARENT_FOLLOW, NULL, 0.5, NULL},
        {NSP_TUNE_RULE, NSP_PARENT_FOLLOW, "pattern", 0.5, NULL},
        {NSP_TUNE_REMOVE_RULE, NSP_PARENT_FOLLOW, "pattern", 0, NULL},
        {NSP_TUNE_PARENT_POLICY, NSP_PARENT_DECIDE, NULL, 0, NULL},
        {NSP_TUNE_LIMIT, NSP_PARENT_FOLLOW, NULL, 500, NULL},
        {NSP_TUNE_OUTLIER_RULE, NSP_PARENT_FOLLOW, "pattern", 0, &rule},
        {NSP_TUNE_REMOVE_OUTLIER_RULE, NSP_PARENT_FOLLOW, "pattern", 0, NULL},
    };
    const size_t count = sizeof changes / sizeof changes[0];
    size_t failed = 0;
    CHECK(nsp_tune_apply(tune, changes, count, &failed) == expected && failed == count);
    CHECK(!nsp_tune_matches(tune, "pattern"));
    nsp_tune_close(tune);
}

static void use_the_rest(void)
{
    size_t length = 1;
    nsp_name name = nsp_intern("name", 4);
    CHECK((name != 0) == !DISABLED);
    CHECK(strcmp(nsp_name_text(name, &length), DISABLED ? "" : "name") == 0);
    CHECK(length == (DISABLED ? 0 : 4));
    CHECK(NSP_NAME_OVERFLOW < NSP_NAME_MAX && NSP_NAME_LENGTH_MAX < NSP_NAME_TEXT_MAX);
    CHECK(nsp_now() != 0); // 0 would mean "now" if it were passed on
    CHECK(nsp_ticks_from_unix_ns(nsp_ticks_to_unix_ns(nsp_now())) != 0);

    CHECK(nsp_sampler_set_rate(0.5) == NSP_OK);
    CHECK(nsp_sampler_rate() == (DISABLED ? 0.0 : 0.5));
    CHECK(nsp_sampler_set_rule("rule.*", 0.25) == NSP_OK);
    CHECK(nsp_sampler_remove_rule("rule.*") == NSP_OK);
    CHECK(nsp_sampler_set_parent_policy(NSP_PARENT_DECIDE) == NSP_OK);
    CHECK(nsp_sampler_set_limit(NSP_SAMPLER_LIMIT_MIN) == NSP_OK);
    CHECK(nsp_sampler_set_limit(NSP_SAMPLER_LIMIT_MAX) == NSP_OK && nsp_sampler_set_limit(0) == NSP_OK);
    CHECK(NSP_SAMPLER_RULES_MAX == 63 && NSP_SAMPLER_PATTERN_MAX == 95);

    use_outliers();

    nsp_stats stats = NSP_STATS_INIT;
    CHECK(nsp_stats_get(&stats) == NSP_OK);
    CHECK(stats.size == sizeof stats);
    CHECK((stats.attempted != 0) == !DISABLED);
    nsp_latency latency = NSP_LATENCY_INIT;
    CHECK(nsp_latency_get("never measured", &latency) == (DISABLED ? NSP_OK : NSP_ERR_NOT_FOUND));
    CHECK(latency.size == sizeof latency && latency.count == 0 && latency.counts[NSP_LATENCY_STEPS - 1] == 0);
    latency.tick_ns = 1;
    latency.counts[7] = 1;
    CHECK(nsp_latency_quantile_ns(&latency, 0.5) == (DISABLED ? 0 : 7));
    CHECK(nsp_latency_step_ns(&latency, 8) == (DISABLED ? 0 : 8));
    CHECK(nsp_status_str(NSP_ERR_INVALID) != NULL && nsp_error_detail() != NULL);
#define USE_STATUS(name, code, text) CHECK((int)NSP_##name == (code) && (text)[0] != 0);
    NSP_STATUS_LIST(USE_STATUS)
    CHECK(NSP_VERSION_MAJOR >= 0 && NSP_VERSION_MINOR >= 0 && NSP_VERSION_PATCH >= 0 && NSP_ABI_VERSION > 0);
    CHECK(strlen(NSP_VERSION) >= 5);
}

int main(void)
{
    CHECK(start() == NSP_OK);
    nsp_thread_options options = NSP_THREAD_OPTIONS_INIT;
    options.name = "main";
    CHECK(nsp_thread_attach(&options) == NSP_OK);
    use_spans();
    use_paths();
    use_contexts();
    use_propagation();
    use_inspection();
    use_recovery();
    use_drainer();
    use_tune();
    use_the_rest();
    CHECK(nsp_do_work(1000) <= 1000);
    CHECK(nsp_flush(10000000000u) == NSP_OK);
    CHECK(nsp_shutdown(10000000000u) == NSP_OK);
    return failures == 0 ? 0 : 1;
}
