/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See http.h: what a failed exchange with PVE's API means for the administrator of that node. */
#include <string.h>

#include "base/str.h"
#include "http.h"

/* Chain, name and time share one code; CURLINFO_SSL_VERIFYRESULT does not tell them apart either.
 */
enum http_failure_kind http_certificate_failure(const char *words)
{
    if (strstr(words, "subject name") != NULL) {
        return HTTP_WRONG_NAME;
    }
    return strstr(words, "expired") != NULL || strstr(words, "not yet valid") != NULL
               ? HTTP_EXPIRED
               : HTTP_UNTRUSTED;
}

static void explain_certificate(const struct http_failure *failure, struct err *err)
{
    static const char prefix[] = "SSL certificate problem: ";
    const char *cause = failure->cause;
    const char *detail = str_starts(cause, prefix) ? cause + strlen(prefix) : cause;

    if (failure->kind == HTTP_WRONG_NAME) {
        (void)err_set(err, 0,
                      "%s shows a certificate of another name (%s); set api_url in pve-hwid.conf "
                      "to a name or address that its certificate has",
                      failure->origin, detail);
        return;
    }
    (void)err_set(err, 0,
                  "the certificate of %s cannot be verified with %s: %s; if this node has a "
                  "certificate of its own (pveproxy-ssl.pem), set ca_file in pve-hwid.conf to the "
                  "CA that signed it",
                  failure->origin, failure->ca_file, detail);
}

static void explain_timeout(const struct http_failure *failure, struct err *err)
{
    if (failure->sent) {
        (void)err_set(err, 0, "%s did not answer within %u ms", failure->origin,
                      failure->timeout_ms);
        return;
    }
    (void)err_set(err, 0, "cannot reach %s: no connection within %u ms; is pveproxy running?",
                  failure->origin, failure->connect_timeout_ms);
}

void http_explain_pve(const struct http_failure *failure, struct err *err)
{
    const char *origin = failure->origin;
    const char *cause = failure->cause;

    switch (failure->kind) {
    case HTTP_TOO_LONG:
        (void)err_set(err, 0, "the answer of %s is longer than the %d bytes allowed", origin,
                      HTTP_BODY_MAX);
        return;
    case HTTP_NO_MEMORY:
        (void)err_oom(err);
        return;
    case HTTP_WRONG_NAME:
    case HTTP_EXPIRED:
    case HTTP_UNTRUSTED:
    case HTTP_OTHER_KEY: /* nothing is pinned here */
        explain_certificate(failure, err);
        return;
    case HTTP_NO_CA:
        (void)err_set(err, 0,
                      "cannot use the CA file %s to verify %s: it is missing, unreadable or holds "
                      "no certificate; see ca_file in pve-hwid.conf",
                      failure->ca_file, origin);
        return;
    case HTTP_TIMEOUT:
        explain_timeout(failure, err);
        return;
    case HTTP_NO_HOST:
        (void)err_set(err, 0, "cannot reach %s: no such host name; see api_url in pve-hwid.conf",
                      origin);
        return;
    case HTTP_NO_CONNECTION:
        (void)err_set(err, 0, "cannot reach %s: %c%s; is pveproxy running?", origin,
                      ascii_lower(cause[0]), cause[0] != '\0' ? cause + 1 : "");
        return;
    case HTTP_NO_TLS:
        (void)err_set(err, 0, "cannot reach %s: no TLS there (%s); is that the port of pveproxy?",
                      origin, cause);
        return;
    case HTTP_BROKEN:
        (void)err_set(err, 0, "the exchange with %s failed%s: %s", origin,
                      failure->sent ? " before the whole answer was there" : "", cause);
        return;
    }
}
