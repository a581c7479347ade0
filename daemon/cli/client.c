/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See client.h. */
#include "cli/client.h"

#include <errno.h>
#include <string.h>

#include "io/clock.h"
#include "io/file.h"
#include "io/sock.h"

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static int explain_connect(const char *path, int rc, const struct err *why, struct err *err)
{
    switch (-rc) {
    case ENOENT:
    case ECONNREFUSED:
        return err_set(err, rc,
                       "the daemon is not running (nobody listens on %s): systemctl status "
                       "pve-hwidd; on a node that is not set up yet: pve-hwid setup",
                       path);
    case EACCES:
    case EPERM:
        return err_set(err, rc, "no permission to talk to the daemon (%s): run as root", path);
    case ETIMEDOUT:
        return err_set(err, rc,
                       "the daemon does not take calls (%s): systemctl status pve-hwidd; "
                       "journalctl -u pve-hwidd",
                       path);
    case ENAMETOOLONG:
        return err_set(err, rc, "%s", why->text);
    default:
        return err_set(err, rc, "%s; systemctl status pve-hwidd", why->text);
    }
}

int client_open(struct client *client, const char *path, uint64_t quiet_ms, struct err *err)
{
    uint64_t now = clock_monotonic_ms();
    struct err why = {""};
    int rc;

    *client = (struct client){
        .path = path,
        .fd = -1,
        .in = BUF_INIT(CLIENT_REPLY_MAX),
        .quiet_ms = quiet_ms,
        .end_ms = now + CLIENT_CALL_MAX_MS,
    };
    rc = sock_connect(path, now + earlier(quiet_ms, CLIENT_CONNECT_MS), &client->fd, &why);
    return rc < 0 ? explain_connect(path, rc, &why, err) : 0;
}

void client_close(struct client *client)
{
    fd_closep(&client->fd);
    client->fd = -1;
    buf_fini(&client->in);
}

static int explain_talk(const struct client *client, int rc, const struct err *why, struct err *err)
{
    switch (-rc) {
    case ETIMEDOUT:
        return err_set(err, rc,
                       "no word from the daemon for %llu s; what was asked may still be going on: "
                       "pve-hwid status; journalctl -u pve-hwidd; --timeout waits longer",
                       (unsigned long long)(client->quiet_ms / 1000));
    case ECONNRESET:
        return err_set(err, rc,
                       "the daemon hung up before it had answered; what was asked may have been "
                       "done in part: journalctl -u pve-hwidd");
    case EFBIG:
        return err_set(err, rc, "the daemon's answer is larger than the %d bytes allowed",
                       (int)CLIENT_REPLY_MAX);
    default:
        return err_set(err, rc, "%s: %s; journalctl -u pve-hwidd", client->path, why->text);
    }
}

int client_send(struct client *client, const char *method, const json_t *parameters, bool more,
                struct err *err)
{
    CLEANUP(buf_fini) struct buf frame = BUF_INIT(WIRE_CALL_MAX);
    struct err why = {""};
    int rc;

    wire_add_call(&frame, method, parameters, more);
    if (frame.error != 0) {
        return frame.error == -EFBIG ? err_set(err, -EFBIG, "too much to ask for in one call")
                                     : err_oom(err);
    }
    rc = sock_send(client->fd, frame.data, frame.len, clock_monotonic_ms() + client->quiet_ms,
                   &why);
    return rc < 0 ? explain_talk(client, rc, &why, err) : 0;
}

int client_receive(struct client *client, struct wire_reply *ret_reply, struct err *err)
{
    uint64_t deadline = earlier(clock_monotonic_ms() + client->quiet_ms, client->end_ms);
    struct err why = {""};
    size_t len;
    int rc;

    rc = sock_recv_frame(client->fd, &client->in, deadline, &len, &why);
    if (rc < 0) {
        return explain_talk(client, rc, &why, err);
    }
    rc = wire_parse_reply(client->in.data, len, ret_reply, &why);
    buf_consume(&client->in, len + 1);
    if (rc == -EINVAL) {
        return err_set(err, -EPROTO,
                       "%s: what answers there does not speak as pve-hwidd %s does (%s); after an "
                       "upgrade: systemctl restart pve-hwidd",
                       client->path, PVE_HWID_VERSION, why.text);
    }
    return rc < 0 ? err_oom(err) : 0;
}
