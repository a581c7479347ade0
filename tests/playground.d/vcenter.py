#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The vCenter of the playground: tests/helpers/mock_vcenter.py at port 443, with the VM win2019 of
conf/examples among three others."""
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "helpers"))
from mock_vcenter import MockVcenter, details, vm_id  # noqa: E402

WIN2019 = {
    **details(0), "name": "win2019", "guest_OS": "WINDOWS_SERVER_2019", "power_state": "POWERED_OFF",
    "identity": {"bios_uuid": "421f245c-7fa8-60fa-6af6-a46351ced0eb", "name": "win2019",
                 "instance_uuid": "501f8a11-93d0-472c-b560-0e7f3819aa04"},
    "hardware": {"version": "VMX_19", "upgrade_policy": "NEVER"}, "boot": {"type": "BIOS", "delay": 0},
    "cpu": {"count": 4, "cores_per_socket": 2, "hot_add_enabled": False},
    "memory": {"size_MiB": 8192, "hot_add_enabled": False},
    "nics": {"4000": {"label": "Network adapter 1", "type": "VMXNET3", "mac_type": "ASSIGNED",
                      "mac_address": "00:50:56:8a:01:02", "backing": {"type": "STANDARD_PORTGROUP"}}},
    "scsi_adapters": {"1000": {"label": "SCSI controller 0", "type": "PVSCSI",
                               "scsi": {"bus": 0, "unit": 7}, "sharing": "NONE"}},
    "disks": {"2000": {"label": "Hard disk 1", "type": "SCSI", "scsi": {"bus": 0, "unit": 0},
                       "capacity": 64 << 20,
                       "backing": {"type": "VMDK_FILE", "vmdk_file": "[ds1] win2019/win2019.vmdk"}}},
    "cdroms": {"16000": {"label": "CD/DVD drive 1", "type": "SATA", "state": "NOT_CONNECTED",
                         "sata": {"bus": 0, "unit": 0}, "backing": {"type": "CLIENT_DEVICE"}}},
}

vc = MockVcenter(sys.argv[1], vms=4, port=443, weird={vm_id(0): WIN2019})
vc.vms[0]["name"] = "win2019"
print(f"vCenter on {vc.host}", flush=True)
threading.Event().wait()
