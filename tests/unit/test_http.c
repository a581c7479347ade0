/* SPDX-License-Identifier: GPL-3.0-or-later */
/* http.c against a real TLS server that misbehaves on request (tests/helpers/https_server.py). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include <errno.h>

#include "base/str.h"
#include "http.h"
#include "https_server.h"
#include "loop.h"

enum {
    PATIENT_MS = 10000, /* where no timeout is meant to come, also on a busy machine */
    CONNECT_MS = 700,
    TOTAL_MS = 1500,
    PATIENCE_MS = 15000,
    PARALLEL = 100,
};

static const char authorization[] = "PVEAPIToken=pve-hwid@pve!daemon=very-SECRET-indeed";

static struct https_server server;

struct fixture {
    sd_event *event;
    struct http *http;
};

struct got {
    size_t n;
    enum api_result result;
    int status;
    char reason[2048];
    char body[4096]; /* its beginning */
    size_t len;
    char error[ERR_TEXT_MAX];
};

static void take(void *userdata, const struct http_answer *answer)
{
    struct got *got = userdata;

    got->n++;
    got->result = answer->result;
    got->status = answer->status;
    got->len = answer->len;
    (void)snprintf(got->reason, sizeof(got->reason), "%s", answer->reason);
    (void)snprintf(got->body, sizeof(got->body), "%s", answer->body);
    (void)snprintf(got->error, sizeof(got->error), "%s",
                   answer->error != NULL ? answer->error : "");
    assert_null(strstr(got->error, "SECRET"));
    assert_int_equal(answer->error == NULL, answer->result == API_OK);
    if (answer->error != NULL) {
        print_message("    %s\n", answer->error); /* for whoever reads how they sound */
    }
}

static struct http *open_http(sd_event *event, const char *host, unsigned port, const char *ca)
{
    CLEANUP_FREE char *url = str_printf("https://%s:%u/api2/json", host, port);
    struct http_settings settings = {.base_url = url,
                                     .ca_file = https_server_path(&server, ca),
                                     .authorization = authorization,
                                     .connect_timeout_ms = PATIENT_MS,
                                     .timeout_ms = PATIENT_MS};
    struct http *http = NULL;

    assert_int_equal(http_new(event, &settings, &http, NULL), 0);
    return http;
}

static struct http *open_impatient(sd_event *event, enum https_port port, unsigned connect_ms,
                                   unsigned total_ms)
{
    CLEANUP_FREE
    char *url = str_printf("https://127.0.0.1:%u/api2/json", server.ports[port]);
    struct http_settings settings = {.base_url = url,
                                     .ca_file = https_server_path(&server, "ca.pem"),
                                     .authorization = authorization,
                                     .connect_timeout_ms = connect_ms,
                                     .timeout_ms = total_ms};
    struct http *http = NULL;

    assert_int_equal(http_new(event, &settings, &http, NULL), 0);
    return http;
}

static void send_request(struct http *http, enum api_method method, const char *path,
                         struct got *got, struct http_transfer **ret_transfer)
{
    CLEANUP(api_request_freep) struct api_request *request = api_request_new(method, path);
    struct err err = {""};

    assert_non_null(request);
    if (method != API_GET) {
        assert_int_equal(api_request_add(request, "smbios1", "uuid=a,serial=b==&c d+e%\xc3\xa4"),
                         0);
        assert_int_equal(api_request_add(request, "delete", ""), 0);
    }
    assert_int_equal(http_send(http, request, take, got, ret_transfer, &err), 0);
}

static struct got ask(struct fixture *f, struct http *http, enum api_method method,
                      const char *path)
{
    struct got got = {0};

    send_request(http, method, path, &got, NULL);
    assert_int_equal(got.n, 0); /* never from inside http_send() */
    assert_true(loop_until(f->event, &got.n, 1, PATIENCE_MS));
    return got;
}

