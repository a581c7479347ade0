/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One VM of an OVF on its way to a fingerprint: shared by ovf.c and ovf_devices.c. */
#ifndef CORE_OVF_PRIV_H
#define CORE_OVF_PRIV_H

#include "core/builder.h"
#include "core/ovf_xml.h"

/* CIM's ResourceType. */
enum ovf_resource {
    OVF_CPU = 3,
    OVF_MEMORY = 4,
    OVF_IDE = 5,
    OVF_SCSI = 6,
    OVF_NIC = 10,
    OVF_CD = 15,
    OVF_DVD = 16,
    OVF_DISK = 17,
    OVF_STORAGE = 20, /* SATA, NVMe */
    OVF_GRAPHICS = 24,
    OVF_RESOURCE_MAX = 99,
};

struct ovf {
    struct builder b;
    const struct ovf_doc *doc;
    struct ovf_system *system;
    const char *guest; /* osType; "" where absent */
    int hardware;
    bool efi;
};

/* Which items are of this machine, not of another deployment option: once, before the others. */
void ovf_choose_items(struct ovf *o);
/* The n-th item of a kind; NULL: no more. */
const struct ovf_item *ovf_nth(const struct ovf *o, enum ovf_resource resource, size_t n);

void ovf_capture_cpu(struct ovf *o);
void ovf_capture_memory(struct ovf *o);
void ovf_capture_nics(struct ovf *o);
void ovf_capture_drives(struct ovf *o);

#endif
