/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See hold.h. */
#include "core/hold.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "core/jsonread.h"

void hold_free(struct hold *hold)
{
    if (hold == NULL) {
        return;
    }
    free(hold->since);
    free(hold->by);
    free(hold->why);
    free(hold);
}

static int read_parts(const struct jsonread *root, struct hold *hold, struct err *err)
{
    static const char *const keys[] = {"format", "since", "by", "why"};
    int format = 0;
    int rc = jsonread_object(root, keys, ARRAY_SIZE(keys), err);

    rc = rc < 0 ? rc : jsonread_int(root, "format", HOLD_FORMAT, HOLD_FORMAT, &format, err);
    rc = rc < 0 ? rc : jsonread_text(root, "since", HOLD_SINCE_MAX, &hold->since, err);
    rc = rc < 0 ? rc : jsonread_text(root, "by", HOLD_BY_MAX, &hold->by, err);
    rc = rc < 0 ? rc : jsonread_text(root, "why", HOLD_WHY_MAX, &hold->why, err);
    if (rc == 0 && (format == 0 || hold->since == NULL || hold->by == NULL)) {
        return err_set(err, -EINVAL, "format, since and by are needed");
    }
    return rc;
}

int hold_parse(const char *text, size_t len, struct hold **ret, struct err *err)
{
    CLEANUP(hold_freep) struct hold *hold = calloc(1, sizeof(*hold));
    json_auto_t *value = NULL;
    struct jsonread root = {0};
    json_error_t error;
    int rc;

    if (hold == NULL) {
        return err_oom(err);
    }
    if (len > HOLD_MAX) {
        return err_set(err, -EFBIG, "%zu bytes are too many for a hold; at most %d", len,
                       (int)HOLD_MAX);
    }
    value = json_loadb(len > 0 ? text : "", len, JSON_REJECT_DUPLICATES, &error);
    if (value == NULL &&
        (json_error_code(&error) == json_error_out_of_memory || error.text[0] == '\0')) {
        return err_oom(err); /* out of memory, jansson mostly says nothing at all */
    }
    if (value == NULL) {
        str_tame(error.text); /* it quotes what it stumbled over */
        return err_set(err, -EINVAL, "line %d: no JSON: %s", error.line, error.text);
    }
    root.value = value;
    rc = read_parts(&root, hold, err);
    if (rc < 0) {
        return rc;
    }
    *ret = STEAL(hold);
    return 0;
}

int hold_format(const struct hold *hold, char **ret_text, struct err *err)
{
    CLEANUP(hold_freep) struct hold *read_back = NULL;
    CLEANUP_FREE char *json = NULL;
    CLEANUP_FREE char *text = NULL;
    json_auto_t *value = NULL;
    int rc;

    if (!str_is_utf8(hold->by) || (hold->why != NULL && !str_is_utf8(hold->why))) {
        return err_set(err, -EINVAL, "a hold's words must be UTF-8");
    }
    value = json_pack("{s:i, s:s, s:s, s:s*}", "format", HOLD_FORMAT, "since", hold->since, "by",
                      hold->by, "why", hold->why);
    json = value == NULL ? NULL : json_dumps(value, JSON_INDENT(2));
    text = json == NULL ? NULL : str_printf("%s\n", json);
    if (text == NULL) {
        return err_oom(err);
    }
    /* The reader knows the limits: what it refuses must not be written. */
    rc = hold_parse(text, strlen(text), &read_back, err);
    if (rc < 0) {
        return rc;
    }
    *ret_text = STEAL(text);
    return 0;
}

char *hold_describe(const char *text, size_t len, const char *path, const char *problem)
{
    CLEANUP(hold_freep) struct hold *hold = NULL;
    struct err err = {""};
    int rc = text == NULL ? err_set(&err, -EINVAL, "%s", problem)
                          : hold_parse(text, len, &hold, &err);

    if (rc == -ENOMEM) {
        return NULL;
    }
    if (rc < 0) {
        return text == NULL ? str_printf("on hold: its hold file cannot be read (%s)", err.text)
                            : str_printf("on hold: %s cannot be understood (%s)", path, err.text);
    }
    return str_printf("on hold since %s by %s%s%s%s", hold->since, hold->by,
                      hold->why == NULL ? "" : " (", hold->why == NULL ? "" : hold->why,
                      hold->why == NULL ? "" : ")");
}
