/* SPDX-License-Identifier: GPL-3.0-or-later */
/* VMs and fingerprints for the tests of the reconciliation. */
#ifndef TESTS_SCENARIOS_H
#define TESTS_SCENARIOS_H

struct scenario {
    const char *name;
    const char *config;
    const char *fingerprint;
    const char *edited;     /* the same after somebody edited it */
    const char *volumes[4]; /* NULL-terminated; the first is the one that faults take away */
};

#define SCENARIO_SMBIOS                                                                            \
    "\"smbios\":{\"uuid\":\"9b1a4d56-1100-3322-4455-66778899aabb\","                               \
    "\"manufacturer\":\"VMware, Inc.\",\"product\":\"VMware7,1\"},"                                \
    "\"machine\":{\"type\":\"q35\",\"min_version\":\"9.0\"},"                                      \
    "\"nics\":[{\"model\":\"vmxnet3\",\"mac\":\"00:50:56:8a:01:02\"}]"
#define SCENARIO_OTHER_SMBIOS                                                                      \
    "\"smbios\":{\"uuid\":\"9b1a4d56-1100-3322-4455-66778899aacc\","                               \
    "\"manufacturer\":\"Other\"}"
#define SCENARIO_NET                                                                               \
    "hookscript: local:snippets/pve-hwid\nmachine: q35\n"                                          \
    "net0: virtio=BC:24:11:9A:A3:C1,bridge=vmbr0\nsmbios1: "                                       \
    "uuid=11111111-2222-3333-4444-555555555555\n"
#define SCENARIO_DISK(i)   "local:105/vm-105-disk-" #i ".qcow2"
#define SCENARIO_SATA(i)   "{\"controller\":\"sata\",\"bus\":0,\"unit\":" #i "}"
#define SCENARIO_PVSCSI(i) "{\"controller\":\"pvscsi\",\"bus\":0,\"unit\":" #i "}"

static const struct scenario scenarios[] = {
    {"identity",
     "boot: order=scsi0;net0\n" SCENARIO_NET "scsi0: " SCENARIO_DISK(0) ",size=1G\n",
     "{\"format\":1," SCENARIO_SMBIOS "}",
     "{\"format\":1," SCENARIO_OTHER_SMBIOS "}",
     {SCENARIO_DISK(0)}},
    {"one disk",
     "boot: order=scsi0;net0\nhookscript: local:snippets/pve-hwid\n"
     "scsi0: " SCENARIO_DISK(0) ",iothread=1,size=1G\nscsihw: virtio-scsi-single\n",
     "{\"format\":1,\"disks\":[" SCENARIO_SATA(0) "]}",
     "{\"format\":1," SCENARIO_OTHER_SMBIOS ",\"disks\":[" SCENARIO_SATA(0) "]}",
     {SCENARIO_DISK(0)}},
    {"two disks",
     "boot: order=scsi0;net0\n" SCENARIO_NET
     "scsi0: " SCENARIO_DISK(0) ",size=1G\n"
                                "scsi1: " SCENARIO_DISK(1) ",size=1G\n",
     "{\"format\":1," SCENARIO_SMBIOS ",\"disks\":[" SCENARIO_SATA(0) "," SCENARIO_SATA(1) "]}",
     "{\"format\":1," SCENARIO_OTHER_SMBIOS
     ",\"disks\":[" SCENARIO_PVSCSI(0) "," SCENARIO_PVSCSI(1) "]}",
     {SCENARIO_DISK(0), SCENARIO_DISK(1)}},
    {"to pvscsi",
     "boot: order=virtio0\nbootdisk: virtio0\n" SCENARIO_NET
     "virtio0: " SCENARIO_DISK(0) ",size=1G\nvirtio1: " SCENARIO_DISK(
         1) ",size=1G\nvirtio2: " SCENARIO_DISK(2) ",size=1G\n",
     "{\"format\":1," SCENARIO_SMBIOS
     ",\"disks\":[" SCENARIO_PVSCSI(0) "," SCENARIO_PVSCSI(1) "," SCENARIO_PVSCSI(2) "]}",
     "{\"format\":1," SCENARIO_OTHER_SMBIOS "}",
     {SCENARIO_DISK(0), SCENARIO_DISK(1), SCENARIO_DISK(2)}},
    {"no boot order",
     "bootdisk: virtio0\n" SCENARIO_NET "ide2: none,media=cdrom\nvirtio0: " SCENARIO_DISK(
         0) ",size=1G\nvirtio1: " SCENARIO_DISK(1) ",size=1G\n",
     "{\"format\":1," SCENARIO_SMBIOS ",\"disks\":[" SCENARIO_SATA(0) "," SCENARIO_SATA(1) "]}",
     "{\"format\":1," SCENARIO_OTHER_SMBIOS "}",
     {SCENARIO_DISK(0), SCENARIO_DISK(1)}},
    {"pending of an administrator",
     "boot: order=scsi0;net0\n" SCENARIO_NET "scsi0: " SCENARIO_DISK(
         0) ",size=1G\n"
            "\n[PENDING]\ncores: 4\nnet0: e1000=BC:24:11:9A:A3:C1,bridge=vmbr1\nsmbios1: "
            "uuid=22222222-2222-3333-4444-555555555555\n",
     "{\"format\":1," SCENARIO_SMBIOS "}",
     "{\"format\":1," SCENARIO_OTHER_SMBIOS "}",
     {SCENARIO_DISK(0)}},
};

#endif
