// SPDX-License-Identifier: Apache-2.0
//
// Which settings are in force, which variable does each come from, and is tracing on?
#include "common/pairs.h"
#include "common/percent.h"

#include "doctor.h"
#include "support/units.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

extern char **environ;

enum { NAMES_MAX = 256, NAME_SIZE = 64 };

typedef struct known_names {
    const char *names[NAMES_MAX];
    size_t count;
} known_names;

typedef struct settings_scan {
    doctor *d;
    known_names known;
    size_t set;
} settings_scan;

// ---- one variable ----

// Hides the parts of a secret that a server might repeat: each value of k=v,k=v, as written and decoded.
static void hide_values(doctor *d, const char *headers)
{
    nsp__pairs list = nsp__pairs_of(headers);
    nsp__key_value pair;
    while (nsp__pairs_next(&list, &pair)) {
        doctor_hide(d, pair.value.text, pair.value.length);
        char *decoded = malloc(pair.value.length + 1);
        if (decoded == NULL)
            continue;
        doctor_hide(d, decoded, nsp__percent_decode(decoded, pair.value.text, pair.value.length));
        // of "Bearer TOKEN" or "Basic TOKEN" a server may repeat the token alone
        const char *space = strrchr(decoded, ' ');
        if (space != NULL)
            doctor_hide(d, space + 1, strlen(space + 1));
        free(decoded);
    }
}

// Is this the environment of an engine which leaves it to an agent to send its spans?
static bool agent_sends(const doctor *d)
{
    return d->pid != 0 && d->external;
}

// Members of nsp_config that only exporters use.
static bool of_exporters(const char *member)
{
    static const char *const MEMBERS[] = {
        "exporter",    "endpoint",   "protocol",           "insecure",          "headers", "compression",
        "certificate", "client_key", "client_certificate", "export_timeout_ns", "file"};
    for (size_t i = 0; i < sizeof MEMBERS / sizeof MEMBERS[0]; i++)
        if (strcmp(MEMBERS[i], member) == 0)
            return true;
    return false;
}

static const char *shown(const char *value)
{
    return *value ? value : "(empty)";
}

static void tell_beaten(doctor *d, const nsp_setting *setting)
{
    const char *mine = getenv(setting->variable), *stronger = getenv(setting->beaten_by);
    if (mine != NULL && stronger != NULL && strcasecmp(mine, stronger) == 0)
        return; // both have the same value
    doctor_say(d, DOCTOR_WARN, "configuration.beaten",
               "%s=%s is not used: %s is also set and takes precedence: %s", setting->variable, setting->text,
               setting->beaten_by, shown(setting->value));
    doctor_advise(d, "unset %s, or unset %s if that is the one you do not want", setting->variable,
                  setting->beaten_by);
}

// What a thread gets, where that is more than what was asked for.
static void tell_rounded(doctor *d, const char *member)
{
    const size_t asked = strcmp(member, "ring_bytes") == 0      ? d->config.ring_bytes
                         : strcmp(member, "outlier_bytes") == 0 ? d->config.outlier_bytes
                                                                : 0;
    size_t in_force = 1;
    char bytes[UNITS_SIZE];
    while (in_force < asked)
        in_force *= 2;
    units_bytes(bytes, (double)in_force);
    if (in_force > asked && asked != 0)
        doctor_advise(d, "each thread has %s, the next power of two", bytes);
}

