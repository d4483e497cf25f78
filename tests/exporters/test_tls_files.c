// SPDX-License-Identifier: Apache-2.0
// ctest: TIMEOUT 180
//
// Certificate files that change while the engine runs, that do not match for a while, or that are missing;
// and clear-text requests to a TLS port.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/child.h"
#include "support/http_server.h"
#include "support/otlp_sender.h"

enum { PATH_BYTES = 128, PEM_BYTES = 16384 };

static char folder[] = "/tmp/nanospan-tls-files-XXXXXX";
static char ca[PATH_BYTES], pair[PATH_BYTES], pair_key[PATH_BYTES];
static otlp_sender otlp;

// Makes two authorities, each in a folder of its own with certificates that it signed for a server and a
// client.
static int make_files(void **state)
{
    (void)state;
    char command[1024];
    if (!mkdtemp(folder) || chmod(folder, 0755) != 0)
        return -1;
    snprintf(ca, sizeof ca, "%s/ca.pem", folder);
    snprintf(pair, sizeof pair, "%s/pair.pem", folder);
    snprintf(pair_key, sizeof pair_key, "%s/pair.key", folder);
    snprintf(command, sizeof command,
             "cd '%s' && mkdir a b && PYTHONPATH='" NSP_SOURCE_DIR
             "/tests/support' python3 -c 'from certificates import Certificates; Certificates(\"a\"); "
             "Certificates(\"b\")'",
             folder);
    return system(command) == 0 ? 0 : -1;
}

static int remove_files(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -r '%s'", folder);
    return system(command);
}

