/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See vcenter.h: what a failed exchange with vCenter means for the administrator. */
#include <errno.h>
#include <string.h>

#include "base/str.h"
#include "cli/vcenter.h"

static void explain_certificate(const struct http_failure *f, struct err *err)
{
    static const char prefix[] = "SSL certificate problem: ";
    const char *cause = str_starts(f->cause, prefix) ? f->cause + strlen(prefix) : f->cause;

    if (f->kind == HTTP_WRONG_NAME) {
        (void)err_set(err, 0,
                      "%s shows a certificate of another name (%s): give the name that is in it, "
                      "or trust this one certificate with --thumbprint",
                      f->origin, cause);
    } else if (f->kind == HTTP_EXPIRED) {
        (void)err_set(err, 0,
                      "the certificate of %s is out of its time (%s): renew it, or set this "
                      "clock, or trust this one certificate with --thumbprint, whatever its dates",
                      f->origin, cause);
    } else if (f->kind == HTTP_OTHER_KEY) {
        (void)err_set(err, 0,
                      "%s shows another certificate than at first, with another key. Nothing was "
                      "sent to it: somebody is in between, or several machines answer to this name",
                      f->origin);
    } else {
        (void)err_set(err, 0, "nobody known here vouches for the certificate of %s (%s)", f->origin,
                      cause);
    }
}

void vcenter_explain(const struct http_failure *f, struct err *err)
{
    switch (f->kind) {
    case HTTP_NO_HOST:
        (void)err_set(err, 0, "cannot reach %s: no such host name", f->origin);
        return;
    case HTTP_NO_CONNECTION:
        (void)err_set(err, 0, "cannot reach %s: %c%s", f->origin, ascii_lower(f->cause[0]),
                      f->cause[0] != '\0' ? f->cause + 1 : "");
        return;
    case HTTP_NO_TLS:
        (void)err_set(err, 0, "cannot reach %s: no TLS there (%s); is that vCenter's port?",
                      f->origin, f->cause);
        return;
    case HTTP_NO_CA:
        (void)err_set(err, 0,
                      "cannot use %s to verify %s: it is missing, unreadable or holds no "
                      "certificate; see --cacert and --thumbprint",
                      f->ca_file != NULL ? f->ca_file : "the CAs of this system", f->origin);
        return;
    case HTTP_WRONG_NAME:
    case HTTP_EXPIRED:
    case HTTP_UNTRUSTED:
    case HTTP_OTHER_KEY:
        explain_certificate(f, err);
        return;
    case HTTP_TIMEOUT:
        (void)err_set(err, 0,
                      f->sent ? "%s did not answer within %u s (--timeout)"
                              : "cannot reach %s: no connection within %u s",
                      f->origin, (f->sent ? f->timeout_ms : f->connect_timeout_ms) / 1000);
        return;
    case HTTP_TOO_LONG:
        (void)err_set(err, 0, "the answer of %s is longer than the %d bytes allowed", f->origin,
                      HTTP_BODY_MAX);
        return;
    case HTTP_NO_MEMORY:
        (void)err_oom(err);
        return;
    case HTTP_BROKEN:
        (void)err_set(err, 0, "the exchange with %s broke off: %s", f->origin, f->cause);
        return;
    }
}

int vcenter_check_interrupted(const struct vcenter_run *run, struct err *err)
{
    return run->interrupted == 0
               ? 0
               : err_set(err, -EINTR, "interrupted (%s)", strsignal(run->interrupted));
}

int vcenter_refuse(const struct vcenter_run *run, int status, const char *body, size_t len,
                   struct err *err)
{
    struct vcenter_failure failure;
    const char *said;

    vcenter_read_failure(body, len, &failure);
    said = failure.sentence[0] != '\0' ? failure.sentence : "it says no more";
    if (status >= 300 && status < 400) {
        return err_set(err, -EPROTO,
                       "%s sends us elsewhere (status %d), where we do not go: the password was "
                       "meant for it alone. Is it a vCenter? Give --vcenter its own name",
                       run->url, status);
    }
    switch (status) {
    case 401:
        return err_set(err, -EACCES, "%s does not accept the session: %s", run->url, said);
    case 403:
        return err_set(err, -EPERM,
                       "%s does not allow that to %s (%s); read permission on the VMs is needed",
                       run->url, run->options->user, said);
    case 404:
        return err_set(err, -ENOENT, "%s does not know it, or no longer: %s", run->url, said);
    case 429:
    case 503:
        return err_set(err, -EBUSY, "%s is too busy (status %d): %s", run->url, status, said);
    default:
        return err_set(err, -EIO, "%s answered with status %d: %s", run->url, status, said);
    }
}
