// SPDX-License-Identifier: Apache-2.0
//
// Certificates and keys are checked before anything is sent. Tests in Python cover the connections
// themselves.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "builtin.h"
#include "http/tls.h"
#include "support/certificates.h"

// Also a key with a password, and a key that does not match.
static const char locked_key[] = "-----BEGIN EC PRIVATE KEY-----\n"
                                 "Proc-Type: 4,ENCRYPTED\n"
                                 "DEK-Info: AES-128-CBC,F46E2E9ADC02ADDFE6A0EFAB12316BFE\n"
                                 "\n"
                                 "FBJNcowg353oVO+mvABUp8oE5QUGSTkCIX1cHavW4P9DBoNagp3AoI05+3+pYcOO\n"
                                 "547TYRNUgGRAQF372S9h6iS37p3tk6lX6r/7VvtMjSR5GR7cW4aSgTZUOMnZW6x9\n"
                                 "JyAGt/q93WR9FU3WKbUfBLrC3GsNi+gRyBHwKVtKQQg=\n"
                                 "-----END EC PRIVATE KEY-----\n";
static const char other_key[] = "-----BEGIN EC PRIVATE KEY-----\n"
                                "MHcCAQEEIMf3fhSZHMT6f/kE+RYARd0nJkVjDbOjP/bMZAXguSbToAoGCCqGSM49\n"
                                "AwEHoUQDQgAEBjLXBtTKghbe7rDZx7EWot52A1C41aQOwONYo3f550SHcIv/LKm0\n"
                                "fzfboc/RcOVoMpRUBjKGzdjhqidxWjExPw==\n"
                                "-----END EC PRIVATE KEY-----\n";

enum { PATHS = 8, PATH_BYTES = 128 };

static char folder[] = "/tmp/nanospan-tls-XXXXXX";
static char paths[PATHS][PATH_BYTES];
static int path_count;

static const char *put(const char *name, const char *text, const char *more)
{
    char *path = paths[path_count++];
    snprintf(path, PATH_BYTES, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file, "%s%s", text, more);
    fclose(file);
    return path;
}

static const char *ca, *certificate, *key, *locked, *other, *both, *noise;

static int setup(void **state)
{
    (void)state;
    curl_global_init(CURL_GLOBAL_DEFAULT);
    if (!mkdtemp(folder))
        return -1;
    ca = put("ca.pem", test_authority, "");
    certificate = put("client.pem", test_certificate, "");
    key = put("client.key", test_key, "");
    locked = put("locked.key", locked_key, "");
    other = put("other.key", other_key, "");
    both = put("both.pem", test_certificate, test_key);
    noise = put("noise.pem", "no certificate\n", "");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (int i = 0; i < path_count; i++)
        unlink(paths[i]);
    return rmdir(folder);
}

static void expect_good(nsp__tls_files files)
{
    char detail[320] = "";
    if (nsp__tls_check(&files, detail, sizeof detail) != NSP_OK)
        fail_msg("%s", detail);
    assert_string_equal(detail, "");
}

static void expect_bad(nsp__tls_files files, const char *text, const char *more)
{
    char detail[320] = "";
    assert_int_equal(nsp__tls_check(&files, detail, sizeof detail), NSP_ERR_CONFIG);
    if (!strstr(detail, text) || !strstr(detail, more))
        fail_msg("\"%s\" does not say \"%s\" and \"%s\"", detail, text, more);
}

static void good_files(void **state)
{
    (void)state;
    expect_good((nsp__tls_files){0});
    expect_good((nsp__tls_files){.certificate = "", .client_certificate = "", .client_key = ""});
    expect_good((nsp__tls_files){.certificate = ca});
    expect_good((nsp__tls_files){.client_certificate = certificate, .client_key = key});
    expect_good((nsp__tls_files){.certificate = ca, .client_certificate = certificate, .client_key = key});
    expect_good((nsp__tls_files){.certificate = ca, .client_certificate = both});
}

static void files_that_cannot_be_read(void **state)
{
    (void)state;
    static const char missing[] = "/nonexistent/file.pem", no_such[] = "No such file";
    expect_bad((nsp__tls_files){.certificate = missing}, "certificate \"/nonexistent", no_such);
    expect_bad((nsp__tls_files){.client_certificate = missing, .client_key = key},
               "client_certificate \"/none", no_such);
    expect_bad((nsp__tls_files){.client_certificate = certificate, .client_key = missing},
               "client_key \"/none", no_such);
    expect_bad((nsp__tls_files){.certificate = folder}, "certificate", "directory");
    if (geteuid() != 0) { // root can read everything
        assert_int_equal(chmod(key, 0), 0);
        expect_bad((nsp__tls_files){.client_certificate = certificate, .client_key = key}, "client_key",
                   "denied");
        assert_int_equal(chmod(key, 0600), 0);
    }
}

static void files_that_do_not_fit(void **state)
{
    (void)state;
    expect_bad((nsp__tls_files){.certificate = noise}, "certificate", "noise.pem");
    expect_bad((nsp__tls_files){.client_certificate = noise, .client_key = key}, "client_certificate",
               "noise.pem");
    expect_bad((nsp__tls_files){.client_certificate = certificate, .client_key = other}, "client_key",
               "other.key");
    expect_bad((nsp__tls_files){.client_certificate = certificate, .client_key = locked}, "password",
               "locked.key");
    expect_bad((nsp__tls_files){.client_certificate = certificate, .client_key = noise}, "client_key",
               "noise.pem");
    expect_bad((nsp__tls_files){.client_certificate = certificate}, "client_key", "client.pem");
    expect_bad((nsp__tls_files){.client_key = key}, "client_key is set", "client_certificate is not");
}

static char last_line[512];
static int lines;

__attribute__((format(printf, 3, 4))) static void keep_line(nsp_log_level level, const char *subject,
                                                            const char *format, ...)
{
    (void)level;
    (void)subject;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(last_line, sizeof last_line, format, arguments);
    va_end(arguments);
    ++lines;
}

// Both transports check them, and only for TLS.
static void the_exporter_looks_at_them(void **state)
{
    (void)state;
    static const char *const protocols[] = {"grpc", "http/protobuf", "http/json"};
    for (int i = 0; i < 3; i++) {
        int cancel = 0;
        nsp_config config = {.endpoint = "https://127.0.0.1:1",
                             .protocol = protocols[i],
                             .certificate = noise,
                             .export_timeout_ns = 1000000000,
                             .batch_bytes = 1 << 20};
        const nsp_exporter_context context = {.config = &config, .cancel = &cancel, .log = keep_line};
        void *exporter;
        lines = 0;
        assert_int_equal(nsp__exporter_otlp.create(&exporter, &context), NSP_ERR_CONFIG);
        assert_null(exporter);
        assert_int_equal(lines, 1);
        assert_non_null(strstr(last_line, "noise.pem"));
        config.certificate = ca;
        assert_int_equal(nsp__exporter_otlp.create(&exporter, &context), NSP_OK);
        nsp__exporter_otlp.destroy(exporter);
        assert_int_equal(lines, 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_files),
        cmocka_unit_test(files_that_cannot_be_read),
        cmocka_unit_test(files_that_do_not_fit),
        cmocka_unit_test(the_exporter_looks_at_them),
    };
    return cmocka_run_group_tests_name("tls", tests, setup, teardown);
}
