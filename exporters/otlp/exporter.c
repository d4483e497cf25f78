// SPDX-License-Identifier: Apache-2.0
//
// The exporter `otlp`: an encoding and a transport, as the protocol asks for them.
#include <stdlib.h>

#include "builtin.h"
#include "otlp/encoding.h"
#include "otlp/transport/parts.h"

enum { DETAIL_BYTES = 320 };

typedef struct otlp {
    const nsp__otlp_encoding *encoding;
    void *encoder;
    nsp__otlp_transport transport;
    nsp__otlp_parts parts;
    int *held_back; // the context's; NULL: none
} otlp;

static void destroy(void *state)
{
    otlp *me = state;
    if (me == NULL)
        return;
    nsp__otlp_parts_forget(&me->parts);
    nsp__otlp_transport_destroy(&me->transport);
    if (me->encoding != NULL)
        me->encoding->destroy(me->encoder);
    free(me);
}

static nsp_status create(void **state, const nsp_exporter_context *context)
{
    char detail[DETAIL_BYTES] = "";
    *state = NULL;
    otlp *me = calloc(1, sizeof *me);
    if (me == NULL)
        return NSP_ERR_NO_MEMORY;
    me->held_back = context->held_back;
    nsp_status status = nsp__otlp_transport_create(&me->transport, context, detail, sizeof detail);
    if (status != NSP_OK) {
        context->log(NSP_LOG_ERROR, "otlp", "%s", detail);
    } else {
        me->encoding = me->transport.channel.encoding;
        status = me->encoding->create(&me->encoder, context);
    }
    if (status == NSP_OK)
        *state = me;
    else
        destroy(me);
    return status;
}

static void open_batch(void *state, nsp_batch *batch)
{
    otlp *me = state;
    me->encoding->open(me->encoder, batch);
}

static bool append(void *state, nsp_batch *batch, const nsp_span_view *view)
{
    otlp *me = state;
    return me->encoding->append(me->encoder, batch, view);
}

static nsp_path_result append_path(void *state, nsp_batch *batch, const nsp_path_view *view)
{
    otlp *me = state;
    return me->encoding->append_path != NULL ? me->encoding->append_path(me->encoder, batch, view)
                                             : NSP_PATH_ONE_BY_ONE;
}

static void close_batch(void *state, nsp_batch *batch)
{
    otlp *me = state;
    me->encoding->close(me->encoder, batch);
}

static nsp_send_result send_batch(void *state, const nsp_batch *batch, uint64_t deadline_ns,
                                  nsp_send_report *report)
{
    otlp *me = state;
    // Until the client has a connection, and gives the last byte of the first request to it.
    if (me->held_back != NULL)
        __atomic_store_n(me->held_back, 1, __ATOMIC_SEQ_CST);
    return nsp__otlp_parts_send(&me->parts, &me->transport, batch, deadline_ns, report);
}

const nsp_exporter nsp__exporter_otlp = {
    .size = sizeof(nsp_exporter),
    .name = "otlp",
    .create = create,
    .destroy = destroy,
    .open = open_batch,
    .append = append,
    .close = close_batch,
    .send = send_batch,
    .append_path = append_path,
};