static bool visit(void *argument, const nsp_setting *setting)
{
    settings_scan *scan = argument;
    doctor *d = scan->d;
    if (scan->known.count < NAMES_MAX)
        scan->known.names[scan->known.count++] = setting->variable;
    const char *given = getenv(setting->variable);
    if (setting->secret && given != NULL && strcmp(setting->member, "headers") == 0)
        hide_values(d, given);
    if (setting->text != NULL && agent_sends(d) && of_exporters(setting->member)) {
        doctor_say(
            d, DOCTOR_NOTE, "configuration.without_effect",
            "%s=%s has no effect in this engine, which is drained from outside: it counts in the agent's "
            "environment",
            setting->variable, setting->text);
        return true;
    }
    switch (setting->state) {
    case NSP_SETTING_UNSET: break;
    case NSP_SETTING_IN_FORCE:
        doctor_say(d, DOCTOR_OK, "configuration.set", "%s = %s, from %s", setting->member,
                   shown(setting->value), setting->variable);
        tell_rounded(d, setting->member);
        if (setting->problem != NULL) {
            doctor_say(d, DOCTOR_WARN, "configuration.left_out", "%s: %s", setting->variable,
                       setting->problem);
            doctor_advise(d, "correct the entries that are left out; the others are used");
        }
        scan->set++;
        break;
    case NSP_SETTING_BEATEN: tell_beaten(d, setting); break;
    case NSP_SETTING_BAD:
        doctor_say(d, DOCTOR_WARN, "configuration.bad", "%s=%s %s", setting->variable, setting->text,
                   setting->problem);
        doctor_advise(d, "correct or unset it (%s)", setting->meaning);
        break;
    case NSP_SETTING_WITHOUT_EFFECT:
        doctor_say(d, DOCTOR_NOTE, "configuration.without_effect", "%s=%s %s", setting->variable,
                   setting->text, setting->problem);
        break;
    }
    return true;
}

// ---- unknown variables ----

// How many letters must be changed, added or removed to turn one word into the other.
static size_t distance(const char *a, const char *b)
{
    size_t rows = strlen(a), columns = strlen(b), row[NAME_SIZE + 1];
    if (rows >= NAME_SIZE || columns >= NAME_SIZE)
        return NAME_SIZE;
    for (size_t j = 0; j <= columns; j++)
        row[j] = j;
    for (size_t i = 1; i <= rows; i++) {
        size_t corner = row[0];
        row[0] = i;
        for (size_t j = 1; j <= columns; j++) {
            size_t least = corner + (a[i - 1] != b[j - 1]);
            corner = row[j];
            least = row[j] + 1 < least ? row[j] + 1 : least;
            row[j] = row[j - 1] + 1 < least ? row[j - 1] + 1 : least;
        }
    }
    return row[columns];
}

static const char *nearest(const known_names *known, const char *name)
{
    const char *best = NULL;
    size_t least = 3;
    for (size_t i = 0; i < known->count; i++) {
        size_t away = distance(name, known->names[i]);
        if (away == 0)
            return NULL;
        if (away < least) {
            least = away;
            best = known->names[i];
        }
    }
    return best;
}

static void look_for_misspelled(doctor *d, const known_names *known)
{
    for (char **entry = environ; entry != NULL && *entry != NULL; entry++) {
        size_t length = strcspn(*entry, "=");
        char name[NAME_SIZE];
        if (length < 8 || length >= sizeof name)
            continue;
        memcpy(name, *entry, length);
        name[length] = '\0';
        const char *meant = nearest(known, name);
        if (meant == NULL)
            continue;
        doctor_say(d, DOCTOR_WARN, "configuration.misspelled", "%s is set, but nanospan does not know it",
                   name);
        doctor_advise(d, "did you mean %s?", meant);
    }
}

// ---- as a whole ----

static void check_file(doctor *d, const char *what, const char *path)
{
    if (path == NULL || !*path || access(path, R_OK) == 0)
        return;
    doctor_say(d, DOCTOR_FAIL, "configuration.file", "the %s %s cannot be read: %s", what, path,
               strerror(errno));
    doctor_advise(d, "it must exist, and the user that runs the engine must be able to read it");
}

// Is the name in the list?
static bool listed(const char *list, const char *name)
{
    for (size_t length = 0; *list; list += length + (list[length] == ',')) {
        length = strcspn(list, ",");
        if (length == strlen(name) && strncmp(list, name, length) == 0)
            return true;
    }
    return false;
}

