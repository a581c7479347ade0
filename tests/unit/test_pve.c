/* SPDX-License-Identifier: GPL-3.0-or-later */
/* pve.c against a real TLS server, whose own log tells what ran at the same time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include <errno.h>

#include "base/str.h"
#include "https_server.h"
#include "loop.h"
#include "pve.h"

enum { PATIENCE_MS = 15000, MAX_READS = 3, MANY = 12 };

static const char token[] = "pve-hwid@pve!daemon=00000000-1111-2222-3333-444444444444";

static struct https_server server;

struct fixture {
    sd_event *event;
    struct pve *pve;
};

struct got {
    size_t n;
    enum api_result result;
    int status;
    bool has_data;
    char message[256];
    size_t order; /* which answer this was, from 1 */
    size_t *answers;
};

static void take(void *userdata, const struct api_reply *reply)
{
    struct got *got = userdata;

    got->n++;
    got->result = reply->result;
    got->status = reply->status;
    got->has_data = reply->data != NULL;
    (void)snprintf(got->message, sizeof(got->message), "%s",
                   reply->message != NULL ? reply->message : "");
    assert_null(strstr(got->message, "444444444444"));
    if (got->answers != NULL) {
        got->order = ++*got->answers;
    }
}

static struct settings *settings_for(unsigned port)
{
    struct settings *settings = settings_new();

    assert_non_null(settings);
    free(settings->api_url);
    settings->api_url = str_printf("https://127.0.0.1:%u/", port);
    assert_int_equal(str_replace(&settings->ca_file, https_server_path(&server, "ca.pem")), 0);
    settings->connect_timeout_ms = 10000;
    settings->api_timeout_ms = 10000;
    settings->max_reads = MAX_READS;
    return settings;
}

static struct pve_call *send_request(struct pve *pve, enum api_method method, const char *path,
                                     struct got *got)
{
    struct api_request *request = api_request_new(method, path);
    struct pve_call *call = NULL;

    assert_non_null(request);
    request->changing = method != API_GET;
    assert_int_equal(pve_send(pve, request, take, got, &call, NULL), 0);
    assert_non_null(call);
    return call;
}

static struct got ask(struct fixture *f, enum api_method method, const char *path)
{
    struct got got = {0};

    (void)send_request(f->pve, method, path, &got);
    assert_int_equal(got.n, 0); /* never from inside pve_send() */
    assert_true(loop_until(f->event, &got.n, 1, PATIENCE_MS));
    return got;
}

static int set_up(void **state)
{
    static struct fixture f;
    CLEANUP(settings_freep) struct settings *settings = settings_for(server.ports[HTTPS_TLS]);

    f = (struct fixture){0};
    assert_true(sd_event_new(&f.event) >= 0);
    assert_int_equal(pve_new(f.event, settings, token, &f.pve, NULL), 0);
    https_server_forget_log(&server);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    pve_free(f->pve);
    sd_event_unref(f->event);
    return 0;
}

/* Turn by turn, until so many are under way. */
static bool until_running(struct fixture *f, size_t n)
{
    uint64_t deadline = clock_monotonic_ms() + PATIENCE_MS;
    struct pve_counts counts;

    do {
        pve_get_counts(f->pve, &counts);
    } while (counts.running != n && clock_monotonic_ms() < deadline &&
             sd_event_run(f->event, 20 * 1000) >= 0);
    return counts.running == n;
}

/* The most requests whose line in the log has `mark` that ran at the same time. */
static size_t most_at_once(const char *mark)
{
    CLEANUP_FREE char *log = https_server_log(&server);
    char *rest = log;
    char *line;
    size_t now = 0;
    size_t most = 0;

    while ((line = strsep(&rest, "\n")) != NULL) {
        if (strstr(line, mark) == NULL) {
            continue;
        }
        if (str_starts(line, "start")) {
            now++;
        } else if (now > 0) { /* else: the end of a call of an earlier test */
            now--;
        }
        most = now > most ? now : most;
    }
    return most;
}

static void answers_become_replies(void **state)
{
    struct got got = ask(*state, API_GET, "/ok");

    assert_int_equal(got.result, API_OK);
    assert_int_equal(got.status, 200);
    assert_true(got.has_data);
}

