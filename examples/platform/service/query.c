// SPDX-License-Identifier: Apache-2.0
#include "platform/service/query.h"

#include "platform/service/failure.h"

void query_fail(nsp_span *span, int code, const char *message)
{
    const char *name = database_code_name(code);
    span_fail(span, name, "%s", message);
    nsp_span_set_str(span, NSP_KEY("db.system.name"), "sqlite");
    nsp_span_set_str(span, NSP_KEY("db.response.status_code"), name);
}

bool query_begin(struct query *query, sqlite3 *connection, nsp_span *span, const struct query_text *text)
{
    *query = (struct query){.connection = connection, .span = span};
    nsp_span_set_str(span, NSP_KEY("db.system.name"), "sqlite");
    nsp_span_set_str(span, NSP_KEY("db.operation.name"), text->operation);
    nsp_span_set_str(span, NSP_KEY("db.collection.name"), text->collection);
    nsp_span_set_str(span, NSP_KEY("db.query.text"), text->text);
    int code = sqlite3_prepare_v2(connection, text->text, -1, &query->statement, NULL);
    if (code == SQLITE_OK)
        return true;
    query->error = code;
    query_fail(span, code, sqlite3_errmsg(connection));
    return false;
}

bool query_next(struct query *query)
{
    int code = sqlite3_step(query->statement);
    if (code == SQLITE_ROW) {
        query->rows++;
        return true;
    }
    if (code != SQLITE_DONE) {
        query->error = code;
        query_fail(query->span, code, sqlite3_errmsg(query->connection));
    }
    return false;
}

bool query_end(struct query *query)
{
    if (query->statement != NULL && sqlite3_column_count(query->statement) > 0 && query->error == SQLITE_OK)
        nsp_span_set_i64(query->span, NSP_KEY("db.response.returned_rows"), query->rows);
    sqlite3_finalize(query->statement);
    query->statement = NULL;
    return query->error == SQLITE_OK;
}

bool query_run(struct query *query, int *changed)
{
    while (query_next(query))
        continue;
    if (changed != NULL)
        *changed = query->error ? 0 : sqlite3_changes(query->connection);
    return query_end(query);
}

int query_control(sqlite3 *connection, nsp_span *span, const char *text)
{
    int code = sqlite3_exec(connection, text, NULL, NULL, NULL);
    if (code != SQLITE_OK)
        query_fail(span, code, sqlite3_errmsg(connection));
    return code;
}

int query_connect(struct database *database, nsp_span *span, struct connection *out)
{
    int code = database_take(database, out);
    nsp_span_set_str(span, NSP_KEY("db.system.name"), "sqlite");
    nsp_span_set_str(span, NSP_KEY("db.namespace"), database_path(database));
    if (code != SQLITE_OK)
        query_fail(span, code, sqlite3_errstr(code));
    else
        nsp_span_set_bool(span, NSP_KEY("db.connection.reused"), out->reused);
    return code;
}

void query_failure_reply(struct reply *reply, int code)
{
    int primary = code & 0xff;
    if (primary == SQLITE_BUSY || primary == SQLITE_LOCKED)
        reply_failure(reply, 503, "database_busy", "the database is locked; try again");
    else if (primary == SQLITE_CANTOPEN)
        reply_failure(reply, 503, "database_unavailable", "the database cannot be opened");
    else
        reply_failure(reply, 500, "database_failed", "the database failed: %s", database_code_name(code));
}
