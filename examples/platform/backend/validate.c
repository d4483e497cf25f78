// SPDX-License-Identifier: Apache-2.0
#include "platform/backend/validate.h"

#include <ctype.h>
#include <jansson.h>
#include <nanospan/nanospan.h>
#include <stdio.h>
#include <string.h>

#include "platform/service/failure.h"

struct findings {
    nsp_span *span;
    char *text; // of the first finding
    size_t size;
    unsigned count;
};

// Each finding is an event of the span; the first one is also the answer.
static void complain(struct findings *findings, const char *field, const char *problem)
{
    nsp_attr attributes[] = {nsp_attr_str(NSP_KEY("field"), field),
                             nsp_attr_str(NSP_KEY("problem"), problem)};
    nsp_span_add_event_with(findings->span, NSP_NAME("invalid_field"), 0, attributes, 2);
    if (findings->count++ == 0)
        snprintf(findings->text, findings->size, "%s: %s", field, problem);
}

// Only letters, digits and hyphens are accepted, because the text goes into URLs and logs without escapes.
static bool plain(const char *text)
{
    for (; *text; text++)
        if (!isalnum((unsigned char)*text) && *text != '-')
            return false;
    return true;
}

static void take_text(struct findings *findings, json_t *body, const char *field, char *out, size_t size)
{
    const char *text = json_string_value(json_object_get(body, field));
    if (text == NULL)
        complain(findings, field, "must be a string");
    else if (!*text || strlen(text) >= size || !plain(text))
        complain(findings, field, "must be a short string of letters, digits and hyphens");
    else
        memcpy(out, text, strlen(text) + 1);
}

static void take_side(struct findings *findings, json_t *body, char *out, size_t size)
{
    json_t *side = json_object_get(body, "side");
    const char *text = json_string_value(side);
    if (side == NULL)
        return;
    if (text == NULL || (strcmp(text, "BUY") != 0 && strcmp(text, "SELL") != 0))
        complain(findings, "side", "must be BUY or SELL, or be left out");
    else
        snprintf(out, size, "%s", text);
}

static void take_number(struct findings *findings, json_t *body, const char *field, double *out)
{
    json_t *number = json_object_get(body, field);
    if (number == NULL)
        return;
    *out = json_number_value(number);
    if (!json_is_number(number) || !(*out > 0) || *out > 1e15)
        complain(findings, field, "must be a number greater than 0, or be left out");
}

bool validate_request(const char *body, size_t length, struct trade_request *out, char *problem, size_t size)
{
    NSP_SPAN(span, "validate_request");
    struct findings findings = {.span = span, .text = problem, .size = size};
    json_error_t error;
    json_t *json = json_loadb(body, length, JSON_REJECT_DUPLICATES, &error);
    *out = (struct trade_request){0};
    if (json == NULL) {
        complain(&findings, "body", error.text);
    } else if (!json_is_object(json)) {
        complain(&findings, "body", "must be a JSON object");
    } else {
        take_text(&findings, json, "user_id", out->user_id, sizeof out->user_id);
        take_text(&findings, json, "symbol", out->symbol, sizeof out->symbol);
        take_side(&findings, json, out->side, sizeof out->side);
        take_number(&findings, json, "amount", &out->amount);
        take_number(&findings, json, "limit_price", &out->limit_price);
    }
    json_decref(json);
    nsp_span_set_i64(span, NSP_KEY("request.bytes"), (int64_t)length);
    if (findings.count)
        span_fail(span, "invalid_request", "%s", problem);
    return findings.count == 0;
}
