// SPDX-License-Identifier: Apache-2.0
#include "outside/recover/settlement.h"

#include <stdlib.h>

static bool reserve(nsp__piece **pieces, size_t *capacity, size_t wanted)
{
    if (wanted <= *capacity)
        return true;
    size_t more = *capacity != 0 ? 2 * *capacity : 64;
    more = more < wanted ? wanted : more;
    nsp__piece *larger = reallocarray(*pieces, more, sizeof *larger);
    if (larger == NULL)
        return false;
    *pieces = larger;
    *capacity = more;
    return true;
}

// ---- requests ----

bool nsp__request_add(nsp__request *request, const nsp__piece *piece)
{
    if (!reserve(&request->pieces, &request->capacity, request->count + 1))
        return false;
    request->pieces[request->count++] = *piece;
    return true;
}

void nsp__request_clear(nsp__request *request)
{
    request->taken = request->count = 0;
    request->ahead = (nsp__outcome){0};
}

void nsp__request_free(nsp__request *request)
{
    free(request->pieces);
    *request = (nsp__request){0};
}

// ---- settlements ----

// There is room for it.
static void add(nsp__settlement *to, const nsp__piece *piece)
{
    if (to->count != 0) {
        nsp__piece *last = &to->pieces[to->count - 1];
        if (last->kind == piece->kind && last->index == piece->index) {
            last->position = piece->position;
            last->spans += piece->spans;
            return;
        }
    }
    to->pieces[to->count++] = *piece;
}

static void move(uint64_t *to, uint64_t *from, uint64_t *left)
{
    const uint64_t moved = *from < *left ? *from : *left;
    *to += moved;
    *from -= moved;
    *left -= moved;
}

bool nsp__settlement_take(nsp__settlement *to, nsp__request *from, const nsp__outcome *outcome)
{
    nsp__outcome all = {
        .exported = outcome->exported + from->ahead.exported,
        .rejected = outcome->rejected + from->ahead.rejected,
        .unconfirmed = outcome->unconfirmed + from->ahead.unconfirmed,
        .discarded = outcome->discarded + from->ahead.discarded,
    };
    uint64_t sent = nsp__outcome_spans(&all);
    if (!reserve(&to->pieces, &to->capacity, to->count + from->count - from->taken))
        return false;
    while (from->taken < from->count) {
        const nsp__piece *piece = &from->pieces[from->taken];
        if (piece->fate == NSP__PIECE_SENT && piece->spans > sent)
            break;
        sent -= piece->fate == NSP__PIECE_SENT ? piece->spans : 0;
        to->invalid += piece->fate == NSP__PIECE_INVALID ? piece->spans : 0;
        to->skipped += piece->fate == NSP__PIECE_SKIPPED ? piece->spans : 0;
        add(to, piece);
        from->taken++;
    }
    from->ahead = (nsp__outcome){0};
    move(&from->ahead.exported, &all.exported, &sent);
    move(&from->ahead.rejected, &all.rejected, &sent);
    move(&from->ahead.unconfirmed, &all.unconfirmed, &sent);
    to->exported += all.exported;
    to->rejected += all.rejected;
    to->unconfirmed += all.unconfirmed;
    return true;
}

bool nsp__settlement_join(nsp__settlement *to, const nsp__settlement *from)
{
    if (!reserve(&to->pieces, &to->capacity, to->count + from->count))
        return false;
    for (size_t i = 0; i < from->count; i++)
        add(to, &from->pieces[i]);
    to->exported += from->exported;
    to->rejected += from->rejected;
    to->unconfirmed += from->unconfirmed;
    to->skipped += from->skipped;
    to->invalid += from->invalid;
    return true;
}

void nsp__settlement_clear(nsp__settlement *settlement)
{
    nsp__piece *pieces = settlement->pieces;
    size_t capacity = settlement->capacity;
    *settlement = (nsp__settlement){.pieces = pieces, .capacity = capacity};
}

void nsp__settlement_free(nsp__settlement *settlement)
{
    free(settlement->pieces);
    *settlement = (nsp__settlement){0};
}