/* A host of its own that is asked once, reading. */
static struct got ask_at(struct fixture *f, const char *host, unsigned port, const char *ca)
{
    CLEANUP(http_freep) struct http *http = open_http(f->event, host, port, ca);

    return ask(f, http, API_PUT, "/ok");
}

static int set_up(void **state)
{
    static struct fixture f;

    f = (struct fixture){0};
    assert_true(sd_event_new(&f.event) >= 0);
    f.http = open_http(f.event, "127.0.0.1", server.ports[HTTPS_TLS], "ca.pem");
    https_server_forget_log(&server);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    http_free(f->http);
    sd_event_unref(f->event);
    return 0;
}

static void an_answer_is_told_whole(void **state)
{
    struct fixture *f = *state;
    struct got got = ask(f, f->http, API_GET, "/ok");

    assert_int_equal(got.result, API_OK);
    assert_int_equal(got.status, 200);
    assert_string_equal(got.reason, "OK");
    assert_string_equal(got.body, "{\"data\":\"fine\"}");
}

static void forms_are_escaped_down_to_the_equals_sign(void **state)
{
    struct fixture *f = *state;
    struct got got = ask(f, f->http, API_PUT, "/echo");

    assert_int_equal(got.status, 200);
    assert_non_null(strstr(got.body, "\"method\": \"PUT\""));
    assert_non_null(strstr(got.body, "\"smbios1=uuid%3Da%2Cserial%3Db%3D%3D%26c%20d%2Be%25%C3%A4"
                                     "&delete=\""));
    assert_non_null(strstr(got.body, "\"content-type\": \"application/x-www-form-urlencoded\""));
    assert_non_null(strstr(got.body, "\"authorization\": \"PVEAPIToken=pve-hwid@pve!daemon=very-"));
    assert_null(strstr(got.body, "\"expect\""));
    got = ask(f, f->http, API_POST, "/echo");
    assert_non_null(strstr(got.body, "\"method\": \"POST\""));
}

static void parameters_of_get_are_its_query(void **state)
{
    struct fixture *f = *state;
    CLEANUP(api_request_freep) struct api_request *request = api_request_new(API_GET, "/echo");
    struct got got = {0};

    assert_int_equal(api_request_add(request, "limit", "a=b"), 0);
    assert_int_equal(http_send(f->http, request, take, &got, NULL, NULL), 0);
    assert_true(loop_until(f->event, &got.n, 1, PATIENCE_MS));
    assert_non_null(strstr(got.body, "\"path\": \"/api2/json/echo?limit=a%3Db\""));
}

static void paths_that_would_change_the_url_are_refused(void **state)
{
    static const char *const bad[] = {"/a?b",  "/a#b",   "/a/../b", "a",
                                      "/a//b", "/a%2fb", "/a b",    ""};
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        CLEANUP(api_request_freep) struct api_request *request = api_request_new(API_GET, bad[i]);
        struct err err = {""};

        assert_int_equal(http_send(f->http, request, take, NULL, NULL, &err), -EINVAL);
    }
}

static void errors_of_pve_come_with_reason_and_body(void **state)
{
    struct fixture *f = *state;
    struct got got = ask(f, f->http, API_GET, "/unauthorized");

    assert_int_equal(got.result, API_OK);
    assert_int_equal(got.status, 401);
    assert_string_equal(got.reason, "Authentication failed!");
    assert_int_equal(got.len, 0);
    got = ask(f, f->http, API_PUT, "/mismatch");
    assert_int_equal(got.status, 500);
    assert_string_equal(got.reason, "checksum mismatch (file change by other user?)");
    assert_non_null(strstr(got.body, "checksum mismatch"));
}

static void odd_status_lines_do_no_harm(void **state)
{
    struct fixture *f = *state;
    struct got got = ask(f, f->http, API_GET, "/noreason");

    assert_int_equal(got.status, 503);
    assert_string_equal(got.reason, "");
    got = ask(f, f->http, API_GET, "/longreason");
    assert_int_equal(got.status, 500);
    assert_int_equal(strlen(got.reason), 1023);
}

