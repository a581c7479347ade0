/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Every allocation of the API client fails in turn. (Those inside curl and libsystemd do not.) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <errno.h>

#include "alloc_fail.h"
#include "base/str.h"
#include "loop.h"
#include "pve.h"

static struct settings *settings;

struct asked {
    size_t n;
    int rc;
};

static void answered(void *userdata, const struct api_reply *reply)
{
    struct asked *asked = userdata;

    assert_int_equal(reply->result, API_UNREACHABLE);
    asked->n++;
    asked->rc = reply->message == NULL || strstr(reply->message, "memory") != NULL ? -ENOMEM : 0;
}

/* Nobody listens: an answer needs no server here, and comes whatever fails. */
static int run_pve(void *data)
{
    CLEANUP(pve_freep) struct pve *pve = NULL;
    struct api_request *request = NULL;
    struct asked asked = {0};
    int rc = pve_new(data, settings, "a@b!c=d", &pve, NULL);

    if (rc < 0) {
        return rc;
    }
    request = api_request_new(API_PUT, "/nodes/n/qemu/105/config");
    if (request == NULL || api_request_add(request, "smbios1", "a=b") < 0) {
        api_request_free(request);
        return -ENOMEM;
    }
    rc = pve_send(pve, request, answered, &asked, NULL, NULL);
    if (rc < 0) {
        return rc;
    }
    assert_true(loop_until(data, &asked.n, 1, 10000));
    return asked.rc;
}

static void the_client_survives(void **state)
{
    assert_true(alloc_fail_each(run_pve, *state, ALLOC_FAIL_OWN) > 10);
}

static int set_up(void **state)
{
    settings = settings_new();
    return settings == NULL || sd_event_new((sd_event **)state) < 0 ||
                   str_replace(&settings->api_url, "https://127.0.0.1:1") < 0
               ? -1
               : 0;
}

static int tear_down(void **state)
{
    sd_event_unref(*state);
    settings_free(settings);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_client_survives)};

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