static const char *path_of(const char *name)
{
    static char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

// Replaces a file in the usual way: a new file is renamed over the old one.
static void replace(const char *path, const char *name)
{
    char command[512];
    snprintf(command, sizeof command, "cp '%s/%s' '%s.new' && mv '%s.new' '%s'", folder, name, path, path,
             path);
    assert_int_equal(system(command), 0);
}

// The text of a file. The last four texts stay valid.
static const char *text_of(const char *name)
{
    static char texts[4][PEM_BYTES];
    static unsigned next;
    char *text = texts[next++ % 4];
    FILE *file = fopen(path_of(name), "r");
    assert_non_null(file);
    text[fread(text, 1, PEM_BYTES - 1, file)] = 0;
    fclose(file);
    return text;
}

// Each answer closes the connection, so the next request makes a new one.
static http_server *serve(const char *who, unsigned port)
{
    char certificate[PATH_BYTES], key[PATH_BYTES], authority[PATH_BYTES];
    snprintf(certificate, sizeof certificate, "%s/server.pem", who);
    snprintf(key, sizeof key, "%s/server.key", who);
    snprintf(authority, sizeof authority, "%s/ca.pem", who);
    http_server *server =
        http_server_start_tls(NULL, text_of(certificate), text_of(key), text_of(authority), port);
    assert_non_null(server);
    http_server_plan(server, &(http_reply){.status = 200, .header = "Connection", .value = "close"});
    return server;
}

static void begin(unsigned port)
{
    otlp_sender_prepare(&otlp, port);
    snprintf(otlp.endpoint, sizeof otlp.endpoint, "https://127.0.0.1:%u", port);
    otlp.config.protocol = "http/protobuf";
    otlp.config.certificate = ca;
}

static void create(void)
{
    otlp_sender_must_create(&otlp);
}

static void expect(nsp_send_result result, const char *line)
{
    nsp_send_result actual = otlp_sender_send(&otlp, 100, PATIENCE_MS);
    if (actual != result)
        fail_msg("%d, not %d: %s; %s", actual, result, otlp.report.detail, otlp.last_line);
    if (line && !strstr(otlp.last_line, line))
        fail_msg("\"%s\" does not say \"%s\"", otlp.last_line, line);
}

static void replaced_authorities_are_used_at_once(void **state)
{
    (void)state;
    replace(ca, "a/ca.pem");
    http_server *server = serve("a", 0);
    unsigned port = http_server_port(server);
    begin(port);
    create();
    expect(NSP_SEND_EXPORTED, NULL);
    // The file now holds another authority, so this server is no longer trusted.
    replace(ca, "b/ca.pem");
    expect(NSP_SEND_RETRY, "not trusted");
    unlink(ca);
    expect(NSP_SEND_RETRY, "file of trusted authorities"); // a new problem is logged at once
    replace(ca, "b/ca.pem");
    http_server_stop(server);
    server = serve("b", port);
    expect(NSP_SEND_EXPORTED, NULL);
    otlp_sender_destroy(&otlp);
    http_server_stop(server);
}

static void a_pair_that_is_half_replaced_waits(void **state)
{
    (void)state;
    replace(ca, "a/ca.pem");
    replace(pair, "a/client.pem");
    replace(pair_key, "a/client.key");
    http_server *server = serve("a", 0);
    begin(http_server_port(server));
    otlp.config.client_certificate = pair;
    otlp.config.client_key = pair_key;
    create();
    expect(NSP_SEND_EXPORTED, NULL);
    replace(pair, "a/other_host.pem");
    expect(NSP_SEND_RETRY, "do not belong together");
    assert_null(strstr(otlp.last_line, "did not accept"));
    expect(NSP_SEND_RETRY, NULL);
    assert_int_equal(otlp.lines, 1); // logged once
    replace(pair_key, "a/other_host.key");
    expect(NSP_SEND_EXPORTED, NULL);
    assert_int_equal(http_server_requests(server), 2);
    otlp_sender_destroy(&otlp);
    http_server_stop(server);
}

static void missing_authorities_are_named(void **state)
{
    (void)state;
    replace(ca, "a/ca.pem");
    http_server *server = serve("a", 0);
    begin(http_server_port(server));
    create();
    unlink(ca);
    expect(NSP_SEND_RETRY, "file of trusted authorities that OTEL_EXPORTER_OTLP_CERTIFICATE names");
    replace(ca, "a/ca.pem");
    expect(NSP_SEND_EXPORTED, NULL);
    otlp_sender_destroy(&otlp);
    http_server_stop(server);
}

// In a container that contains nothing but the program.
static void without_a_bundle(void *port)
{
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", "/etc/ssl", "tmpfs", 0, NULL) != 0)
        _exit(77);
    begin(*(unsigned *)port);
    otlp.config.certificate = NULL;
    CHILD_CHECK(otlp_sender_create(&otlp) == NSP_OK);
    CHILD_CHECK(otlp_sender_send(&otlp, 100, PATIENCE_MS) == NSP_SEND_RETRY);
    if (!strstr(otlp.last_line, "no file of trusted authorities on this system"))
        fprintf(stderr, "%s\n%s\n", otlp.last_line, otlp.report.detail);
    CHILD_CHECK(strstr(otlp.last_line, "no file of trusted authorities on this system"));
    CHILD_CHECK(!strstr(otlp.last_line, "did not accept"));
    otlp_sender_destroy(&otlp);
}

static void a_machine_without_authorities_is_recognised(void **state)
{
    (void)state;
    http_server *server = serve("a", 0);
    unsigned port = http_server_port(server);
    int status = child_run(without_a_bundle, &port, 30);
    http_server_stop(server);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        skip();
    assert_int_equal(status, 0);
}

static void clear_text_to_a_tls_port_is_logged(void **state)
{
    (void)state;
    static const char *const protocols[] = {"grpc", "http/protobuf", "http/json"};
    for (int i = 0; i < 3; i++) {
        http_server *server = serve("a", 0);
        begin(http_server_port(server));
        snprintf(otlp.endpoint, sizeof otlp.endpoint, "http://127.0.0.1:%u", http_server_port(server));
        otlp.config.protocol = protocols[i];
        otlp.config.certificate = NULL;
        create();
        // The receiver cannot have taken the spans, so they are not in doubt.
        expect(NSP_SEND_RETRY, "speaks TLS");
        assert_non_null(strstr(otlp.last_line, "https://"));
        otlp_sender_destroy(&otlp);
        http_server_stop(server);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replaced_authorities_are_used_at_once),
        cmocka_unit_test(a_pair_that_is_half_replaced_waits),
        cmocka_unit_test(missing_authorities_are_named),
        cmocka_unit_test(a_machine_without_authorities_is_recognised),
        cmocka_unit_test(clear_text_to_a_tls_port_is_logged),
    };
    return cmocka_run_group_tests_name("tls_files", tests, make_files, remove_files);
}
