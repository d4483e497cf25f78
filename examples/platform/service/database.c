// SPDX-License-Identifier: Apache-2.0
#include "platform/service/database.h"

#include <nanospan/nanospan.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum { IDLE_MAX = 64, WAIT_STEP_MS = 1 };

struct database {
    char *path;
    unsigned busy_ms;
    pthread_mutex_t lock;
    unsigned count;
    struct connection idle[IDLE_MAX]; // protected by the lock; last in, first out
};

// True if the path leads to a file; *out receives its identity.
static bool identify(const char *path, struct connection *out)
{
    struct stat status;
    if (stat(path, &status) != 0)
        return false;
    out->device = status.st_dev;
    out->inode = status.st_ino;
    return true;
}

// SQLite calls this while another connection holds the lock: waits in small steps, at most busy_ms in total.
// The first wait adds an event to the current span.
static int wait_for_lock(void *context, int times)
{
    const struct database *database = context;
    if (times == 0)
        nsp_span_add_event(nsp_span_current(), NSP_NAME("database_busy"));
    if ((unsigned)times * WAIT_STEP_MS >= database->busy_ms)
        return 0;
    nanosleep(&(struct timespec){.tv_nsec = WAIT_STEP_MS * 1000000L}, NULL);
    return 1;
}

static int connect_file(struct database *database, int more_flags, sqlite3 **out)
{
    int code =
        sqlite3_open_v2(database->path, out, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | more_flags, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_busy_handler(*out, wait_for_lock, database);
    // The first statement is the first to read the file.
    if (code == SQLITE_OK)
        code = sqlite3_exec(*out, "PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON", NULL, NULL, NULL);
    return code;
}

// Creates the tables and fills them in one transaction, so that two processes that start on one file do not
// both fill it.
static bool prepare(sqlite3 *connection, const struct database_plan *plan)
{
    return sqlite3_exec(connection, "PRAGMA journal_mode = WAL", NULL, NULL, NULL) == SQLITE_OK &&
           sqlite3_exec(connection, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK &&
           sqlite3_exec(connection, plan->schema, NULL, NULL, NULL) == SQLITE_OK && plan->seed(connection) &&
           sqlite3_exec(connection, "COMMIT", NULL, NULL, NULL) == SQLITE_OK;
}

struct database *database_open(const char *path, const struct database_plan *plan, unsigned busy_ms)
{
    struct database *database = calloc(1, sizeof *database);
    sqlite3 *connection = NULL;
    if (database == NULL || (database->path = strdup(path)) == NULL) {
        fprintf(stderr, "out of memory\n");
        free(database);
        return NULL;
    }
    database->busy_ms = busy_ms;
    pthread_mutex_init(&database->lock, NULL);
    bool good =
        connect_file(database, SQLITE_OPEN_CREATE, &connection) == SQLITE_OK && prepare(connection, plan);
    if (!good)
        fprintf(stderr, "database '%s': %s\n", path, sqlite3_errmsg(connection));
    sqlite3_close(connection);
    if (!good) {
        database_close(database);
        return NULL;
    }
    return database;
}

void database_close(struct database *database)
{
    if (database == NULL)
        return;
    while (database->count)
        sqlite3_close(database->idle[--database->count].handle);
    pthread_mutex_destroy(&database->lock);
    free(database->path);
    free(database);
}

static struct connection pop(struct database *database)
{
    struct connection idle = {0};
    pthread_mutex_lock(&database->lock);
    if (database->count)
        idle = database->idle[--database->count];
    pthread_mutex_unlock(&database->lock);
    return idle;
}

int database_take(struct database *database, struct connection *out)
{
    struct connection now = {0};
    bool there = identify(database->path, &now);
    for (*out = pop(database); out->handle != NULL; *out = pop(database)) {
        if (there && out->device == now.device && out->inode == now.inode) {
            out->reused = true;
            return SQLITE_OK;
        }
        sqlite3_close(out->handle);
    }
    *out = now;
    int code = connect_file(database, 0, &out->handle);
    if (code != SQLITE_OK) {
        sqlite3_close(out->handle);
        out->handle = NULL;
    }
    return code;
}

void database_give(struct database *database, struct connection *connection)
{
    bool kept = false;
    if (connection->handle == NULL)
        return;
    if (!sqlite3_get_autocommit(connection->handle))
        sqlite3_exec(connection->handle, "ROLLBACK", NULL, NULL, NULL);
    pthread_mutex_lock(&database->lock);
    if (database->count < IDLE_MAX) {
        database->idle[database->count++] = *connection;
        kept = true;
    }
    pthread_mutex_unlock(&database->lock);
    if (!kept)
        sqlite3_close(connection->handle);
    connection->handle = NULL;
}

const char *database_path(const struct database *database)
{
    return database->path;
}

bool database_integer(sqlite3 *connection, const char *text, long long *out)
{
    sqlite3_stmt *statement = NULL;
    bool found = sqlite3_prepare_v2(connection, text, -1, &statement, NULL) == SQLITE_OK &&
                 sqlite3_step(statement) == SQLITE_ROW;
    if (found)
        *out = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return found;
}

const char *database_code_name(int code)
{
    switch (code & 0xff) { // the primary code, without the extended part
    case SQLITE_BUSY: return "SQLITE_BUSY";
    case SQLITE_LOCKED: return "SQLITE_LOCKED";
    case SQLITE_NOMEM: return "SQLITE_NOMEM";
    case SQLITE_READONLY: return "SQLITE_READONLY";
    case SQLITE_INTERRUPT: return "SQLITE_INTERRUPT";
    case SQLITE_IOERR: return "SQLITE_IOERR";
    case SQLITE_CORRUPT: return "SQLITE_CORRUPT";
    case SQLITE_FULL: return "SQLITE_FULL";
    case SQLITE_CANTOPEN: return "SQLITE_CANTOPEN";
    case SQLITE_CONSTRAINT: return "SQLITE_CONSTRAINT";
    case SQLITE_SCHEMA: return "SQLITE_SCHEMA";
    case SQLITE_NOTADB: return "SQLITE_NOTADB";
    case SQLITE_PERM: return "SQLITE_PERM";
    case SQLITE_MISUSE: return "SQLITE_MISUSE";
    default: return "SQLITE_ERROR";
    }
}
