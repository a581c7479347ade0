#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The promises of SECURITY.md on the whole: who may ask what, whose files count, whose certificate, and
where the token is not."""
import base64
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from node import BUILD, TOP, wait_for  # noqa: E402
from tap import (Skip, UUID, at_rest, changing, checked_node, contains, equal, faults, fingerprint,  # noqa: E402
                 has_identity, imported, lacks, puts, run, small_fingerprint)

NOBODY = 65534
LOCAL = "etc/pve-hwid/fingerprints"
OPEN_TO_ALL = {"Status"}     # of io.pvehwid; what anybody may ask

# Runs as somebody else: one call per line of stdin, one answer per line.
ASK = r"""
import json, socket, sys
for line in sys.stdin:
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(20)
        s.connect(sys.argv[1])
        s.sendall(line.strip().encode() + b"\0")
        data = b""
        while not data.endswith(b"\0"):
            more = s.recv(65536)
            data = data + more if more else b'{"error": "hung up"}\0'
        print(json.dumps(json.loads(data[:-1])), flush=True)
"""


def need_root():
    if os.geteuid() != 0:
        raise Skip("needs root: somebody else is played")


def ask_as(user, node, calls):
    os.chmod(node.root, 0o711)
    done = subprocess.run([sys.executable, "-I", "-c", ASK, node.path("run/pve-hwid/socket")], text=True,
                          input="".join(json.dumps(call) + "\n" for call in calls), capture_output=True,
                          timeout=60, check=True, user=user, group=user, extra_groups=[])
    return [json.loads(line) for line in done.stdout.splitlines()]


def methods():
    with open(os.path.join(TOP, "conf/io.pvehwid.varlink"), encoding="utf-8") as f:
        return re.findall(r"^method (\w+)", f.read(), re.M)


# --- who may ask what ------------------------------------------------------------------------------

def test_others_than_root_may_ask_how_we_are_and_nothing_else():
    """Every method of the interface file: a new one is refused to others, or stands in OPEN_TO_ALL."""
    need_root()
    with checked_node() as node:
        node.vm(105, imported(), hook=False)            # nothing is rewritten by itself
        node.fingerprint(105, small_fingerprint())
        node.start_daemon()
        at_rest(node)
        before = node.read(node.conf_path(105))
        names = methods()
        assert len(names) >= 8, names
        for parameters in ({}, {"vmid": 105}, {"vmid": 105, "phase": "pre-start"}):
            answers = ask_as(NOBODY, node, [{"method": f"io.pvehwid.{name}", "parameters": parameters}
                                            for name in names])
            for name, answer in zip(names, answers):
                if name in OPEN_TO_ALL:
                    assert answer.get("error") in (None, "org.varlink.service.InvalidParameter"), (name, answer)
                    lacks(json.dumps(answer), UUID, "what anybody may know")
                else:
                    equal(answer, {"error": "io.pvehwid.NotPermitted"} if "parameters" not in answer else
                          {"error": "io.pvehwid.NotPermitted", "parameters": {}}, f"{name} as nobody")
        answer = ask_as(NOBODY, node, [{"method": "org.varlink.service.GetInfo"}])[0]
        equal(answer["parameters"]["product"], "pve-hwidd", "GetInfo")
        equal(node.read(node.conf_path(105)), before, "configuration")
        equal((changing(node), node.records(105)), ([], []), "what was done")
        answer = ask_as(0, node, [{"method": "io.pvehwid.Plan", "parameters": {"vmid": 105}}])[0]
        assert "error" not in answer, answer


def test_a_vmid_is_a_number_or_nothing_is_looked_for():
    with checked_node() as node:
        node.start_daemon()
        node.write("secret.json", json.dumps(small_fingerprint()))
        odd = ["../../../secret", "105/../106", "105\u0000", "", -1, 0, 99, 1e3, 105.5, 2 ** 40, True, None, [105], {}]
        calls = [{"method": f"io.pvehwid.{name}", "parameters": {"vmid": vmid}}
                 for name in ("Plan", "Report", "Check", "Apply", "Log") for vmid in odd
                 if (name, vmid) != ("Check", None)]
        for call, answer in zip(calls, ask_as(os.geteuid(), node, calls)):
            assert answer.get("error") in ("org.varlink.service.InvalidParameter", "hung up"), (call, answer)
        for name in os.listdir(node.path("var/lib/pve-hwid")):
            assert name == "journal" and os.listdir(node.path("var/lib/pve-hwid/journal")) == [], name


# --- whose files count -----------------------------------------------------------------------------

def somebody_elses(node, path):
    os.chown(path, NOBODY, NOBODY)


def writable_by_the_group(node, path):
    os.chmod(path, 0o664)


def behind_a_link(node, path):
    os.rename(path, node.path("elsewhere.json"))
    os.symlink(node.path("elsewhere.json"), path)


def a_pipe(node, path):
    os.unlink(path)
    os.mkfifo(path, 0o644)


def a_directory(node, path):
    os.unlink(path)
    os.mkdir(path)


def too_long(node, path):
    with open(path, "a", encoding="ascii") as f:
        f.write(" " * 70000)


def in_a_directory_of_somebody_else(node, path):
    os.chown(os.path.dirname(path), NOBODY, NOBODY)


def in_a_directory_that_others_may_write(node, path):
    os.chmod(os.path.dirname(path), 0o1777)


SPOILT = ((somebody_elses, "belongs to user"), (writable_by_the_group, "can be written by others"),
          (behind_a_link, "symbolic link"), (a_pipe, "not a regular file"), (a_directory, "not a regular file"),
          (too_long, "65536 bytes"))
SPOILT_PLACES = ((in_a_directory_of_somebody_else, "belongs to user"),
                 (in_a_directory_that_others_may_write, "can be written by others"))


def starts_as_it_is(node, vmid, said):
    before = node.read(node.conf_path(vmid))
    task = node.qm("start", vmid)
    equal(task.returncode, 0, f"start: {task.stdout}{task.stderr}")
    contains(task.stdout, "WARNING", "task log")
    contains(task.stdout, said, "task log")
    equal((node.read(node.conf_path(vmid)), changing(node, vmid)), (before, []), "configuration")


def spoilt_fingerprints_decide_nothing(with_daemon):
    """They ask for refusal; and the VMs start, loudly, as they are."""
    need_root()
    value = small_fingerprint(policy={"on_drift": "refuse", "on_error": "refuse"})
    with checked_node() as node:
        for vmid, (spoil, _) in enumerate(SPOILT, 105):
            node.vm(vmid, imported(vmid))
            spoil(node, node.fingerprint(vmid, value))
        if with_daemon:
            node.start_daemon()
            at_rest(node)
        else:
            node.write("etc/pve-hwid/pve-hwid.conf", node.config_text())
        for vmid, (_, said) in enumerate(SPOILT, 105):
            starts_as_it_is(node, vmid, said)
        for spoil, said in SPOILT_PLACES:
            node.vm(200, imported(200))
            spoil(node, node.fingerprint(200, value))
            starts_as_it_is(node, 200, said)
            os.chmod(node.path(LOCAL), 0o755)
            os.chown(node.path(LOCAL), 0, 0)
            node.qm("stop", "200", check=True)
            node.run("rm", node.path(node.conf_path(200)), node.path(f"{LOCAL}/200.json"))


def test_the_daemon_takes_no_fingerprint_that_others_could_have_made():
    spoilt_fingerprints_decide_nothing(True)


def test_nor_does_the_hook_alone():
    spoilt_fingerprints_decide_nothing(False)


def test_a_description_is_no_configuration():
    """Whoever may edit a VM writes its description: PVE keeps it as comments at the top of the file."""
    with checked_node() as node:
        node.vm(105, imported())
        words = "#lock: backup\n#[PENDING]\n#delete: scsi0\n#template: 1\n#hookscript: local:snippets/evil\n#%0Alock: x\n"
        node.set_conf(105, words + node.read(node.conf_path(105)))
        node.fingerprint(105, small_fingerprint())
        node.start_daemon()
        wait_for("the rewrite", lambda: node.records(105)[-1:] == ["end"])
        assert has_identity(node, 105), node.read(node.conf_path(105))
        equal(node.conf(105)["hookscript"], "local:snippets/pve-hwid", "hookscript")
        equal(len(puts(node, 105)), 1, "calls that change it")


def test_the_hook_believes_a_rogue_daemon_little():
    """One that was taken over: whatever it answers, a start is held up by 2 s and hears plain lines at most."""
    with checked_node() as node:
        node.write("etc/pve-hwid/pve-hwid.conf", node.config_text())
        node.vm(105, imported())
        node.fingerprint(105, small_fingerprint())
        hook = [os.path.join(BUILD, "pve-hwid-hook"), "--root", node.root, "105", "pre-start"]

        def reply(**parameters):
            return json.dumps({"parameters": parameters}).encode() + b"\0"

        lines = ["\x1b]0;title\x07\x1b[31mred\nTASK OK\r\u00fc", "x" * 5000]
        answers = [(reply(exit_code=0, lines=lines), 0), (reply(exit_code=75, lines=lines), 75),
                   (reply(exit_code=1, lines=[]), 0), (reply(exit_code=-1, lines=[]), 0),
                   (reply(exit_code="0", lines=[]), 0), (reply(exit_code=0, lines="run this"), 0),
                   (reply(exit_code=0, lines=[], command="/bin/sh"), 0), (b"[" * 100000 + b"\0", 0), (b"\0", 0),
                   (b"x" * (8 << 20), 0), (b"", 0)]
        for answer, code in answers:
            path = node.path("run/pve-hwid/socket")
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(path)
                listener.listen()
                thread = threading.Thread(target=say_once, args=(listener, answer), daemon=True)
                thread.start()
                done = subprocess.run(hook, stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False)
                thread.join(30)
            os.unlink(path)
            equal(done.returncode, code, f"exit after {answer[:60]!r}: {done.stdout!r}")
            assert all(line.startswith(b"pve-hwid: ") for line in done.stdout.splitlines()), done.stdout
            assert re.fullmatch(rb"[\n -~]*", done.stdout) and len(done.stdout) < 65536, done.stdout


def say_once(listener, answer):
    try:
        conn, _ = listener.accept()
        with conn:
            conn.settimeout(20)
            conn.recv(65536)
            conn.sendall(answer)
    except OSError:
        pass        # it did not want to hear all of it


def test_root_runs_no_former_hook_that_others_could_have_named():
    need_root()
    with checked_node() as node:
        name = "local:snippets/former\n"
        ran = node.path("it-ran")
        node.write("var/lib/vz/snippets/former", f"#!/bin/sh\necho $2 >> {ran}\n", 0o755)
        node.write("var/lib/vz/evil", f"#!/bin/sh\necho evil >> {ran}\n", 0o755)
        node.write("etc/pve-hwid/pve-hwid.conf", node.config_text())
        place = node.path("etc/pve/pve-hwid")

        def start(expected, *parts):
            done = node.run(os.path.join(BUILD, "pve-hwid-hook"), "--root", node.root, "105", "post-start", check=False)
            equal(done.returncode, 0, f"hook: {done.stdout}{done.stderr}")
            for part in parts:
                contains(done.stdout, part, "task log")
            equal(os.path.exists(ran), expected, "the former hook ran")
            if os.path.exists(ran):
                os.unlink(ran)

        node.write("etc/pve/pve-hwid/105.hook", name)
        start(True)
        for spoil, said in SPOILT[:5] + SPOILT_PLACES:
            spoil(node, node.write("etc/pve/pve-hwid/105.hook", name))
            start(False, "WARNING: VM 105: the hookscript it had before is not run", said)
            os.chmod(place, 0o755)
            os.chown(place, 0, 0)
            shutil.rmtree(place)
            os.mkdir(place)
        for evil in ("local:snippets/../evil", "local:snippets/..", "../../var/lib/vz/evil", "/bin/sh", "local:iso/x.iso",
                     "local:snippets/former x", "local:snippets/former\nlocal:snippets/former", "-x:snippets/former",
                     "local:snippets/pve-hwid", "local:snippets/former\0", "", "x" * 5000):
            node.write("etc/pve/pve-hwid/105.hook", evil)
            start(False, "WARNING: VM 105: the hookscript it had before is not run")


def test_what_a_fingerprint_says_stays_within_its_value():
    """Serials and strings with commas, equals signs and options of PVE in them become that very text."""
    evil = "a,cache=unsafe,x=1"
    strings = {"manufacturer": "VMware, Inc.,uuid=1", "product": "p,base64=0", "version": "hookscript: x"}
    value = fingerprint(nics=None, machine=None, disks=[{"controller": "pvscsi", "bus": 0, "unit": 0, "serial": evil,
                                                         "vendor": "a,b=c", "product": "args: -x"}])
    value["smbios"].update(strings)
    with checked_node() as node:
        node.vm(105, imported(scsihw="pvscsi"))
        node.vm(106, imported(106))
        node.start_daemon()
        node.fingerprint(105, value)
        wait_for("the rewrite", lambda: node.records(105)[-1:] == ["end"])
        conf = node.conf(105)
        got = dict(part.split("=", 1) for part in conf["smbios1"].split(","))
        equal({key: base64.b64decode(got[key]).decode() for key in strings}, strings, "smbios1")
        equal(sorted(got), ["base64", "manufacturer", "product", "serial", "uuid", "version"], "keys of smbios1")
        equal({part.partition("=")[0] for part in conf["scsi0"].split(",")[1:]}, {"serial", "size"}, "scsi0")
        contains(conf["scsi0"], "serial=a%2Ccache%3Dunsafe%2Cx%3D1", "scsi0")
        equal(set(conf) & {"args", "hookscript", "uuid", "cache"}, {"hookscript"}, "keys of the configuration")
        equal(conf["hookscript"], "local:snippets/pve-hwid", "hookscript")
        for wrong in ({"serial": "a\nargs: x"}, {"volume": "../../etc/passwd"}, {"volume": "local:x,y=z"}):
            node.fingerprint(106, fingerprint(disks=[{"controller": "pvscsi", "bus": 0, "unit": 0, **wrong}]))
            result = node.hwid("check", "106")
            assert result.returncode not in (0, 3), result
            contains(result.stdout + result.stderr, "disks[0]", f"check of {wrong}")


# --- whose certificate -----------------------------------------------------------------------------

def sign(node, name, *more, names="IP:127.0.0.1", ca=None):
    """NAME.pem and NAME.key in the node's root, signed by the node's own CA or by another one."""
    def openssl(*argv):
        return subprocess.run(["openssl", *argv], cwd=node.root, capture_output=True, text=True, check=False)
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    if ca == "other":
        openssl("req", "-x509", *key, "-keyout", "other.key", "-out", "other.pem", "-subj", "/CN=other")
        ca = ("-CA", "other.pem", "-CAkey", "other.key")
    else:
        ca = ("-CA", "etc/pve/pve-root-ca.pem", "-CAkey", "etc/pve/priv/pve-root-ca.key")
    node.write(f"{name}.ext", f"extendedKeyUsage=serverAuth\nsubjectAltName={names}\n")
    openssl("req", "-new", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", "/CN=pve1")
    for dates in ((more,) if more else (("-days", "2"),)):
        made = openssl("x509", "-req", "-in", f"{name}.csr", *ca, "-set_serial", "7", "-extfile", f"{name}.ext",
                       "-out", f"{name}.pem", *dates)
    return made.returncode == 0


class Listener:
    """A TLS server that answers nothing and remembers what it was sent."""

    def __init__(self, node, name):
        self.heard, self.handshakes = b"", 0
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(node.path(f"{name}.pem"), node.path(f"{name}.key"))
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.serve, args=(context,), daemon=True).start()

    def serve(self, context):
        while True:
            try:
                raw, _ = self.socket.accept()
            except OSError:
                return
            self.handshakes += 1
            try:
                raw.settimeout(10)
                with context.wrap_socket(raw, server_side=True) as conn:
                    self.heard += conn.recv(65536)
            except OSError:
                raw.close()


def not_trusted(name, *parts, dates=(), **how):
    with checked_node() as node:
        if not sign(node, name, *dates, **how):
            raise Skip("this openssl makes no such certificate")
        listener = Listener(node, name)
        node.vm(105, imported())
        node.fingerprint(105, small_fingerprint())
        node.start_daemon(api_url=f"https://127.0.0.1:{listener.port}")
        wait_for("a sentence", lambda: "PVE's API:" in node.log_text())
        for part in parts:
            contains(node.log_text(), part, "the daemon's log")
        task = node.qm("start", "105")
        equal(task.returncode, 0, f"start: {task.stdout}{task.stderr}")
        contains(task.stdout, "WARNING", "task log")
        assert listener.handshakes > 0, "nobody came"
        listener.socket.close()
        equal(listener.heard, b"", "what the wrong peer was sent")


def test_a_peer_of_another_ca_gets_no_byte():
    not_trusted("foreign", "cannot be verified", ca="other")


def test_a_peer_of_another_name_gets_no_byte():
    not_trusted("misnamed", "certificate of another name", names="DNS:pve2,IP:127.0.0.2")


def test_a_peer_whose_certificate_has_expired_gets_no_byte():
    try:
        not_trusted("expired", "expired", dates=("-days", "-1"))
    except Skip:                                        # openssl 3.4 and later
        not_trusted("expired", "expired", dates=("-not_before", "20200101000000Z", "-not_after", "20200201000000Z"))


def test_the_right_peer_is_trusted_by_the_same_means():
    """Or the three above would pass for another reason."""
    with checked_node() as node:
        sign(node, "good")
        listener = Listener(node, "good")
        node.start_daemon(api_url=f"https://127.0.0.1:{listener.port}")
        node.vm(105, imported())
        node.fingerprint(105, small_fingerprint())
        wait_for("a request", lambda: listener.heard)
        contains(listener.heard.decode(), f"PVEAPIToken=pve-hwid@pve!daemon={node.secret}", "the request")
        listener.socket.close()


# --- where the token is not ------------------------------------------------------------------------

def forms_of(secret):
    """As it is, and as the encodings that are at hand would write it."""
    return [secret.encode(), base64.b64encode(secret.encode()), secret.encode().hex().encode(), secret[:18].encode(),
            secret.replace("-", "%2D").encode()]


def assert_not_in(what, data, secrets):
    for secret in secrets:
        for form in forms_of(secret):
            assert form not in data, f"{what} holds the token"


def written_by_us(node):
    """Every file below the node but those in which the token belongs, and the simulator's own."""
    for top, dirs, names in os.walk(node.root):
        dirs[:] = [d for d in dirs if os.path.join(top, d) not in
                   (node.path("etc/pve/priv"), node.path("images"))]
        for name in names:
            path = os.path.join(top, name)
            if os.path.isfile(path) and path not in (node.path("etc/pve-hwid/token"),
                                                     node.path("pvesim/access.json")):
                yield path