static void redirects_are_not_followed(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(ask(f, f->http, API_GET, "/redirect").status, 302);
    assert_int_equal(https_server_count(&server, "start", "/ok"), 0);
}

static void bodies_are_bounded(void **state)
{
    struct fixture *f = *state;
    struct got got = ask(f, f->http, API_GET, "/huge/3000000");

    assert_int_equal(got.result, API_OK);
    assert_true(got.len >= 3000000);
    got = ask(f, f->http, API_GET, "/huge/5000000");
    assert_int_equal(got.result, API_LOST);
    assert_non_null(strstr(got.error, "longer than the 4194304 bytes"));
}

static void a_slow_or_missing_answer_is_lost(void **state)
{
    static const char *const slow[] = {"/slow", "/hold/for-ever"};
    struct fixture *f = *state;
    CLEANUP(http_freep)
    struct http *http = open_impatient(f->event, HTTPS_TLS, PATIENT_MS, TOTAL_MS);

    for (size_t i = 0; i < ARRAY_SIZE(slow); i++) {
        uint64_t begin = clock_monotonic_ms();
        struct got got = ask(f, http, API_PUT, slow[i]);

        assert_int_equal(got.result, API_LOST);
        assert_non_null(strstr(got.error, "did not answer within 1500 ms"));
        assert_in_range(clock_monotonic_ms() - begin, TOTAL_MS - 50, PATIENCE_MS);
    }
}

static void a_cut_answer_is_lost(void **state)
{
    static const char *const cuts[] = {"/cut/before", "/cut/headers", "/cut/body", "/garbage"};
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_SIZE(cuts); i++) {
        struct got got = ask(f, f->http, API_PUT, cuts[i]);

        assert_int_equal(got.result, API_LOST);
        assert_non_null(strstr(got.error, "before the whole answer"));
        assert_int_equal(https_server_count(&server, "start", cuts[i]), 1);
    }
}

static void a_refused_port_is_unreachable(void **state)
{
    struct got got = ask_at(*state, "127.0.0.1", 1, "ca.pem");

    assert_int_equal(got.result, API_UNREACHABLE);
    assert_string_equal(got.error, "cannot reach https://127.0.0.1:1: connection refused; is "
                                   "pveproxy running?");
}

static void a_peer_that_says_nothing_is_unreachable(void **state)
{
    struct fixture *f = *state;
    CLEANUP(http_freep)
    struct http *http = open_impatient(f->event, HTTPS_HANGING, CONNECT_MS, PATIENT_MS);
    struct got got = ask(f, http, API_PUT, "/ok");

    assert_int_equal(got.result, API_UNREACHABLE);
    assert_non_null(strstr(got.error, "no connection within 700 ms"));
}

static void a_peer_without_tls_is_unreachable(void **state)
{
    struct got got = ask_at(*state, "127.0.0.1", server.ports[HTTPS_PLAIN], "ca.pem");

    assert_int_equal(got.result, API_UNREACHABLE);
    assert_non_null(strstr(got.error, "no TLS there"));
}

static void another_ca_is_refused_with_the_cure(void **state)
{
    struct got got = ask_at(*state, "127.0.0.1", server.ports[HTTPS_TLS], "other.pem");

    assert_int_equal(got.result, API_UNREACHABLE);
    assert_non_null(strstr(got.error, "other.pem"));
    assert_non_null(strstr(got.error, "set ca_file in pve-hwid.conf"));
    assert_int_equal(https_server_count(&server, "start", ""), 0);
}

static void another_host_name_is_refused_with_the_cure(void **state)
{
    struct got got = ask_at(*state, "127.0.0.2", server.ports[HTTPS_WRONG_NAME], "ca.pem");

    assert_int_equal(got.result, API_UNREACHABLE);
    assert_non_null(strstr(got.error, "certificate of another name"));
    assert_non_null(strstr(got.error, "set api_url in pve-hwid.conf"));
}

