// SPDX-License-Identifier: Apache-2.0
//
// Input: how a batch is encoded (bit 0: JSON, not protobuf; 1: closed; 2: part of a list, whose table is in
// the bytes), how many spans are wanted, and its bytes. No more spans are found than that; each is a record
// whose items are sound; and what an encoder makes of them, decoded and encoded again, stays as it is.
//
// Parsers: core/outside/session/batch_decode.c exporters/otlp/decode/protobuf.c exporters/otlp/decode/json.c
// Parsers: exporters/otlp/decode/record.c
#include "fuzz.h"

#include "builtin.h"
#include "common/utf8.h"
#include "drain/span_view.h"
#include "otlp/encoding.h"
#include "outside/session/batch_decode.h"

// ---- names ----

// Kept from input to input, because encoders that know them are expensive to make; until there are many.
enum { NAMES_MAX = 6000, NAMES_MANY = 2000 };

static struct {
    char *text;
    size_t length;
} names[NAMES_MAX]; // from the id 2 on
static nsp_name name_count;

static const char full[] = "nanospan.names_full";

static const char *name_text(const void *argument, nsp_name name, size_t *length)
{
    (void)argument;
    bool known = name >= 2 && name - 2 < name_count;
    *length = known ? names[name - 2].length : name == NSP_NAME_OVERFLOW ? sizeof full - 1 : 0;
    return known ? names[name - 2].text : name == NSP_NAME_OVERFLOW ? full : "";
}

static nsp_name intern(void *argument, const char *text, size_t length)
{
    (void)argument;
    MUST(length != 0);
    length = nsp__utf8_cut(text, length, NSP_NAME_LENGTH_MAX);
    for (nsp_name i = 0; i < name_count; i++)
        if (names[i].length == length && memcmp(names[i].text, text, length) == 0)
            return i + 2;
    if (name_count == NAMES_MAX || (length == sizeof full - 1 && memcmp(full, text, length) == 0))
        return NSP_NAME_OVERFLOW;
    names[name_count].text = fuzz_text(text, length);
    names[name_count].length = length;
    return name_count++ + 2;
}

// ---- encoders ----

static const nsp__otlp_encoding *const encodings[] = {&nsp__otlp_protobuf, &nsp__otlp_json};
static void *encoders[2];

static void make_encoders(void)
{
    static nsp_config config = {.size = sizeof config, .batch_bytes = 1 << 20};
    const nsp_exporter_context context = {.config = &config, .name_text = name_text};
    if (encoders[0] != NULL && name_count < NAMES_MANY)
        return;
    while (name_count != 0)
        free(names[--name_count].text);
    for (int i = 0; i < 2; i++) {
        encodings[i]->destroy(encoders[i]);
        MUST(encodings[i]->create(&encoders[i], &context) == NSP_OK);
    }
}

// ---- records, and what encoders make of them ----

enum { RECORD_MAX = 256 * 1024, BATCH_MAX = 4 << 20 };

typedef struct pass {
    int encoding;
    nsp_batch batch; // what the records are encoded into
} pass;

static void must_be_sound(const nsp__record *record)
{
    const uint8_t *end = (const uint8_t *)record + record->bytes;
    MUST(nsp__record_valid(record, RECORD_MAX, RECORD_MAX));
    nsp_item_cursor cursor = {(const uint8_t *)(record + 1), end};
    nsp_item item;
    while (nsp_item_next(&cursor, &item)) {
        MUST(item.payload + item.length <= end);
        MUST(item.type != NSP_TYPE_I64S || item.length % 8 == 0);
    }
    MUST(cursor.at == end);
}

static bool visit(void *argument, const nsp__record *record)
{
    static const nsp__clock no_clock;
    struct nsp__clock_segment identity = {.length = UINT64_MAX, .rate = (uint64_t)1 << NSP__CLOCK_RATE_BITS};
    pass *into = argument;
    nsp_span_view view;
    must_be_sound(record);
    nsp__span_view_make(&view, record, &no_clock, &identity);
    MUST(encodings[into->encoding]->append(encoders[into->encoding], &into->batch, &view));
    into->batch.spans++;
    return true;
}

// Decodes a batch, and encodes what is in it into another one.
static void decode(const nsp_batch *from, bool closed, uint32_t spans, pass *into)
{
    const nsp__batch_decoding decoding = {.encoding = from->encoding,
                                          .closed = closed,
                                          .bytes = from->data,
                                          .size = from->capacity,
                                          .head = from->head,
                                          .length = from->length,
                                          .spans = spans,
                                          .intern = intern,
                                          .visit = visit,
                                          .argument = into};
    encodings[into->encoding]->open(encoders[into->encoding], &into->batch);
    uint64_t taken = nsp__batch_decode(&decoding);
    MUST(taken == into->batch.spans && taken <= spans);
    MUST(taken == 0 || nsp__batch_decodable(&decoding));
}

static void close_batch(pass *of)
{
    encodings[of->encoding]->close(encoders[of->encoding], &of->batch);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static uint8_t data[3][BATCH_MAX];
    if (size < 2)
        return 0;
    bool json = (bytes[0] & 1) != 0, closed = (bytes[0] & 2) != 0, list = (bytes[0] & 4) != 0;
    uint32_t spans = bytes[1];
    nsp_batch input = {.data = (uint8_t *)fuzz_copy(bytes + 2, size - 2), .capacity = size - 2};
    input.length = input.capacity;
    input.encoding = list ? NSP_ENCODING_LIST : json ? NSP_ENCODING_OTLP_JSON : NSP_ENCODING_OTLP_PROTOBUF;
    make_encoders();

    // Texts may be cut, and names become one, after the first pass and the second, but not later.
    pass passes[3];
    for (int i = 0; i < 3; i++)
        passes[i] = (pass){.encoding = !json, .batch = {.data = data[i], .capacity = BATCH_MAX}};
    pass *first = &passes[0], *second = &passes[1], *third = &passes[2];
    decode(&input, closed, spans, first);
    decode(&first->batch, false, spans, second);
    MUST(second->batch.spans == first->batch.spans);
    close_batch(second);
    decode(&second->batch, true, spans, third);
    close_batch(third);
    MUST(third->batch.length == second->batch.length && third->batch.head == second->batch.head);
    MUST(memcmp(third->batch.data + third->batch.head, second->batch.data + second->batch.head,
                third->batch.length - third->batch.head) == 0);
    free(input.data);
    return 0;
}