static const char *exporter_of(const nsp_config *config)
{
    if (config->exporter != NULL && *config->exporter)
        return config->exporter;
    return config->endpoint != NULL && *config->endpoint ? "otlp" : "none";
}

static const char *variable_that_disables(void)
{
    const char *otel = getenv("OTEL_SDK_DISABLED");
    nsp__slice said = nsp__slice_strip(nsp__slice_of(otel != NULL ? otel : ""));
    return said.length == strlen("true") && strncasecmp(said.text, "true", said.length) == 0
               ? "OTEL_SDK_DISABLED=true"
               : "ENABLE_TRACING";
}

typedef struct process_role {
    uint64_t pid;
    bool engine, external; // it has a session, which is drained from outside
    bool agent;            // it drains a session
} process_role;

static bool look_for_role(void *argument, const nsp_session *session)
{
    process_role *role = argument;
    if (session->alive && session->pid == role->pid) {
        role->engine = true;
        role->external = session->external;
    }
    role->agent = role->agent || (session->drained && session->drainer_pid == role->pid);
    return true;
}

// A process that runs says so better than its environment: with libnanospan-core alone an engine is external without
// any variable, and an agent is no engine.
static bool is_external(const doctor *d)
{
    process_role role = {.pid = d->pid};
    if (d->pid != 0 && d->config.shm_dir != NULL)
        nsp_sessions_each(d->config.shm_dir, look_for_role, &role);
    return role.engine ? role.external : !role.agent && d->config.collector == NSP_COLLECTOR_EXTERNAL;
}

// An engine that is drained from outside. False if there is nothing to say that would not be true of any engine.
static bool tell_external(doctor *d)
{
    const nsp_config *config = &d->config;
    if (!d->external)
        return false;
    if (config->shm_dir == NULL || strcmp(config->shm_dir, "none") == 0) {
        doctor_say(d, DOCTOR_WARN, "tracing",
                   "NSP_COLLECTOR is external, which needs shared memory, and NSP_SHM_DIR is none: nsp_init "
                   "fails, and nothing is recorded");
        doctor_advise(d, "name a folder in NSP_SHM_DIR, such as /dev/shm, or set NSP_COLLECTOR=thread");
        return true;
    }
    if (agent_sends(d) && config->sample_rate > 0) {
        doctor_say(
            d, DOCTOR_OK, "tracing",
            "tracing is on: %.6g%% of traces are recorded, and an agent sends them, because this engine is "
            "drained from outside",
            config->sample_rate * 100);
        doctor_advise(d, "where to is said in the agent's environment: run `nanospan doctor --pid` with its "
                         "process id");
        return true;
    }
    if (!d->tracing && config->sample_rate > 0) {
        doctor_say(d, DOCTOR_NOTE, "tracing",
                   "NSP_COLLECTOR is external: engines record, and an agent sends; this environment does not "
                   "say where to");
        doctor_advise(d, "that is said in the agent's environment: run `nanospan doctor --pid` with its "
                         "process id");
        return true;
    }
    return false;
}