def test_the_token_is_in_no_log_file_journal_or_process_entry():
    """After a good run and after every kind of failure."""
    with checked_node() as node:
        wrong = "aaaaaaaa-5ec2-e700-0000-0123456789ab"
        secrets = [node.secret, wrong]
        said = ""
        node.vm(105, imported())
        node.start_daemon()
        node.fingerprint(105, small_fingerprint())
        wait_for("the rewrite", lambda: has_identity(node, 105) and node.records(105)[-1:] == ["end"])
        node.set_conf(105, node.read(node.conf_path(105)).replace("smbios1", "#smbios1"))
        said += node.qm("start", "105").stdout                                   # 75, rewritten, started
        wait_for("the start", lambda: "started" in node.records(105))
        for rule in ({"action": "status", "status": 403, "message": "Permission check failed"},
                     {"action": "status", "status": 500, "message": "no such thing"},
                     {"action": "status", "status": 401}, {"action": "drop"}):
            faults(node, rule)
            for argv in (("apply", "105", "--timeout", "4"), ("check", "105"), ("status",), ("list", "--json"), ("log", "105")):
                result = node.hwid(*argv, timeout=120)
                said += result.stdout + result.stderr
        faults(node)
        token = "pve-hwid@pve!daemon="
        for text in (f"{token}{wrong}\n", f"{token}{wrong} x\n", f"{token}{wrong}\n{token}{wrong}\n", f"{wrong}\n",
                     f"{token}{wrong}{'z' * 600}\n"):
            node.write("etc/pve-hwid/token", text, 0o600)
            reads = node.log_text().count("settings")
            node.daemon.send_signal(signal.SIGHUP)
            wait_for("the reload", lambda: node.log_text().count("settings") > reads)
            said += node.hwid("status").stdout
        pid = node.daemon.pid
        for name in ("cmdline", "environ", "status", "comm", "stat"):
            with open(f"/proc/{pid}/{name}", "rb") as f:
                assert_not_in(f"/proc/PID/{name}", f.read(), secrets)
        for fd in os.listdir(f"/proc/{pid}/fd"):
            lacks(os.readlink(f"/proc/{pid}/fd/{fd}"), "token", "an open file")
        node.stop_server()
        said += node.hwid("apply", "105", "--timeout", "4").stdout + node.qm("start", "105").stdout
        node.start_server()
        files = list(written_by_us(node))
        assert any("journal/105.jsonl" in path for path in files) and any("daemon.log" in path for path in files), files
        for path in files:
            with open(path, "rb") as f:
                assert_not_in(path, f.read(), secrets)
        assert_not_in("what commands and hook said", said.encode(), secrets)
        node.write("etc/pve-hwid/token", f"{token}{node.secret}\n", 0o600)


