// SPDX-License-Identifier: Apache-2.0
//
// The resource: its contents, which source wins if two set the same key, and the instance's identity.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <nanospan/version.h>

#include "config/config.h"
#include "config/resource.h"

static const char *value_of(const nsp__resource *resource, const char *key)
{
    const char *value = NULL;
    for (size_t i = 0; i < resource->count; i++) {
        if (!strcmp(resource->keys[i], key)) {
            assert_null(value); // no key occurs twice
            value = resource->values[i];
        }
    }
    return value;
}

static nsp_type type_of(const nsp__resource *resource, const char *key)
{
    for (size_t i = 0; i < resource->count; i++)
        if (!strcmp(resource->keys[i], key))
            return resource->types[i];
    return (nsp_type)0;
}

// Builds a resource from a configuration with only these attributes and no environment.
static nsp__resource build(const char *name, const char *attributes)
{
    nsp_config given, config;
    nsp__resource resource;
    clearenv();
    nsp_config_init(&given);
    given.service_name = name;
    given.resource_attributes = attributes;
    assert_int_equal(nsp__config_resolve(&config, &given), NSP_OK);
    assert_int_equal(nsp__resource_build(&resource, &config), NSP_OK);
    nsp__config_free(&config); // the resource must not need it
    return resource;
}

static void sets_what_the_conventions_ask_for(void **state)
{
    (void)state;
    nsp__resource resource = build("engine", NULL);
    struct utsname system;
    char pid[16];
    uname(&system);
    snprintf(pid, sizeof pid, "%d", (int)getpid());
    assert_string_equal(resource.keys[0], "service.name");
    assert_string_equal(value_of(&resource, "service.name"), "engine");
    assert_string_equal(value_of(&resource, "service.version"), "1.0.0");
    assert_string_equal(value_of(&resource, "deployment.environment.name"), "development");
    assert_string_equal(value_of(&resource, "telemetry.sdk.name"), "nanospan");
    assert_string_equal(value_of(&resource, "telemetry.sdk.language"), "c");
    assert_string_equal(value_of(&resource, "telemetry.sdk.version"), NSP_VERSION);
    assert_string_equal(value_of(&resource, "process.pid"), pid);
    assert_int_equal(type_of(&resource, "process.pid"), NSP_TYPE_I64);
    assert_int_equal(type_of(&resource, "service.name"), NSP_TYPE_STR);
    assert_string_equal(value_of(&resource, "process.executable.name"), "test_resource");
    assert_string_equal(value_of(&resource, "host.name"), system.nodename);
    assert_string_equal(value_of(&resource, "os.type"), "linux");
#ifdef __x86_64__
    assert_string_equal(value_of(&resource, "host.arch"), "amd64");
#endif
    assert_non_null(value_of(&resource, "service.instance.id"));
    nsp__resource_free(&resource);
    assert_int_equal(resource.count, 0);
    nsp__resource_free(&resource);
}

static void attributes_are_decoded_and_added(void **state)
{
    (void)state;
    nsp__resource resource =
        build("engine", " desk = fx ,, path=a%2Cb%3dc%20d,%6bey=v=w,empty=,same=1,same=2,caf%C3%A9=\xc3\xa9");
    assert_string_equal(value_of(&resource, "desk"), "fx");
    assert_string_equal(value_of(&resource, "path"), "a,b=c d");
    assert_string_equal(value_of(&resource, "key"), "v=w");
    assert_string_equal(value_of(&resource, "empty"), "");
    assert_string_equal(value_of(&resource, "same"), "2");
    assert_string_equal(value_of(&resource, "caf\xc3\xa9"), "\xc3\xa9");
    assert_int_equal(resource.count, 12 + 6);
    nsp__resource_free(&resource);
}

static void attributes_win_over_defaults_only(void **state)
{
    (void)state;
    const char *attributes =
        "service.name=other,service.version=9,deployment.environment.name=prod,host.name=box,"
        "telemetry.sdk.name=mine,service.instance.id=me,process.pid=1";
    nsp__resource resource = build("engine", attributes);
    assert_string_equal(value_of(&resource, "service.name"), "engine");
    assert_string_equal(value_of(&resource, "service.version"), "9");
    assert_string_equal(value_of(&resource, "deployment.environment.name"), "prod");
    assert_string_equal(value_of(&resource, "host.name"), "box");
    assert_string_equal(value_of(&resource, "telemetry.sdk.name"), "nanospan");
    assert_string_equal(value_of(&resource, "service.instance.id"), "me");
    assert_string_equal(value_of(&resource, "process.pid"), "1");
    assert_int_equal(type_of(&resource, "process.pid"), NSP_TYPE_STR); // such values are strings
    assert_int_equal(resource.count, 12);
    nsp__resource_free(&resource);
    resource = build(NULL, attributes);
    assert_string_equal(value_of(&resource, "service.name"), "other");
    nsp__resource_free(&resource);
}

static void the_instance_is_a_uuid_until_a_fork(void **state)
{
    (void)state;
    nsp__resource first = build("engine", NULL), second = build("engine", NULL);
    const char *id = value_of(&first, "service.instance.id");
    assert_string_equal(id, value_of(&second, "service.instance.id"));
    assert_int_equal(strlen(id), 36);
    for (int i = 0; i < 36; i++) {
        if (i == 8 || i == 13 || i == 18 || i == 23)
            assert_int_equal(id[i], '-');
        else
            assert_non_null(strchr("0123456789abcdef", id[i]));
    }
    assert_int_equal(id[14], '4');
    assert_non_null(strchr("89ab", id[19]));
    pid_t child = fork();
    if (child == 0) {
        nsp__resource forked = build("engine", NULL);
        _exit(strcmp(id, value_of(&forked, "service.instance.id")) != 0 ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    nsp__resource_free(&first);
    nsp__resource_free(&second);
}

static void one_bad_attribute_does_not_affect_others(void **state)
{
    (void)state;
    nsp__resource resource = build("engine", "a=1,novalue,=2,b=%XX,c=%4,%zz=d,e=x\ny,f=%00,g=\x01,h=2");
    assert_string_equal(value_of(&resource, "a"), "1");
    assert_string_equal(value_of(&resource, "h"), "2");
    assert_int_equal(resource.count, 12 + 2);
    nsp__resource_free(&resource);
}

static void escaped_control_characters_are_text(void **state)
{
    (void)state;
    nsp__resource resource = build("engine", "k=a%0Ab,t=%09,d=%7f");
    assert_string_equal(value_of(&resource, "k"), "a\nb");
    assert_string_equal(value_of(&resource, "t"), "\t");
    assert_string_equal(value_of(&resource, "d"), "\x7f");
    nsp__resource_free(&resource);
}

static void an_empty_name_is_no_name(void **state)
{
    (void)state;
    nsp__resource resource = build(NULL, "service.name=,service.instance.id=,service.version=");
    assert_string_equal(value_of(&resource, "service.name"), "unknown-service");
    assert_int_equal(strlen(value_of(&resource, "service.instance.id")), 36);
    assert_string_equal(value_of(&resource, "service.version"), "");
    nsp__resource_free(&resource);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sets_what_the_conventions_ask_for),
        cmocka_unit_test(attributes_are_decoded_and_added),
        cmocka_unit_test(attributes_win_over_defaults_only),
        cmocka_unit_test(the_instance_is_a_uuid_until_a_fork),
        cmocka_unit_test(one_bad_attribute_does_not_affect_others),
        cmocka_unit_test(escaped_control_characters_are_text),
        cmocka_unit_test(an_empty_name_is_no_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