static void a_missing_ca_file_is_named(void **state)
{
    struct got got = ask_at(*state, "127.0.0.1", server.ports[HTTPS_TLS], "nowhere.pem");

    assert_int_equal(got.result, API_UNREACHABLE);
    assert_non_null(strstr(got.error, "nowhere.pem"));
    assert_non_null(strstr(got.error, "see ca_file"));
}

static void an_unknown_host_is_unreachable(void **state)
{
    struct got got = ask_at(*state, "no-such-host.invalid", 8006, "ca.pem");

    assert_int_equal(got.result, API_UNREACHABLE);
}

static void only_https_is_spoken(void **state)
{
    struct fixture *f = *state;
    struct http *http = NULL;
    struct err err = {""};

    assert_int_equal(http_new(f->event,
                              &(struct http_settings){.base_url = "http://127.0.0.1:8006",
                                                      .ca_file = "x",
                                                      .authorization = authorization},
                              &http, &err),
                     -EINVAL);
    assert_non_null(strstr(err.text, "api_url"));
}

static void the_environment_names_no_proxy(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(setenv("https_proxy", "http://127.0.0.1:1", 1), 0);
    assert_int_equal(setenv("ALL_PROXY", "http://127.0.0.1:1", 1), 0);
    assert_int_equal(ask(f, f->http, API_GET, "/ok").result, API_OK);
    assert_int_equal(unsetenv("https_proxy"), 0);
    assert_int_equal(unsetenv("ALL_PROXY"), 0);
}

static void reading_reuses_one_connection(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < 10; i++) {
        assert_int_equal(ask(f, f->http, API_GET, "/ok").result, API_OK);
    }
    assert_int_equal(https_server_count(&server, "start", "GET /api2/json/ok"), 10);
    assert_int_equal(https_server_count(&server, "start", " 1 GET /api2/json/ok"), 1);
    assert_int_equal(https_server_count(&server, "start", " 10 GET /api2/json/ok"), 1);
}

static void reading_survives_an_idle_connection_that_died(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(ask(f, f->http, API_GET, "/ok").result, API_OK);
    assert_int_equal(ask(f, f->http, API_GET, "/cutreused").result, API_OK);
    assert_int_equal(https_server_count(&server, "start", "/cutreused"), 2); /* sent again */
}

static void a_change_is_never_sent_twice(void **state)
{
    static const enum api_method methods[] = {API_PUT, API_POST};
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
        https_server_forget_log(&server);
        assert_int_equal(ask(f, f->http, API_GET, "/ok").result, API_OK);
        assert_int_equal(ask(f, f->http, methods[i], "/cutreused").result, API_OK);
        assert_int_equal(https_server_count(&server, "start", "/cutreused"), 1);
        https_server_forget_log(&server);
        assert_int_equal(ask(f, f->http, methods[i], "/cut/before").result, API_LOST);
        assert_int_equal(https_server_count(&server, "start", ""), 1);
    }
}

static void a_hundred_at_once_all_come_back(void **state)
{
    static struct got got[PARALLEL];
    struct fixture *f = *state;
    uint64_t begin = clock_monotonic_ms();
    CLEANUP(http_freep)
    struct http *http = open_http(f->event, "localhost", server.ports[HTTPS_TLS], "ca.pem");

    memset(got, 0, sizeof(got));
    for (size_t i = 0; i < PARALLEL; i++) {
        send_request(http, i % 2 == 0 ? API_GET : API_PUT, "/wait/100", &got[i], NULL);
    }
    for (size_t i = 0; i < PARALLEL; i++) {
        assert_true(loop_until(f->event, &got[i].n, 1, PATIENCE_MS));
        assert_int_equal(got[i].n, 1);
    }
    print_message("100 requests: %u ms\n", (unsigned)(clock_monotonic_ms() - begin));
}

