// SPDX-License-Identifier: Apache-2.0
#include "support/otlp_sender.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "builtin.h"
#include "common/time.h"

static otlp_sender *logged_by;

__attribute__((format(printf, 3, 4))) static void keep_line(nsp_log_level level, const char *subject,
                                                            const char *format, ...)
{
    (void)level;
    (void)subject;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(logged_by->last_line, sizeof logged_by->last_line, format, arguments);
    va_end(arguments);
    ++logged_by->lines;
}

uint64_t now_ns(void)
{
    return nsp__monotonic_ns();
}

void otlp_sender_prepare(otlp_sender *sender, unsigned port)
{
    static const char *const keys[] = {"service.name"}, *const values[] = {"test"};
    static const nsp_type types[] = {NSP_TYPE_STR};
    memset(sender, 0, sizeof *sender);
    logged_by = sender;
    snprintf(sender->endpoint, sizeof sender->endpoint, "http://127.0.0.1:%u", port);
    sender->config.endpoint = sender->endpoint;
    sender->config.insecure = true;
    sender->config.export_timeout_ns = PATIENCE_MS * MS;
    sender->config.batch_bytes = 1 << 20;
    sender->context = (nsp_exporter_context){.config = &sender->config,
                                             .resource_keys = keys,
                                             .resource_values = values,
                                             .resource_types = types,
                                             .resource_count = 1,
                                             .cancel = &sender->cancel,
                                             .log = keep_line};
    uint64_t random = 1;
    for (size_t i = 0; i < BODY; ++i) {
        random = random * 6364136223846793005ull + 1442695040888963407ull;
        sender->body[i] = (uint8_t)("abcdefgh"[random >> 61]);
    }
}

nsp_status otlp_sender_create(otlp_sender *sender)
{
    return nsp__exporter_otlp.create(&sender->exporter, &sender->context);
}

void otlp_sender_must_create(otlp_sender *sender)
{
    if (otlp_sender_create(sender) != NSP_OK)
        fail_msg("create: %s", sender->last_line);
}

void otlp_sender_destroy(otlp_sender *sender)
{
    nsp__exporter_otlp.destroy(sender->exporter);
}

nsp_send_result otlp_sender_send(otlp_sender *sender, size_t length, unsigned timeout_ms)
{
    nsp_batch batch = {
        .data = sender->body, .capacity = BODY, .head = 16, .length = 16 + length, .spans = 10};
    memset(&sender->report, 0, sizeof sender->report);
    return nsp__exporter_otlp.send(sender->exporter, &batch, now_ns() + timeout_ms * MS, &sender->report);
}

void otlp_sender_expect(const otlp_sender *sender, const char *text)
{
    if (!strstr(sender->report.detail, text))
        fail_msg("\"%s\" does not say \"%s\"", sender->report.detail, text);
}