def core_left_by(argv, place):
    """Does a process that dies by SIGQUIT leave a core file here? The limit is taken away first."""
    os.makedirs(place)
    # Where we run in a shell's background, SIGQUIT is ignored, and that is inherited.
    code = "import os, resource, signal, sys; resource.setrlimit(resource.RLIMIT_CORE, (-1, -1)); " \
           "signal.signal(signal.SIGQUIT, signal.SIG_DFL); os.chdir(sys.argv[1]); " \
           "os.execv(sys.argv[2], sys.argv[2:])"
    return [sys.executable, "-c", code, place, *argv]


def test_the_daemon_leaves_no_core():
    with open("/proc/sys/kernel/core_pattern", encoding="ascii") as f:
        pattern = f.read().strip()
    with checked_node(daemon_may_end=True) as node:
        control = node.path("cores/control")
        subprocess.run(core_left_by([shutil.which("sh"), "-c", "kill -QUIT $$"], control), check=False, timeout=30)
        node.start_daemon(wrapper=core_left_by([], node.path("cores/daemon")))
        with open(f"/proc/{node.daemon.pid}/limits", encoding="ascii") as f:
            limit = next(line.split()[4:6] for line in f if line.startswith("Max core"))
        equal(limit, ["0", "0"], "the limit of a core file")
        node.end(node.daemon, signal.SIGQUIT)
        equal(node.daemon.returncode, -signal.SIGQUIT, "its end")
        node.daemon = None
        if not os.listdir(control):
            print(f"# core_pattern is '{pattern}' here: only the limit was looked at")
        equal(os.listdir(node.path("cores/daemon")), [], "core files of the daemon")