static void a_cancelled_transfer_is_not_told_of(void **state)
{
    struct fixture *f = *state;
    struct http_transfer *early = NULL;
    struct http_transfer *late = NULL;
    struct got got = {0};

    send_request(f->http, API_GET, "/ok", &got, &early);
    http_cancel(early);
    send_request(f->http, API_GET, "/hold/late", &got, &late);
    assert_true(https_server_reached(&server, f->event, "/hold/late", 1));
    http_cancel(late);
    https_server_let_go(&server, "late");
    loop_for(f->event, 200);
    assert_int_equal(got.n, 0);
    assert_int_equal(ask(f, f->http, API_GET, "/ok").result, API_OK);
}

struct canceller {
    struct http_transfer *other;
    struct http *http;
    struct got *got;
};

static void cancel_other_and_send(void *userdata, const struct http_answer *answer)
{
    struct canceller *c = userdata;

    assert_int_equal(answer->result, API_OK);
    http_cancel(c->other);
    send_request(c->http, API_GET, "/ok", c->got, NULL);
}

static void an_answer_may_cancel_and_send(void **state)
{
    struct fixture *f = *state;
    CLEANUP(api_request_freep) struct api_request *request = api_request_new(API_GET, "/ok");
    struct got got = {0};
    struct got never = {0};
    struct canceller c = {.http = f->http, .got = &got};

    send_request(f->http, API_GET, "/hold/never", &never, &c.other);
    assert_int_equal(http_send(f->http, request, cancel_other_and_send, &c, NULL, NULL), 0);
    assert_true(loop_until(f->event, &got.n, 1, PATIENCE_MS));
    assert_int_equal(never.n, 0);
}

static void freeing_drops_what_is_under_way(void **state)
{
    struct fixture *f = *state;
    struct http *http = open_http(f->event, "127.0.0.1", server.ports[HTTPS_TLS], "ca.pem");
    struct got got = {0};

    for (int i = 0; i < 5; i++) {
        send_request(http, API_PUT, "/hold/dropped", &got, NULL);
    }
    assert_true(https_server_reached(&server, f->event, "/hold/dropped", 5));
    http_free(http);
    https_server_let_go(&server, "dropped");
    loop_for(f->event, 200);
    assert_int_equal(got.n, 0);
}

static int start_server(void **state)
{
    (void)state;
    return https_server_start(&server);
}

static int stop_server(void **state)
{
    (void)state;
    https_server_stop(&server);
    return 0;
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(an_answer_is_told_whole),
        CASE(forms_are_escaped_down_to_the_equals_sign),
        CASE(parameters_of_get_are_its_query),
        CASE(paths_that_would_change_the_url_are_refused),
        CASE(errors_of_pve_come_with_reason_and_body),
        CASE(odd_status_lines_do_no_harm),
        CASE(redirects_are_not_followed),
        CASE(bodies_are_bounded),
        CASE(a_slow_or_missing_answer_is_lost),
        CASE(a_cut_answer_is_lost),
        CASE(a_refused_port_is_unreachable),
        CASE(a_peer_that_says_nothing_is_unreachable),
        CASE(a_peer_without_tls_is_unreachable),
        CASE(another_ca_is_refused_with_the_cure),
        CASE(another_host_name_is_refused_with_the_cure),
        CASE(a_missing_ca_file_is_named),
        CASE(an_unknown_host_is_unreachable),
        CASE(only_https_is_spoken),
        CASE(the_environment_names_no_proxy),
        CASE(reading_reuses_one_connection),
        CASE(reading_survives_an_idle_connection_that_died),
        CASE(a_change_is_never_sent_twice),
        CASE(a_hundred_at_once_all_come_back),
        CASE(a_cancelled_transfer_is_not_told_of),
        CASE(an_answer_may_cancel_and_send),
        CASE(freeing_drops_what_is_under_way),
    };

    return cmocka_run_group_tests(tests, start_server, stop_server);
}
