/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Any bytes as every answer of vCenter: a VM, a list, a session, a failure. */
#include "core/vcenter.h"
#include "readback.h"

static void must_be_a_file_name(const struct vcenter_item *vm)
{
    CLEANUP_FREE char *name = vcenter_file_name(vm);

    must(name != NULL && name[0] != '.' && strchr(name, '/') == NULL && strlen(name) < 200);
    must(str_ends(name, ".json"));
}

static void read_lists(const char *text, size_t size)
{
    for (enum vcenter_kind kind = VCENTER_VM; kind <= VCENTER_FOLDER; kind++) {
        CLEANUP(vcenter_items_fini) struct vcenter_items items = {0};
        struct err err = {""};

        if (vcenter_read_list(text, size, kind, &items, &err) < 0) {
            must(err.text[0] != '\0');
        }
        for (size_t i = 0; i < items.n; i++) {
            must_be_a_file_name(&items.items[i]);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    CLEANUP(fingerprint_freep) struct fingerprint *fp = NULL;
    CLEANUP(notes_fini) struct notes notes = {0};
    char session[VCENTER_SESSION_SIZE];
    struct vcenter_failure failure;
    struct err err = {""};

    if (vcenter_capture(text, size, "name", NULL, &fp, &notes, &err) == 0) {
        check_fingerprint(fp);
        (void)vcenter_missing(fp); /* any answer will do */
    } else {
        must(err.text[0] != '\0');
    }
    check_notes(&notes);
    read_lists(text, size);
    if (vcenter_read_session(text, size, session, &err) == 0) {
        must(session[0] != '\0' && strpbrk(session, " \r\n") == NULL);
    }
    vcenter_read_failure(text, size, &failure);
    must(strpbrk(failure.sentence, "\r\n\x1b") == NULL);
    return 0;
}