static void refusals_carry_the_words_of_pve(void **state)
{
    struct got got = ask(*state, API_PUT, "/mismatch");

    assert_int_equal(got.result, API_REFUSED);
    assert_int_equal(got.status, 500);
    assert_string_equal(got.message, "checksum mismatch (file change by other user?)");
    got = ask(*state, API_GET, "/unauthorized");
    assert_int_equal(got.result, API_REFUSED);
    assert_non_null(strstr(got.message, "Authentication failed!"));
}

static void no_answer_and_no_connection_differ(void **state)
{
    struct fixture *f = *state;
    CLEANUP(settings_freep) struct settings *settings = settings_for(1);
    CLEANUP(pve_freep) struct pve *pve = NULL;
    struct fixture other = {.event = f->event};
    struct got got = ask(f, API_PUT, "/cut/before");

    assert_int_equal(got.result, API_LOST);
    assert_int_equal(pve_new(f->event, settings, token, &pve, NULL), 0);
    other.pve = pve;
    got = ask(&other, API_PUT, "/ok");
    assert_int_equal(got.result, API_UNREACHABLE);
    assert_non_null(strstr(got.message, "is pveproxy running?"));
}

static void what_cannot_be_sent_is_told_from_the_loop(void **state)
{
    struct got got = ask(*state, API_GET, "/a?b");

    assert_int_equal(got.result, API_UNREACHABLE);
    assert_non_null(strstr(got.message, "no path of the API"));
}

static void one_change_and_a_few_reads_at_a_time(void **state)
{
    struct fixture *f = *state;
    struct got changes[MANY] = {0};
    struct got reads[MANY] = {0};
    struct pve_counts counts;
    size_t answers = 0;

    for (size_t i = 0; i < MANY; i++) {
        changes[i].answers = reads[i].answers = &answers;
        (void)send_request(f->pve, i % 2 == 0 ? API_PUT : API_POST, "/hold/many", &changes[i]);
        (void)send_request(f->pve, API_GET, "/hold/many", &reads[i]);
    }
    assert_true(https_server_reached(&server, f->event, "/hold/many", 1 + MAX_READS));
    loop_for(f->event, 100);
    pve_get_counts(f->pve, &counts);
    assert_int_equal(counts.running, 1 + MAX_READS);
    assert_int_equal(counts.queued_changes, MANY - 1);
    assert_int_equal(counts.queued_reads, MANY - MAX_READS);
    https_server_let_go(&server, "many");
    assert_true(loop_until(f->event, &answers, 2 * MANY, PATIENCE_MS));
    assert_int_equal(most_at_once(" P"), 1); /* PUT and POST */
    assert_int_equal(most_at_once(" GET"), MAX_READS);
    pve_get_counts(f->pve, &counts);
    assert_int_equal(counts.sent, 2 * MANY);
    assert_int_equal(counts.failed, 0);
    assert_int_equal(counts.running, 0);
}

static void first_come_first_served(void **state)
{
    struct fixture *f = *state;
    struct got changes[MANY] = {0};
    size_t answers = 0;

    for (size_t i = 0; i < MANY; i++) {
        changes[i].answers = &answers;
        (void)send_request(f->pve, API_PUT, "/wait/10", &changes[i]);
    }
    assert_true(loop_until(f->event, &answers, MANY, PATIENCE_MS));
    for (size_t i = 0; i < MANY; i++) {
        assert_int_equal(changes[i].order, i + 1);
    }
}

static void a_slow_change_does_not_hold_up_reads(void **state)
{
    struct fixture *f = *state;
    size_t answers = 0;
    struct got change = {.answers = &answers};
    struct got read = {.answers = &answers};

    (void)send_request(f->pve, API_PUT, "/hold/change", &change);
    (void)send_request(f->pve, API_GET, "/ok", &read);
    assert_true(loop_until(f->event, &answers, 1, PATIENCE_MS));
    assert_int_equal(read.order, 1);
    https_server_let_go(&server, "change");
    assert_true(loop_until(f->event, &answers, 2, PATIENCE_MS));
}

