/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * See guard.h. The worker's type comes before the lock: it names the operation, and a rollback has
 * no lock left (recordings hook-context-*).
 */
#include "core/guard.h"

#include "base/macros.h"
#include "base/str.h"
#include "core/propstr.h"

static bool is_said(const char *text)
{
    return text != NULL && *text != '\0';
}

static bool worker_verdict(const char *type, enum guard_verdict *ret_verdict)
{
    static const struct {
        const char *type;
        enum guard_verdict verdict;
    } known[] = {
        {"qmrollback", GUARD_ROLLBACK},
        {"vzdump", GUARD_BACKUP},
        {"qmresume", GUARD_RESUME},
    };

    for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
        if (str_equal(type, known[i].type)) {
            *ret_verdict = known[i].verdict;
            return true;
        }
    }
    return false;
}

static enum guard_verdict config_verdict(const struct pveconf *conf)
{
    const char *lock = pveconf_get(conf, "lock");
    const char *template = pveconf_get(conf, "template");
    bool is_template = false;

    if (str_equal(lock, "suspended") || pveconf_get(conf, "vmstate") != NULL) {
        return GUARD_RESUME;
    }
    if (str_equal(lock, "backup")) {
        return GUARD_BACKUP;
    }
    if (lock != NULL) {
        return GUARD_LOCKED;
    }
    if (template != NULL && propstr_bool(template, &is_template) && is_template) {
        return GUARD_TEMPLATE;
    }
    return GUARD_ORDINARY;
}

enum guard_verdict guard_decide(const struct guard_signs *signs)
{
    enum guard_verdict verdict;

    if (is_said(signs->migrated_from)) {
        return GUARD_MIGRATION;
    }
    if (signs->conf == NULL) {
        return GUARD_FOREIGN_CONFIG;
    }
    if (worker_verdict(signs->worker_type, &verdict)) {
        return verdict;
    }
    verdict = config_verdict(signs->conf);
    if (verdict != GUARD_ORDINARY) {
        return verdict;
    }
    if (!is_said(signs->worker_type)) {
        return GUARD_NO_WORKER;
    }
    return str_equal(signs->worker_type, "qmstart") ? GUARD_ORDINARY : GUARD_UNKNOWN_WORKER;
}

const char *guard_reason(enum guard_verdict verdict)
{
    switch (verdict) {
    case GUARD_ORDINARY:
        return "an ordinary start";
    case GUARD_MIGRATION:
        return "incoming migration: the hardware stays as it is";
    case GUARD_FOREIGN_CONFIG:
        return "the configuration is not on this node: the hardware stays as it is";
    case GUARD_RESUME:
        return "resume from hibernation: the hardware stays as it is";
    case GUARD_ROLLBACK:
        return "rollback to a snapshot with RAM: the hardware stays as it is";
    case GUARD_BACKUP:
        return "vzdump (backup): the hardware stays as it is";
    case GUARD_LOCKED:
        return "the VM is locked by another operation: the hardware stays as it is";
    case GUARD_TEMPLATE:
        return "a template: the hardware stays as it is";
    case GUARD_NO_WORKER:
        return "called outside of a start by PVE: nothing to decide";
    case GUARD_UNKNOWN_WORKER:
        return "a PVE task of a kind pve-hwid does not know: the hardware stays as it is";
    }
    return ""; /* not reached: all verdicts are above */
}
