"""The simulated node: where things lie below ROOT, storages, the VM lock, shared records.

Invariants:
 - All state is in files below ROOT and in real flocks, so that the server, its workers and the
   `pvesim qm` command line (separate processes, as on a real node) see the same VMs.
 - Nobody outside ever sees ROOT: texts that reach a client or a task log show the path that a
   real node would have (`show`), so that they compare equal with the recordings.
"""
import contextlib
import fcntl
import json
import os
import re
import shutil
import signal
import struct
import time

DEFAULT_SETTINGS = {
    "node": "pve-sim",
    # Which QEMU: "real" (qemu.py), "stub" (stubqemu.py, needs nothing), "auto" (real if there).
    "qemu": "auto",
    # Does the guest of the stub obey the power button?
    "stub_obeys": True,
    # Order in which PUT takes its options. PVE's is that of a Perl hash, random on every call.
    # Names listed here come first, the others sorted after them.
    "option_order": [],
    # The recorded race (08e): `qm cleanup` for the old QEMU meets the new one and holds the
    # flock for up to 30 s. A matter of luck on a real node; here that of the QEMU with this pid.
    "cleanup_race": None,
    # False: the cluster has lost its quorum. /etc/pve can be read and not written, and no VM is
    # started. Not recorded (the recordings are of a single node): after what people report.
    "quorum": True,
}

DEFAULT_STORAGES = "dir: local\n\tpath /var/lib/vz\n\tcontent images,rootdir,iso,snippets,backup\n"
LOCK_TIMEOUT = 10
SOCKET_PATH_MAX = 107       # sun_path is 108 bytes with its NUL
SUBDIR = {"iso": "template/iso", "snippets": "snippets", "backup": "dump",
          "vztmpl": "template/cache"}


class PveError(Exception):
    """An error as PVE reports it: HTTP status, sentence, and for 400 one text per parameter."""

    def __init__(self, message, status=500, errors=None, plain=False):
        super().__init__(message)
        self.message, self.status, self.errors, self.plain = message, status, errors, plain

    def text(self):
        """The message with its parameter errors, as a task log shows them."""
        if not self.errors:
            return self.message
        return f"{self.status} {self.message}" + "".join(
            f"{key}: {value}\n" for key, value in self.errors.items())


class LockTimeout(PveError):
    pass


def param_error(**errors):
    return PveError("Parameter verification failed.\n", 400, errors)


