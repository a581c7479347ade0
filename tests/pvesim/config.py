"""Reading and writing VM configuration files exactly as PVE does.

A file is: description lines (`#`, percent-encoded), `key: value` lines, then sections: `[PENDING]`
for what waits for the next stop, `[name]` for snapshots, `[special:...]`, which is read and not
written back. What PVE cannot parse is ignored on reading, with a warning, and so is gone after the
next write: that loss is recorded (12, 12b, 09c6) and simulated.

The digest is the SHA-1 of the raw bytes of the file, so any touch of a byte changes it.
"""
import copy
import hashlib
import os
import re
import urllib.parse

import schema
from node import PveError, write_file

UNSAFE = re.compile(rb"[^\x20-\x24\x26-\x39\x3b-\x7e]")
KEY_LINE = re.compile(r"([a-z][a-z_\d]*(?:-[a-z_\d]+)*):\s*(.+?)\s*")
SECTION = re.compile(r"\[([a-z][a-z0-9_\-]+)\]\s*", re.I)
SPECIAL = re.compile(r"\[special:\S+\]\s*", re.I)


class Config:
    """One parsed file: `main`, `pending`, `pending_delete` (name -> forced), `snapshots`."""

    def __init__(self):
        self.main, self.pending, self.pending_delete, self.snapshots = {}, {}, {}, {}
        self.digest = None

    def copy(self):
        return copy.deepcopy(self)

    def has_pending(self):
        return bool(self.pending or self.pending_delete)

    def effective(self):
        """The values with the pending changes in, as GET config without current=1 shows them."""
        values = {k: v for k, v in self.main.items() if k not in self.pending_delete}
        values.update(self.pending)
        return values


def decode_line(text):
    return urllib.parse.unquote(text, errors="replace")


def encode_line(text):
    """Also line feeds: a pending description is one line of its own."""
    return UNSAFE.sub(lambda m: b"%%%02X" % m[0][0], text.encode()).decode("ascii")


def parse(raw, vmid=0, warn=lambda text: None):
    """Config from the raw bytes; `warn` gets one text per line that is ignored."""
    conf = Config()
    conf.digest = hashlib.sha1(raw).hexdigest()
    section, notes, name = conf.main, [], None

    def finish():
        if notes and section is not None:
            section["description"] = "\n".join(notes)

    for line in raw.decode("utf-8", "replace").split("\n"):
        if not line.strip(" \t\r"):
            continue
        if SPECIAL.fullmatch(line) or (found := SECTION.fullmatch(line)):
            finish()
            notes = []
            name = "special" if SPECIAL.fullmatch(line) else found[1]
            section = _section(conf, name)
        elif section is None:
            continue
        elif line.startswith("#"):
            notes.append(decode_line(line[1:].rstrip("\r")))
        elif found := re.fullmatch(r"description:\s*(.*\S)\s*", line):
            notes.append(decode_line(found[1]))
        elif name == "PENDING" and (found := re.fullmatch(r"delete:\s*(.*\S)\s*", line)):
            conf.pending_delete = parse_delete(found[1])
        elif found := KEY_LINE.fullmatch(line):
            _take(section, found[1], found[2], vmid, warn)
        else:
            warn(f"vm {vmid} - unable to parse config: {line}\n")
    finish()
    return conf


def _section(conf, name):
    if name == "special":
        return None
    if name == "PENDING":
        return conf.pending
    return conf.snapshots.setdefault(name, {})


def _take(section, key, value, vmid, warn):
    if key == "cdrom":
        key = "ide2"
    try:
        section[key] = schema.check_file_value(key, value)
    except ValueError as e:
        warn(f"vm {vmid} - unable to parse value of '{key}' - {e}")


def parse_delete(text):
    """`a,!b` -> {a: False, b: True}; the mark means that the image shall be destroyed too."""
    return {item.lstrip("!"): item.startswith("!") for item in re.split(r"[,;\s]+", text) if item}


def render(conf):
    """The text PVE writes: description first, keys sorted, pending, then snapshots by name."""
    _clean(conf)
    text = _section_text(conf.main)
    if conf.has_pending():
        pending = dict(conf.pending)
        if conf.pending_delete:
            pending["delete"] = ",".join(
                ("!" if force else "") + key for key, force in sorted(conf.pending_delete.items()))
        text += ("\n" if text else "") + "[PENDING]\n" + _lines(pending)
    for name in sorted(conf.snapshots):
        text += ("\n" if text else "") + f"[{name}]\n" + _section_text(conf.snapshots[name])
    return text


def _section_text(values):
    text = "".join(f"#{encode_line(line)}\n"
                   for line in str(values.get("description", "")).split("\n")
                   if "description" in values)
    return text + _lines({k: v for k, v in values.items() if k != "description"})


def _lines(values):
    return "".join(f"{key}: {encode_line(values[key]) if key == 'description' else values[key]}\n"
                   for key in sorted(values))


def _clean(conf):
    """Values of the file's own kind; an unusedN whose volume is in use again disappears."""
    for values in (conf.main, conf.pending):
        for key, value in values.items():
            if key == "description":
                continue
            if value is None:
                raise PveError(f"unable to parse value of '{key}' - got undefined value\n")
            if "\n" in str(value):
                raise PveError(f"unable to parse value of '{key}' - "
                               "property contains a line feed\n")
            if str(value).strip():
                try:
                    values[key] = schema.check_file_value(key, str(value))
                except ValueError as e:
                    raise PveError(f"unable to parse value of '{key}' - {e}") from None
    used = {volume_of(v) for values in (conf.main, conf.pending)
            for k, v in values.items() if schema.is_drive(k) and not schema.is_unused(k)}
    for key in [k for k, v in conf.main.items() if schema.is_unused(k) and volume_of(v) in used]:
        del conf.main[key]


def volume_of(value):
    """The volume id (or `none`, or a path) a drive value names."""
    for part in str(value).split(","):
        name, sep, rest = part.partition("=")
        if not sep:
            return part
        if name in ("file", "volume"):
            return rest
    return None


def read_raw(node, vmid, source=None):
    path = node.conf_path(vmid, source)
    try:
        with open(path, "rb") as f:
            return f.read()
    except FileNotFoundError:
        if not os.path.isdir(node.path("etc/pve/nodes")):       # pmxcfs has gone meanwhile
            raise PveError("Connection refused\n") from None
        shown = os.path.relpath(path, node.path("etc/pve"))
        raise PveError(f"Configuration file '{shown}' does not exist\n") from None


def load(node, vmid, warn=lambda text: None, source=None):
    return parse(read_raw(node, vmid, source), vmid, warn)


def save(node, vmid, conf):
    """Write, and take over the new digest. The parsed form stays what a new reader would get."""
    text = render(conf)
    path = node.conf_path(vmid)
    if not node.settings()["quorum"]:
        raise PveError(f"unable to open file '{node.show(path)}.tmp.{os.getpid()}' - "
                       "Permission denied\n")
    write_file(path, text)
    conf.digest = hashlib.sha1(text.encode()).hexdigest()


def check_lock(conf):
    if "lock" in conf.main:
        raise PveError(f"VM is locked ({conf.main['lock']})\n")


def check_digest(conf, digest):
    if digest and digest != conf.digest:
        raise PveError("checksum mismatch (file change by other user?)\n")
