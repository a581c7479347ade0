"""The hookscripts with which the recordings were made, as far as their output tells."""

HOOK = '#!/bin/sh\necho "hook: $1 $2"\n'
REFUSES = ('#!/bin/sh\necho "hook: drift found"\necho "hook: correcting"\n'
           'echo "hook: start is refused"\nsleep 0.1\necho "hook: message on stderr" >&2\nexit 1\n')
SHOW = ('#!/bin/sh\nf=/%s/etc/pve/qemu-server/$1.conf\n'
        'echo "[$2] $(grep -c PENDING $f) pending;'
        ' $(grep -E "^(name|smbios1)" $f | tr "\\n" " ")"\n')
CONTEXT = r'''#!/usr/bin/python3
"""Write down how this hook was called, in the form of the recordings."""
import fcntl, json, os, re, sys
root, vmid, phase = "%s", sys.argv[1], sys.argv[2]
sys.stdout.write("hook: %%s %%s\n" %% (vmid, phase))
def alive(path):
    try:
        with open("/proc/%%d/stat" %% int(open(path).read())) as f:
            return f.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
parents, pid = [], os.getppid()
while pid > 1:
    with open("/proc/%%d/cmdline" %% pid, "rb") as f:
        parents.append(f.read().rstrip(b"\0").replace(b"\0", b" ").decode())
    with open("/proc/%%d/stat" %% pid) as f:
        pid = int(f.read().rpartition(")")[2].split()[1])
conf = root + "/etc/pve/qemu-server/" + vmid + ".conf"
text = open(conf).read() if os.path.exists(conf) else ""
lock = re.search(r"^lock: (.*)$", text.partition("\n[")[0], re.M)
fd = os.open(root + "/var/lock/qemu-server/lock-%%s.conf" %% vmid, os.O_RDWR)
try:
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    held = False
except BlockingIOError:
    held = True
env = dict(os.environ)
call = {"phase": phase, "argv": ["HOOK"] + sys.argv[1:], "cwd": os.getcwd(), "uid": os.getuid(),
        "path": env["PATH"], "lc_all": env["LC_ALL"], "migrated": env.get("PVE_MIGRATED_FROM"),
        "stdio": [os.readlink("/proc/self/fd/%%d" %% i).split(":")[0] for i in range(3)],
        "parents": parents, "lock": lock and lock[1], "exists": bool(text), "held": held,
        "sections": sorted(re.findall(r"^\[(.*)\]$", text, re.M)),
        "qemu": alive(root + "/run/qemu-server/%%s.pid" %% vmid)}
with open(root + "/calls.jsonl", "a") as f:
    f.write(json.dumps(call) + "\n")
if phase == "pre-start" and os.path.exists(root + "/refuse"):
    sys.stdout.write("hook: start is refused\n")
    sys.exit(1)
'''


def sleeps(seconds, end="echo 'hook: awake'", say="echo 'hook: sleeping'"):
    return f'#!/bin/sh\n[ "$2" = pre-start ] || exit 0\n{say}\nsleep {seconds}\n{end}\n'