class Node:
    def __init__(self, root):
        self.root = os.path.abspath(root)
        if not os.path.isdir(self.path("pvesim")):
            raise PveError(f"{root} is no simulated node: run `pvesim init {root}` first")
        self.name = self.settings()["node"]

    # -- paths -------------------------------------------------------------------------------

    def path(self, rel):
        return os.path.join(self.root, rel.lstrip("/"))

    def show(self, text):
        return text.replace(self.root + "/", "/")

    def conf_dir(self, node=None):
        return self.path(f"etc/pve/nodes/{node or self.name}/qemu-server")

    def conf_path(self, vmid, node=None):
        return os.path.join(self.conf_dir(node), f"{vmid}.conf")

    def run_file(self, vmid, kind):
        return self.path(f"run/qemu-server/{vmid}.{kind}")

    def nodes(self):
        """The names of the cluster's nodes; this one is always there."""
        return sorted(os.listdir(self.path("etc/pve/nodes")))

    def vmids(self, node=None):
        try:
            names = os.listdir(self.conf_dir(node))
        except FileNotFoundError:
            names = []
        return sorted(int(n[:-5]) for n in names if re.fullmatch(r"[1-9]\d*\.conf", n))

    def check_socket_paths(self):
        longest = self.run_file(999999999, "qmp")
        if len(os.fsencode(longest)) > SOCKET_PATH_MAX:
            raise PveError(f"ROOT is too long: the socket '{longest}' would have more than "
                           f"{SOCKET_PATH_MAX} bytes. Take a shorter ROOT, for example in /tmp")

    # -- settings and records ----------------------------------------------------------------

    def settings(self):
        settings = dict(DEFAULT_SETTINGS)
        with contextlib.suppress(FileNotFoundError):
            with open(self.path("pvesim/settings.json"), encoding="utf-8") as f:
                settings.update(json.load(f))
        return settings

    def record(self, name, entry):
        """Append one line to ROOT/pvesim/NAME.jsonl; one write, so that lines never mix."""
        line = json.dumps(entry, ensure_ascii=False) + "\n"
        fd = os.open(self.path(f"pvesim/{name}.jsonl"),
                     os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, line.encode())
        finally:
            os.close(fd)

    def violation(self, what, **details):
        self.record("violations", {"what": what, "time": time.time(), **details})

    def check_quorum(self):
        if not self.settings()["quorum"]:
            raise PveError("cluster not ready - no quorum?\n")

    # -- the VM's flock ----------------------------------------------------------------------

    @contextlib.contextmanager
    def flock(self, vmid, log=None, timeout=LOCK_TIMEOUT):
        """Hold /var/lock/qemu-server/lock-VMID.conf; main threads only, since it uses SIGALRM."""
        path = self.path(f"var/lock/qemu-server/lock-{vmid}.conf")
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            self._acquire(fd, path, log, timeout)
            yield
        finally:
            os.close(fd)

    def _acquire(self, fd, path, log, timeout):
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if log:
                log("trying to acquire lock...")

        def expired(_signum, _frame):
            raise LockTimeout(f"can't lock file '{self.show(path)}' - got timeout\n")
        before = signal.signal(signal.SIGALRM, expired)
        signal.setitimer(signal.ITIMER_REAL, timeout)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        if log:
            log(" OK")

    # -- storages and volumes ----------------------------------------------------------------

    def storages(self):
        """Name -> directory below ROOT, from etc/pve/storage.cfg (dir storages only)."""
        found, name = {}, None
        try:
            with open(self.path("etc/pve/storage.cfg"), encoding="utf-8") as f:
                lines = f.read().splitlines()
        except FileNotFoundError:
            lines = DEFAULT_STORAGES.splitlines()
        for line in lines:
            if m := re.match(r"(\w+):\s*(\S+)", line):
                name = m[2]
            elif name and (m := re.match(r"\s+path\s+(\S+)", line)):
                found[name] = self.path(m[1])
        return found

    def storage_path(self, storage):
        try:
            return self.storages()[storage]
        except KeyError:
            raise PveError(f"storage '{storage}' does not exist\n") from None

    def volume_path(self, volid):
        """The file of a volume id, whether it exists or not."""
        storage, sep, name = volid.partition(":")
        if not sep or not name:
            raise PveError(f"unable to parse volume ID '{volid}'\n")
        base = self.storage_path(storage)
        kind, _, rest = name.partition("/")
        if kind.isdigit():
            # of a linked clone: BASEID/base-image/VMID/image
            kind, _, rest = "/".join(name.split("/")[-2:]).partition("/")
            return os.path.join(base, "images", kind, rest)
        if kind in SUBDIR and rest:
            return os.path.join(base, SUBDIR[kind], rest)
        raise PveError(f"unable to parse directory volume name '{name}'\n")

    def volume_size(self, volid):
        """Virtual size in bytes; a missing volume is the error that PVE gives."""
        try:
            with open(self.volume_path(volid), "rb") as f:
                head = f.read(32)
                if head[:4] == b"QFI\xfb":
                    return struct.unpack(">Q", head[24:32])[0]
                return f.seek(0, os.SEEK_END)
        except FileNotFoundError:
            raise PveError(f"volume '{volid}' does not exist\n") from None


def backend(node):
    """The module that runs QEMU: qemu.py, or its stub where there is no QEMU."""
    choice = node.settings()["qemu"]
    if choice == "auto":
        here = os.path.dirname(os.path.abspath(__file__))
        real = os.path.exists(os.path.join(here, "qemu.py"))
        choice = "real" if real and os.path.exists("/usr/bin/qemu-system-x86_64") else "stub"
    if choice == "real":
        import qemu
        return qemu
    import stubqemu
    return stubqemu


def create_image(path, size):
    """An empty image: qcow2 (smallest valid one) or sparse raw, by the name's ending."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        if not path.endswith(".qcow2"):
            f.truncate(size)
            return
        cluster = 65536
        l1_entries = max(1, -(-size // (cluster * (cluster // 8))))
        l1_clusters = -(-l1_entries * 8 // cluster)
        # header | refcount table | refcount block | L1 table
        f.write(struct.pack(">4sIQIIQIIQQIIQ", b"QFI\xfb", 2, 0, 0, 16, size, 0, l1_entries,
                            3 * cluster, cluster, 1, 0, 0))
        f.seek(cluster)
        f.write(struct.pack(">Q", 2 * cluster))
        f.seek(2 * cluster)
        f.write(struct.pack(">H", 1) * (3 + l1_clusters))
        f.truncate((3 + l1_clusters) * cluster)


def write_file(path, text, mode=0o640):
    """Replace by temp file and rename, as PVE does with everything below /etc/pve."""
    temp = f"{path}.tmp.{os.getpid()}"
    with open(temp, "wb") as f:
        f.write(text.encode() if isinstance(text, str) else text)
    os.chmod(temp, mode)
    if os.geteuid() == 0:
        with contextlib.suppress(LookupError):      # of pmxcfs: the group may read what is not private
            shutil.chown(temp, group="www-data")
    os.rename(temp, path)