def test_others_cannot_look_into_the_daemon():
    """As its own user: /proc/PID of a process that cannot be dumped belongs to root."""
    need_root()
    with checked_node(daemon_may_end=True) as node:
        os.chmod(node.root, 0o711)
        for rel in ("etc/pve-hwid/token", "var/lib/pve-hwid", "run/pve-hwid"):
            os.chown(node.path(rel), NOBODY, NOBODY)
        node.write("daemon-as-nobody", "", 0o600)
        if subprocess.run(["test", "-x", os.path.join(TOP, "build")], check=False, user=NOBODY,
                          group=NOBODY, extra_groups=[]).returncode != 0:
            raise Skip("another user cannot reach the programs here")
        setpriv = shutil.which("setpriv")
        node.start_daemon(wrapper=(setpriv, f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"))
        pid = node.daemon.pid
        equal(os.stat(f"/proc/{pid}").st_uid, NOBODY, "whose process it is")
        equal(os.stat(f"/proc/{pid}/environ").st_uid, 0, "whose its memory is")
        for name in ("environ", "mem", "maps"):
            look = subprocess.run(["head", "-c1", f"/proc/{pid}/{name}"], capture_output=True, check=False,
                                  user=NOBODY, group=NOBODY, extra_groups=[])
            assert look.returncode != 0, f"{name} can be read by the daemon's own user"
        node.stop_daemon()


# --- the promises themselves ------------------------------------------------------------------------

def test_every_promise_of_security_md_names_a_test_that_is_there():
    with open(os.path.join(TOP, "SECURITY.md"), encoding="utf-8") as f:
        named = re.findall(r"`(tests/[\w/.]+): (\w+)`", f.read())
    assert len(named) > 20, named
    for path, name in named:
        with open(os.path.join(TOP, path), encoding="utf-8") as f:
            assert re.search(rf"^(def|static void) {name}\(", f.read(), re.M), f"{path} has no {name}"


if __name__ == "__main__":
    run(globals(), "security")