static void a_cancelled_call_that_waits_is_never_sent(void **state)
{
    struct fixture *f = *state;
    struct got first = {0};
    struct got second = {0};
    struct got last = {0};

    (void)send_request(f->pve, API_PUT, "/wait/100", &first);
    pve_cancel(send_request(f->pve, API_PUT, "/wait/101", &second));
    pve_cancel(send_request(f->pve, API_PUT, "/wait/101", &second)); /* the last in the queue */
    (void)send_request(f->pve, API_PUT, "/ok", &last);
    assert_true(loop_until(f->event, &last.n, 1, PATIENCE_MS));
    assert_int_equal(first.n, 1);
    assert_int_equal(second.n, 0);
    assert_int_equal(https_server_count(&server, "start", "/wait/101"), 0);
}

static void a_cancelled_call_under_way_keeps_its_place(void **state)
{
    struct fixture *f = *state;
    struct got first = {0};
    struct got last = {0};
    struct got later = {0};
    struct pve_call *call = send_request(f->pve, API_PUT, "/hold/first", &first);

    (void)send_request(f->pve, API_PUT, "/ok", &last);
    assert_true(https_server_reached(&server, f->event, "/hold/first", 1));
    pve_cancel(call);
    (void)send_request(f->pve, API_PUT, "/ok", &later); /* which looks for room */
    loop_for(f->event, 100);
    https_server_let_go(&server, "first");
    assert_true(loop_until(f->event, &later.n, 1, PATIENCE_MS));
    assert_true(loop_until(f->event, &last.n, 1, PATIENCE_MS));
    assert_int_equal(first.n, 0);
    assert_int_equal(most_at_once(" P"), 1); /* PUT */
}

struct seen {
    struct got got;
    char path[32];
};

static void observe(void *userdata, const struct api_request *request,
                    const struct api_reply *reply)
{
    struct seen *seen = userdata;

    (void)snprintf(seen->path, sizeof(seen->path), "%s", request->path);
    take(&seen->got, reply);
}

static void the_observer_hears_what_nobody_waits_for(void **state)
{
    struct fixture *f = *state;
    struct seen seen = {0};
    struct got got = {0};
    struct pve_call *call;

    pve_observe(f->pve, observe, &seen);
    call = send_request(f->pve, API_GET, "/hold/seen", &got);
    assert_true(https_server_reached(&server, f->event, "/hold/seen", 1));
    pve_cancel(call);
    https_server_let_go(&server, "seen");
    assert_true(loop_until(f->event, &seen.got.n, 1, PATIENCE_MS));
    assert_int_equal(got.n, 0);
    assert_int_equal(seen.got.result, API_OK);
    assert_string_equal(seen.path, "/hold/seen");
    assert_int_equal(ask(f, API_GET, "/ok").result, API_OK);
    assert_int_equal(seen.got.n, 2);
    pve_observe(f->pve, NULL, NULL);
    assert_int_equal(ask(f, API_GET, "/ok").result, API_OK);
    assert_int_equal(seen.got.n, 2);
}

/* To a server that is there, in the midst of calls to the one before. */
static void other_settings_change_no_limit_and_lose_no_answer(void **state)
{
    struct fixture *f = *state;
    CLEANUP(settings_freep) struct settings *settings = settings_for(server.ports[HTTPS_TLS]);
    struct seen seen = {0};
    struct got got[4] = {0};
    struct pve_counts counts;
    size_t answers = 0;

    pve_observe(f->pve, observe, &seen);
    for (size_t i = 0; i < ARRAY_SIZE(got); i++) {
        got[i].answers = &answers;
        (void)send_request(f->pve, API_PUT, "/wait/200", &got[i]);
    }
    assert_true(until_running(f, 1));
    for (unsigned i = 1; i <= 5; i++) {
        settings->api_timeout_ms = 10000 + i;
        assert_int_equal(pve_renew(f->pve, settings, token, NULL), 0);
    }
    assert_int_equal(pve_renew(f->pve, settings, "nonsense", NULL), -EINVAL);
    pve_get_counts(f->pve, &counts);
    assert_int_equal(counts.running, 1);
    assert_true(loop_until(f->event, &answers, ARRAY_SIZE(got), PATIENCE_MS));
    for (size_t i = 0; i < ARRAY_SIZE(got); i++) {
        assert_int_equal(got[i].result, API_OK);
        assert_int_equal(got[i].order, i + 1);
    }
    assert_int_equal(most_at_once("/wait/200"), 1);
    assert_int_equal(seen.got.n, ARRAY_SIZE(got) - 1); /* not the first one's: it went before */
}