static void tell_whether_on(doctor *d)
{
    const nsp_config *config = &d->config;
    const char *exporter = exporter_of(config);
    if (agent_sends(d))
        exporter = "none";
    d->tracing = config->enabled && strcmp(exporter, "none") != 0;
    d->target.otlp = listed(exporter, "otlp");
    d->to_file = listed(exporter, "file");
    if (!config->enabled) {
        doctor_say(d, DOCTOR_WARN, "tracing", "%s turns tracing off", variable_that_disables());
        doctor_advise(d, "unset it, or set ENABLE_TRACING=true and unset OTEL_SDK_DISABLED");
    } else if (tell_external(d)) {
        return;
    } else if (!d->tracing && !d->external && config->exporter != NULL && *config->exporter) {
        doctor_say(d, DOCTOR_WARN, "tracing", "spans are not exported: OTEL_TRACES_EXPORTER is none");
        doctor_advise(d, "set OTEL_TRACES_EXPORTER=otlp, or unset it and set OTLP_ENDPOINT");
    } else if (!d->tracing && !d->external) {
        doctor_say(d, DOCTOR_WARN, "tracing", "spans are not exported: no endpoint is set, and no exporter");
        doctor_advise(d,
                      "set OTLP_ENDPOINT; for a Jaeger on this machine, to http://localhost:4317 (gRPC) or "
                      "http://localhost:4318 (HTTP)");
        doctor_advise(
            d, "for a container, docker exec CONTAINER env | grep -e OTLP -e OTEL shows its variables");
    } else if (config->sample_rate <= 0) {
        doctor_say(d, DOCTOR_WARN, "tracing",
                   "tracing is on, but this engine starts no traces: the sample rate is 0%s",
                   config->parent_policy == NSP_PARENT_FOLLOW
                       ? "; it records only traces that a caller has sampled"
                       : "");
        doctor_advise(
            d, "set TRACE_SAMPLE_RATE above 0 (0.1 records one trace in ten), or set OTEL_TRACES_SAMPLER");
    } else {
        doctor_say(d, DOCTOR_OK, "tracing",
                   d->external
                       ? "tracing is on: %.6g%% of traces are recorded; an agent sends them "
                         "(NSP_COLLECTOR=external), with these settings if it has this environment: its "
                         "exporter%s %s"
                       : "tracing is on: %.6g%% of traces are recorded, and the exporter%s %s",
                   config->sample_rate * 100, strchr(exporter, ',') != NULL ? "s are" : " is", exporter);
    }
}

// Does the list give the service a name? An empty one does not count.
static bool names_service(const char *attributes)
{
    static const char key[] = "service.name";
    nsp__pairs list = nsp__pairs_of(attributes);
    nsp__key_value pair;
    while (nsp__pairs_next(&list, &pair))
        if (nsp__slice_is(pair.key, key) && nsp__pair_malformed(&pair) == NULL && pair.value.length)
            return true;
    return false;
}

static void tell_service(doctor *d)
{
    const nsp_config *config = &d->config;
    bool named = config->service_name != NULL && strcmp(config->service_name, "unknown-service") != 0;
    if (named || names_service(config->resource_attributes))
        return;
    doctor_say(d, DOCTOR_NOTE, "configuration.service",
               "the service has no name, so it will appear as unknown-service");
    doctor_advise(d, "set SERVICE_NAME (or OTEL_SERVICE_NAME)");
}

static void tell_library(doctor *d)
{
    const curl_version_info_data *curl = curl_version_info(CURLVERSION_NOW);
    bool http2 = curl->features & CURL_VERSION_HTTP2, tls = curl->features & CURL_VERSION_SSL;
    doctor_say(d, http2 && tls ? DOCTOR_OK : DOCTOR_WARN, "library",
               "nanospan %s, binary interface %d, with libcurl %s%s%s; no OpenTelemetry package is needed",
               NSP_VERSION, NSP_ABI_VERSION, curl->version, http2 ? "" : ", which does not support HTTP/2",
               tls ? "" : ", which does not support TLS");
    if (!http2)
        doctor_advise(d,
                      "gRPC needs HTTP/2: use a libcurl that supports it, or use OTLP over HTTP (port 4318)");
    if (!tls)
        doctor_advise(d, "https endpoints need TLS: use a libcurl that supports it");
}

void doctor_settings(doctor *d)
{
    settings_scan scan = {.d = d};
    nsp_config_init(&d->config);
    d->external = is_external(d);
    tell_library(d);
    nsp_settings_each(visit, &scan);
    if (scan.set == 0)
        doctor_say(d, DOCTOR_NOTE, "configuration.defaults",
                   "every setting has its default value: no nanospan variable is set here");
    look_for_misspelled(d, &scan.known);
    if (!agent_sends(d)) {
        check_file(d, "certificate file", d->config.certificate);
        check_file(d, "client certificate", d->config.client_certificate);
        check_file(d, "client key", d->config.client_key);
    }
    tell_service(d);
    tell_whether_on(d);
}
