// SPDX-License-Identifier: Apache-2.0
#include "page.h"

#include "common/base64.h"
#include "common/hex.h"
#include "common/utf8.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

// What the build embeds, with names in it, such as @TITLE@, where pages differ.
extern const char page_template[] __attribute__((visibility("hidden")));
extern const char page_template_end[] __attribute__((visibility("hidden")));

// Bytes that become digits at once: a multiple of 3, so that only the last ones get padding.
enum { CHUNK = 3 << 14 };

// The parts of one page.
typedef struct page {
    output_file *file; // or, without one,
    text *out;
    slice nonce, policy, title, pack, live;
} page;

bool page_nonce(char nonce[PAGE_NONCE_SIZE])
{
    uint8_t bytes[(PAGE_NONCE_SIZE - 1) / 2];
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes) {
        complain("there are no random numbers: %s", strerror(errno));
        return false;
    }
    nsp__hex_encode(nonce, bytes, sizeof bytes);
    nonce[PAGE_NONCE_SIZE - 1] = '\0';
    return true;
}

void page_policy(text *out, const char *nonce, bool live)
{
    text_format(
        out,
        "default-src 'none'; script-src 'nonce-%s'; style-src 'nonce-%s'; connect-src %s; img-src data:; "
        "base-uri 'none'; form-action 'none'",
        nonce, nonce, live ? "'self'" : "data:");
}

static void put(const page *p, slice piece)
{
    if (p->file != NULL)
        output_file_write(p->file, piece);
    else
        text_slice(p->out, piece);
}

static void put_pack(const page *p)
{
    char digits[NSP__BASE64_DIGITS(CHUNK)];
    for (size_t at = 0; at < p->pack.length;) {
        const size_t left = p->pack.length - at, length = left < CHUNK ? left : CHUNK;
        const size_t count = nsp__base64_encode(digits, (const uint8_t *)p->pack.text + at, length, true);
        put(p, (slice){digits, count});
        at += length;
    }
}

// As the text of an element or of an attribute.
static void put_escaped(const page *p, slice value)
{
    text plain = {0}, escaped = {0};
    const uint8_t *bytes = (const uint8_t *)value.text;
    plain.length = nsp__utf8_repaired_size(bytes, value.length);
    if (plain.length != 0) {
        plain.data = need_memory(plain.length);
        nsp__utf8_repair((uint8_t *)plain.data, bytes, value.length);
    }
    for (size_t i = 0; i < plain.length; i++)
        switch (plain.data[i]) {
        case '&': text_put(&escaped, "&amp;"); break;
        case '<': text_put(&escaped, "&lt;"); break;
        case '>': text_put(&escaped, "&gt;"); break;
        case '"': text_put(&escaped, "&quot;"); break;
        default: text_char(&escaped, plain.data[i]); break;
        }
    put(p, (slice){escaped.data, escaped.length});
    text_free(&plain);
    text_free(&escaped);
}

static bool put_place(const page *p, slice name)
{
    if (nsp__slice_is(name, "NONCE"))
        put(p, p->nonce);
    else if (nsp__slice_is(name, "CSP"))
        put(p, p->policy);
    else if (nsp__slice_is(name, "TITLE"))
        put_escaped(p, p->title);
    else if (nsp__slice_is(name, "PACK"))
        put_pack(p);
    else if (nsp__slice_is(name, "LIVE"))
        put(p, p->live);
    else
        return false;
    return true;
}

// Copies the template. What is put into it is not looked at again.
static void fill(const page *p)
{
    const char *at = page_template, *end = page_template_end;
    while (at < end) {
        const char *mark = memchr(at, '@', (size_t)(end - at));
        mark = mark != NULL ? mark : end;
        put(p, (slice){at, (size_t)(mark - at)});
        if (mark == end)
            break;
        const char *close = mark + 1;
        while (close < end && *close >= 'A' && *close <= 'Z')
            close++;
        const bool known =
            close < end && *close == '@' && put_place(p, (slice){mark + 1, (size_t)(close - mark - 1)});
        if (!known)
            put(p, (slice){mark, 1});
        at = known ? close + 1 : mark + 1;
    }
}

static void make(page *p, const char *nonce, bool live)
{
    text policy = {0};
    page_policy(&policy, nonce, live);
    p->nonce = nsp__slice_of(nonce);
    p->policy = (slice){policy.data, policy.length};
    p->live = nsp__slice_of(live ? "data-live" : "");
    fill(p);
    text_free(&policy);
}

void page_write(output_file *out, const char *nonce, slice title, slice pack)
{
    page p = {.file = out, .title = title, .pack = pack};
    make(&p, nonce, false);
}

void page_live(text *out, const char *nonce, slice title)
{
    page p = {.out = out, .title = title};
    make(&p, nonce, true);
}
