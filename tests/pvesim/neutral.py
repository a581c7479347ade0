"""What varies between two runs, or two nodes, is taken out of both sides before they are compared.

The list is that of the recordings' README, and what depends on the QEMU installed here (version,
the machine type a bare `q35` becomes). A field that is dropped here is not tested.
"""
import json
import re

UPID = re.compile(r"UPID:[^:\s]+(?::[0-9A-F]{8}){3}:([^:\s]+):([^:\s]*):([^:\s]+):")
VARIES = set("pid pstart starttime endtime uptime cpu mem memhost netin netout ssl_fingerprint "
             "running-qemu running-machine ip total".split())


def neutral_text(text):
    text = UPID.sub(r"UPID \1 \2 \3", text)
    text = re.sub(r"Installed QEMU version '[\d.]+'", "Installed QEMU version", text)
    text = re.sub(r"vm-\d+-state-suspend-[\d-]+", "vm-state", text)
    text = re.sub(r"^(vmgenid: ).*$", r"\1V", text, flags=re.M)
    text = re.sub(r"^(smbios1: base64=1,.*uuid=)[0-9a-f-]{36}$", r"\1U", text, flags=re.M)
    text = re.sub(r"vzdump-qemu-(\d+)-[\d_-]+\.vma", r"vzdump-qemu-\1.vma", text)
    return re.sub(r"(net0: e1000e=)BC:24:11:(?!9A:A3:C1)[0-9A-F:]{8}", r"\1RANDOM", text)


def neutral(value, key=None):
    """The value without what varies; lists of objects in a settled order."""
    if isinstance(value, dict):
        return {k: neutral(v, k) for k, v in value.items()
                if not k.startswith("pressure") and not (k in VARIES and (k, v) != ("cpu", "host"))}
    if isinstance(value, list):
        items = [neutral(v) for v in value if not (isinstance(v, dict) and v.get("vmid") == 104)]
        if all(isinstance(i, dict) for i in items) and not all("n" in i for i in items):
            items.sort(key=lambda i: json.dumps(i, sort_keys=True))
        return items
    if key == "vmgenid":
        return "V"
    if key == "exitstatus" and str(value).startswith("400 "):
        return sorted(re.split(r"  +|failed\. ", value.strip()))
    return neutral_text(value) if isinstance(value, str) else value


def neutral_texts(value):
    """A text, or a list that may hold texts (the lines of an output)."""
    if isinstance(value, list):
        return [neutral_texts(item) for item in value]
    return neutral_text(value) if isinstance(value, str) else value


def compare(problems, what, expected, got):
    expected, got = neutral_texts(expected), neutral_texts(got)
    if expected != got:
        problems.append(f"{what}: expected {shorten(expected)}, got {shorten(got)}")


def shorten(value):
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    return text if len(text) < 1500 else text[:1500] + "..."