static void what_waits_is_sent_by_the_new_settings(void **state)
{
    struct fixture *f = *state;
    CLEANUP(settings_freep) struct settings *wrong = settings_for(1);
    CLEANUP(settings_freep) struct settings *right = settings_for(server.ports[HTTPS_TLS]);
    struct got first = {0};
    struct got second = {0};

    (void)send_request(f->pve, API_PUT, "/wait/200", &first);
    assert_true(until_running(f, 1));
    (void)send_request(f->pve, API_PUT, "/ok", &second);
    assert_int_equal(pve_renew(f->pve, wrong, token, NULL), 0);
    assert_true(loop_until(f->event, &second.n, 1, PATIENCE_MS));
    assert_int_equal(first.result, API_OK);
    assert_int_equal(second.result, API_UNREACHABLE);
    assert_int_equal(pve_renew(f->pve, right, token, NULL), 0);
    assert_int_equal(ask(f, API_PUT, "/ok").result, API_OK);
}

struct persistent {
    struct pve *pve;
    size_t n;
};

static void try_again(void *userdata, const struct api_reply *reply)
{
    struct persistent *p = userdata;

    (void)reply;
    p->n++;
    assert_int_equal(pve_send(p->pve, api_request_new(API_GET, "/a?b"), try_again, p, NULL, NULL),
                     0);
}

static void one_who_never_gives_up_blocks_nobody(void **state)
{
    struct fixture *f = *state;
    struct persistent p = {.pve = f->pve};

    assert_int_equal(pve_send(f->pve, api_request_new(API_GET, "/a?b"), try_again, &p, NULL, NULL),
                     0);
    assert_int_equal(ask(f, API_GET, "/ok").result, API_OK);
    assert_true(p.n > 0);
}

static void freeing_forgets_everything(void **state)
{
    struct fixture *f = *state;
    CLEANUP(settings_freep) struct settings *settings = settings_for(server.ports[HTTPS_TLS]);
    struct pve *pve = NULL;
    struct got got = {0};

    assert_int_equal(pve_new(f->event, settings, token, &pve, NULL), 0);
    for (int i = 0; i < 5; i++) {
        (void)send_request(pve, API_PUT, "/hold/forgotten", &got);
        (void)send_request(pve, API_GET, "/hold/forgotten", &got);
    }
    assert_true(https_server_reached(&server, f->event, "/hold/forgotten", 1 + MAX_READS));
    pve_free(pve);
    https_server_let_go(&server, "forgotten");
    loop_for(f->event, 200);
    assert_int_equal(got.n, 0);
}

static void a_token_of_another_form_is_refused_unquoted(void **state)
{
    static const char *const bad[] = {"",
                                      "SECRET",
                                      "root@pam=SECRET",
                                      "a@b!c",
                                      "a@b!c=",
                                      "a@b!=SECRET",
                                      "@b!c=SECRET",
                                      "a@!c=SECRET",
                                      "a@b!c=S\nSECRET",
                                      "a@b!c=SEC RET"};
    struct fixture *f = *state;
    CLEANUP(settings_freep) struct settings *settings = settings_for(1);

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct pve *pve = NULL;
        struct err err = {""};

        assert_int_equal(pve_new(f->event, settings, bad[i], &pve, &err), -EINVAL);
        assert_null(strstr(err.text, "SEC"));
    }
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
        CASE(answers_become_replies),
        CASE(refusals_carry_the_words_of_pve),
        CASE(no_answer_and_no_connection_differ),
        CASE(what_cannot_be_sent_is_told_from_the_loop),
        CASE(one_change_and_a_few_reads_at_a_time),
        CASE(first_come_first_served),
        CASE(a_slow_change_does_not_hold_up_reads),
        CASE(a_cancelled_call_that_waits_is_never_sent),
        CASE(a_cancelled_call_under_way_keeps_its_place),
        CASE(the_observer_hears_what_nobody_waits_for),
        CASE(other_settings_change_no_limit_and_lose_no_answer),
        CASE(what_waits_is_sent_by_the_new_settings),
        CASE(one_who_never_gives_up_blocks_nobody),
        CASE(freeing_forgets_everything),
        CASE(a_token_of_another_form_is_refused_unquoted),
    };

    return cmocka_run_group_tests(tests, start_server, stop_server);
}
